//! Learned colour: a pointwise transform with companding in place of YCbCr (SEAOTTER, PyPI seaotter 1.0.0; trained by training/colour.py),
//! and its inverse, which every file carries.

use super::pair;
use crate::error::{Error, Result};
pub use lic_kernels::jpeg::colour::Inverse;
use lic_kernels::jpeg::colour::Learned;

/// What is taken off red, green and blue before the matrix.
const MIDDLE: f64 = 128.0;

/// Bytes of the inverse's parameters in a file.
pub const PARAMETERS: usize = 60;

pub fn forward() -> Learned {
    Learned { matrix: pair::MATRIX.map(|r| r.map(|v| v as f32)), knee: pair::KNEE.map(|v| v as f32) }
}

/// In 1/65536, big-endian: knees, offsets, rows of the matrix.
pub fn parameters() -> [u8; PARAMETERS] {
    let m = inverted(&pair::MATRIX);
    let mut values = pair::KNEE.into_iter().chain([MIDDLE; 3]).chain(m.into_iter().flatten());
    let mut out = [0; PARAMETERS];
    for b in out.chunks_exact_mut(4) {
        let value = values.next().expect("fifteen parameters");
        b.copy_from_slice(&((value * 65536.0).round() as i32).to_be_bytes());
    }
    out
}

/// What the square of an error in each component weighs in red, green and blue.
pub fn weights() -> [f32; 3] {
    let m = inverted(&pair::MATRIX);
    std::array::from_fn(|c| (m[0][c].powi(2) + m[1][c].powi(2) + m[2][c].powi(2)) as f32)
}

/// The inverse out of a file's parameters.
pub fn inverse(parameters: &[u8]) -> Result<Inverse> {
    let damaged = |what: &str| Error::Damaged(format!("learned colour {what}"));
    let p: &[u8; PARAMETERS] = parameters.try_into().map_err(|_| damaged("has parameters of another length"))?;
    let value = |i: usize| i32::from_be_bytes([p[4 * i], p[4 * i + 1], p[4 * i + 2], p[4 * i + 3]]) as f32 / 65536.0;
    let three = |first: usize| [0, 1, 2].map(|i| value(first + i));
    let inverse = Inverse { knee: three(0), offset: three(3), matrix: [three(6), three(9), three(12)] };
    // From 1 on samples would have no colour.
    if inverse.knee.iter().any(|k| !(0.0..1.0).contains(k)) {
        return Err(damaged("whose companding has no inverse"));
    }
    Ok(inverse)
}

fn inverted(m: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let next = |i: usize| ((i + 1) % 3, (i + 2) % 3);
    let minor = |r: usize, c: usize| {
        let ((a, b), (d, e)) = (next(r), next(c));
        m[a][d] * m[b][e] - m[a][e] * m[b][d]
    };
    let whole: f64 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
    std::array::from_fn(|r| std::array::from_fn(|c| minor(c, r) / whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_undo_the_transform() {
        let (m, c) = (pair::MATRIX, inverse(&parameters()).unwrap());
        for (r, row) in c.matrix.iter().enumerate() {
            for k in 0..3 {
                let product: f64 = row.iter().zip(m).map(|(a, b)| *a as f64 * b[k]).sum();
                assert!((product - (r == k) as u8 as f64).abs() < 1e-4);
            }
        }
        assert_eq!(c.offset, [128.0; 3]);
        assert!(c.knee.iter().zip(pair::KNEE).all(|(a, b)| (*a as f64 - b).abs() < 1e-4));
    }

    #[test]
    fn parameters_without_an_inverse_are_refused() {
        assert!(inverse(&[0; 59]).is_err() && inverse(&[0; 64]).is_err());
        let mut p = parameters();
        p[0..4].copy_from_slice(&65536i32.to_be_bytes());
        assert!(inverse(&p).unwrap_err().to_string().contains("companding"));
        p[0..4].copy_from_slice(&(-1i32).to_be_bytes());
        assert!(inverse(&p).is_err());
    }
}
