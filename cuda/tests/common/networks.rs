//! The exact networks.

use super::{Machine, Outcome, Random, bits, said, same};
use lic_cuda::network::{Analysis, Synthesis, Workspace};
use lic_cuda::planes::DevicePlanes;
use lic_cuda::{Buffer, Places};
use lic_kernels::Level;
use lic_kernels::network::{self, Around, Block, Lane, Matrix, Position, Weights};
use lic_kernels::planes::Planes;

/// Random weights whose outputs fill their range.
fn words(r: &mut Random, inputs: usize, outputs: usize, unit: f32) -> Matrix {
    let w: Vec<i16> = (0..inputs * outputs).map(|_| r.around(150) as i16).collect();
    let bias: Vec<i32> = (0..outputs).map(|_| r.around(50_000)).collect();
    let scale: Vec<f32> = (0..outputs).map(|_| unit * (1 + r.below(1000)) as f32 / 500.0).collect();
    Matrix::new(inputs, outputs, Weights::Words(&w), &bias, &scale).expect("weights in range")
}

fn bytes(r: &mut Random, inputs: usize, outputs: usize, unit: f32) -> Matrix {
    let w: Vec<i8> = (0..inputs * outputs).map(|_| (r.around(64) / [1, 4, 16][r.below(3)]) as i8).collect();
    let bias: Vec<i32> = (0..outputs).map(|_| r.around(10_000)).collect();
    let scale: Vec<f32> = (0..outputs).map(|_| unit * (1 + r.below(1000)) as f32 / 500.0).collect();
    Matrix::new(inputs, outputs, Weights::Bytes(&w), &bias, &scale).expect("weights in range")
}

fn block(r: &mut Random, c: usize, e: usize) -> Block<u8> {
    let w: Vec<i16> = (0..9 * c).map(|_| r.around(127) as i16).collect();
    let bias: Vec<i32> = (0..c).map(|_| r.around(10_000)).collect();
    let scale: Vec<f32> = (0..c).map(|_| 0.003 * (1 + r.below(1000)) as f32 / 500.0).collect();
    let around = Around::new::<u8>(c, &w, &bias, &scale).expect("weights in range");
    Block::new(200 + r.below(400) as i16, around, bytes(r, c, e, 0.01), bytes(r, e, c, 0.3)).expect("shapes fit")
}

fn fine_block(r: &mut Random, c: usize, e: usize) -> Block<i16> {
    let w: Vec<i16> = (0..9 * c).map(|_| r.around(2000) as i16).collect();
    let bias: Vec<i32> = (0..c).map(|_| r.around(1_000_000)).collect();
    let scale: Vec<f32> = (0..c).map(|_| 2e-4 * (1 + r.below(1000)) as f32 / 500.0).collect();
    let around = Around::new::<i16>(c, &w, &bias, &scale).expect("weights in range");
    Block::new(1, around, words(r, c, e, 0.001), words(r, e, c, 0.001)).expect("shapes fit")
}

pub fn random_pictures(r: &mut Random, n: usize, w: usize, h: usize) -> Vec<Planes> {
    let one = |_| {
        let mut p = Planes::for_size(w, h);
        p.y.iter_mut().chain(&mut p.u).chain(&mut p.v).for_each(|s| *s = r.below(256) as u8);
        p
    };
    (0..n).map(one).collect()
}

/// (channels, between layers of a block, latents, positions across, down, pictures).
const SIZES: [(usize, usize, usize, usize, usize, usize); 6] = [
    (96, 192, 128, 7, 5, 1),
    (128, 256, 128, 4, 4, 2),
    (64, 48, 48, 1, 1, 1),
    (32, 64, 16, 3, 9, 3),
    (16, 16, 16, 5, 2, 1),
    (144, 80, 64, 3, 3, 2),
];

/// Everywhere, and at chosen positions; the result counts places.
pub fn analysis(machine: &Machine, rounds: usize) -> Outcome {
    let (mut r, mut cases) = (Random::new(5), 0);
    for (c, e, m, w, h, n) in (0..rounds).flat_map(|_| SIZES) {
        let first = words(&mut r, 96, c, 0.05);
        let blocks = vec![block(&mut r, c, e), block(&mut r, c, e)];
        let a = network::Analysis::new(first, blocks, words(&mut r, 4 * c, m, 1e-4)).map_err(|e| e.0)?;
        let on = Analysis::new(machine, &a).map_err(said)?;
        let pictures = random_pictures(&mut r, n, 16 * w, 16 * h);
        let mut planes = DevicePlanes::for_size(machine, 16 * w, 16 * h, n).map_err(said)?;
        planes.write(&pictures).map_err(said)?;
        let mut space = Workspace::new(machine).map_err(said)?;
        let mut check = |wanted: &[(usize, u32)], places: Places| -> Result<(), String> {
            let mut expected = Vec::new();
            for (i, p) in pictures.iter().enumerate() {
                let wanted: Vec<u32> = wanted.iter().filter(|w| w.0 == i).map(|w| w.1).collect();
                expected.extend(a.run(Level::Scalar, 1, p, 0..h, &wanted));
            }
            let mut out = Buffer::new(machine, 4 * wanted.len() * m).map_err(said)?;
            on.run(&mut space, &planes, &places, wanted.len(), &mut out).map_err(said)?;
            cases += places.rows();
            let got: Vec<f32> = out.read().map_err(said)?;
            same(&format!("analysis of {c} channels, {n} pictures of {w}x{h} positions"), &bits(&got), &bits(&expected))
        };
        let all: Vec<(usize, u32)> = (0..n).flat_map(|i| (0..(w * h) as u32).map(move |p| (i, p))).collect();
        check(&all, Places::all(16 * w, 16 * h, n))?;
        let some: Vec<(usize, u32)> = all.into_iter().filter(|p| p.1 == 0 || r.below(4) == 0).collect();
        check(&some, Places::for_latents(machine, 16 * w, 16 * h, n, &some, 2).map_err(said)?)?;
    }
    Ok(cases)
}

pub fn synthesis_bytes(machine: &Machine, rounds: usize) -> Outcome {
    synthesis(machine, rounds, block)
}

pub fn synthesis_words(machine: &Machine, rounds: usize) -> Outcome {
    synthesis(machine, rounds, fine_block)
}

fn synthesis<L: Lane>(machine: &Machine, rounds: usize, block: fn(&mut Random, usize, usize) -> Block<L>) -> Outcome {
    let (mut r, mut cases) = (Random::new(7), 0);
    for (c, e, m, w, h, n) in (0..rounds).flat_map(|_| SIZES) {
        let entry = (0..m).map(|_| (1 + r.below(1000)) as f32).collect();
        let first = words(&mut r, m, 4 * c, 0.001);
        let blocks = (0..3).map(|_| block(&mut r, c, e)).collect();
        let s = network::Synthesis::new(entry, first, blocks, words(&mut r, c, 96, 1e-5)).map_err(|e| e.0)?;
        let on = Synthesis::new(machine, &s).map_err(said)?;
        let mut space = Workspace::new(machine).map_err(said)?;
        let before = random_pictures(&mut r, n, 16 * w, 16 * h);
        let mut planes = DevicePlanes::for_size(machine, 16 * w, 16 * h, n).map_err(said)?;
        let mut check = |r: &mut Random, positions: &[(usize, Position)], places: Places| -> Result<(), String> {
            let latents: Vec<f32> = (0..positions.len() * m).map(|_| r.around(1000) as f32 / 50.0).collect();
            let (mut expected, mut from) = (before.clone(), 0);
            for (i, out) in expected.iter_mut().enumerate() {
                let of: Vec<Position> = positions.iter().filter(|p| p.0 == i).map(|p| p.1).collect();
                let latents = &latents[from * m..];
                from += of.len();
                s.run(Level::Scalar, 1, &of, |i, to| to.copy_from_slice(&latents[i * m..][..m]), 0..h, out);
            }
            planes.write(&before).map_err(said)?;
            let latents = Buffer::of(machine, &latents).map_err(said)?;
            on.run(&mut space, &latents, &places, &mut planes).map_err(said)?;
            cases += places.rows();
            let got = planes.read().map_err(said)?;
            let what = format!("synthesis of {c} channels, {n} pictures of {w}x{h} positions");
            let some = expected[0].y.iter().filter(|v| !matches!(v, 0 | 255)).count();
            if some * 20 < expected[0].y.len() {
                return Err(format!("{what}: the test itself is saturated"));
            }
            got.iter().zip(&expected).try_for_each(|(g, e)| same_planes(&what, g, e))
        };
        let all = (0..n).flat_map(|i| (0..(w * h) as u32).map(move |at| (i, Position { at, places: 15 })));
        let all: Vec<(usize, Position)> = all.collect();
        check(&mut r, &all, Places::all(16 * w, 16 * h, n))?;
        let mut some = Vec::new();
        for &(i, p) in &all {
            if p.at == 0 || r.below(3) == 0 {
                some.push((i, Position { at: p.at, places: 1 + r.below(15) as u8 }));
            }
        }
        check(&mut r, &some, Places::for_samples(machine, 16 * w, 16 * h, n, &some).map_err(said)?)?;
    }
    Ok(cases)
}

pub fn same_planes(what: &str, got: &Planes, expected: &Planes) -> Result<(), String> {
    same(&format!("{what}, y"), &got.y, &expected.y)?;
    same(&format!("{what}, u"), &got.u, &expected.u)?;
    same(&format!("{what}, v"), &got.v, &expected.v)
}
