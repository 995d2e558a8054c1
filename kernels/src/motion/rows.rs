//! Rows of a block, as the SIMD twins of block differences read them.

/// `N` rows of `W` samples, checked once for all.
pub(super) struct Rows<'a, const N: usize, const W: usize = 16> {
    samples: &'a [u8],
    stride: usize,
}

impl<'a, const N: usize, const W: usize> Rows<'a, N, W> {
    #[inline(always)]
    pub fn new(samples: &'a [u8], stride: usize) -> Self {
        assert!(samples.len() >= W && (samples.len() - W) / (N - 1) >= stride);
        Rows { samples, stride }
    }

    #[inline(always)]
    pub fn row(&self, r: usize) -> &'a [u8; W] {
        assert!(r < N); // gone where the loop is unrolled
        // SAFETY: new made sure of (N - 1) * stride + W samples, and r < N.
        unsafe { &*self.samples.as_ptr().add(r * self.stride).cast() }
    }
}
