//! How long the device takes for whole frames, one at a time and many.

use crate::bench::{Result, frames, median, noise, rate, size};
use crate::common::{Machine, Random, entropy::intra, motion::field, pack, said};
use crate::real::picture;
use crate::{Options, Rows};
use lic_cuda::entropy::{Shape, Space, Step};
use lic_cuda::motion::{Vectors, blend, compensate};
use lic_cuda::network::{Analysis, Synthesis, Workspace};
use lic_cuda::planes::{DevicePlanes, Layout, Lines, pack as to_raw, unpack};
use lic_cuda::{Buffer, Locked, Places};
use lic_kernels::planes::RgbMatrix;

/// What the device does of a frame of kind `motion` when all of it is coded anew: the worst case of decoding.
pub fn frame(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String> {
    let (given, (w, h)) = (pack::networks(&o.pack)?, size(o));
    for n in [1, 16].map(|n| frames(o, n)) {
        let mut space = Workspace::new(machine).map_err(said)?;
        let new = || DevicePlanes::for_size(machine, w, h, n).map_err(said);
        let (mut reference, mut compensated, mut synthesised) = (new()?, new()?, new()?);
        reference.write(&vec![picture(&mut Random::new(67), w, h); n]).map_err(said)?;
        let places = Places::all(reference.width, reference.height, n);
        let positions = places.rows() / 4;
        let a = Analysis::new(machine, &given.analysis).map_err(said)?;
        let s = Synthesis::new(machine, &given.synthesis).map_err(said)?;
        let mut latents = Buffer::new(machine, 4 * positions * a.latents()).map_err(said)?;
        let vectors = Vectors::of(machine, &field(&mut Random::new(71), positions, 20, 1)).map_err(said)?;
        let map = Buffer::of(machine, &vec![1u8; positions]).map_err(said)?;
        let raw = noise(machine, n * w * h * 3 / 2)?;
        let lines = |offset: usize, stride: usize| Lines { buffer: &raw, offset, stride, step: w * h * 3 / 2 };
        let nv12 = Layout::Interleaved { y: lines(0, w), c: lines(w * h, w), swapped: false };
        let matrix = RgbMatrix::new(0.2126, 0.0722, false);
        let ms = median(machine, || {
            compensate(&reference, &vectors, &mut compensated)?;
            a.run(&mut space, &compensated, &places, positions, &mut latents)?;
            s.run(&mut space, &latents, &places, &mut synthesised)?;
            blend(&synthesised, &map, &mut compensated)?;
            to_raw(&compensated, matrix, w, h, &nv12)
        })?;
        rate(rows, "compensate, analysis, synthesis, blend, to NV12", ms, n);
    }
    let bytes = w * h * 3 / 2;
    let mut on = Buffer::new(machine, bytes).map_err(said)?;
    let mut locked = Locked::new(machine, bytes).map_err(said)?;
    let mut ordinary = vec![0u8; bytes];
    for (name, host) in [("page-locked", &mut locked[..]), ("ordinary", &mut ordinary[..])] {
        let up = median(machine, || on.write(host))?;
        let down = median(machine, || on.read_into(host))?;
        let rate = |ms: f32| bytes as f64 / ms as f64 / 1e6;
        rows.add(
            format!("an NV12 frame to the device and back, {name} memory"),
            format!("{:.0} us ({:.1} GB/s), {:.0} us ({:.1} GB/s)", up * 1e3, rate(up), down * 1e3, rate(down)),
        );
    }
    Ok("measured".into())
}

/// One frame at a time: what a live camera waits for.
pub fn single(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String> {
    let given = pack::networks(&o.pack)?;
    let (w, h) = size(o);
    let mut space = Workspace::new(machine).map_err(said)?;
    let mut planes = DevicePlanes::for_size(machine, w, h, 1).map_err(said)?;
    planes.write(&[picture(&mut Random::new(41), w, h)]).map_err(said)?;
    let places = Places::all(planes.width, planes.height, 1);
    let positions = places.rows() / 4;
    let a = Analysis::new(machine, &given.analysis).map_err(said)?;
    let s = Synthesis::new(machine, &given.synthesis).map_err(said)?;
    let whole = Synthesis::new(machine, &given.whole).map_err(said)?;
    let mut latents = Buffer::new(machine, 4 * positions * a.latents()).map_err(said)?;
    let ms = median(machine, || a.run(&mut space, &planes, &places, positions, &mut latents))?;
    rows.add("analysis of one 1080p frame", format!("{:.0} us", ms * 1e3));
    let ms = median(machine, || s.run(&mut space, &latents, &places, &mut planes))?;
    rows.add("synthesis of one 1080p frame", format!("{:.0} us", ms * 1e3));
    let ms = median(machine, || whole.run(&mut space, &latents, &places, &mut planes))?;
    rows.add("whole synthesis of one 1080p frame", format!("{:.0} us", ms * 1e3));
    Ok("measured".into())
}

/// What the device does of a key frame: coding, from raw pictures to symbols and distributions in page-locked memory, and decoding, from
/// symbols to raw pictures. The host's entropy coder is not in it.
pub fn key(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String> {
    let (given, prior, (w, h)) = (pack::networks(&o.pack)?, pack::prior(&o.pack)?, size(o));
    let on = intra(machine, &prior)?;
    let a = Analysis::new(machine, &given.analysis).map_err(said)?;
    let whole = Synthesis::new(machine, &given.whole).map_err(said)?;
    let m = a.latents();
    for n in [1, 16].map(|n| frames(o, n)) {
        let mut space = Workspace::new(machine).map_err(said)?;
        let mut planes = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
        planes.write(&vec![picture(&mut Random::new(79), w, h); n]).map_err(said)?;
        let places = Places::all(planes.width, planes.height, n);
        let positions = places.rows() / 4;
        let raw = noise(machine, n * w * h * 3 / 2)?;
        let lines = |offset: usize, stride: usize| Lines { buffer: &raw, offset, stride, step: w * h * 3 / 2 };
        let nv12 = Layout::Interleaved { y: lines(0, w), c: lines(w * h, w), swapped: false };
        let matrix = RgbMatrix::new(0.2126, 0.0722, false);
        to_raw(&planes, matrix, w, h, &nv12).map_err(said)?;
        let mut latents = Buffer::new(machine, 4 * positions * m).map_err(said)?;
        let shape = Shape { pictures: n, width: planes.width / 16, height: planes.height / 16 };
        let mut symbols = Space::new(machine, shape, &on).map_err(said)?;
        let gains = Buffer::of(machine, &prior.gain[30 * m..31 * m]).map_err(said)?;
        let sizes = Buffer::of(machine, &prior.step_size[30 * m..31 * m]).map_err(said)?;
        let step = Step { gains: &gains, context_bias: None, lambda: 0.12 };
        let mut host = Locked::new(machine, 2 * positions * m).map_err(said)?;
        let mut code = |copy: bool| {
            unpack(&nv12, w, h, &mut planes)?;
            a.run(&mut space, &planes, &places, positions, &mut latents)?;
            on.run(&mut symbols, &latents, &step)?;
            if copy {
                symbols.values.read_into(&mut host[..])?;
                // As many bytes as the values: a mean and a scale for each.
                symbols.heads.iter().try_for_each(|b| b.read_into(&mut host[..b.len().min(2 * positions * m)]))?;
            }
            Ok(())
        };
        let ms = median(machine, || code(false))?;
        rate(rows, "key frames coded on the device: NV12 to symbols", ms, n);
        let ms = median(machine, || code(true))?;
        rate(rows, "the same, symbols and distributions copied to the host", ms, n);
        let ms = median(machine, || on.run(&mut symbols, &latents, &step))?;
        rate(rows, "latents to symbols alone", ms, n);
        let ms = median(machine, || {
            on.latents(&symbols, &sizes, &mut latents)?;
            whole.run(&mut space, &latents, &places, &mut planes)?;
            to_raw(&planes, matrix, w, h, &nv12)
        })?;
        rate(rows, "key frames from symbols to NV12", ms, n);
    }
    Ok("measured".into())
}
