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
}

/// Of luma and of chroma. `quality` 0: adapted to the stream's `step` (0 to 63).
pub fn standard(quality: u8, step: u8) -> Vec<Steps> {
    if quality > 0 {
        return annex_k::QUANTISATION.iter().map(|t| Steps { table: scaled(t, quality), rounding: 0.5 }).collect();
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
/// the same share. Fitted, like the rest, to eight pictures of val_images at 0.1 to 0.4 bit a pixel (benches/jpeg --each).
const COARSEST: f32 = 32.0;
const STEPS_PER_HALVING: f32 = 16.0;
/// DC's entry and chroma's entries as shares of that.
const DC: f32 = 0.8;
const CHROMA: f32 = 0.8;
/// How much of it is added at the highest frequency: little is left there in decoded pictures, and most of that is no detail.
const SLOPE: f32 = 3.0;
/// Rounding of AC coefficients: levels that cost more bits than they mend are not coded.
const ROUNDING: f32 = 0.28;

fn lowest(step: u8) -> f32 {
    COARSEST * (-(step.min(63) as f32) / STEPS_PER_HALVING).exp2()
}

/// Tables for what latents already distorted: entries rise with frequency alike in all directions, and levels have a dead zone.
fn adapted(step: u8) -> Vec<Steps> {
    let lowest = lowest(step);
    let of = |share: f32| {
        let table = ZIGZAG.map(|n| {
            let frequency = (n % 8 + n / 8) as f32 / 14.0;
            let dc = if n == 0 { DC } else { 1.0 };
            (lowest * share * dc * (1.0 + SLOPE * frequency)).round().clamp(1.0, 255.0) as u8
        });
        Steps { table, rounding: ROUNDING }
    };
    vec![of(1.0), of(CHROMA)]
}

/// Of the three components of learned colour. `quality` 1, 34, 67 and 100 are the four rates that were trained; between them tables are
/// interpolated. 0: the first component's steps are about those of adapted tables.
pub fn learned(quality: u8, step: u8) -> Vec<Steps> {
    let most = (pair::TABLES.len() - 1) as f32;
    let rate = match quality {
        0 => rate_of(1.5 * lowest(step)),
        q => (q - 1) as f32 / 99.0 * most,
    };
    let first = (rate as usize).min(pair::TABLES.len() - 2);
    let share = rate - first as f32;
    let between = |a: u8, b: u8| (a as f32 * (b as f32 / a as f32).powf(share)).round().clamp(1.0, 255.0) as u8;
    let of = |c: usize| {
        let (coarse, fine) = (&pair::TABLES[first][c], &pair::TABLES[first + 1][c]);
        Steps { table: std::array::from_fn(|i| between(coarse[i], fine[i])), rounding: 0.38 }
    };
    (0..3).map(of).collect()
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
