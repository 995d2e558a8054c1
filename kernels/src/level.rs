//! Which twin of each kernel runs.

/// Instruction set in use, from slowest to fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Scalar,
    Avx2,
    /// AVX2 and AVX-VNNI: small cores without AVX-512. Where a kernel has no twin of its own, AVX2's.
    AvxVnni,
    /// AVX-512 F, BW and VNNI.
    Vnni,
}

impl Level {
    /// All levels that this processor runs, slowest first.
    pub fn available() -> Vec<Level> {
        let mut levels = vec![Level::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                levels.push(Level::Avx2);
                if is_x86_feature_detected!("avxvnni") {
                    levels.push(Level::AvxVnni);
                }
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni") {
                    levels.push(Level::Vnni);
                }
            }
        }
        levels
    }

    /// The fastest available, or at most what `$LIC_KERNELS` (scalar, avx2, avxvnni, vnni) names.
    pub fn best() -> Level {
        let cap = match std::env::var("LIC_KERNELS").as_deref() {
            Ok("scalar") => Level::Scalar,
            Ok("avx2") => Level::Avx2,
            Ok("avxvnni") => Level::AvxVnni,
            _ => Level::Vnni,
        };
        Level::available().into_iter().rfind(|&l| l <= cap).unwrap_or(Level::Scalar)
    }
}
