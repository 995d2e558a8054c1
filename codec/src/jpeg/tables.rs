//! Quantisation tables.

use super::{annex_k, pair};
use lic_kernels::jpeg::ZIGZAG;

/// A table and how levels are rounded to it.
pub struct Steps {
    /// In zigzag order.
    pub table: [u8; 64],
    /// What is added to the magnitude of an AC coefficient, in steps, before its fraction is cut off: 1/2 is the nearest level, less
    /// saves bits.
    pub rounding: f32,
    /// What the square of an error weighs, in zigzag order, and how much of that a bit is worth.
    pub weight: [f32; 64],
    pub lambda: f32,
}

/// Of luma and of chroma. `quality` 0: adapted to `step`, 0 to 63 as the codec has them, or beyond.
pub fn standard(quality: u8, step: i32) -> Vec<Steps> {
    if quality > 0 {
        return annex_k::QUANTISATION
            .iter()
            .map(|t| Steps { table: scaled(t, quality), rounding: 0.5, weight: [1.0; 64], lambda: 0.0 })
            .collect();
    }
    adapted(step)
}

/// Annex K's table at a quality of libjpeg.
fn scaled(table: &[u8; 64], quality: u8) -> [u8; 64] {
    let quality = quality as u32;
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    table.map(|v| ((v as u32 * percent + 50) / 100).clamp(1, 255) as u8)
}

/// Luma's lowest entry at step 0, and steps in which entries halve: as in the codec, so that the file's error stays below the latents' by
/// the same share. Fitted, like the rest, to 19 pictures of train_images at 0.1 to 0.4 bit a pixel, for the fewest bytes at 0.5 dB.
const COARSEST: f32 = 48.0;
const STEPS_PER_HALVING: f32 = 16.0;
/// How much of the lowest entry is added at the highest frequency. Nearly flat is best for squared error where levels are searched for.
const SLOPE: [f32; 2] = [0.25, 0.5];
/// Of chroma: entries as shares of luma's, and what the square of an error weighs against one of luma, in red, green and blue, where no
/// frequency is lost in interpolation.
const CHROMA: f32 = 0.58;
const CHROMA_WEIGHT: f32 = 4.0;
/// DC's entries as shares of the lowest, of luma and of chroma.
const DC: [f32; 2] = [0.9, 0.7];
/// Rounding of AC coefficients where levels are not searched for: those that cost more bits than they mend are not coded.
const ROUNDING: f32 = 0.42;
/// Squared error that a bit is worth, in squares of the lowest entry (of the first component's, with learned colour).
const LAMBDA: f32 = 0.10;
const LEARNED_LAMBDA: f32 = 0.06;

fn lowest(step: i32) -> f32 {
    COARSEST * (-step as f32 / STEPS_PER_HALVING).exp2()
}

/// What of a chroma frequency's error is left after libjpeg's interpolation of 4:2:0 (1/4, 3/4, 3/4, 1/4), its image at the mirrored
/// frequency counted in.
fn interpolated(frequency: u8) -> f32 {
    let x = std::f32::consts::PI * frequency as f32 / 32.0;
    let (own, image) = ((1.5 * x.cos() + 0.5 * (3.0 * x).cos()) / 2.0, (1.5 * x.sin() - 0.5 * (3.0 * x).sin()) / 2.0);
    own * own + image * image
}

/// Tables for what latents already distorted: entries hardly rise with frequency, and what is left there is for the search of levels to
/// judge.
fn adapted(step: i32) -> Vec<Steps> {
    let lowest = lowest(step);
    let of = |chroma: bool| {
        let (share, i) = if chroma { (CHROMA, 1) } else { (1.0, 0) };
        let table = ZIGZAG.map(|n| {
            let frequency = (n % 8 + n / 8) as f32 / 14.0;
            let dc = if n == 0 { DC[i] } else { 1.0 };
            (lowest * share * dc * (1.0 + SLOPE[i] * frequency)).round().clamp(1.0, 255.0) as u8
        });
        let weight = ZIGZAG.map(|n| if chroma { CHROMA_WEIGHT * interpolated(n % 8) * interpolated(n / 8) } else { 1.0 });
        Steps { table, rounding: ROUNDING, weight, lambda: LAMBDA * lowest * lowest }
    };
    vec![of(false), of(true)]
}

/// Of the three components of learned colour. `quality` 1, 34, 67 and 100 are the four rates that were trained; between them tables are
/// interpolated. 0: the first component's steps are about those of adapted tables.
pub fn learned(quality: u8, step: i32) -> Vec<Steps> {
    let most = (pair::TABLES.len() - 1) as f32;
    let rate = match quality {
        0 => rate_of(lowest(step)),
        q => (q - 1) as f32 / 99.0 * most,
    };
    let weights = super::learned::weights();
    let first = (rate as usize).min(pair::TABLES.len() - 2);
    let share = rate - first as f32;
    let between = |a: u8, b: u8| (a as f32 * (b as f32 / a as f32).powf(share)).round().clamp(1.0, 255.0) as u8;
    let of = |c: usize| {
        let (coarse, fine) = (&pair::TABLES[first][c], &pair::TABLES[first + 1][c]);
        Steps { table: std::array::from_fn(|i| between(coarse[i], fine[i])), rounding: ROUNDING, weight: [weights[c]; 64], lambda: 0.0 }
    };
    let mut steps: Vec<Steps> = (0..3).map(of).collect();
    let lambda = LEARNED_LAMBDA * weights[0] * (steps[0].table[1] as f32).powi(2);
    steps.iter_mut().for_each(|s| s.lambda = lambda);
    steps
}

/// The rate at which the first component's second entry is about `entry`.
fn rate_of(entry: f32) -> f32 {
    let at = |rate: usize| (pair::TABLES[rate][0][1] as f32).ln();
    let last = pair::TABLES.len() - 1;
    let segment = (0..last - 1).find(|r| at(r + 1) <= entry.ln()).unwrap_or(last - 1);
    (segment as f32 + (at(segment) - entry.ln()) / (at(segment) - at(segment + 1))).clamp(0.0, last as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learned_tables_are_the_trained_ones_and_what_is_between() {
        for (quality, rate) in [(1, 0), (34, 1), (67, 2), (100, 3)] {
            let tables = learned(quality, 0);
            assert!((0..3).all(|c| tables[c].table == pair::TABLES[rate][c]), "quality {quality}");
        }
        let entries: Vec<u8> = (1..=100).map(|q| learned(q, 0)[0].table[1]).collect();
        assert!(entries.is_sorted_by(|a, b| a >= b));
        let entries: Vec<u8> = (0..64).map(|s| learned(0, s)[0].table[1]).collect();
        assert!(entries.is_sorted_by(|a, b| a >= b) && entries[0] > 4 * entries[63], "{entries:?}");
        assert!(entries[32].abs_diff(12) <= 1, "{entries:?}");
    }
}
