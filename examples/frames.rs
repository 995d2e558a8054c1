//! Frames of a .lic file by their numbers: lines with a number each come in, I420 pictures go out.
//!
//! ```text
//! echo 1234 | lic-frames drive.lic > frame.yuv
//! ```

use lic_codec::{RawFormat, Runtime};
use lic_container::lic::Pictures;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, Write, stdin, stdout};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: lic-frames FILE.lic")?;
    let mut pictures = Pictures::open(File::open(&path)?, &Runtime::find()?, 0)?;
    for line in stdin().lock().lines() {
        let picture = pictures.frame(line?.trim().parse()?, RawFormat::I420)?;
        let mut out = stdout().lock();
        out.write_all(&picture.data)?;
        out.flush()?;
    }
    Ok(())
}
