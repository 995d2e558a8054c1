//! The entropy model's layers.

use super::{Machine, Outcome, Random, said, same};
use lic_cuda::Buffer;
use lic_cuda::prior::{Depthwise, Linear, Rows};
use lic_kernels::Level;

/// The result counts rows.
pub fn linear(machine: &Machine, rounds: usize) -> Outcome {
    let (mut r, mut cases) = (Random::new(11), 0);
    let sizes: [(usize, usize, usize); 7] =
        [(64, 128, 1), (336, 192, 70), (128, 256, 37), (8, 16, 200), (48, 48, 21), (448, 256, 130), (256, 384, 64)];
    for (inputs, outputs, rows) in (0..rounds).flat_map(|_| sizes) {
        let weights: Vec<i8> = (0..inputs * outputs).map(|_| r.around(127) as i8).collect();
        let bias: Vec<i32> = (0..outputs).map(|_| r.around(100_000)).collect();
        let other: Vec<i32> = (0..outputs.next_multiple_of(32)).map(|_| r.around(100_000)).collect();
        // Small shifts saturate, large ones leave nothing: both belong to the cases.
        let shift: Vec<u8> = (0..outputs).map(|_| [r.below(31), 8 + r.below(8)][r.below(8).min(1)] as u8).collect();
        for leaky in [false, true] {
            let weights: Vec<i8> = weights.iter().map(|&w| if inputs > 300 { w / 2 } else { w }).collect();
            let layer = lic_kernels::Linear::new(inputs, outputs, &weights, &bias, &shift, leaky).map_err(|e| e.0)?;
            let on = Linear::new(machine, &layer).map_err(said)?;
            let x: Vec<i16> = (0..rows * inputs).map(|_| [r.around(32767), r.around(300)][r.below(2)] as i16).collect();
            let from = Buffer::of(machine, &x).map_err(said)?;
            let mut to = Buffer::new(machine, 2 * rows * outputs).map_err(said)?;
            let given = Buffer::of(machine, &other).map_err(said)?;
            for own in [true, false] {
                let mut expected = vec![0; rows * outputs];
                layer.apply(Level::Scalar, &x, (!own).then_some(&other[..outputs]), &mut expected);
                on.run(&from, rows, (!own).then_some((&given, 0)), &mut to).map_err(said)?;
                same(&format!("linear {inputs} -> {outputs}, {rows} rows"), &to.read::<i16>().map_err(said)?, &expected)?;
                cases += rows;
            }
        }
    }
    Ok(cases)
}

/// The result counts positions.
pub fn depthwise(machine: &Machine, rounds: usize) -> Outcome {
    let (mut r, mut cases) = (Random::new(13), 0);
    for (c, w, h, n) in (0..rounds).flat_map(|_| [(128, 5, 4, 2), (64, 1, 1, 1), (256, 3, 7, 1), (8, 2, 2, 3), (16, 40, 30, 2)]) {
        let weights: Vec<i8> = (0..9 * c).map(|_| r.around(127) as i8).collect();
        let bias: Vec<i32> = (0..c).map(|_| r.around(5000)).collect();
        let shift: Vec<u8> = (0..c).map(|_| r.below(31) as u8).collect();
        let d = lic_kernels::Depthwise::new(c, &weights, &bias, &shift).map_err(|e| e.0)?;
        let on = Depthwise::new(machine, &d).map_err(said)?;
        let x: Vec<i16> = (0..n * w * h * c).map(|_| r.around(32767) as i16).collect();
        let from = Buffer::of(machine, &x).map_err(said)?;
        let (stride, offset) = (c + 8 * r.below(3) + 16, 8 * r.below(3));
        let some: Vec<u32> = (0..(n * w * h) as u32).rev().filter(|_| r.below(2) == 0).collect();
        for positions in [None, Some(some)] {
            let all: Vec<u32> = positions.clone().unwrap_or_else(|| (0..(n * w * h) as u32).collect());
            let mut expected = vec![0i16; all.len() * stride];
            for (row, &p) in all.iter().enumerate() {
                let picture = p as usize / (w * h);
                let x = &x[picture * w * h * c..][..w * h * c];
                d.apply(Level::Scalar, x, w, h, &[p % (w * h) as u32], &mut expected[row * stride..][..stride], stride, offset);
            }
            let listed = Buffer::of(machine, &all).map_err(said)?;
            let mut to = Buffer::new(machine, 2 * expected.len()).map_err(said)?;
            let rows = Rows { buffer: &mut to, stride, offset };
            on.run(&from, [n, h, w], positions.map(|_| (&listed, all.len())), rows).map_err(said)?;
            same(&format!("depthwise of {c} channels, {w}x{h}"), &to.read::<i16>().map_err(said)?, &expected)?;
            cases += all.len();
        }
    }
    Ok(cases)
}
