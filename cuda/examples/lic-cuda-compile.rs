//! Compiles the kernels with NVRTC, for which no GPU is needed: `lic-cuda-compile FOLDER ARCH...`, a cubin for each `sm_90`, PTX for `compute_90`.

use std::path::Path;

fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, archs @ ..] = &args[..] else { return Err("usage: lic-cuda-compile FOLDER ARCH...".into()) };
    for arch in archs {
        let code = lic_cuda::compile(arch).map_err(|e| format!("{arch}: {e}"))?;
        let kind = if arch.starts_with("sm_") { "cubin" } else { "ptx" };
        let file = Path::new(folder).join(format!("lic-{arch}.{kind}"));
        std::fs::write(&file, &code).map_err(|e| format!("{}: {e}", file.display()))?;
        println!("{}: {} bytes", file.display(), code.len());
    }
    Ok(())
}
