//! Streams of the current version, decoded for ever: the frozen tiny packs, frames from 175x143 (static, four slices, changing
//! steps and groups) and 160x96 (moving; in shifted also slices of kind `motion`), and the CRC-32C of each frame's latents; of shifted, whose pack has
//! integer networks, also of each picture.
//!
//! `LIC_WRITE_GOLDEN=1 cargo test --release -p lic-codec --test golden` writes them anew: only for a new version of the format.

mod common;

use common::{MOVING, STATIC, golden, runtime, tiny, tiny_motion};
use lic_codec::{Decoder, Settings, bitstream};
use lic_kernels::Level;

const NAMES: [&str; 3] = ["static", "moving", "shifted"];

fn write() {
    let mut stream = Vec::new();
    let mut e = STATIC.encoder(Settings { slices: 4, ..Settings::default() });
    for t in 0..10 {
        e.set_settings(Settings {
            slices: 4,
            quality: [50.0, 50.0, 20.0, 90.0, 64.0][t as usize % 5],
            key_int_max: 7,
            ..Settings::default()
        })
        .unwrap();
        stream.extend(STATIC.encode(&mut e, t, false).data);
    }
    std::fs::write(golden("static.lic"), stream).unwrap();
    // A rate too low for the picture: channel groups are cut.
    let moving = MOVING.stream(Settings { quality: 70.0, bitrate: 20, ..Settings::default() }, 6);
    std::fs::write(golden("moving.lic"), moving.iter().flat_map(|p| p.data.clone()).collect::<Vec<u8>>()).unwrap();
    let mut e = MOVING.encoder_with(tiny_motion(), Settings { slices: 2, quality: 45.0, ..Settings::default() });
    let shifted = (0..8).flat_map(|t| MOVING.encode(&mut e, t, false).data).collect::<Vec<u8>>();
    std::fs::write(golden("shifted.lic"), shifted).unwrap();
    for name in NAMES {
        let lines: String = crcs(name, Level::Scalar).iter().map(|c| format!("{c:08x}\n")).collect();
        std::fs::write(golden(&format!("{name}.crc")), lines).unwrap();
    }
}

/// Of each frame, and of its picture if that is exact.
fn crcs(name: &str, level: Level) -> Vec<u32> {
    let data = std::fs::read(golden(&format!("{name}.lic"))).unwrap();
    let mut d = Decoder::new(&runtime(), 0).unwrap();
    d.set_kernels(level);
    let (mut at, mut out) = (0, vec![]);
    while let bitstream::Scan::Frame(h) = bitstream::scan(&data[at..]) {
        out.push(d.decode(&data[at..at + h.length]).unwrap().latents_crc);
        if name == "shifted" {
            out.push(crc32c::crc32c(&MOVING.picture(&mut d).concat()));
        }
        at += h.length;
    }
    assert_eq!(at, data.len());
    out
}

#[test]
fn golden_streams_decode_to_the_same_latents_and_pictures() {
    tiny();
    if std::env::var_os("LIC_WRITE_GOLDEN").is_some() {
        write();
    }
    for name in NAMES {
        let text = std::fs::read_to_string(golden(&format!("{name}.crc"))).unwrap();
        let expect: Vec<u32> = text.lines().map(|l| u32::from_str_radix(l, 16).unwrap()).collect();
        for level in Level::available() {
            assert_eq!(crcs(name, level), expect, "{name} on {level:?}");
        }
    }
}
