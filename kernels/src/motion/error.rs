//! How far a block of one picture is from another's, for the encoder's decisions.

use super::search::sse16;
use crate::{Level, planes::Planes};

/// 0.75 x squared error of luma + 1.25 x that of chroma of the 16x16 block in column `bx` and row `by` of blocks: per plane 6 : 2.5 : 2.5,
/// as the networks are trained. (With 6 : 1 : 1 colours are left behind where only they change.)
pub fn block_error(level: Level, a: &Planes, b: &Planes, bx: usize, by: usize) -> f32 {
    let at = 16 * (by * a.width + bx);
    let luma = sse16(level, &a.y[at..], a.width, &b.y[at..], b.width);
    let at = 8 * (by * a.width / 2 + bx);
    let chroma = |a: &[u8], b: &[u8], stride: usize| -> u32 {
        let rows = a[at..].chunks(stride).zip(b[at..].chunks(stride)).take(8);
        rows.map(|(a, b)| a[..8].iter().zip(&b[..8]).map(|(a, b)| (a.abs_diff(*b) as u32).pow(2)).sum::<u32>()).sum()
    };
    0.75 * luma as f32 + 1.25 * (chroma(&a.u, &b.u, a.width / 2) + chroma(&a.v, &b.v, a.width / 2)) as f32
}
