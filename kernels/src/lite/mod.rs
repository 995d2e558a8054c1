//! What the sensor of a lite pack computes (codec/BITSTREAM.md, section Lite): a linear projection of patches, companding to
//! int8, and the context of every symbol. No network.

pub mod context;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod projection;
pub mod quantise;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Latent channels of a position, in GROUPS groups of GROUP: LUMA of luma, the rest of chroma.
pub const CHANNELS: usize = 128;
pub const GROUPS: usize = 8;
pub const GROUP: usize = 16;
pub const LUMA: usize = 12;
/// Quantiser steps.
pub const STEPS: usize = 64;

/// Compiles a function that is always inlined once for each level: the same code, hence the same bits.
macro_rules! for_each_level {
    ($level:expr, $f:ident ( $($a:ident : $t:ty),* )) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn avx2($($a: $t),*) {
                $f($($a),*)
            }
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
            fn avx512($($a: $t),*) {
                $f($($a),*)
            }
            match $level {
                // SAFETY: Level::available() and best() give these levels only where the processor has AVX2; AVX-512 is asked for.
                $crate::Level::Vnni if $crate::lite::wide() => unsafe { avx512($($a),*) },
                // SAFETY: as above.
                $crate::Level::Avx2 | $crate::Level::AvxVnni | $crate::Level::Vnni => unsafe { avx2($($a),*) },
                _ => $f($($a),*),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = $level;
            $f($($a),*)
        }
    }};
}
pub(crate) use for_each_level;

/// AVX-512 with the extensions that [`for_each_level`] compiles for.
#[cfg(target_arch = "x86_64")]
pub(crate) fn wide() -> bool {
    is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("avx512dq")
}
