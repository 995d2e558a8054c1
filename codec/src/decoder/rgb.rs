//! By which numbers a stream's pictures become RGB.

use crate::Colour;
use lic_kernels::planes::RgbMatrix;

/// Shares of red and blue in luma, of the matrix of ITU-T H.273, table 4, that a stream names; BT.709's where it names none that is made of
/// two weights.
pub fn weights(colour: Colour) -> (f64, f64) {
    match colour.matrix {
        4 => (0.30, 0.11),
        5 | 6 => (0.299, 0.114),
        7 => (0.212, 0.087),
        9 => (0.2627, 0.0593),
        _ => (0.2126, 0.0722),
    }
}

pub fn matrix(colour: Colour) -> RgbMatrix {
    let (red, blue) = weights(colour);
    RgbMatrix::new(red, blue, colour.full_range)
}
