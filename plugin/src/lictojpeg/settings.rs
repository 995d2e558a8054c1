//! The element's properties.

use super::{Colour, Subsampling};
use crate::task::{self, Task};
use gst::glib;
use gst::prelude::*;
use lic_codec::jpeg::{self, Components, Options};
use std::sync::LazyLock;

const DEFAULT_THREADS: u32 = 0;
const DEFAULT_CONCEAL: bool = true;

#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub colour: Colour,
    pub subsampling: Subsampling,
    pub options: Options,
    pub icc_profile: Option<String>,
    pub threads: u32,
    pub hide: bool,
    pub task: Task,
}

pub fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        let options = Options::default();
        vec![
            glib::ParamSpecEnum::builder_with_default("colour", Colour::default())
                .nick("Colour")
                .blurb(
                    "What the files' components are. learned: SEAOTTER's colour pair, not subsampled, for licjpegdec, lic's library and readers that apply \
                     ICC profiles. It pays from sources with all their chroma; from streams standard files are smaller",
                )
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("subsampling", Subsampling::default())
                .nick("Subsampling")
                .blurb("Chroma samples of the files; colour=learned heeds grey only")
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("progressive")
                .nick("Progressive")
                .blurb("Progressive files: smaller, and slower to read")
                .default_value(options.progressive)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("optimise")
                .nick("Optimised Huffman tables")
                .blurb("Huffman codes made for each picture; false = those of the standard's Annex K. Progressive files always have their own")
                .default_value(options.optimise)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("restart-rows")
                .nick("Restart markers")
                .blurb("Rows of MCUs between restart markers (0 = none)")
                .maximum(1000)
                .default_value(options.restart_rows.into())
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("quality")
                .nick("Quality")
                .blurb(
                    "0 = tables and rounding that suit the quality of the stream; 1 to 100 = the standard's tables, scaled as libjpeg does, or \
                     with colour=learned the four trained rates at 1, 34, 67 and 100 and what lies between",
                )
                .maximum(100)
                .default_value(options.quality.into())
                .mutable_playing()
                .build(),
            glib::ParamSpecInt::builder("finer")
                .nick("Finer tables")
                .blurb("With quality=0: tables as for so many of the codec's 64 steps more (finer, larger files) or fewer; 16 halve the error")
                .minimum(-32)
                .maximum(32)
                .default_value(options.finer.into())
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("trellis")
                .nick("Search for levels")
                .blurb(
                    "Choose levels by what they cost against what they mend, with quality=0 or colour=learned: smaller files, for several times \
                     the time",
                )
                .default_value(options.trellis)
                .mutable_playing()
                .build(),
            glib::ParamSpecString::builder("icc-profile")
                .nick("ICC profile")
                .blurb("File with the ICC profile that goes into each picture (none by default)")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("threads")
                .nick("Threads")
                .blurb("Threads that decode a frame (0 = one per core)")
                .maximum(256)
                .default_value(DEFAULT_THREADS)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("conceal")
                .nick("Conceal losses")
                .blurb("Write frames of which something is damaged or missing as licdec shows them, with the buffer flag CORRUPTED (false = drop them)")
                .default_value(DEFAULT_CONCEAL)
                .mutable_playing()
                .build(),
            task::property(),
        ]
    });
    PROPERTIES.as_ref()
}

impl Settings {
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        const TYPED: &str = "GObject checked the type";
        let s = self;
        match name {
            "colour" => s.colour = value.get().expect(TYPED),
            "subsampling" => s.subsampling = value.get().expect(TYPED),
            "progressive" => s.options.progressive = value.get().expect(TYPED),
            "optimise" => s.options.optimise = value.get().expect(TYPED),
            "restart-rows" => s.options.restart_rows = value.get::<u32>().expect(TYPED) as u16,
            "quality" => s.options.quality = value.get::<u32>().expect(TYPED) as u8,
            "finer" => s.options.finer = value.get::<i32>().expect(TYPED) as i8,
            "trellis" => s.options.trellis = value.get().expect(TYPED),
            "icc-profile" => s.icc_profile = value.get().expect(TYPED),
            "threads" => s.threads = value.get().expect(TYPED),
            "conceal" => s.hide = !value.get::<bool>().expect(TYPED),
            "task" => s.task = value.get().expect(TYPED),
            name => unreachable!("no property {name}"),
        }
    }

    pub fn get(&self, pspec: &glib::ParamSpec) -> glib::Value {
        let s = self;
        match pspec.name() {
            "colour" => s.colour.to_value(),
            "subsampling" => s.subsampling.to_value(),
            "progressive" => s.options.progressive.to_value(),
            "optimise" => s.options.optimise.to_value(),
            "restart-rows" => u32::from(s.options.restart_rows).to_value(),
            "quality" => u32::from(s.options.quality).to_value(),
            "finer" => i32::from(s.options.finer).to_value(),
            "trellis" => s.options.trellis.to_value(),
            "icc-profile" => s.icc_profile.to_value(),
            "threads" => s.threads.to_value(),
            "conceal" => (!s.hide).to_value(),
            "task" => s.task.to_value(),
            _ => pspec.default_value().clone(),
        }
    }

    /// Of the files.
    pub fn options(&self) -> Options {
        let subsampling = match self.subsampling {
            Subsampling::Auto | Subsampling::Yuv420 => jpeg::Subsampling::Yuv420,
            Subsampling::Yuv444 => jpeg::Subsampling::Yuv444,
            Subsampling::Grey => jpeg::Subsampling::Grey,
        };
        let components = match self.colour {
            Colour::Standard => Components::Standard,
            Colour::Learned => Components::Learned,
        };
        Options { components, subsampling, ..self.options }
    }
}
