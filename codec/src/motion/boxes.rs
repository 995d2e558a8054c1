//! Where the networks run: boxes of latent positions around what is coded (codec/BITSTREAM.md, section "Pictures").

use std::ops::Range;

/// A rectangle of latent positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

impl Area {
    fn overlaps(&self, o: &Area) -> bool {
        self.x < o.x + o.width && o.x < self.x + self.width && self.y < o.y + o.height && o.y < self.y + self.height
    }

    fn union(&self, o: &Area) -> Area {
        let (x, y) = (self.x.min(o.x), self.y.min(o.y));
        let (right, bottom) = ((self.x + self.width).max(o.x + o.width), (self.y + self.height).max(o.y + o.height));
        Area { x, y, width: right - x, height: bottom - y }
    }

    /// One position more on every side, within the picture.
    pub fn grown(&self, columns: usize, rows: usize) -> Area {
        let (x, y) = (self.x.saturating_sub(1), self.y.saturating_sub(1));
        let (right, bottom) = ((self.x + self.width + 1).min(columns), (self.y + self.height + 1).min(rows));
        Area { x, y, width: right - x, height: bottom - y }
    }

    /// Raster indices of the positions inside, for pictures of `columns`.
    pub fn positions(self, columns: usize) -> impl Iterator<Item = usize> {
        (self.y..self.y + self.height).flat_map(move |y| (self.x..self.x + self.width).map(move |x| y * columns + x))
    }
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

/// Bounding boxes of the 8-connected groups of set positions; boxes that overlap are merged until none do.
pub(crate) fn areas(map: &[bool], columns: usize) -> Vec<Area> {
    let rows = map.len() / columns;
    let mut seen = vec![false; map.len()];
    let mut out: Vec<Area> = Vec::new();
    for start in 0..map.len() {
        if !map[start] || seen[start] {
            continue;
        }
        let (mut stack, mut area) = (vec![start], None::<Area>);
        seen[start] = true;
        while let Some(p) = stack.pop() {
            let (x, y) = (p % columns, p / columns);
            let one = Area { x, y, width: 1, height: 1 };
            area = Some(area.map_or(one, |a| a.union(&one)));
            for q in one.grown(columns, rows).positions(columns) {
                if map[q] && !seen[q] {
                    seen[q] = true;
                    stack.push(q);
                }
            }
        }
        let mut area = area.expect("the group has a position");
        while let Some(i) = out.iter().position(|o| o.overlaps(&area)) {
            area = out.swap_remove(i).union(&area);
        }
        out.push(area);
    }
    out.sort_by_key(|a| (a.y, a.x));
    out
}

/// Where the networks run for what is coded in some rows, as if there were no others: each area, and the same grown by one.
pub(crate) fn boxes(map: &[bool], columns: usize, rows: Range<usize>) -> Vec<(Area, Area)> {
    let near = dilate(&map[rows.start * columns..rows.end * columns], columns, 1);
    let down = |a: Area| Area { y: a.y + rows.start, ..a };
    areas(&near, columns).into_iter().map(|a| (down(a), down(a.grown(columns, rows.len())))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_end_where_their_rows_do() {
        let map: Vec<bool> = (0..4 * 6).map(|p| p == 4 * 2 + 1).collect();
        let a = |x, y, width, height| Area { x, y, width, height };
        assert_eq!(boxes(&map, 4, 0..6), [(a(0, 1, 3, 3), a(0, 0, 4, 5))]);
        assert_eq!(boxes(&map, 4, 2..4), [(a(0, 2, 3, 2), a(0, 2, 4, 2))]);
        assert_eq!(boxes(&map, 4, 3..6), []);
    }

    #[test]
    fn groups_become_boxes_and_overlapping_boxes_merge() {
        let map: Vec<bool> = [
            "x.......", //
            ".x....x.", //
            "......x.", //
            "...xxxx.", //
            "....x...", // the box of the upper group contains this one's column
            "x......x",
        ]
        .iter()
        .flat_map(|l| l.bytes().map(|b| b == b'x'))
        .collect();
        let a = |x, y, width, height| Area { x, y, width, height };
        assert_eq!(areas(&map, 8), [a(0, 0, 2, 2), a(3, 1, 4, 4), a(0, 5, 1, 1), a(7, 5, 1, 1)]);
        assert_eq!(areas(&[false; 6], 3), []);
        let near = |p: usize, q: usize| (p % 8).abs_diff(q % 8) <= 2 && (p / 8).abs_diff(q / 8) <= 2;
        let expect: Vec<bool> = (0..48).map(|p| (0..48).any(|q| map[q] && near(p, q))).collect();
        assert_eq!(dilate(&map, 8, 2), expect);
    }
}
