//! Compiles ../cuda for the host: needs a C++ compiler, neither CUDA nor Python.

use std::path::Path;

/// A build of these sources with what the kernels need to compute the same bits as on a device.
fn build(files: &[&str]) -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .cpp_link_stdlib(None)
        .std("c++17")
        .files(files)
        .include("src")
        .include("../cuda")
        .define("LIC_EMULATED", None)
        .opt_level(2)
        .flag("-fno-exceptions")
        .flag("-fno-rtti")
        // Floats as on the device: nothing contracted, nothing in wider registers.
        .flag("-ffp-contract=off")
        // int32 wraps around as it does there.
        .flag("-fwrapv")
        .flag("-fno-strict-aliasing")
        // A device traps where a word is not aligned.
        .flag("-fsanitize=alignment")
        .flag("-fsanitize-undefined-trap-on-error")
        .flag("-U_FORTIFY_SOURCE") // its longjmp takes another fibre's stack for a broken one
        .flag_if_supported("-Wno-unknown-pragmas")
        .flag_if_supported("-Wno-parentheses")
        .flag_if_supported("-Wno-unused-parameter");
    build
}

fn main() {
    println!("cargo:rerun-if-changed=../cuda");
    println!("cargo:rerun-if-changed=src");
    build(&["src/emulation.cpp"]).compile("lic-emulation");

    // The driver without a device is loaded like any driver: a library of its own.
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    let library = Path::new(&out).join("stub").join("libcuda.so.1");
    std::fs::create_dir_all(library.parent().expect("in a folder")).expect("a folder in OUT_DIR");
    let mut command = build(&[]).get_compiler().to_command();
    command.args(["-shared", "-fPIC", "src/driver.cpp", "src/emulation.cpp", "-o"]).arg(&library);
    assert!(command.status().is_ok_and(|s| s.success()), "the stub of a driver was not built: {command:?}");
    println!("cargo:rustc-env=LIC_STUB_DRIVER={}", library.parent().expect("in a folder").display());
}
