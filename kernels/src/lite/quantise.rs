//! Projections -> latents: gain, companding, dead zone, int8.

use super::{CHANNELS, GROUP, GROUPS, LUMA, for_each_level};
use crate::Level;

/// Companding tends to this: no latent leaves int8.
const RANGE: f32 = 127.5;
/// By so much every interval is shifted outwards.
const SHIFT: f32 = 0.1;

/// From here on floats are whole numbers.
const ROUND: f32 = 12582912.0;

/// v = (sum - offset) * scale, channel by channel, those of luma first; |v| below which a latent is 0, in order of groups, at least 0.6.
#[derive(Clone, Debug)]
pub struct Scale {
    pub scale: [f32; CHANNELS],
    pub offset: [f32; CHANNELS],
    pub zone: [f32; CHANNELS],
}

/// One row of positions. `luma`, `chroma`: sums, 96 and 32 a position; `reference`: latents of which y stays where |v - y| < `hold`;
/// `out`: latents in order of groups, those of `groups` groups, the rest 0.
pub struct Row<'a> {
    pub luma: &'a [i32],
    pub chroma: &'a [i32],
    pub groups: usize,
    pub reference: Option<&'a [i8]>,
    pub hold: f32,
}

/// Latents of a row of positions.
pub fn quantise(level: Level, scale: &Scale, row: &Row, out: &mut [i8]) {
    let n = out.len() / CHANNELS;
    let of_luma = GROUPS * LUMA;
    assert!(
        out.len() == n * CHANNELS && row.luma.len() == n * of_luma && row.chroma.len() == n * (CHANNELS - of_luma) && row.groups <= GROUPS
    );
    assert!(row.reference.is_none_or(|r| r.len() == out.len()));
    for_each_level!(level, generic(scale: &Scale, row: &Row, out: &mut [i8]))
}

#[inline(always)]
fn generic(scale: &Scale, row: &Row, out: &mut [i8]) {
    const OF_LUMA: usize = GROUPS * LUMA;
    let zero = [0i8; CHANNELS];
    for (i, out) in out.chunks_exact_mut(CHANNELS).enumerate() {
        let mut v = [0f32; CHANNELS];
        for (v, &s) in v[..OF_LUMA].iter_mut().zip(&row.luma[i * OF_LUMA..][..OF_LUMA]) {
            *v = s as f32;
        }
        for (v, &s) in v[OF_LUMA..].iter_mut().zip(&row.chroma[i * (CHANNELS - OF_LUMA)..][..CHANNELS - OF_LUMA]) {
            *v = s as f32;
        }
        for ((v, scale), offset) in v.iter_mut().zip(&scale.scale).zip(&scale.offset) {
            *v = compand((*v - offset) * scale);
        }
        let mut grouped = [0f32; CHANNELS];
        for g in 0..row.groups {
            grouped[g * GROUP..][..LUMA].copy_from_slice(&v[g * LUMA..][..LUMA]);
            grouped[g * GROUP + LUMA..][..GROUP - LUMA].copy_from_slice(&v[OF_LUMA + g * (GROUP - LUMA)..][..GROUP - LUMA]);
        }
        let reference = row.reference.map_or(&zero[..], |r| &r[i * CHANNELS..][..CHANNELS]);
        let hold = if row.reference.is_some() { row.hold } else { 0.0 };
        let coded = row.groups * GROUP;
        for c in 0..CHANNELS {
            let (v, r) = (grouped[c], reference[c] as f32);
            // Adding 1.5 * 2^23 leaves the rounded number in the low bits.
            let magnitude = (v.abs() - SHIFT + ROUND).to_bits() as i32 - ROUND.to_bits() as i32;
            let sign = v.to_bits() as i32 >> 31;
            let magnitude = if v.abs() < scale.zone[c] { 0 } else { magnitude };
            let y = (magnitude ^ sign) - sign;
            out[c] = if (v - r).abs() < hold { reference[c] } else { y as i8 };
        }
        out[coded..].fill(0);
    }
}

/// x / sqrt(1 + (x / RANGE)^2), to 1e-5 of it, by operations that round alike everywhere.
#[inline(always)]
fn compand(x: f32) -> f32 {
    let x = x.clamp(-1e5, 1e5);
    let a = 1.0 + x * x * (1.0 / (RANGE * RANGE));
    let mut r = f32::from_bits(0x5f37_59dfu32.wrapping_sub(a.to_bits() >> 1)); // within 4% of 1 / sqrt(a)
    r *= 1.5 - 0.5 * a * r * r;
    r *= 1.5 - 0.5 * a * r * r;
    (x * r).clamp(-127.0, 127.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::tests::random;

    #[test]
    fn companding_is_what_it_says() {
        for i in -4000..4000 {
            let x = i as f32 * 0.37;
            let exact = (x / (1.0 + (x / RANGE).powi(2)).sqrt()).clamp(-127.0, 127.0);
            assert!((compand(x) - exact).abs() <= 2e-5 * exact.abs(), "{x}: {} {exact}", compand(x));
        }
        assert!(compand(1e30) == 127.0 && compand(-1e30) == -127.0);
    }

    #[test]
    fn twins_agree_and_groups_are_in_order() {
        let mut r = random(5);
        let n = 5;
        let scale = Scale {
            scale: std::array::from_fn(|c| 0.001 * (1 + c) as f32),
            offset: std::array::from_fn(|c| c as f32 * 3.0),
            zone: [0.6; CHANNELS],
        };
        let luma: Vec<i32> = (0..n * 96).map(|_| r() as i32 % 60_000 - 30_000).collect();
        let chroma: Vec<i32> = (0..n * 32).map(|_| r() as i32 % 60_000 - 30_000).collect();
        let reference: Vec<i8> = (0..n * CHANNELS).map(|_| r() as i8).collect();
        for (groups, reference) in [(8, None), (3, None), (8, Some(&reference[..])), (5, Some(&reference[..]))] {
            let row = Row { luma: &luma, chroma: &chroma, groups, reference, hold: 0.7 };
            let mut expect = vec![0; n * CHANNELS];
            quantise(Level::Scalar, &scale, &row, &mut expect);
            if reference.is_none() {
                let v = compand((luma[96 + 13] as f32 - 39.0) * 0.014); // position 1, group 1, second of luma
                assert_eq!(expect[CHANNELS + 17] as i32, (v.signum() * (v.abs() - 0.1).round()) as i32);
                let v = compand((chroma[32 + 5] as f32 - 303.0) * 0.102); // its second of chroma
                assert_eq!(expect[CHANNELS + 16 + 13] as i32, (v.signum() * (v.abs() - 0.1).round()) as i32);
            }
            assert!(expect.chunks_exact(CHANNELS).all(|p| p[groups * GROUP..].iter().all(|&v| v == 0)));
            for level in Level::available() {
                let mut got = vec![1; n * CHANNELS];
                quantise(level, &scale, &row, &mut got);
                assert_eq!(got, expect, "{level:?}");
            }
        }
    }
}
