//! Damaged and malicious JPEG files: no panic, no endless work, no memory beyond what the picture in the header takes.

#[path = "common/allocations.rs"]
mod allocations;
#[path = "common/mutate.rs"]
mod mutate;

use allocations::peak;
use lic_codec::jpeg::{self, Components, Notes, Options, Subsampling};
use lic_codec::{Colour, Error, RawFormat, RawFrame, Runtime};
use mutate::{Random, change};
use std::panic::AssertUnwindSafe;

const MOST: u64 = 1 << 16;
/// Bytes that reading may hold at most: for each pixel that is allowed (coefficients of a progressive file, samples), and beside them.
const BYTES_A_PIXEL: usize = 32;
const BYTES: usize = 1 << 20;

fn files() -> Vec<Vec<u8>> {
    let (width, height) = (48usize, 40usize);
    let wave = |x: usize, y: usize, c: usize| (((x * (c + 2) + y * 3) as f32 / 9.0).sin() * 100.0 + 128.0) as u8;
    let rgb: Vec<u8> = (0..width * height * 3).map(|i| wave(i / 3 % width, i / 3 / width, i % 3)).collect();
    let i420: Vec<u8> = (0..width * height * 3 / 2).map(|i| wave(i % width, i / width, 0)).collect();
    let learned = Options { components: Components::Learned, quality: 67, ..Options::default() };
    let standard = Options { quality: 80, ..Options::default() };
    let write = |rgb_: bool, options: Options| {
        let planes: Vec<(&[u8], usize)> = if rgb_ {
            vec![(&rgb, 3 * width)]
        } else {
            let (y, c) = i420.split_at(width * height);
            let (u, v) = c.split_at(width * height / 4);
            vec![(y, width), (u, width / 2), (v, width / 2)]
        };
        let format = if rgb_ { RawFormat::Rgb } else { RawFormat::I420 };
        let picture = RawFrame::new(format, width as u32, height as u32, &planes).unwrap();
        jpeg::write(&picture, Colour::BT709, &options, &Notes { orientation: 6, time: Some(7), ..Notes::default() }).unwrap()
    };
    vec![
        write(true, learned),
        write(true, Options { progressive: true, restart_rows: 1, ..learned }),
        write(false, standard),
        write(false, Options { progressive: true, ..standard }),
        write(false, Options { subsampling: Subsampling::Yuv444, restart_rows: 1, optimise: false, ..standard }),
        write(false, Options { subsampling: Subsampling::Grey, ..standard }),
    ]
}

fn check(rounds: u32, seed: u64) {
    println!("seed {seed}");
    let (files, mut r) = (files(), Random(seed));
    // What is made once.
    files.iter().for_each(|f| drop(jpeg::read(f, MOST).unwrap()));
    let (mut read, mut named, mut damaged, mut most) = (0, 0, 0, 0);
    let mut enhancer = jpeg::Enhancer::new(&Runtime::find().unwrap(), 1).unwrap();
    for round in 0..rounds {
        let state = r.0;
        let (file, other) = (&files[r.next(files.len())], &files[r.next(files.len())]);
        let mut m = file.clone();
        let header = m.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap() + 14;
        for _ in 0..1 + r.next(3) {
            // Most of what a reader believes is before the scan.
            let within = if r.once_in(3) { 0..m.len().max(1) } else { 0..header.min(m.len()).max(1) };
            change(&mut r, &mut m, within, other);
        }
        // Restoration takes a hundred times as long.
        let restored = AssertUnwindSafe(|| jpeg::read_enhanced(&m, MOST, &mut enhancer));
        let (result, held) = if round % 64 == 0 {
            peak(|| std::panic::catch_unwind(restored))
        } else {
            peak(|| std::panic::catch_unwind(|| jpeg::read(&m, MOST)))
        };
        let result = result.unwrap_or_else(|_| panic!("a panic; state {state:#x}, mutant {m:02x?}"));
        assert!(held <= BYTES + BYTES_A_PIXEL * MOST as usize, "{held} bytes; state {state:#x}");
        most = most.max(held);
        match result {
            Ok(p) => {
                let pixels = p.width as usize * p.height as usize;
                assert!(pixels as u64 <= MOST && p.samples.len() == pixels * if p.grey { 1 } else { 3 }, "state {state:#x}");
                read += 1;
            }
            Err(Error::Damaged(_)) => damaged += 1,
            Err(Error::Unsupported(_) | Error::TooLarge { .. }) => named += 1,
            Err(e) => panic!("{e}; state {state:#x}"),
        }
    }
    println!(
        "{rounds} mutants: {read} read, {damaged} damaged, {named} of a kind or size that is not read; at most {} KiB held",
        most >> 10
    );
    assert!(read * 10 > rounds && damaged * 10 > rounds);
}

#[test]
fn a_hundred_thousand_mutants() {
    check(100_000, 1);
}

/// `make soak`: others than the test's, a million.
#[test]
#[ignore = "minutes; make soak"]
fn a_million_mutants() {
    let seed = std::env::var("SOAK_SEED").map_or(1000, |s| s.parse().expect("SOAK_SEED is a number"));
    check(1_000_000, seed);
}
