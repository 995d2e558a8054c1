//! What is run, in this order.

use crate::common::{Machine, Outcome, motion, networks, pictures, prior};
use crate::{Options, Rows, bench, real, whole};

pub struct Stage {
    pub name: &'static str,
    pub run: fn(&Machine, &Options, &mut Rows) -> Result<String, String>,
}

fn random(kind: &str, rows: &mut Rows, cases: Outcome, unit: &str) -> Result<String, String> {
    match cases {
        Ok(n) => {
            rows.add(format!("{kind}, random"), format!("{n} {unit} identical"));
            Ok(format!("{n} {unit} identical to the scalar twin's"))
        }
        Err(e) => {
            rows.add(format!("{kind}, random"), format!("**failed**: {}", e.replace('|', "/")));
            Err(e)
        }
    }
}

/// Emulation is slow.
fn rounds(o: &Options, n: usize) -> usize {
    if o.emulated { 1 } else { n }
}

pub const STAGES: [Stage; 23] = [
    Stage { name: "analysis", run: |m, o, r| random("analysis", r, networks::analysis(m, rounds(o, 6)), "places") },
    Stage { name: "synthesis", run: |m, o, r| random("synthesis", r, networks::synthesis_bytes(m, rounds(o, 6)), "places") },
    Stage { name: "whole", run: |m, o, r| random("whole synthesis", r, networks::synthesis_words(m, rounds(o, 6)), "places") },
    Stage { name: "linear", run: |m, o, r| random("linear", r, prior::linear(m, rounds(o, 20)), "rows") },
    Stage { name: "depthwise", run: |m, o, r| random("depthwise", r, prior::depthwise(m, rounds(o, 40)), "positions") },
    Stage { name: "unpack", run: |m, o, r| random("raw to planes", r, pictures::unpacked(m, rounds(o, 200)), "blocks of 8x2") },
    Stage { name: "pack", run: |m, o, r| random("planes to raw", r, pictures::packed(m, rounds(o, 200)), "blocks of 8x2") },
    Stage { name: "channels", run: |m, o, r| random("96 channels", r, pictures::channels(m, rounds(o, 40)), "values") },
    Stage { name: "compensate", run: |m, o, r| random("compensation", r, motion::compensated(m, rounds(o, 40)), "blocks of 16x16") },
    Stage { name: "blend", run: |m, o, r| random("blend", r, motion::blended(m, rounds(o, 60)), "blocks of 16x16") },
    Stage { name: "search", run: |m, o, r| random("search", r, motion::searched(m, rounds(o, 20)), "vectors of blocks") },
    Stage { name: "real-networks", run: real::networks },
    Stage { name: "real-prior", run: real::prior },
    Stage { name: "real-symbols", run: real::symbols },
    Stage { name: "nvrtc", run: real::nvrtc },
    Stage { name: "bench-floor", run: bench::floor },
    Stage { name: "bench-pictures", run: bench::pictures },
    Stage { name: "bench-motion", run: bench::motion },
    Stage { name: "bench-networks", run: bench::networks },
    Stage { name: "bench-prior", run: bench::prior },
    Stage { name: "bench-single", run: whole::single },
    Stage { name: "bench-frame", run: whole::frame },
    Stage { name: "bench-key", run: whole::key },
];
