//! Raw I420 pictures -> JPEG files, with the library alone: for benches/jpeg.
//!
//! ```text
//! jpeg WIDTH HEIGHT IN.yuv OUT-PREFIX SETTING...     writes OUT-PREFIX-SETTING.jpg of the first picture (BT.709) for each setting:
//!     q50        Annex K's tables at quality 50
//!     s40        tables adapted to step 40
//!     with p added progressive, f added 4:4:4, h added Annex K's Huffman codes: q50pf
//! jpeg time WIDTH HEIGHT IN.yuv SETTING              milliseconds a picture, the fastest of 50
//! ```

use lic_codec::jpeg::{self, Components, Notes, Options, Subsampling};
use lic_codec::{Colour, RawFormat, RawFrame};
use std::error::Error;
use std::time::Instant;

fn options(setting: &str) -> Result<(Options, Notes), Box<dyn Error>> {
    let number: u8 = setting.chars().filter(char::is_ascii_digit).collect::<String>().parse()?;
    let mut options = Options { quality: if setting.starts_with('q') { number } else { 0 }, ..Options::default() };
    options.progressive = setting.contains('p');
    if setting.starts_with('l') {
        options.components = Components::Learned;
        options.quality = number;
    }
    options.optimise = !setting.contains('h');
    if setting.contains('f') {
        options.subsampling = Subsampling::Yuv444;
    }
    Ok((options, Notes { step: if setting.starts_with('s') { number } else { 0 }, ..Notes::default() }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (timed, args) = if args.first().is_some_and(|a| a == "time") { (true, &args[1..]) } else { (false, &args[..]) };
    let [width, height, from, rest @ ..] = args else {
        return Err("usage: jpeg [time] WIDTH HEIGHT IN.yuv [OUT-PREFIX] SETTING...".into());
    };
    let (width, height) = (width.parse::<u32>()?, height.parse::<u32>()?);
    let data = std::fs::read(from)?;
    let (mut at, mut planes) = (0, Vec::new());
    for (line, lines) in RawFormat::I420.planes(width as usize, height as usize) {
        planes.push((data.get(at..at + line * lines).ok_or("IN.yuv is too short")?, line));
        at += line * lines;
    }
    let picture = RawFrame::new(RawFormat::I420, width, height, &planes)?;
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
