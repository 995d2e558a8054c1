//! Compensation and blending.

use super::networks::same_planes;
use super::{Machine, Outcome, Random, said, same};
use lic_cuda::Buffer;
use lic_cuda::motion::{SearchPlanes, Vectors, blend, compensate, pairs};
use lic_cuda::planes::DevicePlanes;
use lic_kernels::Level;
use lic_kernels::motion::{self, Quarters, SearchPlane, Vector};
use lic_kernels::planes::Planes;

const SIZES: [(usize, usize, usize); 5] = [(16, 16, 2), (16, 64, 1), (48, 16, 1), (32, 32, 3), (96, 80, 1)];

/// Black, white and anything between: what filters overshoot.
fn pictures(r: &mut Random, n: usize, w: usize, h: usize) -> Vec<Planes> {
    let one = |_| {
        let mut p = Planes::for_size(w, h);
        p.y.iter_mut().chain(&mut p.u).chain(&mut p.v).for_each(|s| *s = [0, 255, r.below(256) as u8][r.below(3)]);
        p
    };
    (0..n).map(one).collect()
}

/// Of eight blocks, `splits` are split; vectors reach so far.
pub fn field(r: &mut Random, blocks: usize, reach: i32, splits: usize) -> Vec<Quarters> {
    let mut block = |_| {
        let split = r.below(8) < splits;
        let mut one = || r.around(reach).clamp(-32768, 32767) as i16;
        let four = [(); 4].map(|_| Vector { x: one(), y: one() });
        if split { Quarters(four) } else { Quarters::whole(four[0]) }
    };
    (0..blocks).map(&mut block).collect()
}

/// The result counts blocks of 16x16.
pub fn compensated(machine: &Machine, rounds: usize) -> Outcome {
    let (mut r, mut cases) = (Random::new(47), 0);
    for (w, h, n) in (0..rounds).flat_map(|_| SIZES) {
        for (reach, splits) in [(0, 0), (1, 0), (3, 0), (60, 0), (400, 0), (32768, 0), (1, 4), (3, 1), (60, 8), (32768, 4)] {
            let (references, blocks) = (pictures(&mut r, n, w, h), w * h / 256);
            let vectors = field(&mut r, n * blocks, reach, splits);
            let mut from = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
            from.write(&references).map_err(said)?;
            let mut to = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
            compensate(&from, &Vectors::of(machine, &vectors).map_err(said)?, &mut to).map_err(said)?;
            for ((got, reference), vectors) in to.read().map_err(said)?.iter().zip(&references).zip(vectors.chunks_exact(blocks)) {
                let mut expected = Planes::for_size(w, h);
                motion::compensate(Level::Scalar, reference, vectors, 0..h / 16, &mut expected);
                same_planes(&format!("compensate {w}x{h}, reach {reach}, {splits} of 8 split"), got, &expected)?;
                cases += blocks;
            }
        }
    }
    Ok(cases)
}

/// As [`compensated`].
pub fn blended(machine: &Machine, rounds: usize) -> Outcome {
    let (mut r, mut cases) = (Random::new(53), 0);
    for (w, h, n) in (0..rounds).flat_map(|_| SIZES) {
        for chance in [0, 1, 3, 4, 7, 8] {
            let (coded, old, blocks) = (pictures(&mut r, n, w, h), pictures(&mut r, n, w, h), w * h / 256);
            let map: Vec<bool> = (0..n * blocks).map(|_| r.below(8) < chance).collect();
            let planes = |p: &[Planes]| -> Result<DevicePlanes, String> {
                let mut on = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
                on.write(p).map_err(said)?;
                Ok(on)
            };
            let (from, mut to) = (planes(&coded)?, planes(&old)?);
            let listed = Buffer::of(machine, &map.iter().map(|&m| m as u8).collect::<Vec<_>>()).map_err(said)?;
            blend(&from, &listed, &mut to).map_err(said)?;
            for (i, got) in to.read().map_err(said)?.iter().enumerate() {
                let mut expected = old[i].clone();
                motion::blend(Level::Scalar, 1, &coded[i], &map[i * blocks..][..blocks], 0..h / 16, &mut expected);
                same_planes(&format!("blend {w}x{h}, {chance} of 8 coded"), got, &expected)?;
                cases += blocks;
            }
        }
    }
    Ok(cases)
}

/// Search planes and differences; the result counts vectors of blocks.
pub fn searched(machine: &Machine, rounds: usize) -> Outcome {
    let (mut r, mut cases) = (Random::new(61), 0);
    for (w, h, n) in (0..rounds).flat_map(|_| SIZES) {
        let (references, current, blocks, each) = (pictures(&mut r, n, w, h), pictures(&mut r, n, w, h), w * h / 256, 40);
        let mut planes = DevicePlanes::for_size(machine, w, h, n).map_err(said)?;
        planes.write(&references).map_err(said)?;
        let mut search = SearchPlanes::new(machine, &planes).map_err(said)?;
        search.refill(&planes).map_err(said)?;
        let got = search.read().map_err(said)?;
        let expected: Vec<SearchPlane> = references.iter().map(|p| SearchPlane::new(Level::Scalar, &p.y, w, h)).collect();
        let all: Vec<u8> = expected.iter().flat_map(|p| p.planes().concat()).collect();
        same(&format!("search planes of {w}x{h}"), &got, &all)?;
        let vectors: Vec<Vector> = (0..n * blocks * each)
            .map(|_| {
                let far = [4, 60, 400][r.below(3)];
                Vector { x: r.around(far) as i16, y: r.around(far) as i16 }
            })
            .collect();
        planes.write(&current).map_err(said)?;
        let listed = Buffer::of(machine, &pairs(&vectors)).map_err(said)?;
        let mut out = Buffer::new(machine, 8 * vectors.len()).map_err(said)?;
        search.differences(&planes, &listed, each, &mut out).map_err(said)?;
        let mut sums = Vec::new();
        for (i, &v) in vectors.iter().enumerate() {
            let (picture, block) = (i / each / blocks, i / each % blocks);
            let (bx, by, y) = (block % (w / 16) * 16, block / (w / 16) * 16, &current[picture].y);
            sums.push(expected[picture].sad(Level::Scalar, y, w, bx, by, v, u32::MAX));
            sums.push(expected[picture].sse(Level::Scalar, y, w, bx, by, v));
        }
        same(&format!("differences of blocks of {w}x{h}"), &out.read::<u32>().map_err(said)?, &sums)?;
        cases += vectors.len();
    }
    Ok(cases)
}
