# shellcheck shell=bash
# Sourced after env.sh: what builds for 64-bit ARM and runs that under qemu-user; scripts/setup arm installs it.
export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/arm
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
export ORT_DYLIB_PATH=$LIC_CACHE/onnxruntime-arm/$ONNXRUNTIME_VERSION/libonnxruntime.so
# A Rust without a standard library for ARM: Debian's, where setup installed that.
if [[ ! -d $(rustc --print sysroot)/lib/rustlib/aarch64-unknown-linux-gnu/lib ]]; then
    export PATH=/usr/bin:$PATH
fi
