//! What lies around what is coded, and where synthesis runs (codec/BITSTREAM.md, section "Pictures").

use lic_kernels::network::Position;

/// How far around, in places of 8x8 samples.
const REACH: usize = 1;

/// Positions (16x16 samples) with a place that is coded or at most [`REACH`] places from one; `map`: coded positions of a picture of
/// `columns`, in raster order, as the result is.
pub(crate) fn around(map: &[bool], columns: usize) -> Vec<Position> {
    let (width, rows) = (2 * columns, map.len() / columns);
    let mut places = vec![false; 4 * map.len()];
    for (p, _) in map.iter().enumerate().filter(|(_, coded)| **coded) {
        let (x, y) = (p % columns * 2, p / columns * 2);
        for y in y.saturating_sub(REACH)..(y + 2 + REACH).min(2 * rows) {
            places[y * width + x.saturating_sub(REACH)..y * width + (x + 2 + REACH).min(width)].fill(true);
        }
    }
    let bits = |p: usize| {
        let first = p / columns * 2 * width + p % columns * 2;
        (0..4).map(|i| (places[first + i / 2 * width + i % 2] as u8) << i).sum()
    };
    (0..map.len()).map(|p| Position { at: p as u32, places: bits(p) }).filter(|p| p.places != 0).collect()
}

/// Positions within `by` rows and columns of a set one.
pub(crate) fn dilate(map: &[bool], columns: usize, by: usize) -> Vec<bool> {
    let rows = map.len() / columns;
    let mut out = vec![false; map.len()];
    for (p, _) in map.iter().enumerate().filter(|(_, set)| **set) {
        let (x, y) = (p % columns, p / columns);
        for y in y.saturating_sub(by)..(y + by + 1).min(rows) {
            out[y * columns + x.saturating_sub(by)..y * columns + (x + by + 1).min(columns)].fill(true);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaches_as_far_as_it_says() {
        let map: Vec<bool> = (0..5 * 4).map(|p| p == 5 + 1).collect();
        let found = around(&map, 5);
        assert_eq!(found.iter().map(|p| p.at).collect::<Vec<_>>(), [0, 1, 2, 5, 6, 7, 10, 11, 12]);
        assert_eq!(found.iter().map(|p| p.places).collect::<Vec<_>>(), [8, 12, 4, 10, 15, 5, 2, 3, 1]);
    }
}
