//! Overlapped compensation of a block that is split or has a split neighbour: on the grid of quarters instead of that of blocks.

use super::Vector;
use super::compensate::{Patches, mix};
use super::interpolate::Patch;
use crate::Level;
use std::ops::Range;

/// A vector for each of the 4x4 cells of a block, in each of which one quarter before or after counts across and one down.
type Cells = [[Vector; 4]; 4];

/// Of a row or column of cells, in rows or columns of quarters from the one before the block on: its own quarter, and the other.
const OWN: [usize; 4] = [1, 1, 2, 2];
const OTHER: [usize; 4] = [0, 2, 1, 3];

/// One block of `SIZE` rows, among its own and the surrounding quarters. `weights` and `fetch` as in
/// [`block`](super::compensate::block).
pub(super) fn block<const SIZE: usize>(
    level: Level,
    near: &[[Vector; 4]; 4],
    weights: &[u16; 16],
    fetch: impl Fn([Vector; 2], Range<usize>, &mut Patch),
    out: &mut Patch,
) {
    let cells = |down: [usize; 4], across: [usize; 4]| down.map(|y| across.map(|x| near[y][x]));
    let all = [cells(OWN, OWN), cells(OWN, OTHER), cells(OTHER, OWN), cells(OTHER, OTHER)];
    let mut patches = [[[0; 16]; 16]; 4];
    for (i, cells) in all.iter().enumerate() {
        let (made, rest) = patches.split_at_mut(i);
        fill::<SIZE>(cells, all.iter().zip(made), &fetch, &mut rest[0]);
    }
    let [own, beside, beyond, corners] = &patches;
    *out = *own;
    mix::<SIZE>(level, &Patches { beside, beyond, corners }, weights, out);
}

/// A patch with these vectors, cell by cell out of those `made` before where they have the same, else interpolated.
fn fill<'a, const SIZE: usize>(
    cells: &Cells,
    made: impl Iterator<Item = (&'a Cells, &'a mut Patch)>,
    fetch: &impl Fn([Vector; 2], Range<usize>, &mut Patch),
    out: &mut Patch,
) {
    let lines = |rows: Range<usize>| rows.start * SIZE / 4..rows.end * SIZE / 4;
    let mut missing = [[true; 4]; 4];
    for (have, patch) in made {
        for (row, missing) in missing.iter_mut().enumerate() {
            for (column, missing) in missing.iter_mut().enumerate() {
                if *missing && have[row][column] == cells[row][column] {
                    copy::<SIZE>(patch, column, lines(row..row + 1), out);
                    *missing = false;
                }
            }
        }
    }
    let mut from = 0;
    while from < 4 {
        let mut left = missing[from];
        let to = (from + 1..4).find(|&r| cells[r] != cells[from] || missing[r] != left).unwrap_or(4);
        while left.contains(&true) {
            // Each half of the patch is interpolated with one vector at a time.
            let pick = |half: usize| (2 * half..2 * half + 2).find(|&c| left[c]).map(|c| cells[from][c]);
            let (a, b) = (pick(0), pick(1));
            let halves = [a.or(b), b.or(a)].map(Option::unwrap_or_default);
            let mut spare = [[0; 16]; 16];
            fetch(halves, lines(from..to), &mut spare);
            for c in (0..4).filter(|&c| cells[from][c] == halves[c / 2]) {
                if std::mem::take(&mut left[c]) {
                    copy::<SIZE>(&spare, c, lines(from..to), out);
                }
            }
        }
        from = to;
    }
}

/// A column of cells of one patch into another; a patch of chroma has it twice.
fn copy<const SIZE: usize>(from: &Patch, column: usize, rows: Range<usize>, to: &mut Patch) {
    for (from, to) in from[rows.clone()].iter().zip(&mut to[rows]) {
        for plane in (0..16).step_by(SIZE) {
            let at = plane + column * SIZE / 4;
            to[at..at + SIZE / 4].copy_from_slice(&from[at..at + SIZE / 4]);
        }
    }
}
