//! What the entropy coder knows of a symbol before it is coded: its mean in group 0, and the level of its spread, a weighted sum of
//! magnitudes around. Sums are of integers below 2^24, so float arithmetic is exact and its exponent is the logarithm.

use super::{CHANNELS, GROUP, GROUPS, STEPS, for_each_level};
use crate::Level;

/// Levels of spread: four an octave.
pub const LEVELS: usize = 48;
/// Symbols of a histogram: -LIMIT to LIMIT, and the escape.
pub const LIMIT: i16 = 15;
pub const SYMBOLS: usize = 32;
/// Histograms: [inter][last group][group 0], LEVELS each.
pub const CLASSES: usize = 8;
/// A spread of 2^LOWEST / 4096 is level 0.
const LOWEST: u32 = 7;
/// Features that are one number a position: sums of the groups on the left, above, and of the earlier groups here.
const SUMS: usize = 3 * GROUPS;
/// What a sum of magnitudes counts at most.
const MOST: u16 = 255;

/// Weights of one mode (intra or inter), in 1/4096; those of the mean in 1/64.
#[derive(Clone, Debug)]
pub struct Weights {
    /// `[STEPS][CHANNELS]`
    floor: Vec<f32>,
    /// `[GROUPS + 1][CHANNELS]`, by number of groups coded.
    count: Vec<f32>,
    /// `[4][CHANNELS]`: left, above, above left + above right, reference.
    own: Vec<f32>,
    /// `[GROUPS][SUMS][GROUP]`
    sums: Vec<f32>,
    /// `[2 * GROUP][GROUP][2]`: pairs of what is around (left, above, above left, above right; their channels), then output.
    pub(super) mean: Vec<i16>,
}

impl Weights {
    /// `floor` `[STEPS][CHANNELS]`, `count` `[GROUPS + 1][CHANNELS]`, `own` `[4][CHANNELS]`, `near` `[2][CHANNELS][GROUPS]` (left, above),
    /// `here` `[CHANNELS][GROUPS]`, `mean` `[GROUP][4 * GROUP]`. None if sizes differ or a sum could reach 2^24.
    pub fn new(floor: &[i16], count: &[i16], own: &[i16], near: &[i16], here: &[i16], mean: &[i8]) -> Option<Weights> {
        let sizes = [floor.len() == STEPS * CHANNELS, count.len() == (GROUPS + 1) * CHANNELS, own.len() == 4 * CHANNELS];
        let more = [near.len() == 2 * CHANNELS * GROUPS, here.len() == CHANNELS * GROUPS, mean.len() == 4 * GROUP * GROUP];
        if !sizes.into_iter().chain(more).all(|b| b) || [floor, count, own, near, here].iter().any(|w| w.iter().any(|&w| w < 0)) {
            return None;
        }
        for c in 0..CHANNELS {
            let most = |w: &[i16]| w[c..].iter().step_by(CHANNELS).map(|&w| w as i64).max().unwrap_or(0);
            let of = |w: &[i16]| w[c * GROUPS..][..GROUPS].iter().map(|&w| w as i64).sum::<i64>();
            let own = |i: usize| own[i * CHANNELS + c] as i64;
            let sums = of(here) + of(near) + of(&near[CHANNELS * GROUPS..]);
            let sum = most(floor) + most(count) + 127 * (own(0) + own(1) + 2 * own(2)) + 128 * own(3) + sums * MOST as i64;
            if sum >= 1 << 24 {
                return None;
            }
        }
        let float = |w: &[i16]| w.iter().map(|&w| w as f32).collect::<Vec<f32>>();
        let mut sums = vec![0.0; GROUPS * SUMS * GROUP];
        for c in 0..CHANNELS {
            for k in 0..GROUPS {
                let mut set = |feature: usize, w: i16| sums[(c / GROUP * SUMS + feature) * GROUP + c % GROUP] = w as f32;
                set(k, near[c * GROUPS + k]);
                set(GROUPS + k, near[(CHANNELS + c) * GROUPS + k]);
                set(2 * GROUPS + k, if k < c / GROUP { here[c * GROUPS + k] } else { 0 });
            }
        }
        let pair = |i: usize| mean[i / 2 % GROUP * 4 * GROUP + i / (2 * GROUP) * 2 + i % 2] as i16;
        let mean = (0..4 * GROUP * GROUP).map(pair).collect();
        Some(Weights { floor: float(floor), count: float(count), own: float(own), sums, mean })
    }
}

/// Tables of both modes.
#[derive(Clone, Debug)]
pub struct Contexts {
    pub intra: Weights,
    pub inter: Weights,
}

/// What of a row of positions the next row needs, with a column of zeros on either side.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Magnitudes of the symbols, CHANNELS a position.
    magnitude: Vec<u8>,
    /// Their sums by group, at most MOST.
    sums: Vec<f32>,
    /// Group 0: latents, and latents less the reference's.
    near: [Vec<i16>; 2],
}

impl Line {
    /// All zero, as outside the slice.
    pub fn clear(&mut self, columns: usize) {
        let n = columns + 2;
        self.magnitude.clear();
        self.magnitude.resize(n * CHANNELS, 0);
        self.sums.clear();
        self.sums.resize(n * GROUPS, 0.0);
        for t in &mut self.near {
            t.clear();
            t.resize(n * GROUP, 0);
        }
    }
}

/// The row before and the row that is coded.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    above: Line,
    this: Line,
}

impl Lines {
    /// Begins a slice of so many columns.
    pub fn begin(&mut self, columns: usize) {
        self.above.clear(columns);
        self.this.clear(columns);
    }

    /// Goes one row down.
    pub fn next(&mut self) {
        std::mem::swap(&mut self.above, &mut self.this);
    }
}

/// Symbols of rows of positions, in coding order.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// Of each position: groups coded, plus GROUPS + 1 if it is inter.
    pub maps: Vec<u8>,
    /// Of each symbol: (class * LEVELS + level) * SYMBOLS + symbol.
    pub entries: Vec<u16>,
    /// Values of the escapes.
    pub escapes: Vec<i16>,
}

/// One row to code. `latents`: those of `groups` groups are coded; the rest is set to what the decoder will have.
pub struct Row<'a> {
    pub latents: &'a mut [i8],
    pub reference: Option<&'a [i8]>,
    pub step: usize,
    pub groups: usize,
}

/// Chooses each position's mode and appends its symbols.
pub fn code_row(level: Level, tables: &Contexts, row: &mut Row, lines: &mut Lines, out: &mut Symbols) {
    let n = row.latents.len() / CHANNELS;
    assert!(row.latents.len() == n * CHANNELS && lines.this.sums.len() == (n + 2) * GROUPS && lines.above.sums.len() == (n + 2) * GROUPS);
    assert!(row.reference.is_none_or(|r| r.len() == row.latents.len()) && row.step < STEPS && row.groups <= GROUPS);
    // Compiled for AVX-512 it is slower than for AVX2.
    let compiled = if level == Level::Vnni { Level::Avx2 } else { level };
    for_each_level!(compiled, code_generic(level: Level, tables: &Contexts, row: &mut Row, lines: &mut Lines, out: &mut Symbols))
}

#[inline(always)]
fn code_generic(level: Level, tables: &Contexts, row: &mut Row, lines: &mut Lines, out: &mut Symbols) {
    let columns = row.latents.len() / CHANNELS;
    let none = [0i8; CHANNELS];
    for x in 0..columns {
        let y: &mut [i8; CHANNELS] = (&mut row.latents[x * CHANNELS..][..CHANNELS]).try_into().expect("whole");
        let r: &[i8; CHANNELS] = row.reference.map_or(&none, |r| r[x * CHANNELS..][..CHANNELS].try_into().expect("whole"));
        let coded = row.groups * GROUP;
        y[coded..].fill(0);
        let mut s = [0i16; CHANNELS];
        for c in 0..CHANNELS {
            s[c] = y[c] as i16;
        }
        set_near(&mut lines.this.near[0], x, &s);
        let mut inter = false;
        if row.reference.is_some() {
            let mut d = [0i16; CHANNELS];
            for c in 0..CHANNELS {
                d[c] = y[c] as i16 - r[c] as i16;
            }
            d[coded..].fill(0);
            set_near(&mut lines.this.near[1], x, &d);
            subtract_mean(level, &tables.inter, lines, 1, x, &mut d);
            let of_inter = cost(&d);
            inter = of_inter == 0 || {
                subtract_mean(level, &tables.intra, lines, 0, x, &mut s);
                of_inter <= cost(&s)
            };
            if inter {
                s = d;
                y[coded..].copy_from_slice(&r[coded..]);
            }
        } else {
            subtract_mean(level, &tables.intra, lines, 0, x, &mut s);
        }
        let n = (0..row.groups).rev().find(|&g| s[g * GROUP..][..GROUP].iter().fold(0, |a, &v| a | v) != 0).map_or(0, |g| g + 1);
        out.maps.push((n + if inter { GROUPS + 1 } else { 0 }) as u8);
        let position = Position { x, n, inter, step: row.step };
        let weights = if inter { &tables.inter } else { &tables.intra };
        for g in 0..n {
            let group: &[i16; GROUP] = s[g * GROUP..][..GROUP].try_into().expect("whole");
            let levels = levels(weights, lines, r, position, g);
            let class = class(position, g);
            let mut entries = [0u16; GROUP];
            let mut escapes = 0;
            for j in 0..GROUP {
                let escape = (group[j].unsigned_abs() as i16 > LIMIT) as i16;
                escapes |= escape;
                let symbol = if escape != 0 { 2 * LIMIT + 1 } else { group[j] + LIMIT };
                entries[j] = ((class * LEVELS) as u16 + levels[j]) * SYMBOLS as u16 + symbol as u16;
            }
            out.entries.extend_from_slice(&entries);
            if escapes != 0 {
                out.escapes.extend(group.iter().filter(|v| v.abs() > LIMIT));
            }
            set_magnitudes(lines, x, g, group);
        }
        clear_magnitudes(lines, x, n);
    }
}

/// Where a position is and what the map says of it.
#[derive(Clone, Copy)]
pub struct Position {
    pub x: usize,
    /// Groups coded.
    pub n: usize,
    pub inter: bool,
    pub step: usize,
}

/// Which histograms group `g` uses.
pub fn class(p: Position, g: usize) -> usize {
    4 * p.inter as usize + 2 * (g + 1 == p.n) as usize + (g == 0) as usize
}

#[inline(always)]
fn set_near(near: &mut [i16], x: usize, t: &[i16; CHANNELS]) {
    near[(x + 1) * GROUP..][..GROUP].copy_from_slice(&t[..GROUP]);
}

/// The mean of group 0 of position x.
#[inline(always)]
fn mean(level: Level, w: &Weights, lines: &Lines, mode: usize, x: usize) -> [i16; GROUP] {
    let (this, above) = (&lines.this.near[mode], &lines.above.near[mode]);
    let mut around = [0i16; 4 * GROUP];
    for (to, from) in
        around.chunks_exact_mut(GROUP).zip([&this[x * GROUP..], &above[(x + 1) * GROUP..], &above[x * GROUP..], &above[(x + 2) * GROUP..]])
    {
        to.copy_from_slice(&from[..GROUP]);
    }
    if around.iter().fold(0, |a, v| a | v) == 0 {
        return [0; GROUP];
    }
    let sum = match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: Level::available() and best() give this level only where the processor has the instructions.
        Level::Vnni => unsafe { super::x86::products_vnni(&w.mean, &around) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 | Level::AvxVnni => unsafe { super::x86::products_avx2(&w.mean, &around) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: every 64-bit ARM has NEON.
        Level::Neon => unsafe { super::neon::products(&w.mean, &around) },
        _ => products(&w.mean, &around),
    };
    sum.map(|s| ((s + 32) >> 6).clamp(-255, 255) as i16)
}

fn products(w: &[i16], around: &[i16; 4 * GROUP]) -> [i32; GROUP] {
    let mut sum = [0; GROUP];
    for (pair, w) in around.chunks_exact(2).zip(w.chunks_exact(2 * GROUP)) {
        for (sum, w) in sum.iter_mut().zip(w.chunks_exact(2)) {
            *sum += pair[0] as i32 * w[0] as i32 + pair[1] as i32 * w[1] as i32;
        }
    }
    sum
}

#[inline(always)]
fn subtract_mean(level: Level, w: &Weights, lines: &Lines, mode: usize, x: usize, s: &mut [i16; CHANNELS]) {
    let m = mean(level, w, lines, mode, x);
    for c in 0..GROUP {
        s[c] -= m[c];
    }
}

/// About four times the bits of magnitudes.
#[inline(always)]
fn cost(s: &[i16; CHANNELS]) -> i16 {
    let mut sum = 0;
    for v in s {
        let m = v.unsigned_abs() as i16;
        let over = |t: i16, c: i16| (m >= t) as i16 * c;
        sum += over(1, 8) + over(2, 4) + over(3, 3) + over(4, 2) + over(6, 3) + over(8, 2) + over(12, 2);
    }
    sum
}

/// Levels of the 16 symbols of group `g`; `reference`: the reference's latents (of no effect in intra positions).
#[inline(always)]
fn levels(w: &Weights, lines: &Lines, reference: &[i8; CHANNELS], p: Position, g: usize) -> [u16; GROUP] {
    let at = |x: usize| x * CHANNELS + g * GROUP;
    let take = |m: &[u8], x: usize| -> [u8; GROUP] { m[at(x)..][..GROUP].try_into().expect("whole") };
    let (l, a) = (take(&lines.this.magnitude, p.x), take(&lines.above.magnitude, p.x + 1));
    let (al, ar) = (take(&lines.above.magnitude, p.x), take(&lines.above.magnitude, p.x + 2));
    let row = |w: &[f32], i: usize| -> [f32; GROUP] { w[i * CHANNELS + g * GROUP..][..GROUP].try_into().expect("whole") };
    let (floor, count) = (row(&w.floor, p.step), row(&w.count, p.n));
    let own: [[f32; GROUP]; 4] = std::array::from_fn(|i| row(&w.own, i));
    let mut acc = [0f32; GROUP];
    for j in 0..GROUP {
        acc[j] = floor[j] + count[j] + own[0][j] * l[j] as f32 + own[1][j] * a[j] as f32 + own[2][j] * (al[j] as i32 + ar[j] as i32) as f32;
    }
    if p.inter {
        for j in 0..GROUP {
            acc[j] += own[3][j] * (reference[g * GROUP + j] as i32).abs() as f32;
        }
    }
    let weights: &[f32; SUMS * GROUP] = w.sums[g * SUMS * GROUP..][..SUMS * GROUP].try_into().expect("whole");
    let sums = [
        &lines.this.sums[p.x * GROUPS..][..GROUPS],
        &lines.above.sums[(p.x + 1) * GROUPS..][..GROUPS],
        &lines.this.sums[(p.x + 1) * GROUPS..][..g],
    ];
    for (k, sums) in sums.into_iter().enumerate() {
        for (i, &s) in sums.iter().enumerate() {
            let w = &weights[(k * GROUPS + i) * GROUP..][..GROUP];
            for j in 0..GROUP {
                acc[j] += w[j] * s;
            }
        }
    }
    let mut out = [0; GROUP];
    for j in 0..GROUP {
        let level = (acc[j].max(1.0).to_bits() >> 21) as i32 - (((127 + LOWEST) << 2) as i32);
        out[j] = level.clamp(0, LEVELS as i32 - 1) as u16;
    }
    out
}

#[inline(always)]
fn set_magnitudes(lines: &mut Lines, x: usize, g: usize, s: &[i16; GROUP]) {
    let to: &mut [u8; GROUP] = (&mut lines.this.magnitude[(x + 1) * CHANNELS + g * GROUP..][..GROUP]).try_into().expect("whole");
    let mut sum = 0u16;
    for j in 0..GROUP {
        let m = s[j].unsigned_abs().min(127);
        to[j] = m as u8;
        sum += m;
    }
    lines.this.sums[(x + 1) * GROUPS + g] = sum.min(MOST) as f32;
}

#[inline(always)]
fn clear_magnitudes(lines: &mut Lines, x: usize, n: usize) {
    lines.this.magnitude[(x + 1) * CHANNELS + n * GROUP..][..(GROUPS - n) * GROUP].fill(0);
    lines.this.sums[(x + 1) * GROUPS + n..][..GROUPS - n].fill(0.0);
}

/// Decodes the latents of one position: `symbol(class, level)` gives the next one's value. `y`: of all channels.
pub fn decode_position(
    tables: &Contexts,
    p: Position,
    reference: Option<&[i8; CHANNELS]>,
    lines: &mut Lines,
    y: &mut [i8; CHANNELS],
    mut symbol: impl FnMut(usize, u16) -> i16,
) {
    let none = [0i8; CHANNELS];
    let r = reference.unwrap_or(&none);
    let weights = if p.inter { &tables.inter } else { &tables.intra };
    let mut t = [0i16; CHANNELS];
    t[..GROUP].copy_from_slice(&mean(Level::Scalar, weights, lines, p.inter as usize, p.x));
    for g in 0..p.n {
        let (levels, class) = (levels(weights, lines, r, p, g), class(p, g));
        let mut s = [0i16; GROUP];
        for j in 0..GROUP {
            s[j] = symbol(class, levels[j]);
            t[g * GROUP + j] += s[j];
        }
        set_magnitudes(lines, p.x, g, &s);
    }
    clear_magnitudes(lines, p.x, p.n);
    let (mut own, mut difference) = ([0i16; CHANNELS], [0i16; CHANNELS]);
    for c in 0..CHANNELS {
        let v = if p.inter { t[c] + r[c] as i16 } else { t[c] };
        y[c] = v.clamp(-127, 127) as i8;
        own[c] = y[c] as i16;
        difference[c] = own[c] - r[c] as i16;
    }
    set_near(&mut lines.this.near[0], p.x, &own);
    set_near(&mut lines.this.near[1], p.x, &difference);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::linear::tests::random;

    fn weights(r: &mut impl FnMut() -> u32) -> Weights {
        let mut take = |n: usize, most: u32| (0..n).map(|_| (r() % most) as i16).collect::<Vec<i16>>();
        let (floor, count, own) = (take(STEPS * CHANNELS, 2000), take(9 * CHANNELS, 2000), take(4 * CHANNELS, 2000));
        let (near, here) = (take(2 * CHANNELS * GROUPS, 60), take(CHANNELS * GROUPS, 60));
        let mean: Vec<i8> = take(4 * GROUP * GROUP, 16).iter().map(|&v| v as i8 - 8).collect();
        Weights::new(&floor, &count, &own, &near, &here, &mean).expect("sizes")
    }

    #[test]
    fn decoding_undoes_coding_and_twins_agree() {
        let mut r = random(11);
        let tables = Contexts { intra: weights(&mut r), inter: weights(&mut r) };
        let (columns, rows) = (7, 5);
        let mut picture = |most: u32| -> Vec<i8> {
            (0..columns * rows * CHANNELS)
                .map(
                    |i| if !r().is_multiple_of(4) || (i / CHANNELS) % 5 == 1 { 0 } else { ((r() % most) as i32 - (most / 2) as i32) as i8 },
                )
                .collect()
        };
        let (mut y, reference) = (picture(12), picture(254));
        for (i, v) in y.iter_mut().enumerate() {
            if !(i / CHANNELS).is_multiple_of(3) {
                *v = reference[i];
            }
        }
        for (groups, reference) in [(8, None), (2, None), (8, Some(&reference)), (6, Some(&reference))] {
            let mut all = vec![];
            for level in Level::available() {
                let (mut lines, mut out, mut coded) = (Lines::default(), Symbols::default(), y.clone());
                lines.begin(columns);
                for (i, latents) in coded.chunks_exact_mut(columns * CHANNELS).enumerate() {
                    let reference = reference.map(|r| &r[i * columns * CHANNELS..][..columns * CHANNELS]);
                    code_row(level, &tables, &mut Row { latents, reference, step: 9, groups }, &mut lines, &mut out);
                    lines.next();
                }
                all.push((out, coded));
            }
            for (out, coded) in &all[1..] {
                assert!(
                    out.maps == all[0].0.maps && out.entries == all[0].0.entries && out.escapes == all[0].0.escapes && *coded == all[0].1
                );
            }
            let (out, coded) = &all[0];
            let (mut entries, mut escapes) = (out.entries.iter(), out.escapes.iter());
            let mut lines = Lines::default();
            lines.begin(columns);
            let mut inters = 0;
            for i in 0..columns * rows {
                let inter = out.maps[i] as usize > GROUPS;
                inters += inter as usize;
                let n = out.maps[i] as usize - if inter { GROUPS + 1 } else { 0 };
                let mut got = [0; CHANNELS];
                let r = reference.map(|r| r[i * CHANNELS..][..CHANNELS].try_into().expect("whole"));
                decode_position(&tables, Position { x: i % columns, n, inter, step: 9 }, r, &mut lines, &mut got, |class, level| {
                    let e = *entries.next().expect("a symbol") as usize;
                    assert_eq!(e / SYMBOLS, class * LEVELS + level as usize);
                    if e % SYMBOLS == 31 { *escapes.next().expect("an escape") } else { (e % SYMBOLS) as i16 - LIMIT }
                });
                let mut expect: [i8; CHANNELS] = coded[i * CHANNELS..][..CHANNELS].try_into().expect("whole");
                if let (true, Some(r)) = (inter, r) {
                    expect[groups * GROUP..].copy_from_slice(&r[groups * GROUP..]);
                }
                assert_eq!(got, expect, "position {i}");
                if i % columns == columns - 1 {
                    lines.next();
                }
            }
            assert!(entries.next().is_none() && escapes.next().is_none());
            assert_eq!(inters > 0, reference.is_some());
        }
    }

    #[test]
    fn weights_that_could_pass_2_to_24_are_refused() {
        let own = vec![32767; 4 * CHANNELS];
        let rest = (vec![0; STEPS * CHANNELS], vec![0; 9 * CHANNELS], vec![0; 2 * CHANNELS * GROUPS], vec![0; CHANNELS * GROUPS]);
        assert!(Weights::new(&rest.0, &rest.1, &own, &rest.2, &rest.3, &[0; 1024]).is_none());
        assert!(Weights::new(&rest.0, &rest.1, &[0; 4 * CHANNELS], &rest.2, &rest.3, &[0; 1024]).is_some());
    }
}
