//! What writing and reading JPEG files computes: block DCTs with the quantiser in them, and colour of whole lines.
//!
//! Blocks are `[u][v]`, u the frequency along a line and v that along a column: what two passes with one transposition between
//! them give. [`PLACES`] leads from zigzag order there.

pub mod colour;
mod dct;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use dct::{Quantiser, Sample, blocks};

/// Place of a coefficient in its block, rows of eight, by its place in the file (ITU-T T.81, figure A.6).
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56,
    57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The same in blocks `[u][v]`.
pub const PLACES: [u8; 64] = {
    let (mut places, mut i) = (ZIGZAG, 0);
    while i < 64 {
        places[i] = ZIGZAG[i] % 8 * 8 + ZIGZAG[i] / 8;
        i += 1;
    }
    places
};

/// Bits of a byte of a mask in the order of blocks -> bits in zigzag order.
static MASKS: [[u64; 256]; 8] = {
    let mut masks = [[0; 256]; 8];
    let mut i = 0;
    while i < 64 {
        let (byte, bit) = (PLACES[i] as usize / 8, PLACES[i] % 8);
        let mut value = 0;
        while value < 256 {
            if value >> bit & 1 != 0 {
                masks[byte][value] |= 1 << i;
            }
            value += 1;
        }
        i += 1;
    }
    masks
};

/// A mask in the order of blocks -> one in zigzag order.
#[inline(always)]
fn zigzag(mask: u64) -> u64 {
    let b = mask.to_le_bytes();
    (MASKS[0][b[0] as usize] | MASKS[1][b[1] as usize])
        | (MASKS[2][b[2] as usize] | MASKS[3][b[3] as usize])
        | (MASKS[4][b[4] as usize] | MASKS[5][b[5] as usize])
        | (MASKS[6][b[6] as usize] | MASKS[7][b[7] as usize])
}
