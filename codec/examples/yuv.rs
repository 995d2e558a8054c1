//! Raw I420 file -> .lic file -> raw I420 file, with the library alone.
//!
//! ```text
//! yuv encode WIDTH HEIGHT IN.yuv OUT.lic [quality=50] [bitrate=0] [cap=0] [roi=x,y,w,h,delta_qp]... [gop=32] [refresh=0] [fps=30] [inter=auto|none|latent|motion] [rdo=1] [fixed=0] [slices=0] [threads=0] [model=base] [effort=default|max] [trip=0]
//!     trip: frames refer to none that are newer than so many frames, as where the network loses some
//! yuv decode IN.lic OUT.yuv [threads=0] [skip=0]      skip: joins the stream after so many frames
//! yuv dump IN.lic OUT.bin       latents: a frame is 7 u32 (bytes, key, step, slices of kind none, columns, rows, channels), i32 values, u8 skip map
//! yuv shares IN.lic      what the bytes say: frames, kinds of slices, share of maps, vectors, hyper latents, latents
//! yuv check IN.lic       compares latents and pictures of every twin of the integer kernels on this machine
//! ```

use lic_codec::{
    Colour, Decoder, Effort, Encoder, FrameParams, Inter, Pack, PictureMut, RawFormat, RawFrame, Region, Runtime, Settings, StreamInfo,
    bitstream,
};
use std::error::Error;
use std::time::{Duration, Instant};

fn option<T: std::str::FromStr>(args: &[String], name: &str, default: T) -> Result<T, String> {
    match args.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix('=')) {
        Some(v) => v.parse().map_err(|_| format!("{name}={v}?")),
        None => Ok(default),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["encode", w, h, from, to, ..] => encode(w.parse()?, h.parse()?, from, to, &args),
        ["decode", from, to, ..] => decode(from, to, &args),
        ["dump", from, to] => dump(from, to),
        ["shares", from] => shares(from),
        ["check", from] => check(from),
        _ => Err("usage: yuv encode WIDTH HEIGHT IN.yuv OUT.lic [name=value...] | decode IN.lic OUT.yuv | check IN.lic".into()),
    }
}

fn regions(args: &[String]) -> Result<Vec<Region>, Box<dyn Error>> {
    let parse = |text: &str| -> Result<Region, Box<dyn Error>> {
        let v: Vec<&str> = text.split(',').collect();
        let [x, y, width, height, delta_qp] = v[..] else { return Err(format!("roi={text}?").into()) };
        Ok(Region { x: x.parse()?, y: y.parse()?, width: width.parse()?, height: height.parse()?, delta_qp: delta_qp.parse()? })
    };
    args.iter().filter_map(|a| a.strip_prefix("roi=")).map(parse).collect()
}

fn encode(width: u32, height: u32, from: &str, to: &str, args: &[String]) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::find()?;
    let pack = Pack::open(&option(args, "model", "base".to_string())?)?;
    let info = StreamInfo { width, height, fps: (option(args, "fps", 30)?, 1), par: (1, 1), colour: Colour::BT709, grey: false };
    let settings = Settings {
        quality: option(args, "quality", 50.0)?,
        bitrate: option(args, "bitrate", 0)?,
        max_frame_bytes: option(args, "cap", 0)?,
        key_int_max: option(args, "gop", 32)?,
        intra_refresh: option(args, "refresh", 0)?,
        threads: option(args, "threads", 0)?,
        slices: option(args, "slices", 0)?,
        inter: match option(args, "inter", "auto".to_string())?.as_str() {
            "auto" => Inter::Auto,
            "none" => Inter::None,
            "latent" => Inter::Latent,
            "motion" => Inter::Motion,
            other => return Err(format!("inter={other}?").into()),
        },
        rdo: option(args, "rdo", 1)? != 0,
        fixed_step: option(args, "fixed", 0)? != 0,
        effort: if option(args, "effort", String::new())? == "max" { Effort::Max } else { Effort::Default },
    };
    let params = FrameParams { regions: regions(args)?, ..FrameParams::default() };
    let mut encoder = Encoder::new(pack, &runtime, info, settings)?;
    let (w, h) = (width as usize, height as usize);
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    let input = std::fs::read(from)?;
    let (mut out, mut time, mut keys, mut largest, mut attempts) = (Vec::new(), Duration::ZERO, 0, 0, 0);
    let mut sizes = Vec::new();
    let frames = input.chunks_exact(w * h + 2 * cw * ch);
    let count = frames.len();
    for f in frames {
        let (y, c) = f.split_at(w * h);
        let (u, v) = c.split_at(cw * ch);
        let frame = RawFrame::new(RawFormat::I420, width, height, &[(y, w), (u, cw), (v, cw)])?;
        let trip = option(args, "trip", 0u32)?;
        if trip > 0 {
            let newest = encoder.next_number().checked_sub(trip);
            encoder.set_acknowledged(Some(newest.map_or(vec![], |n| (0..=n).rev().take(8).collect())));
        }
        let start = Instant::now();
        let p = encoder.encode_with(&frame, &params)?;
        time += start.elapsed();
        if option(args, "sizes", 0)? != 0 {
            println!("{} {} {:?}", p.number, p.data.len(), p.references);
        }
        keys += p.key as u32;
        attempts += p.attempts;
        sizes.push(p.data.len());
        if !p.key {
            largest = largest.max(p.data.len());
        }
        out.extend_from_slice(&p.data);
    }
    std::fs::write(to, &out)?;
    let fps = info.fps.0 as usize;
    let second = sizes.windows(fps.min(sizes.len())).map(|w| w.iter().sum::<usize>()).max().unwrap_or(0);
    println!(
        "{:.1} kbit/s, the fullest second {:.1} kbit; {:.2} attempts a frame; largest frame {}",
        out.len() as f64 * 0.008 * fps as f64 / count as f64,
        second as f64 * 0.008,
        attempts as f64 / count as f64,
        sizes.iter().max().unwrap_or(&0)
    );
    let bpp = out.len() as f64 * 8.0 / (w * h * count) as f64;
    println!(
        "{count} frames, {keys} key, {} bytes, largest other {largest}, {bpp:.5} bits per pixel, {:.2} ms a frame",
        out.len(),
        time.as_secs_f64() * 1e3 / count as f64
    );
    Ok(())
}

/// The frames of a .lic file.
fn frames(data: &[u8]) -> Result<Vec<&[u8]>, Box<dyn Error>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < data.len() {
        match bitstream::scan(&data[at..]) {
            bitstream::Scan::Frame(h) => {
                out.push(&data[at..at + h.length]);
                at += h.length;
            }
            _ => return Err(format!("no whole frame at byte {at}").into()),
        }
    }
    Ok(out)
}

fn decode(from: &str, to: &str, args: &[String]) -> Result<(), Box<dyn Error>> {
    let mut decoder = Decoder::new(&Runtime::find()?, option(args, "threads", 0)?)?;
    let (data, mut out, mut entropy, mut synthesis) = (std::fs::read(from)?, Vec::new(), Duration::ZERO, Duration::ZERO);
    let frames = frames(&data)?;
    for f in &frames[option(args, "skip", 0)?.min(frames.len())..] {
        let start = Instant::now();
        let d = match decoder.decode(f) {
            Ok(d) => d,
            // Before the first frame that it can begin with.
            Err(lic_codec::Error::MissingReference { .. }) if out.is_empty() => continue,
            Err(e) => return Err(e.into()),
        };
        entropy += start.elapsed();
        if !d.whole {
            continue;
        }
        let (w, h) = (d.info.width as usize, d.info.height as usize);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let first = out.len();
        out.resize(first + w * h + 2 * cw * ch, 0);
        let (y, c) = out[first..].split_at_mut(w * h);
        let (u, v) = c.split_at_mut(cw * ch);
        let start = Instant::now();
        decoder.render(&mut PictureMut::new(RawFormat::I420, d.info.width, d.info.height, vec![(y, w), (u, cw), (v, cw)])?)?;
        synthesis += start.elapsed();
    }
    std::fs::write(to, &out)?;
    let ms = |d: Duration| d.as_secs_f64() * 1e3 / frames.len() as f64;
    println!("{} frames, {:.2} ms latents + {:.2} ms picture a frame", frames.len(), ms(entropy), ms(synthesis));
    Ok(())
}

fn dump(from: &str, to: &str) -> Result<(), Box<dyn Error>> {
    let mut decoder = Decoder::new(&Runtime::find()?, 0)?;
    let (data, mut out) = (std::fs::read(from)?, Vec::new());
    for f in frames(&data)? {
        let h = bitstream::parse_header(f)?;
        let none = h.slices.iter().filter(|s| s.kind == bitstream::SliceKind::None).count();
        decoder.decode(f)?;
        let l = decoder.latents().ok_or("no latents")?;
        for v in [f.len(), h.key as usize, h.step as usize, none, l.columns, l.rows, l.channels] {
            out.extend_from_slice(&(v as u32).to_le_bytes());
        }
        out.extend(l.values.iter().flat_map(|v| v.to_le_bytes()));
        out.extend(l.skip.iter().map(|&s| s as u8));
    }
    Ok(std::fs::write(to, out)?)
}

fn shares(from: &str) -> Result<(), Box<dyn Error>> {
    let mut decoder = Decoder::new(&Runtime::find()?, 0)?;
    decoder.count_bits(true);
    let data = std::fs::read(from)?;
    let mut kinds = [0usize; 3];
    // Of frames with a reference.
    let (mut bytes, mut parts, mut copied, mut positions) = (0, [0f64; 4], 0, 0);
    for f in frames(&data)? {
        let h = bitstream::parse_header(f)?;
        for s in &h.slices {
            kinds[match s.kind {
                bitstream::SliceKind::None => 0,
                bitstream::SliceKind::Latent { .. } => 1,
                bitstream::SliceKind::Motion { .. } => 2,
            }] += 1;
        }
        let s = decoder.decode(f)?.shares;
        if !h.key {
            bytes += f.len();
            parts = [parts[0] + s.maps, parts[1] + s.vectors, parts[2] + s.hyper, parts[3] + s.latents];
            let l = decoder.latents().ok_or("no latents")?;
            copied += l.skip.iter().filter(|s| **s).count();
            positions += l.skip.len();
        }
    }
    println!(
        "slices: {} none, {} latent, {} motion; frames with a reference: {bytes} of {} bytes",
        kinds[0],
        kinds[1],
        kinds[2],
        data.len()
    );
    let total = bytes.max(1) as f64 * 8.0;
    let share = |bits: f64| bits / total * 100.0;
    let [maps, vectors, hyper, latents] = parts.map(share);
    let rest = 100.0 - maps - vectors - hyper - latents;
    let copied = copied as f64 / positions.max(1) as f64 * 100.0;
    println!(
        "maps {maps:.1}%  vectors {vectors:.1}%  hyper latents {hyper:.1}%  latents {latents:.1}%  headers and CRC {rest:.1}%;  positions copied {copied:.1}%"
    );
    Ok(())
}

fn check(from: &str) -> Result<(), Box<dyn Error>> {
    let (data, runtime) = (std::fs::read(from)?, Runtime::find()?);
    let mut all = Vec::new();
    for level in lic_kernels::Level::available() {
        let mut decoder = Decoder::new(&runtime, 0)?;
        decoder.set_kernels(level);
        let mut crcs = Vec::new();
        for f in frames(&data)? {
            let d = decoder.decode(f)?;
            let (w, h) = (d.info.width as usize, d.info.height as usize);
            let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
            let mut picture = vec![0; w * h + 2 * cw * ch];
            let (y, uv) = picture.split_at_mut(w * h);
            let (u, v) = uv.split_at_mut(cw * ch);
            decoder.render(&mut PictureMut::new(RawFormat::I420, d.info.width, d.info.height, vec![(y, w), (u, cw), (v, cw)])?)?;
            crcs.push((d.latents_crc, crc32c::crc32c(&picture)));
        }
        all.push((level, crcs));
    }
    if all.iter().any(|(_, c)| *c != all[0].1) {
        return Err(format!("latents or pictures differ between {:?}", all.iter().map(|(l, _)| l).collect::<Vec<_>>()).into());
    }
    println!("{} frames: latents and pictures identical on {:?}", all[0].1.len(), all.iter().map(|(l, _)| l).collect::<Vec<_>>());
    Ok(())
}
