//! First guess of what changed: which positions copy the reference, before the entropy model has been asked.

use crate::prior::Shape;

/// A change must be worth its bits, and a position its flag. `y`: latents in steps, `reference`: the same place in the
/// reference, in steps, both `[positions][m]`; `lambda`: of each position, squared error that a bit is worth. Bits are guessed from the share
/// of changed latents around.
pub(super) fn guess(y: &[f32], reference: &[f32], m: usize, shape: Shape, lambda: impl Fn(usize) -> f32) -> Vec<bool> {
    let (w, h) = (shape.width, shape.height);
    let changed: Vec<f32> = y
        .chunks_exact(m)
        .zip(reference.chunks_exact(m))
        .map(|(y, r)| y.iter().zip(r).filter(|&(y, r)| (y - r).abs() > 0.5).count() as f32 / m as f32)
        .collect();
    let mut skip = vec![false; w * h];
    for py in 0..h {
        for px in 0..w {
            let mut share = 0.0;
            for dy in 0..3 {
                let row = (py + dy).saturating_sub(1).min(h - 1) * w;
                for dx in 0..3 {
                    share += changed[row + (px + dx).saturating_sub(1).min(w - 1)];
                }
            }
            let share = (share / 9.0).clamp(0.01, 0.6);
            let cost = ((1.0 - share) / share).log2() + 1.0;
            let p = py * w + px;
            let lambda = lambda(p);
            let (mut gain, mut n) = (0.0, 0.0);
            for (y, r) in y[p * m..][..m].iter().zip(&reference[p * m..][..m]) {
                let d = (y - r).abs();
                if d > 0.5 && 2.0 * d - 1.0 > lambda * cost {
                    let e = y - y.round();
                    gain += d * d - e * e;
                    n += 1.0;
                }
            }
            skip[p] = gain < lambda * (n * (cost + 1.0) + 2.0);
        }
    }
    skip
}
