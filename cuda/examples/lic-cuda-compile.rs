//! Compiles the kernels with NVRTC, for which no GPU is needed: `lic-cuda-compile FOLDER ARCH...`, a cubin for each `sm_90`, PTX for
//! `compute_90`. What is there already of the same sources is left alone.

use std::path::Path;

fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, archs @ ..] = &args[..] else { return Err("usage: lic-cuda-compile FOLDER ARCH...".into()) };
    for arch in archs {
        let file = Path::new(folder).join(lic_cuda::file_name(arch));
        if file.exists() {
            continue; // of the same sources, as its name says
        }
        let code = lic_cuda::compile(arch).map_err(|e| format!("{arch}: {e}"))?;
        std::fs::write(&file, &code).map_err(|e| format!("{}: {e}", file.display()))?;
        println!("{}: {} bytes", file.display(), code.len());
    }
    Ok(())
}
