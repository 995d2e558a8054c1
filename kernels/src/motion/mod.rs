//! Motion between pictures, in whole numbers: the same vectors and reference give the same prediction everywhere.
//!
//! Part of the format: [`interpolate`] a block at a fraction of a sample, [`compensate`] a picture from overlapped
//! blocks, [`blend`] what was synthesised into what was compensated. Help for the encoder only: [`search`], [`error`].

pub mod blend;
pub mod compensate;
pub mod error;
pub mod interpolate;
#[cfg(target_arch = "aarch64")]
mod neon;
mod quarters;
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
mod rows;
pub mod search;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use blend::blend;
pub use compensate::{compensate, compensate_rows};
pub use error::block_error;
pub use search::SearchPlane;

/// Where a block comes from in the reference, in quarter luma samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vector {
    pub x: i16,
    pub y: i16,
}

/// Vectors of the 8x8 luma quarters of a 16x16 block, in raster order: equal unless the block is split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quarters(pub [Vector; 4]);

impl Quarters {
    /// A block that is not split.
    pub const fn whole(v: Vector) -> Quarters {
        Quarters([v; 4])
    }

    /// The one vector of a block that is not split.
    pub fn one(&self) -> Option<Vector> {
        let [v, others @ ..] = &self.0;
        others.iter().all(|o| o == v).then_some(*v)
    }

    /// What stands for the block where it must have one vector: the mean by component, (sum + 2) >> 2.
    pub fn mean(&self) -> Vector {
        let mean = |part: fn(&Vector) -> i16| ((self.0.iter().map(|v| part(v) as i32).sum::<i32>() + 2) >> 2) as i16;
        Vector { x: mean(|v| v.x), y: mean(|v| v.y) }
    }
}

/// Random numbers below 2^24 for tests.
#[cfg(test)]
fn random(mut s: u64) -> impl FnMut() -> usize {
    move || {
        s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (s >> 40) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_have_a_mean() {
        let q = |x: [i16; 4]| Quarters(x.map(|x| Vector { x, y: -x }));
        assert_eq!(q([1, 1, 0, 0]).mean(), Vector { x: 1, y: 0 });
        assert_eq!(q([-16383, -16383, -16383, -16382]).mean(), Vector { x: -16383, y: 16383 });
        assert_eq!(q([5, 5, 5, 5]).mean(), q([5, 5, 5, 5]).one().unwrap());
        assert_eq!([q([5, 5, 5, 6]).one(), q([6, 5, 5, 5]).one()], [None; 2]);
    }
}
