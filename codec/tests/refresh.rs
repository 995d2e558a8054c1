//! Rotating refresh: streams that go on without key frames, and decoders that join them.

mod common;

use common::{Camera, MOVING, STATIC, runtime, tiny, tiny_motion};
use lic_codec::bitstream::{self, SliceKind};
use lic_codec::{Decoder, Encoder, Error, Inter, Packet, Settings};

const CYCLE: u32 = 6;

fn settings(inter: Inter) -> Settings {
    Settings { inter, quality: 60.0, intra_refresh: CYCLE, ..Settings::default() }
}

fn encoder(camera: &Camera, s: Settings) -> Encoder {
    camera.encoder_with(tiny_motion(), s)
}

fn stream(camera: &Camera, s: Settings, frames: i32) -> Vec<Packet> {
    let mut e = encoder(camera, s);
    (0..frames).map(|t| camera.encode(&mut e, t, false)).collect()
}

fn decoder() -> Decoder {
    tiny_motion();
    Decoder::new(&runtime(), 2).unwrap()
}

/// Of both kinds. In the tall picture everything goes up: vectors would like to point below the clean rows.
fn both() -> [(Inter, Camera); 3] {
    [(Inter::Motion, MOVING), (Inter::Auto, Camera { width: 96, height: 201, noise: 1, pan: 4 }), (Inter::Latent, STATIC)]
}

#[test]
fn a_stream_has_one_key_frame_and_a_recovery_point_a_cycle() {
    for (inter, camera) in both() {
        let packets = stream(&camera, settings(inter), 3 * CYCLE as i32 + 2);
        for p in &packets {
            let h = bitstream::parse_header(&p.data).unwrap();
            assert_eq!((p.key, p.recovery), (h.key, h.recovery));
            assert_eq!(p.key, p.number == 0, "frame {}", p.number);
            assert_eq!(p.recovery, p.number % CYCLE == 1, "frame {}", p.number);
            assert_eq!(h.stream.is_some(), p.key || p.recovery);
        }
    }
}

/// All that a joiner holds is what everybody holds: latents by their CRC, and the picture to the bit.
#[test]
fn who_joins_has_everybodys_picture_after_a_cycle() {
    for (inter, camera) in both() {
        for s in [settings(inter), Settings { slices: 3, intra_refresh: 11, ..settings(inter) }, Settings { rdo: false, ..settings(inter) }]
        {
            let cycle = s.intra_refresh;
            let packets = stream(&camera, s, 4 * cycle as i32);
            let (mut all, mut late) = (decoder(), decoder());
            let mut joined = None;
            for p in &packets {
                let expect = all.decode(&p.data).unwrap();
                assert!(expect.whole);
                if p.number < 4 {
                    continue;
                }
                match late.decode(&p.data) {
                    Ok(d) if d.whole => {
                        joined.get_or_insert(p.number);
                        assert_eq!(d.latents_crc, expect.latents_crc, "{inter:?}, frame {}", p.number);
                        assert_eq!(camera.picture(&mut late), camera.picture(&mut all), "{inter:?}, frame {}", p.number);
                    }
                    Ok(d) => assert!(joined.is_none() && p.number > cycle && d.info == expect.info),
                    Err(Error::MissingReference { .. }) => assert!(p.number <= cycle, "frame {}", p.number),
                    Err(e) => panic!("frame {}: {e}", p.number),
                }
            }
            let joined = joined.expect("the joiner has a picture");
            assert!((cycle + 1..=2 * cycle).contains(&joined), "joined at frame {joined}");
        }
    }
}

#[test]
fn clean_slices_refer_to_the_frame_before() {
    for (inter, camera) in both() {
        let mut clean = 0;
        for p in &stream(&camera, settings(inter), 2 * CYCLE as i32) {
            let h = bitstream::parse_header(&p.data).unwrap();
            let Some(now) = h.clean else { continue };
            let rows = h.slice_rows(camera.height.div_ceil(16)).unwrap();
            for (s, r) in h.slices.iter().zip(rows) {
                if r.end <= 2 * now as usize && !p.recovery {
                    assert!(s.kind.distance().is_none_or(|d| d == 1));
                    clean += (s.kind != SliceKind::None) as u32;
                }
            }
        }
        assert!(clean > 0, "{inter:?}: no clean slice was predicted");
    }
}

#[test]
fn a_joiner_that_misses_a_frame_begins_again_with_the_next_cycle() {
    let packets = stream(&MOVING, settings(Inter::Motion), 4 * CYCLE as i32);
    let mut d = decoder();
    let mut whole = Vec::new();
    for p in packets.iter().filter(|p| p.number > 0 && p.number != 2) {
        match d.decode(&p.data) {
            Ok(got) => whole.extend(got.whole.then_some(p.number)),
            Err(Error::MissingReference { .. }) => assert!((3..=CYCLE).contains(&p.number), "frame {}", p.number),
            Err(e) => panic!("{e}"),
        }
        if whole.is_empty() {
            let mut picture = vec![0; MOVING.width * MOVING.height];
            let planes = vec![(&mut picture[..], MOVING.width)];
            let out = lic_codec::PictureMut::new(lic_codec::RawFormat::Gray8, 160, 96, planes);
            assert!(d.render(&mut out.unwrap()).is_err(), "there is no picture yet");
        }
    }
    assert!(whole[0] > CYCLE && whole.last() == Some(&(4 * CYCLE - 1)) && whole.len() as u32 > 2 * CYCLE);
}

#[test]
fn a_frame_that_was_never_sent_begins_the_cycle_anew() {
    for (inter, camera) in both() {
        let mut e = encoder(&camera, Settings { intra_refresh: 4, ..settings(inter) });
        let (mut all, mut late) = (decoder(), decoder());
        let mut seen = 0;
        for t in 0..16 {
            let p = camera.encode(&mut e, t, false);
            if [6, 7].contains(&t) {
                e.frame_lost(p.number);
                continue;
            }
            assert!(p.recovery == [1, 5, 8, 12].contains(&t) && p.key == (t == 0), "{inter:?}, frame {t}");
            let expect = all.decode(&p.data).unwrap();
            if t > 4 {
                let d = late.decode(&p.data).unwrap();
                seen += d.whole as u32;
                assert!(!d.whole || d.latents_crc == expect.latents_crc);
            }
        }
        assert!(seen >= 4, "{inter:?}: {seen} pictures");
    }
}

#[test]
fn a_cycle_and_a_key_frame_come_when_asked_for() {
    let mut e = encoder(&MOVING, Settings { intra_refresh: 20, ..settings(Inter::Motion) });
    let packets: Vec<Packet> = (0..12)
        .map(|t| {
            if t == 5 {
                e.start_refresh();
            }
            MOVING.encode(&mut e, t, t == 8)
        })
        .collect();
    let of = |f: fn(&Packet) -> bool| packets.iter().filter(|p| f(p)).map(|p| p.number).collect::<Vec<_>>();
    assert_eq!((of(|p| p.key), of(|p| p.recovery)), (vec![0, 8], vec![1, 5, 9]));
    // Without refresh, asking does nothing.
    let mut e = encoder(&MOVING, Settings { intra_refresh: 0, ..settings(Inter::Motion) });
    e.start_refresh();
    assert!((0..4).all(|t| !MOVING.encode(&mut e, t, false).recovery));
}

#[test]
fn quality_holds_without_key_frames() {
    for (inter, camera) in both() {
        let mut e = encoder(&camera, settings(inter));
        let mut d = decoder();
        let quality: Vec<f64> = (0..48)
            .map(|t| {
                d.decode(&camera.encode(&mut e, t, false).data).unwrap();
                camera.psnr(&mut d, t)
            })
            .collect();
        let mean = |q: &[f64]| q.iter().sum::<f64>() / q.len() as f64;
        let (early, late) = (mean(&quality[6..18]), mean(&quality[36..]));
        assert!(late > early - 0.7, "{inter:?}: {early:.2} dB, then {late:.2} dB");
    }
}

#[test]
fn every_setting_round_trips() {
    let odd = [Camera { width: 16, height: 16, noise: 0, pan: 1 }, Camera { width: 1, height: 65, noise: 0, pan: 0 }];
    for camera in [STATIC, MOVING].iter().chain(&odd) {
        for s in [
            Settings { intra_refresh: 1, ..settings(Inter::Motion) },
            Settings { intra_refresh: 2, slices: 9, threads: 1, ..settings(Inter::Motion) },
            Settings { intra_refresh: 300, ..settings(Inter::Auto) },
            Settings { bitrate: 60, ..settings(Inter::Motion) },
            Settings { bitrate: 20, ..settings(Inter::Latent) },
            settings(Inter::None),
        ] {
            let mut d = decoder();
            for p in stream(camera, s.clone(), 8) {
                assert!(d.decode(&p.data).unwrap().whole);
                camera.psnr(&mut d, p.number as i32);
            }
        }
    }
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    for camera in [STATIC, MOVING] {
        let code = |threads| {
            let s = Settings { threads, slices: 2, ..settings(Inter::Auto) };
            stream(&camera, s, 10).into_iter().map(|p| p.data).collect::<Vec<_>>()
        };
        assert_eq!(code(1), code(4));
    }
}

#[test]
fn damage_to_a_joiner_is_an_error_or_nothing_at_all() {
    let packets = stream(&MOVING, settings(Inter::Motion), 2 * CYCLE as i32 + 2);
    let good: Vec<u32> = {
        let mut d = decoder();
        packets.iter().map(|p| d.decode(&p.data).unwrap().latents_crc).collect()
    };
    for at in 1..=CYCLE as usize {
        let mut d = decoder();
        let mut damaged = packets[at].data.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x21;
        for (n, p) in packets.iter().enumerate().skip(1) {
            match d.decode(if n == at { &damaged } else { &p.data }) {
                Ok(got) => assert!(!got.whole || got.latents_crc == good[n], "frame {n} of a stream damaged at {at}"),
                Err(Error::Damaged(_)) => assert_eq!(n, at),
                Err(Error::MissingReference { .. }) => assert!(n > at && n <= CYCLE as usize),
                Err(e) => panic!("{e}"),
            }
        }
        assert!(d.latents().is_some(), "no picture after damage at {at}");
    }
}

#[test]
fn packs_without_motion_refresh_too() {
    let mut e = STATIC.encoder_with(tiny(), settings(Inter::Auto));
    let mut d = decoder();
    let mut joined = false;
    for t in 0..2 * CYCLE as i32 + 1 {
        let p = STATIC.encode(&mut e, t, false);
        if t > 0 {
            joined |= d.decode(&p.data).unwrap().whole;
        }
    }
    assert!(joined);
}
