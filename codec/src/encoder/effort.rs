//! How much time the encoder takes to make frames smaller. Decoders know nothing of it.

/// Chosen by the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// For live streams: what hardly pays is not tried.
    #[default]
    Default,
    /// For recordings: everything is tried, and some frames are finer, so that those after them have more to live on.
    Max,
}

/// Below what an effort looks no further.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thoroughness {
    /// Where copying errs less than so many bits are worth, coding is not tried: what little it gains there is not worth looking for it.
    /// Of still blocks more, since what is still costs nothing by itself (see [`super::motion`]). (With 32 and 24 a moving camera at 1280x720
    /// takes a fifth less time, and clips of much motion up to 5% more bytes.)
    pub least_bits: f32,
    pub least_bits_still: f32,
    /// Sum of absolute differences a block below which no better vector is looked for (160: noise of about half a level), and above which a
    /// grid is.
    pub good: u32,
    pub bad: u32,
    /// Share of coded blocks that may as well have been copied without the slice being coded again for them.
    pub not_worth_again: f32,
    /// Whether what was tried in vain in the frame before is left out.
    pub remembers: bool,
    /// Every so many frames, from a key frame on, one is finer by the first number of steps, the others by the second (coarser): hierarchical
    /// quality, as the low-delay configuration of the HEVC reference software (JCTVC-L1100) has it.
    pub cascade: Option<(u32, [i8; 2])>,
}

impl Effort {
    pub(super) fn thoroughness(self) -> Thoroughness {
        match self {
            Effort::Default => Thoroughness {
                least_bits: 12.0,
                least_bits_still: 16.0,
                good: 160,
                bad: 2200,
                not_worth_again: 0.2,
                remembers: true,
                cascade: None,
            },
            Effort::Max => Thoroughness {
                least_bits: 2.0,
                least_bits_still: 2.0,
                good: 60,
                bad: 600,
                not_worth_again: 0.0,
                remembers: false,
                cascade: Some((8, [8, -1])),
            },
        }
    }
}
