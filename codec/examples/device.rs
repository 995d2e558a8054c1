//! The codec with a CUDA device against the CPU alone: the same pictures, and how fast. ONNX Runtime as for the codec (ORT_DYLIB_PATH),
//! code for the device in LIC_CUDA_CODE, else NVRTC; neither GStreamer nor Rust.
//!
//! ```text
//! device FILE.lic... [index=0] [streams=16] [threads=2] [frames=1000]
//! ```
//! Each file: its pictures by CPU and device; these pictures coded anew with the device, each kind, and decoded by both; so many streams
//! of it decoded at a time. Exit status 1 where anything differs.

use lic_codec::{Decoder, Device, Encoder, Inter, Pack, PictureMut, RawFormat, RawFrame, Runtime, Settings, StreamInfo, bitstream};
use std::error::Error;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn option<T: std::str::FromStr>(args: &[String], name: &str, default: T) -> T {
    args.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).unwrap_or(default)
}

/// What decoding one stream gave.
struct Decoded {
    info: StreamInfo,
    /// CRC-32C of each frame's latents and picture.
    sums: Vec<(u32, u32)>,
    pictures: Vec<Vec<u8>>,
    time: Duration,
}

fn planes(info: &StreamInfo) -> [usize; 4] {
    let (w, h) = (info.width as usize, info.height as usize);
    [w, h, w.div_ceil(2), h.div_ceil(2)]
}

fn decode(data: &[u8], device: Option<&Device>, threads: u32, keep: bool, most: usize) -> Result<Decoded> {
    let mut d = Decoder::new(&Runtime::find()?, threads)?;
    d.set_device(device.cloned());
    let (mut at, mut out) = (0, None::<Decoded>);
    while let bitstream::Scan::Frame(h) = bitstream::scan(&data[at..]) {
        let start = Instant::now();
        let frame = d.decode(&data[at..at + h.length])?;
        at += h.length;
        let out = out.get_or_insert_with(|| Decoded { info: frame.info, sums: vec![], pictures: vec![], time: Duration::ZERO });
        let [w, h, cw, ch] = planes(&out.info);
        let mut picture = vec![0; w * h + 2 * cw * ch];
        let (y, c) = picture.split_at_mut(w * h);
        let (u, v) = c.split_at_mut(cw * ch);
        d.render(&mut PictureMut::new(RawFormat::I420, w as u32, h as u32, vec![(y, w), (u, cw), (v, cw)])?)?;
        // The first frame waits for networks to be put on the device.
        out.time += if out.sums.is_empty() { Duration::ZERO } else { start.elapsed() };
        out.sums.push((frame.latents_crc, crc32c::crc32c(&picture)));
        if keep {
            out.pictures.push(picture);
        }
        if out.sums.len() == most {
            break;
        }
    }
    out.ok_or_else(|| "no frame".into())
}

/// Bytes, and seconds a frame without the first.
fn encode(of: &Decoded, inter: Inter, device: Option<&Device>, threads: u32) -> Result<(Vec<u8>, f64)> {
    let settings = Settings { quality: 45.0, inter, threads, key_int_max: 1000, ..Settings::default() };
    let mut e = Encoder::on(Pack::open("base")?, &Runtime::find()?, of.info, settings, device)?;
    let ([w, h, cw, ch], mut out, mut time) = (planes(&of.info), vec![], Duration::ZERO);
    for (i, p) in of.pictures.iter().enumerate() {
        let (y, c) = p.split_at(w * h);
        let (u, v) = c.split_at(cw * ch);
        let frame = RawFrame::new(RawFormat::I420, w as u32, h as u32, &[(y, w), (u, cw), (v, cw)])?;
        let start = Instant::now();
        out.extend_from_slice(&e.encode(&frame, inter == Inter::None)?.data);
        time += if i == 0 { Duration::ZERO } else { start.elapsed() };
    }
    Ok((out, time.as_secs_f64() / (of.pictures.len() - 1).max(1) as f64))
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (threads, streams, most) = (option(&args, "threads", 2), option(&args, "streams", 16), option(&args, "frames", 1000));
    println!("| a device that is not there | {} |", Device::open(99, false).err().map_or("opened?!".into(), |e| e.to_string()));
    let start = Instant::now();
    let device = Device::open(option(&args, "index", 0), false)?;
    println!("| device | {}, open after {:.2} s |", device.name(), start.elapsed().as_secs_f64());
    let mut differ = 0;
    let mut compared = |what: String, same: bool| {
        println!("| {what} | {} |", if same { "identical" } else { "DIFFERENT" });
        differ += !same as u32;
    };
    for file in args.iter().filter(|a| !a.contains('=')) {
        let data = std::fs::read(file)?;
        let cpu = decode(&data, None, threads, true, most)?;
        let own = decode(&data, Some(&device), threads, false, most)?;
        let (n, [w, h, ..]) = (cpu.sums.len(), planes(&cpu.info));
        let name = file.rsplit('/').next().unwrap_or(file);
        compared(format!("{name}, {n} frames of {w}x{h}: latents and pictures of CPU and device"), cpu.sums == own.sums);
        if n < 8 || (w, h) < (640, 480) {
            continue;
        }
        let rate = |d: &Decoded| (n - 1) as f64 / d.time.as_secs_f64();
        println!("| {name}: decoded, {threads} threads, CPU; device | {:.0}; {:.0} frames/s |", rate(&cpu), rate(&own));
        for inter in [Inter::None, Inter::Latent, Inter::Motion] {
            let (stream, on_device) = encode(&cpu, inter, Some(&device), threads)?;
            let (other, on_cpu) = encode(&cpu, inter, None, threads)?;
            let [a, b] = [None, Some(&device)].map(|d| decode(&stream, d, threads, false, most));
            compared(format!("{name} coded on the device, {inter:?}, decoded by CPU and device"), a?.sums == b?.sums);
            let [a, b] = [None, Some(&device)].map(|d| decode(&other, d, threads, false, most));
            compared(format!("{name} coded by the CPU, {inter:?}, decoded by CPU and device"), a?.sums == b?.sums);
            println!(
                "| {name}: coded, {inter:?}, {threads} threads, CPU; device | {:.0}; {:.0} frames/s, {}; {} bytes |",
                1.0 / on_cpu,
                1.0 / on_device,
                other.len(),
                stream.len()
            );
        }
        let start = Instant::now();
        let all: Vec<Result<Decoded>> = std::thread::scope(|s| {
            let one = || decode(&data, Some(&device), 1, false, most);
            let threads: Vec<_> = (0..streams).map(|_| s.spawn(one)).collect();
            threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("a stream's thread panicked".into()))).collect()
        });
        let rate = (streams * n) as f64 / start.elapsed().as_secs_f64();
        let same = all.into_iter().collect::<Result<Vec<_>>>()?.iter().all(|d| d.sums == cpu.sums);
        compared(format!("{name}: {streams} streams at a time on one device, a thread each: {rate:.0} frames/s in all; pictures"), same);
    }
    if differ > 0 { Err(format!("{differ} comparisons failed").into()) } else { Ok(()) }
}
