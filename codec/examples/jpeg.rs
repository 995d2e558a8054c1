//! Raw pictures -> JPEG files and back, with the library alone: for benches/jpeg.
//!
//! ```text
//! jpeg WIDTH HEIGHT IN OUT-PREFIX SETTING...         writes OUT-PREFIX-SETTING.jpg of IN's first picture for each setting:
//!     q50        Annex K's tables at quality 50
//!     s40        tables adapted to step 40; -32 to 95
//!     l34        learned colour at quality 34
//!     with p added progressive, f added 4:4:4, h added Annex K's Huffman codes, n added no search for levels: q50pf
//! jpeg time WIDTH HEIGHT IN SETTING...               milliseconds a picture, the fastest of 50, and bytes
//! jpeg read FILE [OUT.rgb]                           milliseconds to read it, the fastest of 20, and megapixels
//! jpeg enhance FILE [OUT.rgb]                        the same with restoration, the fastest of 3
//! ```
//! IN: .rgb (red, green, blue), .yuv (I420, BT.709 in limited range) or .jfif.yuv (I420 as JFIF has it).

use lic_codec::jpeg::{self, Components, Notes, Options, Subsampling};
use lic_codec::{Colour, RawFormat, RawFrame, Runtime};
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

/// Milliseconds of the fastest of so many.
fn fastest<T>(rounds: u32, mut f: impl FnMut() -> T) -> f64 {
    let one = |_| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64() * 1e3
    };
    (0..rounds).map(one).fold(f64::MAX, f64::min)
}

fn read(file: &str, out: Option<&String>) -> Result<(), Box<dyn Error>> {
    let data = std::fs::read(file)?;
    let picture = jpeg::read(&data, u64::MAX)?;
    let ms = fastest(20, || jpeg::read(&data, u64::MAX));
    println!("{ms:.3} {:.6}", f64::from(picture.width) * f64::from(picture.height) / 1e6);
    out.map_or(Ok(()), |out| Ok(std::fs::write(out, &picture.samples)?))
}

fn enhance(file: &str, out: Option<&String>) -> Result<(), Box<dyn Error>> {
    let (data, mut enhancer) = (std::fs::read(file)?, jpeg::Enhancer::new(&Runtime::find()?, 1)?);
    let picture = jpeg::read_enhanced(&data, u64::MAX, &mut enhancer)?;
    let ms = fastest(3, || jpeg::read_enhanced(&data, u64::MAX, &mut enhancer));
    println!("{ms:.3} {:.6}", f64::from(picture.width) * f64::from(picture.height) / 1e6);
    out.map_or(Ok(()), |out| Ok(std::fs::write(out, &picture.samples)?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [command, file, out @ ..] = &args[..]
        && command == "enhance"
    {
        return enhance(file, out.first());
    }
    if let [command, file, out @ ..] = &args[..]
        && command == "read"
    {
        return read(file, out.first());
    }
    let (timed, args) = if args.first().is_some_and(|a| a == "time") { (true, &args[1..]) } else { (false, &args[..]) };
    let [width, height, from, rest @ ..] = args else {
        return Err("usage: jpeg [time] WIDTH HEIGHT IN [OUT-PREFIX] SETTING...".into());
    };
    let (width, height) = (width.parse::<u32>()?, height.parse::<u32>()?);
    let data = std::fs::read(from)?;
    let format = if from.ends_with(".rgb") { RawFormat::Rgb } else { RawFormat::I420 };
    let colour = if from.ends_with(".jfif.yuv") { Colour { full_range: true, ..Colour::BT601 } } else { Colour::BT709 };
    let (mut at, mut planes) = (0, Vec::new());
    for (line, lines) in format.planes(width as usize, height as usize) {
        planes.push((data.get(at..at + line * lines).ok_or("the picture's file is too short")?, line));
        at += line * lines;
    }
    let picture = RawFrame::new(format, width, height, &planes)?;
    let prefix = if timed { None } else { Some(rest.first().ok_or("no OUT-PREFIX")?) };
    for setting in &rest[prefix.iter().len()..] {
        let (options, notes) = options(setting)?;
        let write = || jpeg::write(&picture, colour, &options, &notes);
        let file = write()?;
        match prefix {
            None => println!("{setting} {:.3} {}", fastest(50, write), file.len()),
            Some(prefix) => std::fs::write(format!("{prefix}-{setting}.jpg"), file)?,
        }
    }
    Ok(())
}
