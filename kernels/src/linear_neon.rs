//! NEON twin of [`Linear`](crate::Linear).

use crate::linear::{BLOCK, Linear};
use crate::neon::words;

/// Rows computed together, so that weights are loaded once for all of them.
const ROWS: usize = 4;

/// `x` holds whole rows and `out` as many.
#[target_feature(enable = "neon")]
pub(crate) fn apply(l: &Linear, x: &[i16], bias: &[i32], out: &mut [i16]) {
    let rows = x.len() / l.inputs;
    assert!(out.len() >= rows * l.outputs);
    for r in (0..rows).step_by(ROWS) {
        let n = ROWS.min(rows - r);
        for b in 0..l.outputs / BLOCK {
            // SAFETY: block b spans inputs * BLOCK weights; row r + i is whole for i < n, and i is cut to n - 1.
            let sums = unsafe {
                let row: [*const i16; ROWS] = std::array::from_fn(|i| x.as_ptr().add((r + i.min(n - 1)) * l.inputs));
                words(l.packed.as_ptr().add(b * l.inputs * BLOCK), row, l.inputs / 2, [0; BLOCK])
            };
            for (i, s) in sums.iter().enumerate().take(n) {
                l.finish(b, s, bias, &mut out[(r + i) * l.outputs + b * BLOCK..][..BLOCK]);
            }
        }
    }
}
