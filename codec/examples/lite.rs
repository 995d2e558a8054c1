//! The lite pack on raw I420 files.
//!
//! ```text
//! lite bench TABLES WIDTH HEIGHT IN.yuv [step=8] [groups=8] [gop=1] [rounds=3]   speed by stage on one core, bytes; every frame is decoded and compared
//! lite code TABLES WIDTH HEIGHT IN.yuv OUT.i8 [step=8] [groups=8] [gop=1]        bytes a frame; latents, int8 [frame][position][channel]
//! ```
//! gop: frames from one of kind none to the next, the others of kind latent; TABLES: a lite.safetensors.

use lic_codec::lite::{Lite, Picture, Samples, Scratch, Sensor, Slice, decode, encode};
use lic_kernels::Level;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn option(args: &[String], name: &str, default: usize) -> Result<usize, String> {
    match args.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix('=')) {
        Some(v) => v.parse().map_err(|_| format!("{name}={v}?")),
        None => Ok(default),
    }
}

fn picture(frame: &[u8], w: usize, h: usize) -> Picture<'_> {
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    let chroma = |i: usize| Samples { data: &frame[w * h + i * cw * ch..], stride: cw, width: cw, height: ch };
    Picture { y: Samples { data: frame, stride: w, width: w, height: h }, uv: [chroma(0), chroma(1)] }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: lite bench|code TABLES WIDTH HEIGHT IN.yuv [OUT.i8] [name=value...]";
    let [what, tables, w, h, from, ..] = &args[..] else { return Err(usage.into()) };
    let (w, h): (usize, usize) = (w.parse()?, h.parse()?);
    let (step, groups, gop) = (option(&args, "step", 8)?, option(&args, "groups", 8)?, option(&args, "gop", 1)?);
    let lite = Arc::new(Lite::parse(&std::fs::read(tables)?)?);
    let raw = std::fs::read(from)?;
    let frames: Vec<&[u8]> = raw.chunks_exact(w * h + 2 * w.div_ceil(2) * h.div_ceil(2)).collect();
    let (columns, rows, level) = (w.div_ceil(16), h.div_ceil(16), Level::best());
    let rounds = if what == "bench" { option(&args, "rounds", 3)? } else { 1 };
    let mut out = (what == "code").then(|| std::fs::File::create(args.get(5).ok_or(usage)?).map_err(|e| e.to_string())).transpose()?;
    let mut sensor = Sensor::new(lite.clone(), level);
    // Each frame's fastest round counts: others may want this core too.
    let (mut best, mut bytes) = (vec![(Duration::MAX, Duration::MAX); frames.len()], vec![]);
    for _ in 0..rounds {
        let (mut held, mut latents, mut scratch) = (vec![], vec![], Scratch::default());
        bytes.clear();
        for (i, frame) in frames.iter().enumerate() {
            let reference = (i % gop != 0).then_some(&held[..]);
            let slice = Slice { columns, step, groups, reference };
            let t = Instant::now();
            sensor.latents(&picture(frame, w, h), step, groups, reference, &mut latents);
            best[i].0 = t.elapsed().min(best[i].0);
            let t = Instant::now();
            let mut payload = vec![];
            encode(&lite, level, &slice, &mut latents, &mut scratch, &mut payload);
            best[i].1 = t.elapsed().min(best[i].1);
            if decode(&lite, &slice, rows, &payload)?.0 != latents {
                return Err(format!("frame {i} does not decode to what was coded").into());
            }
            bytes.push(payload.len());
            if let Some(out) = &mut out {
                out.write_all(&latents.iter().map(|&v| v as u8).collect::<Vec<u8>>())?;
            }
            held.clone_from(&latents);
        }
    }
    if frames.is_empty() {
        return Err("no whole frame in the file".into());
    }
    let analysis: Duration = best.iter().map(|b| b.0).sum();
    let coding: Duration = best.iter().map(|b| b.1).sum();
    let (n, total) = (frames.len() as f64, bytes.iter().sum::<usize>() as f64);
    if what == "bench" {
        let ms = |d: Duration| d.as_secs_f64() * 1e3 / n;
        let speed = (w * h) as f64 * n / (analysis + coding).as_secs_f64() / 1e6;
        let bpp = total * 8.0 / n / (w * h) as f64;
        println!(
            "{level:?}: {:.2} ms a frame: {:.2} analysis, {:.2} coding; {speed:.0} Mpx/s; {bpp:.4} bpp",
            ms(analysis + coding),
            ms(analysis),
            ms(coding)
        );
    } else {
        println!("{}", bytes.iter().map(|b| b.to_string()).collect::<Vec<_>>().join(" "));
    }
    Ok(())
}
