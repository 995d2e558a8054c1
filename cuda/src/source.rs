//! The kernels' source, and what NVRTC makes of it.

/// All kernels in one: each file without its includes, behind the headers.
pub fn source() -> String {
    const FILES: [(&str, &str); 14] = [
        ("lic.cuh", include_str!("../../kernels/cuda/lic.cuh")),
        ("tile.cuh", include_str!("../../kernels/cuda/tile.cuh")),
        ("samples.cuh", include_str!("../../kernels/cuda/samples.cuh")),
        ("grid.cuh", include_str!("../../kernels/cuda/grid.cuh")),
        ("block.cu", include_str!("../../kernels/cuda/block.cu")),
        ("analysis.cu", include_str!("../../kernels/cuda/analysis.cu")),
        ("synthesis.cu", include_str!("../../kernels/cuda/synthesis.cu")),
        ("prior.cu", include_str!("../../kernels/cuda/prior.cu")),
        ("planes.cu", include_str!("../../kernels/cuda/planes.cu")),
        ("shuffle.cu", include_str!("../../kernels/cuda/shuffle.cu")),
        ("motion.cu", include_str!("../../kernels/cuda/motion.cu")),
        ("search.cu", include_str!("../../kernels/cuda/search.cu")),
        ("entropy.cu", include_str!("../../kernels/cuda/entropy.cu")),
        ("measure.cu", include_str!("../../kernels/cuda/measure.cu")),
    ];
    let mut all = String::new();
    for (name, text) in FILES {
        all += &format!("#line 1 \"{name}\"\n");
        // Lines are kept, so that messages name the right ones.
        all.extend(
            text.lines()
                .map(|l| if l.starts_with("#include \"") || l.starts_with("#pragma once") { "\n".into() } else { format!("{l}\n") }),
        );
    }
    all
}

/// What the compiler is told besides the architecture. Nothing is contracted: results are the CPU's bits.
pub const OPTIONS: [&str; 2] = ["-fmad=false", "--std=c++17"];
