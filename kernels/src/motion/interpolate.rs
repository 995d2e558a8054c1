//! Samples at fractions of a sample: the separable filters of HEVC (ITU-T H.265, 8.5.3.3.3), rounded once at the end.

use super::Vector;
use crate::Level;

/// Taps of the luma filter at offsets -3..=4 for each quarter of a sample.
pub const LUMA: [[i8; 8]; 4] =
    [[0, 0, 0, 64, 0, 0, 0, 0], [-1, 4, -10, 58, 17, -5, 1, 0], [-1, 4, -11, 40, 40, -11, 4, -1], [0, 1, -5, 17, 58, -10, 4, -1]];

/// Taps of the chroma filter at offsets -1..=2 for each eighth of a sample.
pub const CHROMA: [[i8; 4]; 8] = [
    [0, 64, 0, 0],
    [-2, 58, 10, -2],
    [-4, 54, 16, -2],
    [-6, 46, 28, -4],
    [-4, 36, 36, -4],
    [-4, 28, 46, -6],
    [-2, 16, 54, -4],
    [-2, 10, 58, -2],
];

/// Samples of one block, in raster order. Luma: its 16 columns; chroma: 8 columns of u, then 8 of v.
pub type Patch = [[u8; 16]; 16];

/// Most rows that the vertical filter reads.
pub(super) const ROWS: usize = 16 + 7;

/// One plane of a reference picture, without padding between lines.
#[derive(Clone, Copy)]
pub struct Plane<'a> {
    pub samples: &'a [u8],
    pub width: usize,
    pub height: usize,
}

/// Half of a patch: eight columns of a plane from (x, y) on, displaced by a vector.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub plane: Plane<'a>,
    pub x: usize,
    pub y: usize,
    pub vector: Vector,
}

/// Writes as many rows (at most 16) as `out` has: columns 0..8 from the first side, 8..16 from the second. `filter` is
/// [`LUMA`] or [`CHROMA`]. Samples outside a plane repeat its edge.
pub fn interpolate<'a, const TAPS: usize, const PARTS: usize>(
    level: Level,
    filter: &[[i8; TAPS]; PARTS],
    sides: [Side<'a>; 2],
    out: &mut [[u8; 16]],
) {
    let part = |v: i16| v as usize & (PARTS - 1);
    let whole = |v: i16| v as isize >> PARTS.trailing_zeros();
    let mut spare = [[0; 16 * ROWS]; 2];
    let mut spare = spare.iter_mut();
    let mut window = |s: Side<'a>, before: isize, columns, rows| {
        let (x, y) = (s.x as isize + whole(s.vector.x) - before, s.y as isize + whole(s.vector.y) - before);
        Window::new(s.plane, x, y, columns, rows, spare.next().expect("two sides"))
    };
    if sides.iter().all(|s| part(s.vector.x) == 0 && part(s.vector.y) == 0) {
        // The filter would multiply by 64 twice and shift by 12: the samples themselves.
        for (i, side) in sides.into_iter().enumerate() {
            let window = window(side, 0, 8, out.len());
            for (r, out) in out.iter_mut().enumerate() {
                out[8 * i..8 * i + 8].copy_from_slice(&window.row(r)[..8]);
            }
        }
        return;
    }
    let sides = sides.map(|s| {
        let window = window(s, TAPS as isize / 2 - 1, 8 + TAPS - 1, out.len() + TAPS - 1);
        Filtered { window, across: filter[part(s.vector.x)], down: filter[part(s.vector.y)] }
    });
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is given only where the processor has AVX2.
        Level::Avx2 | Level::AvxVnni | Level::Vnni => unsafe { super::x86::interpolate(&sides, out) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: every 64-bit ARM has NEON.
        Level::Neon => unsafe { super::neon::interpolate(&sides, out) },
        _ => scalar(&sides, out),
    }
}

/// What the filters of one side read, and their taps.
pub(super) struct Filtered<'a, const TAPS: usize> {
    pub window: Window<'a>,
    pub across: [i8; TAPS],
    pub down: [i8; TAPS],
}

fn scalar<const TAPS: usize>(sides: &[Filtered<TAPS>; 2], out: &mut [[u8; 16]]) {
    for (i, side) in sides.iter().enumerate() {
        let mut t = [[0i16; 8]; ROWS]; // at most 88 * 255, at least -24 * 255
        for (r, t) in t[..out.len() + TAPS - 1].iter_mut().enumerate() {
            let s = side.window.row(r);
            for (c, t) in t.iter_mut().enumerate() {
                *t = (0..TAPS).map(|k| side.across[k] as i16 * s[c + k] as i16).sum();
            }
        }
        for (r, out) in out.iter_mut().enumerate() {
            for (c, out) in out[8 * i..8 * i + 8].iter_mut().enumerate() {
                let s: i32 = (0..TAPS).map(|k| side.down[k] as i32 * t[r + k][c] as i32).sum();
                *out = ((s + 2048) >> 12).clamp(0, 255) as u8;
            }
        }
    }
}

/// A small region of a plane; what lies outside the plane has been copied from its edge.
pub(super) struct Window<'a> {
    samples: &'a [u8],
    stride: usize,
}

impl<'a> Window<'a> {
    /// `columns` (at most 15) x `rows` from (x, y) on: the plane itself where it has them all, else a copy in `spare`.
    fn new(plane: Plane<'a>, x: isize, y: isize, columns: usize, rows: usize, spare: &'a mut [u8; 16 * ROWS]) -> Window<'a> {
        let (w, h) = (plane.width as isize, plane.height as isize);
        let inside = x >= 0 && y >= 0 && x + columns as isize <= w && y + rows as isize <= h;
        // A row is read as 16 bytes: those after `columns` do not count, but must exist.
        if inside && (y + rows as isize - 1) * w + x + 16 <= plane.samples.len() as isize {
            return Window { samples: &plane.samples[(y * w + x) as usize..], stride: plane.width };
        }
        for (r, row) in spare.chunks_exact_mut(16).take(rows).enumerate() {
            let line = &plane.samples[(y + r as isize).clamp(0, h - 1) as usize * plane.width..][..plane.width];
            if x >= 0 && x + 16 <= w {
                row.copy_from_slice(&line[x as usize..][..16]);
            } else {
                for (c, s) in row.iter_mut().enumerate() {
                    *s = line[(x + c as isize).clamp(0, w - 1) as usize];
                }
            }
        }
        Window { samples: spare, stride: 16 }
    }

    #[inline(always)]
    pub fn row(&self, r: usize) -> &[u8; 16] {
        self.samples[r * self.stride..].first_chunk().expect("a window's rows are whole")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_vectors_copy() {
        let samples: Vec<u8> = (0..48 * 32).map(|i| (i * 7) as u8).collect();
        let plane = Plane { samples: &samples, width: 48, height: 32 };
        let side = |x, vector| Side { plane, x, y: 8, vector };
        for level in Level::available() {
            let (mut whole, mut mixed) = ([[0; 16]; 16], [[0; 16]; 16]);
            let v = Vector { x: 8, y: -4 };
            interpolate(level, &LUMA, [side(16, v), side(24, v)], &mut whole);
            // The other side's fraction sends the integer vector through the filter.
            interpolate(level, &LUMA, [side(16, v), side(24, Vector { x: 1, y: 3 })], &mut mixed);
            for r in 0..16 {
                assert_eq!(whole[r], samples[(7 + r) * 48 + 18..][..16]);
                assert_eq!(whole[r][..8], mixed[r][..8]);
            }
        }
    }

    #[test]
    fn taps_add_to_64() {
        assert!(LUMA.iter().all(|t| t.iter().map(|&t| t as i32).sum::<i32>() == 64));
        assert!(CHROMA.iter().all(|t| t.iter().map(|&t| t as i32).sum::<i32>() == 64));
    }

    #[test]
    fn twins_agree_with_scalar() {
        let mut r = super::super::random(5);
        let samples: Vec<u8> = (0..48 * 32).map(|_| [0, 255, r() as u8][r() % 3]).collect();
        let plane = Plane { samples: &samples, width: 48, height: 32 };
        let n = if cfg!(miri) { 4 } else { 3000 };
        for level in Level::available() {
            for _ in 0..n {
                let mut vector = |far: usize| {
                    let mut component = || (r() % far) as i32 - far as i32 / 2;
                    Vector { x: component() as i16, y: component() as i16 }
                };
                let (a, b) = (vector(200), vector(65536));
                let rows = 1 + r() % 16;
                let sides = [Side { plane, x: 8 * (r() % 6), y: r() % 32, vector: a }, Side { plane, x: 40, y: r() % 32, vector: b }];
                let run = |level| {
                    let mut out = [[[0; 16]; 16]; 2];
                    interpolate(level, &LUMA, sides, &mut out[0][..rows]);
                    interpolate(level, &CHROMA, sides, &mut out[1][..rows]);
                    out
                };
                assert_eq!(run(level), run(Level::Scalar), "{level:?} {a:?} {b:?} {rows}");
            }
            println!("interpolate: {level:?} equals scalar");
        }
    }
}
