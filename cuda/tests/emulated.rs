//! The kernels, compiled for the host, against the CPU's scalar functions: bit for bit, without a GPU.

mod common;

use common::{Machine, Outcome, entropy, motion, networks, pack, pictures, prior};
use std::sync::Arc;

fn check(name: &str, run: fn(&Machine, usize) -> Outcome, rounds: usize) {
    let machine: Machine = Arc::new(lic_emulation::Host::default());
    match run(&machine, rounds) {
        Ok(cases) => println!("{name}: {cases} cases equal the scalar twin's"),
        Err(e) => panic!("{name}: {e}"),
    }
}

#[test]
fn analysis() {
    check("analysis", networks::analysis, 3);
}

#[test]
fn synthesis_of_bytes() {
    check("synthesis of bytes", networks::synthesis_bytes, 2);
}

#[test]
fn synthesis_of_words() {
    check("synthesis of words", networks::synthesis_words, 1);
}

#[test]
fn linear() {
    check("linear", prior::linear, 4);
}

#[test]
fn depthwise() {
    check("depthwise", prior::depthwise, 40);
}

#[test]
fn raw_pictures_to_planes() {
    check("raw pictures to planes", pictures::unpacked, 250);
}

#[test]
fn planes_to_raw_pictures() {
    check("planes to raw pictures", pictures::packed, 300);
}

/// With the pack's own layers and tables.
#[test]
fn symbols() {
    fn run(machine: &Machine, _: usize) -> Outcome {
        let p = pack::prior(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/base"))?;
        entropy::symbols(machine, &p, &[(5, 3, 2), (1, 1, 1), (6, 4, 1)])
    }
    check("symbols", run, 1);
}

#[test]
fn compensation() {
    check("compensation", motion::compensated, 12);
}

#[test]
fn search() {
    check("search", motion::searched, 4);
}

#[test]
fn blending() {
    check("blending", motion::blended, 30);
}

#[test]
fn channels() {
    check("channels", pictures::channels, 20);
}
