//! The pack's networks on whole pictures against the CPU's fastest twins, which the CPU's tests compare with the scalar ones.

use crate::common::{Machine, Random, bits, entropy, networks::same_planes, pack, said, same};
use crate::{Options, Rows};
use lic_cuda::network::{Analysis, Synthesis, Workspace};
use lic_cuda::planes::DevicePlanes;
use lic_cuda::prior::{Depthwise, Linear, Rows as At};
use lic_cuda::{Buffer, Places};
use lic_kernels::Level;
use lic_kernels::network::{self, Lane, Position};
use lic_kernels::planes::Planes;
use std::sync::Arc;
use std::time::Instant;

/// Smooth areas, edges and noise.
pub fn picture(r: &mut Random, width: usize, height: usize) -> Planes {
    let mut p = Planes::for_size(width, height);
    let (w, h) = (p.width, p.height);
    let shade: Vec<usize> = (0..64).map(|_| r.below(200)).collect();
    let mut fill = |plane: &mut [u8], w: usize, size: usize| {
        for (i, s) in plane.iter_mut().enumerate() {
            let (x, y) = (i % w, i / w);
            let noise = if (x / size + y / size).is_multiple_of(3) { r.below(40) } else { r.below(4) };
            *s = (shade[(x / size * 7 + y / size * 13) % 64] + (x + y) * 31 / (2 * size) % 20 + noise).min(255) as u8;
        }
    };
    fill(&mut p.y, w, 80);
    fill(&mut p.u, w / 2, 40);
    fill(&mut p.v, w / 2, 40);
    debug_assert_eq!(p.y.len(), w * h);
    p
}

pub fn networks(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String, String> {
    let on_cpu = pack::networks(&o.pack)?;
    let analysis = Analysis::new(machine, &on_cpu.analysis).map_err(said)?;
    let synthesis = Synthesis::new(machine, &on_cpu.synthesis).map_err(said)?;
    let whole = Synthesis::new(machine, &on_cpu.whole).map_err(said)?;
    let mut space = Workspace::new(machine).map_err(said)?;
    let (threads, level) = (std::thread::available_parallelism().map_or(1, |n| n.get()), Level::best());
    let mut r = Random::new(29);
    let sizes: &[(usize, usize)] = if o.emulated { &[(160, 96)] } else { &[(1280, 720), (1920, 1080)] };
    for &(w, h) in sizes {
        let n = 2;
        let pictures: Vec<Planes> = (0..n).map(|_| picture(&mut r, w, h)).collect();
        let (pw, ph) = (pictures[0].width, pictures[0].height);
        let (lines, positions) = (ph / 16, pw * ph / 256);
        let all: Vec<u32> = (0..positions as u32).collect();
        let places = Places::all(pw, ph, n);
        let mut planes = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
        planes.write(&pictures).map_err(said)?;
        let mut out = Buffer::new(machine, 4 * n * positions * analysis.latents()).map_err(said)?;
        analysis.run(&mut space, &planes, &places, n * positions, &mut out).map_err(said)?;
        let latents: Vec<f32> = out.read().map_err(said)?;
        let expected: Vec<f32> = pictures.iter().flat_map(|p| on_cpu.analysis.run(level, threads, p, 0..lines, &all)).collect();
        same(&format!("analysis of {w}x{h}"), &bits(&latents), &bits(&expected))?;
        rows.add(format!("analysis of the pack, {n} pictures of {w}x{h}"), format!("{} latents identical", latents.len()));
        println!("real-networks: analysis of {w}x{h} is identical");

        // Quantised somewhat, so that it is no fixed point.
        let given: Vec<f32> = latents.iter().map(|v| (v * 2.0).round() / 2.0).collect();
        let uploaded = Buffer::of(machine, &given).map_err(said)?;
        let listed: Vec<Position> = all.iter().map(|&at| Position { at, places: 15 }).collect();
        synthesis.run(&mut space, &uploaded, &places, &mut planes).map_err(said)?;
        compare(&on_cpu.synthesis, "synthesis", &given, &listed, &planes.read().map_err(said)?, rows)?;
        whole.run(&mut space, &uploaded, &places, &mut planes).map_err(said)?;
        compare(&on_cpu.whole, "whole synthesis", &given, &listed, &planes.read().map_err(said)?, rows)?;
    }
    Ok("identical to the CPU's".into())
}

fn compare<L: Lane>(
    s: &network::Synthesis<L>,
    name: &str,
    latents: &[f32],
    positions: &[Position],
    got: &[Planes],
    rows: &mut Rows,
) -> Result<(), String> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let (w, h, m) = (got[0].width, got[0].height, s.latents());
    for (got, latents) in got.iter().zip(latents.chunks_exact(positions.len() * m)) {
        let mut expected = Planes::for_size(w, h);
        let row = |i: usize, to: &mut [f32]| to.copy_from_slice(&latents[i * m..][..m]);
        s.run(Level::best(), threads, positions, row, 0..h / 16, &mut expected);
        same_planes(&format!("{name} of {w}x{h}"), got, &expected)?;
    }
    rows.add(format!("{name} of the pack, {} pictures of {w}x{h}", got.len()), "identical");
    println!("real-networks: {name} of {w}x{h} is identical");
    Ok(())
}

/// Each layer of the pack's prior on as many rows as a 1080p frame has positions.
pub fn prior(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String, String> {
    let p = pack::prior(&o.pack)?;
    let (w, h) = if o.emulated { (12, 7) } else { (120, 68) };
    let (n, mut r) = (w * h, Random::new(31));
    for (name, layer) in &p.linear {
        let on = Linear::new(machine, layer).map_err(said)?;
        let x: Vec<i16> = (0..n * layer.inputs()).map(|_| r.around(3000) as i16).collect();
        let from = Buffer::of(machine, &x).map_err(said)?;
        let mut to = Buffer::new(machine, 2 * n * layer.outputs()).map_err(said)?;
        on.run(&from, n, None, &mut to).map_err(said)?;
        let mut expected = vec![0; n * layer.outputs()];
        layer.apply(Level::best(), &x, None, &mut expected);
        same(name, &to.read::<i16>().map_err(said)?, &expected)?;
    }
    for (name, layer) in &p.depthwise {
        let (on, c) = (Depthwise::new(machine, layer).map_err(said)?, layer.channels());
        let x: Vec<i16> = (0..n * c).map(|_| r.around(3000) as i16).collect();
        let from = Buffer::of(machine, &x).map_err(said)?;
        let mut to = Buffer::new(machine, 2 * n * c).map_err(said)?;
        on.run(&from, [1, h, w], None, At { buffer: &mut to, stride: c, offset: 0 }).map_err(said)?;
        let (mut expected, all) = (vec![0; n * c], (0..n as u32).collect::<Vec<_>>());
        layer.apply(Level::best(), &x, w, h, &all, &mut expected, c, 0);
        same(name, &to.read::<i16>().map_err(said)?, &expected)?;
    }
    let layers = p.linear.len() + p.depthwise.len();
    rows.add(format!("prior of the pack, {layers} layers, {n} rows each"), "identical");
    Ok(format!("{layers} layers are identical"))
}

/// Symbols of key frames, all on the device.
pub fn symbols(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String, String> {
    let p = pack::prior(&o.pack)?;
    let sizes: &[(usize, usize, usize)] = if o.emulated { &[(5, 3, 2)] } else { &[(5, 3, 2), (80, 45, 2), (120, 68, 1)] };
    let n = entropy::symbols(machine, &p, sizes)?;
    rows.add("symbols, hyper latents and distributions of key frames", format!("{n} symbols identical"));
    Ok(format!("{n} symbols identical"))
}

/// The kernels as NVRTC makes them here, where it is: it is no failure that it is not.
pub fn nvrtc(machine: &Machine, o: &Options, rows: &mut Rows) -> Result<String, String> {
    let began = Instant::now();
    // As in sm_90, of whatever is named so.
    let name = machine.name();
    let arch: String = name.split("sm_").nth(1).unwrap_or("90").chars().take_while(char::is_ascii_digit).collect();
    let code = match lic_cuda::compile(&format!("sm_{arch}")) {
        Ok(_) if o.emulated => return Ok("NVRTC compiles; there is nothing to run it on".into()),
        Ok(code) => code,
        Err(e) => {
            rows.add("NVRTC", format!("not tried: {e}"));
            return Ok(format!("not tried: {e}"));
        }
    };
    let compiled = began.elapsed();
    let machine: Machine = Arc::new(lic_cuda::Gpu::open(o.device, lic_cuda::Kernels::Made(code)).map_err(said)?);
    let n = super::common::networks::analysis(&machine, 1)?;
    let said = format!("compiled in {:.1} s; {n} places identical", compiled.as_secs_f32());
    rows.add("code made by NVRTC", &said);
    Ok(said)
}
