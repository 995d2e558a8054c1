//! Whole streams through encoder and decoder, as networks and users treat them.

mod common;

use common::{Camera, MOVING, STATIC, runtime, tiny};
use lic_codec::bitstream::{self, SliceKind};
use lic_codec::{Decoder, Error, Inter, Packet, Settings};
use lic_kernels::Level;

fn decoder() -> Decoder {
    tiny();
    Decoder::new(&runtime(), 2).unwrap()
}

fn size(packets: &[Packet]) -> usize {
    packets.iter().map(|p| p.data.len()).sum()
}

#[test]
fn static_camera_round_trip_costs_little_between_key_frames() {
    let packets = STATIC.stream(Settings { quality: 60.0, ..Settings::default() }, 12);
    let mut d = decoder();
    for (t, p) in packets.iter().enumerate() {
        let got = d.decode(&p.data).unwrap();
        assert_eq!((got.number, got.key), (p.number, p.key));
        let db = STATIC.psnr(&mut d, t as i32);
        assert!(db > 22.0, "frame {t}: {db:.1} dB");
    }
    assert!(packets[0].key && packets[1..].iter().all(|p| !p.key && p.references == [p.number - 1]));
    assert!(size(&packets[1..]) / 11 * 2 < packets[0].data.len(), "inter frames are not much smaller");
}

#[test]
fn every_setting_round_trips() {
    let base = Settings { quality: 40.0, ..Settings::default() };
    for camera in [STATIC, MOVING, Camera { width: 16, height: 16, noise: 0, pan: 1 }, Camera { width: 1, height: 33, noise: 0, pan: 0 }] {
        for s in [
            base.clone(),
            Settings { inter: Inter::None, ..base.clone() },
            Settings { rdo: false, ..base.clone() },
            Settings { slices: 3, threads: 1, ..base.clone() },
            Settings { quality: 100.0, ..base.clone() },
            Settings { quality: 0.0, ..base.clone() },
        ] {
            let mut d = decoder();
            for p in camera.stream(s.clone(), 3) {
                d.decode(&p.data).unwrap();
                camera.psnr(&mut d, p.number as i32);
            }
        }
    }
}

#[test]
fn latents_are_the_same_on_every_twin_and_thread_count() {
    for packets in [STATIC.stream(Settings { slices: 4, ..Settings::default() }, 5), MOVING.stream(Settings::default(), 5)] {
        let decode = |level, threads| {
            let mut d = Decoder::new(&runtime(), threads).unwrap();
            d.set_kernels(level);
            packets.iter().map(|p| d.decode(&p.data).unwrap().latents_crc).collect::<Vec<_>>()
        };
        let scalar = decode(Level::Scalar, 1);
        for level in Level::available() {
            assert_eq!(decode(level, 3), scalar, "{level:?}");
            println!("prior: {level:?} decodes the scalar twin's latents");
        }
    }
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    for camera in [STATIC, MOVING] {
        let code = |threads| camera.stream(Settings { threads, ..Settings::default() }, 8).into_iter().map(|p| p.data).collect::<Vec<_>>();
        assert_eq!(code(1), code(4));
    }
}

#[test]
fn the_temporal_prior_never_costs_bytes_on_a_moving_camera() {
    let moving = Camera { pan: 37, ..MOVING };
    // The first frame is left out: before frames that may copy it, it is coded finer on purpose.
    let inter = size(&moving.stream(Settings::default(), 8)[1..]);
    let intra = size(&moving.stream(Settings { inter: Inter::None, ..Settings::default() }, 8)[1..]);
    assert!(inter as f64 <= intra as f64 * 1.01, "{inter} against {intra}");
}

#[test]
fn a_key_frame_comes_when_asked_for_and_at_the_interval() {
    let mut e = STATIC.encoder(Settings { key_int_max: 5, ..Settings::default() });
    let keys: Vec<bool> = (0..12).map(|t| STATIC.encode(&mut e, t, t == 7).key).collect();
    let expect: Vec<bool> = (0..12).map(|t| [0, 5, 7].contains(&t)).collect();
    assert_eq!(keys, expect);
}

#[test]
fn steps_change_at_any_frame_and_skipped_positions_do_not_drift() {
    let still = Camera { noise: 0, ..STATIC };
    let mut e = still.encoder(Settings { quality: 80.0, ..Settings::default() });
    let mut d = decoder();
    let frozen = still.planes(0);
    let mut last = None;
    for (i, quality) in [80.0, 30.0, 77.0, 12.0, 50.0].into_iter().enumerate() {
        e.set_settings(Settings { quality, ..Settings::default() }).unwrap();
        let planes = [(&frozen[0][..], still.width), (&frozen[1][..], 88), (&frozen[2][..], 88)];
        let frame = lic_codec::RawFrame::new(lic_codec::RawFormat::I420, 175, 143, &planes).unwrap();
        let p = e.encode(&frame, false).unwrap();
        let got = d.decode(&p.data).unwrap();
        if i > 0 {
            assert_eq!(got.latents_crc, last.unwrap(), "a still picture changed at quality {quality}");
        }
        last = Some(got.latents_crc);
    }
}

#[test]
fn a_lost_frame_is_named_and_the_next_key_frame_mends_it() {
    let packets = STATIC.stream(Settings { key_int_max: 6, ..Settings::default() }, 12);
    let mut d = decoder();
    for p in &packets {
        if p.number == 2 {
            continue;
        }
        match d.decode(&p.data) {
            Ok(_) => assert!(!(3..6).contains(&p.number), "frame {} decoded without its reference", p.number),
            Err(Error::MissingReference { number, reference }) => {
                assert!((3..6).contains(&number) && reference == number - 1);
            }
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn frames_that_the_network_never_sent_are_not_referred_to() {
    let mut e = STATIC.encoder(Settings { key_int_max: 0, ..Settings::default() });
    let mut d = decoder();
    for t in 0..14 {
        let p = STATIC.encode(&mut e, t, false);
        // Two losses in a row, a single one, and one that the encoder hears of only a frame later.
        match t {
            3 | 4 | 8 => e.frame_lost(p.number),
            10 => {}
            11 => {
                e.frame_lost(10);
                e.frame_lost(11);
            }
            _ => {
                d.decode(&p.data).unwrap_or_else(|e| panic!("frame {t}: {e}"));
            }
        }
    }
}

/// News of what arrived are three frames old, and three of ten frames are lost.
#[test]
fn with_acknowledged_references_all_that_arrives_is_decoded() {
    let mut e = STATIC.encoder(Settings { key_int_max: 0, ..Settings::default() });
    let mut d = decoder();
    let arrives = |t: u32| t != 9 && (t * 7919 + 13) % 10 >= 3 || t < 4;
    let (mut whole, mut keys) = (Vec::new(), 0);
    for t in 0..60 {
        if t == 5 {
            e.set_acknowledged(Some(vec![]));
        }
        if t > 5 {
            let news = whole.iter().copied().filter(|&n| n + 3 <= t).rev().take(8).collect();
            e.set_acknowledged(Some(news));
        }
        let p = STATIC.encode(&mut e, t as i32, t == 20);
        keys += u32::from(p.key);
        assert!(p.references.len() <= 1 && p.references.iter().all(|&n| t - n <= 8), "frame {t} refers to {:?}", p.references);
        if arrives(t) {
            match d.decode(&p.data) {
                Ok(_) => whole.push(t),
                // Coded before the loss was known, or against a key frame that was lost.
                Err(e) => assert!(!whole.contains(&(t - 1)) && (20..24).contains(&t), "frame {t}: {e}"),
            }
        }
    }
    // The first, the one asked for, and perhaps one more where nothing that was held had arrived.
    assert!((2..=3).contains(&keys), "{keys}");
    e.set_acknowledged(None);
    assert_eq!(STATIC.encode(&mut e, 60, false).references, [59]);
}

#[test]
fn duplicated_and_reordered_frames_do_no_harm() {
    let packets = STATIC.stream(Settings { key_int_max: 4, ..Settings::default() }, 12);
    let mut d = decoder();
    let truth: Vec<u32> = packets.iter().map(|p| d.decode(&p.data).unwrap().latents_crc).collect();
    let mut d = decoder();
    for n in [0usize, 0, 1, 3, 2, 1, 4, 5, 5, 7, 6, 8, 9, 10, 11, 0, 9] {
        if let Ok(got) = d.decode(&packets[n].data) {
            assert_eq!(got.latents_crc, truth[n], "frame {n}");
        }
    }
    assert_eq!(d.decode(&packets[8].data).unwrap().latents_crc, truth[8]);
}

#[test]
fn damage_is_an_error_and_never_a_wrong_picture() {
    let packets = STATIC.stream(Settings { quality: 25.0, ..Settings::default() }, 3);
    let mut clean = decoder();
    let truth: Vec<u32> = packets.iter().map(|p| clean.decode(&p.data).unwrap().latents_crc).collect();
    for (n, p) in packets.iter().enumerate().take(2) {
        for at in (0..p.data.len()).step_by(7) {
            for change in [0x01, 0x80, 0xff] {
                let mut d = decoder();
                for before in &packets[..n] {
                    d.decode(&before.data).unwrap();
                }
                let mut data = p.data.clone();
                data[at] ^= change;
                assert!(d.decode(&data).is_err(), "frame {n}, byte {at} ^ {change:#x} went unnoticed");
                assert!(d.decode(&p.data[..at]).is_err());
                // Nothing of the damaged frame is left behind, and its reference still is.
                assert_eq!(d.decode(&p.data).unwrap().latents_crc, truth[n]);
            }
        }
    }
}

#[test]
fn damaged_bodies_with_a_mended_header_fail_their_crc() {
    let packets = STATIC.stream(Settings { quality: 25.0, slices: 2, ..Settings::default() }, 2);
    for p in &packets {
        let h = bitstream::parse_header(&p.data).unwrap();
        for s in &h.slices {
            for at in s.range.clone().step_by(11) {
                let mut d = decoder();
                if !p.key {
                    d.decode(&packets[0].data).unwrap();
                }
                let mut data = p.data.clone();
                data[at] ^= 0x10;
                assert!(matches!(d.decode(&data), Err(Error::Damaged(_))));
            }
        }
    }
}

#[test]
fn a_stream_joined_late_waits_for_a_key_frame() {
    let packets = STATIC.stream(Settings { key_int_max: 3, ..Settings::default() }, 6);
    let mut d = decoder();
    assert!(matches!(d.decode(&packets[1].data), Err(Error::MissingReference { .. })));
    assert!(d.decode(&packets[3].data).unwrap().key);
}

#[test]
fn bit_rate_is_kept_from_the_first_second() {
    let camera = Camera { width: 320, height: 192, noise: 3, pan: 1 };
    for kbits in [150u32, 400] {
        let packets = camera.stream(Settings { bitrate: kbits, quality: 100.0, ..Settings::default() }, 90);
        for second in packets.windows(30) {
            let rate = size(second) as f64 * 8.0 / 1000.0;
            assert!(rate <= kbits as f64 * 1.1, "{rate:.0} kbit in a second of {kbits}");
        }
        let mean = size(&packets) as f64 * 8.0 / 3000.0;
        assert!((0.75..1.1).contains(&(mean / kbits as f64)), "{mean:.0} of {kbits} kbit/s");
    }
}

#[test]
fn slices_name_their_context() {
    let packets = STATIC.stream(Settings { slices: 3, ..Settings::default() }, 2);
    let h = bitstream::parse_header(&packets[1].data).unwrap();
    assert_eq!(h.slices.len(), 3);
    assert!(h.slices.iter().any(|s| s.kind == SliceKind::Latent { distance: 1 }));
}

#[test]
fn a_pack_that_is_not_here_is_asked_for_by_name() {
    let p = STATIC.stream(Settings::default(), 1).remove(0);
    let mut data = p.data.clone();
    // The pack's id lies before its name; a new CRC makes the header whole again.
    let name = data.windows(4).position(|w| w == b"tiny").unwrap();
    data[name - 2] ^= 1;
    let h = bitstream::parse_header(&p.data).unwrap();
    let end = h.slices[0].range.start - 2;
    let crc = crc32c::crc32c(&data[..end]) as u16;
    data[end..end + 2].copy_from_slice(&crc.to_le_bytes());
    let e = decoder().decode(&data).unwrap_err();
    assert!(e.to_string().contains("\"tiny\""), "{e}");
}
