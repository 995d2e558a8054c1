//! Which twin of each kernel runs.

/// Instruction set in use, from slowest to fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Scalar,
    /// What every 64-bit ARM has.
    Neon,
    Avx2,
    /// AVX2 and AVX-VNNI: small cores without AVX-512. Where a kernel has no twin of its own, AVX2's.
    AvxVnni,
    /// AVX-512 F, BW and VNNI.
    Vnni,
}

impl Level {
    /// All levels that this processor runs, slowest first.
    pub fn available() -> Vec<Level> {
        #[allow(unused_mut)]
        let mut levels = vec![Level::Scalar];
        #[cfg(target_arch = "aarch64")]
        levels.push(Level::Neon);
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

    /// The fastest available, or at most what `$LIC_KERNELS` (scalar, neon, avx2, avxvnni, vnni) names.
    pub fn best() -> Level {
        let cap = match std::env::var("LIC_KERNELS").as_deref() {
            Ok("scalar") => Level::Scalar,
            Ok("neon") => Level::Neon,
            Ok("avx2") => Level::Avx2,
            Ok("avxvnni") => Level::AvxVnni,
            _ => Level::Vnni,
        };
        Level::available().into_iter().rfind(|&l| l <= cap).unwrap_or(Level::Scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says which twins the tests beside this one compare with the scalar code, and which stay untried here.
    #[test]
    fn which_twins_run_here() {
        let all = [Level::Scalar, Level::Neon, Level::Avx2, Level::AvxVnni, Level::Vnni];
        let here = Level::available();
        assert!(here.is_sorted() && here[0] == Level::Scalar && here.contains(&Level::best()));
        let rest: Vec<Level> = all.into_iter().filter(|l| !here.contains(l)).collect();
        println!("twins of the kernels that ran: {here:?}; that this processor cannot run: {rest:?}");
    }
}
