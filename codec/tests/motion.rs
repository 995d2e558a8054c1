//! Slices of kind `motion` from encoder to decoder.

mod common;

use common::{Camera, MOVING, STATIC, runtime, tiny_motion};
use lic_codec::bitstream::{self, SliceKind};
use lic_codec::{Decoder, Encoder, Error, Inter, Packet, Settings};
use lic_kernels::Level;

fn encoder(camera: &Camera, settings: Settings) -> Encoder {
    camera.encoder_with(tiny_motion(), settings)
}

fn stream(camera: &Camera, settings: Settings, frames: i32) -> Vec<Packet> {
    let mut e = encoder(camera, settings);
    (0..frames).map(|t| camera.encode(&mut e, t, false)).collect()
}

fn decoder() -> Decoder {
    tiny_motion();
    Decoder::new(&runtime(), 2).unwrap()
}

fn moves(p: &Packet) -> bool {
    bitstream::parse_header(&p.data).unwrap().slices.iter().any(|s| matches!(s.kind, SliceKind::Motion { .. }))
}

fn size(packets: &[Packet]) -> usize {
    packets.iter().map(|p| p.data.len()).sum()
}

#[test]
fn a_moving_camera_costs_less_than_by_latents_at_no_less_quality() {
    let run = |inter| {
        let packets = stream(&MOVING, Settings { quality: 60.0, inter, ..Settings::default() }, 8);
        let mut d = decoder();
        let quality = packets.iter().enumerate().map(|(t, p)| {
            d.decode(&p.data).unwrap();
            MOVING.psnr(&mut d, t as i32)
        });
        let quality: f64 = quality.sum::<f64>() / 8.0;
        (size(&packets[1..]), quality, packets.iter().any(moves))
    };
    let (latent, motion) = (run(Inter::Latent), run(Inter::Auto));
    assert!(motion.2 && !latent.2);
    assert!(motion.0 < latent.0 && motion.1 > latent.1 - 1.5, "{motion:?} against {latent:?}");
}

#[test]
fn every_setting_round_trips() {
    let base = Settings { quality: 40.0, inter: Inter::Motion, ..Settings::default() };
    let odd = [Camera { width: 16, height: 16, noise: 0, pan: 1 }, Camera { width: 1, height: 33, noise: 0, pan: 0 }];
    for camera in [STATIC, MOVING].iter().chain(&odd) {
        for s in [
            base.clone(),
            Settings { rdo: false, ..base.clone() },
            Settings { slices: 3, threads: 1, ..base.clone() },
            Settings { quality: 100.0, ..base.clone() },
            Settings { quality: 0.0, ..base.clone() },
            Settings { bitrate: 60, ..base.clone() },
        ] {
            let mut d = decoder();
            for p in stream(camera, s.clone(), 4) {
                d.decode(&p.data).unwrap();
                camera.psnr(&mut d, p.number as i32);
            }
        }
    }
}

/// The encoder's picture is what later frames are predicted from: it must be the decoder's.
#[test]
fn encoder_and_decoder_stay_together_over_many_frames() {
    let mut e = encoder(&MOVING, Settings { key_int_max: 0, quality: 70.0, inter: Inter::Motion, ..Settings::default() });
    let mut d = decoder();
    let quality: Vec<f64> = (0..60)
        .map(|t| {
            let p = MOVING.encode(&mut e, t, false);
            d.decode(&p.data).unwrap();
            MOVING.psnr(&mut d, t)
        })
        .collect();
    let mean = |q: &[f64]| q.iter().sum::<f64>() / q.len() as f64;
    let (early, late) = (mean(&quality[1..11]), mean(&quality[50..]));
    assert!(late > early - 1.0, "{early:.2} dB, then {late:.2} dB");
}

#[test]
fn latents_and_pictures_are_the_same_on_every_twin_and_thread_count() {
    let packets = stream(&MOVING, Settings { slices: 2, ..Settings::default() }, 5);
    assert!(packets.iter().any(moves));
    let decode = |level, threads| {
        let mut d = Decoder::new(&runtime(), threads).unwrap();
        d.set_kernels(level);
        packets.iter().map(|p| (d.decode(&p.data).unwrap().latents_crc, MOVING.picture(&mut d))).collect::<Vec<_>>()
    };
    let scalar = decode(Level::Scalar, 1);
    for level in Level::available() {
        assert!(decode(level, 3) == scalar, "{level:?}");
        println!("motion: {level:?} decodes the scalar twin's latents and pictures");
    }
}

#[test]
fn bytes_do_not_depend_on_the_number_of_threads() {
    for camera in [STATIC, MOVING] {
        let code =
            |threads| stream(&camera, Settings { threads, ..Settings::default() }, 8).into_iter().map(|p| p.data).collect::<Vec<_>>();
        assert_eq!(code(1), code(4));
    }
}

#[test]
fn a_still_picture_costs_next_to_nothing() {
    let still = Camera { noise: 0, ..STATIC };
    let mut e = encoder(&still, Settings { quality: 50.0, ..Settings::default() });
    let (w, h) = (still.width as u32, still.height as u32);
    let planes = still.planes(0);
    let planes = [(&planes[0][..], 175), (&planes[1][..], 88), (&planes[2][..], 88)];
    let frame = lic_codec::RawFrame::new(lic_codec::RawFormat::I420, w, h, &planes).unwrap();
    let packets: Vec<Packet> = (0..6).map(|_| e.encode(&frame, false).unwrap()).collect();
    assert!(packets[5].data.len() < 40, "{} bytes", packets[5].data.len());
}

#[test]
fn a_lost_frame_is_named_and_a_key_frame_mends_it() {
    let packets = stream(&MOVING, Settings { key_int_max: 5, inter: Inter::Motion, ..Settings::default() }, 11);
    let mut d = decoder();
    for p in &packets {
        match p.number {
            2 => {}
            3 => assert!(matches!(d.decode(&p.data), Err(Error::MissingReference { number: 3, reference: 2 }))),
            4 => assert!(d.decode(&p.data).is_err()),
            _ => {
                d.decode(&p.data).unwrap();
                MOVING.psnr(&mut d, p.number as i32);
            }
        }
    }
}

#[test]
fn a_frame_that_was_never_sent_is_not_referred_to() {
    let mut e = encoder(&MOVING, Settings { inter: Inter::Motion, ..Settings::default() });
    let mut d = decoder();
    for t in 0..8 {
        let p = MOVING.encode(&mut e, t, false);
        if t == 3 {
            e.frame_lost(p.number);
            continue;
        }
        d.decode(&p.data).unwrap();
        MOVING.psnr(&mut d, t);
    }
}

#[test]
fn damage_is_an_error_or_nothing_at_all() {
    let packets = stream(&MOVING, Settings { inter: Inter::Motion, ..Settings::default() }, 3);
    assert!(moves(&packets[1]));
    let mut d = decoder();
    d.decode(&packets[0].data).unwrap();
    let good = &packets[1].data;
    for i in (0..good.len()).step_by(3) {
        let mut bad = good.clone();
        bad[i] ^= 0x41;
        assert!(d.decode(&bad).is_err(), "byte {i}");
        assert!(d.decode(&good[..i]).is_err());
    }
    d.decode(good).unwrap();
}
