//! Compiles ../cuda for the host: needs a C++ compiler, neither CUDA nor Python.

fn main() {
    println!("cargo:rerun-if-changed=../cuda");
    println!("cargo:rerun-if-changed=src");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("src/emulation.cpp")
        .include("src")
        .include("../cuda")
        .define("LIC_EMULATED", None)
        .cpp_link_stdlib(None)
        .flag("-fno-exceptions")
        .flag("-fno-rtti")
        .opt_level(2)
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
        .flag_if_supported("-Wno-unused-parameter")
        .compile("lic-emulation");
}
