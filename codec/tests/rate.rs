//! Frames that must fit: byte caps, and bits in any second.

mod common;

use common::{Camera, runtime, tiny, tiny_motion};
use lic_codec::{Decoder, Encoder, Inter, Pack, Settings};
use std::sync::Arc;

/// What an encoder says that it needs at least.
fn least(camera: &Camera, pack: &Arc<Pack>, settings: &Settings) -> u32 {
    let too_small = Settings { max_frame_bytes: 1, ..settings.clone() };
    let e = Encoder::new(pack.clone(), &runtime(), camera.info(), too_small).err().expect("one byte is too small").to_string();
    assert!(e.contains("max-frame-bytes=1"), "{e}");
    e.split("possible is ").nth(1).and_then(|s| s.split_whitespace().next()).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{e}"))
}

/// Frames under a cap: a scene that goes on, is cut, is asked for key frames; quality all over the range. The number of frames.
fn capped(camera: &Camera, pack: Arc<Pack>, settings: Settings, frames: i32) {
    let cap = settings.max_frame_bytes as usize;
    let (mut e, mut d) = (camera.encoder_with(pack, settings.clone()), Decoder::new(&runtime(), 0).unwrap());
    for t in 0..frames {
        if t % 13 == 12 {
            let changed = Settings { quality: (t * 37 % 101) as f32, ..e.settings().clone() };
            e.set_settings(changed).unwrap();
        }
        let p = camera.encode(&mut e, if t % 7 < 5 { t } else { 997 * t }, t % 11 == 10);
        assert!(p.data.len() <= cap, "frame {t}: {} bytes with a cap of {cap}; {settings:?}", p.data.len());
        assert!(d.decode(&p.data).unwrap().whole);
    }
}

fn caps(frames: i32) {
    for noise in [0, 3, 90] {
        let camera = Camera { width: 160, height: 128, noise, pan: 3 };
        for (pack, inter) in [(tiny(), Inter::Latent), (tiny_motion(), Inter::Motion), (tiny_motion(), Inter::None)] {
            for (slices, intra_refresh, bitrate, rdo) in [(1, 0, 0, true), (3, 0, 0, false), (2, 4, 0, true), (2, 0, 150, true)] {
                let s = Settings { slices, intra_refresh, bitrate, rdo, inter, key_int_max: 9, ..Settings::default() };
                let least = least(&camera, &pack, &s);
                for cap in [least, least + 150, 3 * least, 50_000] {
                    capped(&camera, pack.clone(), Settings { max_frame_bytes: cap, ..s.clone() }, frames);
                }
            }
        }
    }
}

#[test]
fn no_frame_exceeds_its_cap() {
    caps(24);
}

/// `cargo test --release -p lic-codec --test rate -- --ignored`: 144 streams of 75 frames.
#[test]
#[ignore = "minutes"]
fn ten_thousand_frames_and_none_exceeds_its_cap() {
    caps(75);
}

#[test]
fn a_cap_is_used() {
    let camera = Camera { width: 320, height: 192, noise: 8, pan: 2 };
    let s = Settings { quality: 95.0, key_int_max: 1000, ..Settings::default() };
    let size = |cap: u32| {
        let mut e = camera.encoder(Settings { max_frame_bytes: cap, ..s.clone() });
        (0..12).map(|t| camera.encode(&mut e, t, false).data.len()).collect::<Vec<_>>()
    };
    for cap in [700, 1500] {
        let sizes = size(cap);
        let mean = sizes[2..].iter().sum::<usize>() / 10;
        assert!(sizes.iter().all(|s| *s <= cap as usize) && mean * 2 > cap as usize, "{sizes:?} with a cap of {cap}");
    }
}

#[test]
fn a_cap_that_is_too_small_changes_nothing() {
    let camera = Camera { width: 160, height: 128, noise: 0, pan: 0 };
    let mut e = camera.encoder(Settings::default());
    let old = e.settings().clone();
    let error = e.set_settings(Settings { max_frame_bytes: 20, ..old.clone() }).unwrap_err().to_string();
    assert!(error.contains("smallest possible is"), "{error}");
    assert_eq!(*e.settings(), old);
    camera.encode(&mut e, 0, false);
}

#[test]
fn no_second_holds_more_than_a_tenth_above_the_rate() {
    for (noise, pan, pack) in [(0, 0, tiny_motion()), (3, 1, tiny()), (20, 4, tiny_motion())] {
        let camera = Camera { width: 320, height: 192, noise, pan };
        for kbits in [150u32, 400] {
            let s = Settings { bitrate: kbits, quality: 100.0, key_int_max: 45, ..Settings::default() };
            let mut e = camera.encoder_with(pack.clone(), s);
            // A cut every 40 frames, and who asks for key frames.
            let sizes: Vec<usize> = (0..105).map(|t| camera.encode(&mut e, t + t / 40 * 1000, t % 31 == 30).data.len()).collect();
            let most = sizes.windows(30).map(|w| w.iter().sum::<usize>()).max().unwrap() as f64 * 8.0 / 1000.0;
            assert!(most <= 1.1 * kbits as f64, "{most:.0} kbit in a second of {kbits}; noise {noise}");
        }
    }
}
