//! Raw pictures -> JPEG files, with the library alone: for benches/jpeg.
//!
//! ```text
//! jpeg WIDTH HEIGHT IN.yuv OUT-PREFIX SETTING...     writes OUT-PREFIX-SETTING.jpg of the first picture (BT.709; IN.rgb: red, green, blue)
//!     q50        Annex K's tables at quality 50
//!     s40        tables adapted to step 40; -32 to 95
//!     l34        learned colour at quality 34
//!     with p added progressive, f added 4:4:4, h added Annex K's Huffman codes, n added no search for levels: q50pf
//! jpeg time WIDTH HEIGHT IN.yuv SETTING              milliseconds a picture, the fastest of 50
//! ```

use lic_codec::jpeg::{self, Components, Notes, Options, Subsampling};
use lic_codec::{Colour, RawFormat, RawFrame};
use std::error::Error;
use std::time::Instant;

fn options(setting: &str) -> Result<(Options, Notes), Box<dyn Error>> {
    let number: i32 = setting.chars().filter(|c| c.is_ascii_digit() || *c == '-').collect::<String>().parse()?;
    let quality = if setting.starts_with('s') { 0 } else { u8::try_from(number)? };
    let mut options = Options { quality, ..Options::default() };
    options.progressive = setting.contains('p');
    if setting.starts_with('l') {
        options.components = Components::Learned;
    }
    options.optimise = !setting.contains('h');
    options.trellis = !setting.contains('n');
    if setting.contains('f') {
        options.subsampling = Subsampling::Yuv444;
    }
    // Steps that no stream has, too.
    let step = if quality == 0 { number.clamp(0, 63) as u8 } else { 0 };
    options.finer = if quality == 0 { (number - step as i32) as i8 } else { 0 };
    Ok((options, Notes { step, ..Notes::default() }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (timed, args) = if args.first().is_some_and(|a| a == "time") { (true, &args[1..]) } else { (false, &args[..]) };
    let [width, height, from, rest @ ..] = args else {
        return Err("usage: jpeg [time] WIDTH HEIGHT IN.yuv [OUT-PREFIX] SETTING...".into());
    };
    let (width, height) = (width.parse::<u32>()?, height.parse::<u32>()?);
    let data = std::fs::read(from)?;
    let format = if from.ends_with(".rgb") { RawFormat::Rgb } else { RawFormat::I420 };
    let (mut at, mut planes) = (0, Vec::new());
    for (line, lines) in format.planes(width as usize, height as usize) {
        planes.push((data.get(at..at + line * lines).ok_or("the picture's file is too short")?, line));
        at += line * lines;
    }
    let picture = RawFrame::new(format, width, height, &planes)?;
    if timed {
        for setting in rest {
            let (options, notes) = options(setting)?;
            let (mut best, mut bytes) = (f64::MAX, 0);
            for _ in 0..50 {
                let start = Instant::now();
                bytes = jpeg::write(&picture, Colour::BT709, &options, &notes)?.len();
                best = best.min(start.elapsed().as_secs_f64());
            }
            println!("{setting} {:.3} {bytes}", best * 1e3);
        }
        return Ok(());
    }
    let [prefix, settings @ ..] = rest else { return Err("no OUT-PREFIX".into()) };
    for setting in settings {
        let (options, notes) = options(setting)?;
        std::fs::write(format!("{prefix}-{setting}.jpg"), jpeg::write(&picture, Colour::BT709, &options, &notes)?)?;
    }
    Ok(())
}
