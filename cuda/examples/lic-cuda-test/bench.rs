//! How long kernels take, by the device's own clock, against what memory and tensor cores can do.

use crate::common::{Machine, Random, motion::field, pack, said};
use crate::real::picture;
use crate::{Options, Rows};
use lic_cuda::motion::{SearchPlanes, Vectors, blend, compensate, pairs};
use lic_cuda::network::{Analysis, Synthesis, Workspace};
use lic_cuda::planes::{DevicePlanes, Layout, Lines, pack as to_raw, unpack};
use lic_cuda::prior::{Depthwise, Linear, Rows as At};
use lic_cuda::{Arg, Buffer, Launch, Places};
use lic_kernels::motion::Vector;
use lic_kernels::planes::RgbMatrix;

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
/// Of padded planes.
const SAMPLES: usize = 1920 * 1088;

pub type Result<T> = std::result::Result<T, String>;

/// Median milliseconds of some runs behind two that do not count.
pub fn median(machine: &Machine, mut run: impl FnMut() -> lic_cuda::Result<()>) -> Result<f32> {
    let mut ms = Vec::new();
    for i in 0..13 {
        let t = machine.timed(&mut run).map_err(said)?;
        if i > 1 {
            ms.push(t);
        }
    }
    ms.sort_by(f32::total_cmp);
    Ok(ms[ms.len() / 2])
}

/// Bytes as random as those of pictures: zeros would spare the device power, and so time.
pub fn noise(machine: &Machine, bytes: usize) -> Result<Buffer> {
    let mut r = Random::new(43);
    let some: Vec<u8> = (0..1 << 16).map(|_| r.below(256) as u8).collect();
    let all: Vec<u8> = some.into_iter().cycle().take(bytes).collect();
    Buffer::of(machine, &all).map_err(said)
}

/// What the machine can do: bytes and int8 operations a second.
struct Peaks {
    copied: f64,
    operations: f64,
    dp4a: f64,
    conversions: f64,
}

fn peaks(machine: &Machine, o: &Options) -> Result<Peaks> {
    let bytes = if o.emulated { 1 << 16 } else { 512 << 20 };
    let from = Buffer::new(machine, bytes).map_err(said)?;
    let mut to = Buffer::new(machine, bytes).map_err(said)?;
    let by_driver = median(machine, || to.copy(&from))?;
    let count = bytes / 16;
    let args = [from.arg(), to.arg(), Arg::Long(count as i64)];
    let copy = Launch { kernel: "copy", grid: [if o.emulated { 1 } else { 4096 }, 1, 1], block: [256, 1, 1], shared: 0, args: &args };
    // SAFETY: the kernel's parameters; both buffers have so many bytes.
    let by_kernel = median(machine, || unsafe { machine.launch(&copy) })?;
    let copied = 2.0 * bytes as f64 / by_driver.min(by_kernel) as f64 * 1e3;

    let blocks = if o.emulated { 1 } else { 132 * 8 };
    let out = Buffer::new(machine, 4 * 256 * blocks).map_err(said)?;
    let rate = |kernel, rounds: i32, operations: f64| -> Result<f64> {
        let rounds = if o.emulated { 2 } else { rounds };
        let args = [Arg::Int(rounds), out.arg()];
        let launch = Launch { kernel, grid: [blocks as u32, 1, 1], block: [256, 1, 1], shared: 0, args: &args };
        // SAFETY: the kernel's parameters; a value for each thread.
        let ms = median(machine, || unsafe { machine.launch(&launch) })?;
        Ok(operations * rounds as f64 * blocks as f64 / ms as f64 * 1e3)
    };
    // Eight products of 16x8x32 a warp and round; eight of four a thread.
    let operations = rate("peak_mma", 2048, 2.0 * 8.0 * 8.0 * 4096.0)?;
    let conversions = rate("peak_convert", 2048, 256.0 * 16.0)?;
    Ok(Peaks { copied, operations, conversions, dp4a: rate("peak_dp4a", 4096, 2.0 * 256.0 * 8.0 * 4.0)? })
}

pub fn floor(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String> {
    let p = peaks(machine, o)?;
    rows.add("device", machine.name());
    if o.emulated {
        rows.add("**emulated**", "times are those of this host and sizes small: no measurement");
    }
    rows.add("copy floor, read and written", format!("{:.0} GB/s", p.copied / 1e9));
    rows.add("int8 peak by mma.sync m16n8k32", format!("{:.0} TOPS", p.operations / 1e12));
    rows.add("int8 peak by dp4a", format!("{:.0} TOPS", p.dp4a / 1e12));
    rows.add("conversions between int32 and f32", format!("{:.1} T/s", p.conversions / 1e12));
    Ok(format!("{:.0} GB/s, {:.0} TOPS", p.copied / 1e9, p.operations / 1e12))
}

/// A kernel that memory bounds: `bytes` are those that it must read and write for a frame.
fn memory(rows: &mut Rows, name: &str, ms: f32, frames: usize, bytes: usize, p: &Peaks) {
    let floor = bytes as f64 * frames as f64 / p.copied * 1e3;
    rows.add(
        format!("{name}, 1080p, {frames} a launch"),
        format!("{:.1} us a frame, {:.2}x the copy floor", ms as f64 / frames as f64 * 1e3, ms as f64 / floor),
    );
}

pub fn frames(o: &Options, n: usize) -> usize {
    if o.emulated { 1 } else { n }
}

pub fn size(o: &Options) -> (usize, usize) {
    if o.emulated { (64, 32) } else { (WIDTH, HEIGHT) }
}

pub fn pictures(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String> {
    let (p, n, (w, h)) = (peaks(machine, o)?, frames(o, 32), size(o));
    let mut planes = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
    let raw: Vec<Buffer> = [4, 1, 1].iter().map(|c| noise(machine, n * w * h * c)).collect::<Result<_>>()?;
    let lines = |i: usize, stride: usize, lines: usize| Lines { buffer: &raw[i], offset: 0, stride, step: stride * lines };
    let uv = Some([lines(1, w / 2, h / 2), lines(2, w / 2, h / 2)]);
    let rgb = |bytes| Layout::Rgb { lines: lines(0, bytes * w, h), bytes, order: [0, 1, 2] };
    let i420 = Layout::Planar { y: lines(0, w, h), uv };
    let nv12 = Layout::Interleaved { y: lines(0, w, h), c: lines(1, w, h / 2), swapped: false };
    let yuy2 = Layout::Packed422 { lines: lines(0, 2 * w, h), luma: 0 };
    // Bytes of the raw picture for each sample, in halves.
    for (name, layout, halves) in [("I420", i420, 3), ("NV12", nv12, 3), ("YUY2", yuy2, 4), ("RGB", rgb(3), 6), ("BGRx", rgb(4), 8)] {
        let ms = median(machine, || unpack(&layout, w, h, &mut planes))?;
        memory(rows, &format!("{name} to planes"), ms, n, w * h * halves / 2 + SAMPLES * 3 / 2, &p);
    }
    let matrix = RgbMatrix::new(0.2126, 0.0722, false);
    for (name, layout, halves) in [("I420", i420, 3), ("NV12", nv12, 3), ("RGB", rgb(3), 6)] {
        let ms = median(machine, || to_raw(&planes, matrix, w, h, &layout))?;
        memory(rows, &format!("planes to {name}"), ms, n, w * h * (3 + halves) / 2, &p);
    }
    let n = frames(o, 16);
    let mut planes = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
    let mut channels = Buffer::new(machine, n * planes.width * planes.height * 6).map_err(said)?;
    let ms = median(machine, || planes.to_channels(&mut channels))?;
    memory(rows, "planes to 96 channels", ms, n, SAMPLES * 15 / 2, &p);
    let ms = median(machine, || planes.from_channels(&channels))?;
    memory(rows, "96 channels to planes", ms, n, SAMPLES * 15 / 2, &p);
    Ok("measured".into())
}

pub fn motion(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String> {
    let (p, n, (w, h)) = (peaks(machine, o)?, frames(o, 16), size(o));
    let mut r = Random::new(59);
    let mut reference = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
    reference.write(&vec![picture(&mut r, w, h); n]).map_err(said)?;
    let mut out = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
    let blocks = n * out.width * out.height / 256;
    let across = out.width / 16;
    let mut smooth = field(&mut r, blocks, 60, 0);
    (0..blocks).for_each(|i| smooth[i] = smooth[i / across / 4 * 4 * across + i % across / 4 * 4]);
    for (name, vectors) in [
        ("zero vectors", field(&mut r, blocks, 0, 0)),
        ("one vector for 4x4 blocks", smooth),
        ("random vectors", field(&mut r, blocks, 60, 0)),
        ("random quarters", field(&mut r, blocks, 60, 8)),
    ] {
        let vectors = Vectors::of(machine, &vectors).map_err(said)?;
        let ms = median(machine, || compensate(&reference, &vectors, &mut out))?;
        memory(rows, &format!("compensate, {name}"), ms, n, SAMPLES * 3, &p);
    }
    let half: Vec<u8> = (0..blocks).map(|_| r.below(2) as u8).collect();
    for (name, map) in [("all blocks", vec![1; blocks]), ("half of the blocks", half)] {
        let map = Buffer::of(machine, &map).map_err(said)?;
        let ms = median(machine, || blend(&reference, &map, &mut out))?;
        memory(rows, &format!("blend, {name}"), ms, n, SAMPLES * 3, &p);
    }
    let mut search = SearchPlanes::new(machine, &reference).map_err(said)?;
    let ms = median(machine, || search.refill(&reference))?;
    memory(rows, "search planes", ms, n, SAMPLES * 5, &p);
    let each = 32;
    let vectors: Vec<Vector> = (0..blocks * each).map(|_| Vector { x: r.around(60) as i16, y: r.around(60) as i16 }).collect();
    let vectors = Buffer::of(machine, &pairs(&vectors)).map_err(said)?;
    let mut sums = Buffer::new(machine, 8 * blocks * each).map_err(said)?;
    let ms = median(machine, || search.differences(&reference, &vectors, each, &mut sums))?;
    rows.add(format!("differences of all blocks at {each} vectors, 1080p"), format!("{:.1} us a frame", ms as f64 / n as f64 * 1e3));
    Ok("measured".into())
}

/// A kernel of tensor cores: `products` (int8) and bytes that it must move, for a frame.
fn convolution(rows: &mut Rows, name: &str, ms: f32, frames: usize, products: usize, bytes: usize, p: &Peaks) {
    let rate = 2.0 * products as f64 * frames as f64 / ms as f64 * 1e3;
    let floor = bytes as f64 * frames as f64 / p.copied * 1e3;
    rows.add(
        format!("{name}, 1080p, {frames} a launch"),
        format!(
            "{:.1} us a frame, {:.0} TOPS = {:.0}% of peak, {:.2}x the copy floor",
            ms as f64 / frames as f64 * 1e3,
            rate / 1e12,
            100.0 * rate / p.operations,
            ms as f64 / floor
        ),
    );
}

pub fn rate(rows: &mut Rows, name: &str, ms: f32, frames: usize) {
    rows.add(format!("**{name}**, 1080p, {frames} a launch"), format!("**{:.0} frames/s**", frames as f64 / ms as f64 * 1e3));
}

pub fn networks(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String> {
    let (p, n, (w, h)) = (peaks(machine, o)?, frames(o, 16), size(o));
    let given = pack::networks(&o.pack)?;
    let mut space = Workspace::new(machine).map_err(said)?;
    let mut planes = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
    planes.write(&vec![picture(&mut Random::new(37), w, h); n]).map_err(said)?;
    let places = Places::all(planes.width, planes.height, n);
    let (each, positions) = (places.rows() / n, places.rows() / 4);

    let a = Analysis::new(machine, &given.analysis).map_err(said)?;
    let (c, m) = (given.analysis.layers().0.outputs(), a.latents());
    let mut latents = Buffer::new(machine, 4 * positions * m).map_err(said)?;
    let ms = median(machine, || a.run(&mut space, &planes, &places, positions, &mut latents))?;
    rate(rows, "analysis", ms, n);
    let ms = median(machine, || a.first(&space, &planes, &places))?;
    convolution(rows, "analysis, first", ms, n, each * 2 * 96 * c, each * (96 + 3 * c), &p);
    let e = given.analysis.layers().1[0].layers().1.outputs();
    let ms = median(machine, || a.block(&space, 0, &places))?;
    convolution(rows, "analysis, a block", ms, n, each * 2 * c * e, each * 6 * c, &p);
    for (name, around) in [("its depthwise layer", true), ("its other layers", false)] {
        let ms = median(machine, || a.part(&space, around, &places))?;
        rows.add(format!("of a block of analysis, {name} alone"), format!("{:.1} us a frame", ms as f64 / n as f64 * 1e3));
    }
    let ms = median(machine, || a.last(&space, positions, &mut latents))?;
    convolution(rows, "analysis, last", ms, n, each * 4 * c * m, each * (2 * c + m), &p);

    for wide in [false, true] {
        let name = if wide { "whole synthesis" } else { "synthesis" };
        let s = if wide { Synthesis::new(machine, &given.whole) } else { Synthesis::new(machine, &given.synthesis) }.map_err(said)?;
        let c = given.synthesis.layers().2.inputs();
        let e = given.synthesis.layers().1[0].layers().1.outputs();
        let (times, size) = if wide { (4, 2) } else { (1, 1) };
        let ms = median(machine, || s.run(&mut space, &latents, &places, &mut planes))?;
        rate(rows, name, ms, n);
        let ms = median(machine, || s.first(&space, &latents, &places))?;
        convolution(rows, &format!("{name}, first"), ms, n, each * 4 * m * c, each * (m + (2 + size) * c), &p);
        let ms = median(machine, || s.block(&space, 0, &places))?;
        convolution(rows, &format!("{name}, a block"), ms, n, each * 2 * c * e * times, each * (4 + 2 * size) * c, &p);
        let ms = median(machine, || s.last(&space, &places, &mut planes))?;
        convolution(rows, &format!("{name}, last"), ms, n, each * 4 * c * 96, each * (2 * c + 96), &p);
    }
    Ok("measured".into())
}

/// The layers that a frame of kind `motion` (without it, `inter`) runs through, for each of which `part` of the positions are rows.
pub fn prior(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String> {
    let (p, n, given) = (peaks(machine, o)?, frames(o, 16), pack::prior(&o.pack)?);
    let (w, h) = if o.emulated { (8, 4) } else { (WIDTH / 16, HEIGHT.div_ceil(16)) };
    let all = n * w * h;
    let kind = if given.linear.iter().any(|l| l.0.starts_with("motion.")) { "motion" } else { "inter" };
    // Everything large enough for the widest layer.
    let from = noise(machine, 2 * all * 512)?;
    let mut to = Buffer::new(machine, 2 * all * 512).map_err(said)?;
    let (mut layers, mut wide) = (Vec::new(), Vec::new());
    for (name, layer) in &given.linear {
        let Some(name) = name.strip_prefix(kind).and_then(|n| n.strip_prefix('.')) else { continue };
        let part = match name {
            "hyper.analysis1" | "hyper.synthesis" => 4,
            "first" | "second0" | "second1" => 2,
            _ => 1,
        };
        layers.push((name, Linear::new(machine, layer).map_err(said)?, all / part));
    }
    for (name, layer) in &given.depthwise {
        let Some(name) = name.strip_prefix(kind).and_then(|n| n.strip_prefix('.')) else { continue };
        wide.push((name, Depthwise::new(machine, layer).map_err(said)?, layer.channels()));
    }
    let mut pass = || {
        layers.iter().try_for_each(|(_, l, rows)| l.run(&from, *rows, None, &mut to))?;
        wide.iter().try_for_each(|(_, d, c)| d.run(&from, [n, h, w], None, At { buffer: &mut to, stride: *c, offset: 0 }))
    };
    let ms = median(machine, &mut pass)?;
    rate(rows, &format!("prior pass, all layers of kind {kind}"), ms, n);
    for (name, l, each) in &layers {
        let ms = median(machine, || l.run(&from, *each, None, &mut to))?;
        let (i, out) = (l.inputs(), l.outputs());
        convolution(rows, &format!("prior, {name} {i} to {out}"), ms, n, each / n * 2 * i * out, each / n * 2 * (i + out), &p);
    }
    for (name, d, c) in &wide {
        let ms = median(machine, || d.run(&from, [n, h, w], None, At { buffer: &mut to, stride: *c, offset: 0 }))?;
        memory(rows, &format!("prior, {name} depthwise {c}"), ms, n, w * h * c * 4, &p);
    }
    Ok("measured".into())
}
