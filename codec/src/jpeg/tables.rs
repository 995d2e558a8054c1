//! Quantisation tables.

use super::annex_k;

/// Place of a coefficient in its block, rows of eight, by its place in the file (T.81, figure A.6).
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56,
    57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

pub struct Quantiser {
    /// In zigzag order.
    pub table: [u8; 64],
    /// What is added to the magnitude of an AC coefficient, in steps, before its fraction is cut off: 1/2 is the nearest level, less
    /// saves bits.
    pub rounding: f32,
}

/// Of luma and of chroma. `quality` 0: adapted to the stream's `step` (0 to 63).
pub fn quantiser(quality: u8, step: u8) -> [Quantiser; 2] {
    if quality > 0 {
        return annex_k::QUANTISATION.map(|t| Quantiser { table: scaled(&t, quality), rounding: 0.5 });
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

/// Tables for what latents already distorted: entries rise with frequency alike in all directions, and levels have a dead zone.
fn adapted(step: u8) -> [Quantiser; 2] {
    let lowest = COARSEST * (-(step.min(63) as f32) / STEPS_PER_HALVING).exp2();
    [1.0, CHROMA].map(|share| {
        let table = ZIGZAG.map(|n| {
            let frequency = (n % 8 + n / 8) as f32 / 14.0;
            let dc = if n == 0 { DC } else { 1.0 };
            (lowest * share * dc * (1.0 + SLOPE * frequency)).round().clamp(1.0, 255.0) as u8
        });
        Quantiser { table, rounding: ROUNDING }
    })
}
