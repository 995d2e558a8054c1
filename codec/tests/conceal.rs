//! Pictures of frames of which something is damaged or missing.

mod common;

use common::{Camera, MOVING, STATIC, runtime, tiny_motion};
use lic_codec::{Decoder, Inter, Packet, PictureMut, RawFormat, Settings, bitstream, error::Result};

fn stream(camera: &Camera, s: Settings, frames: i32) -> Vec<Packet> {
    let mut e = camera.encoder_with(tiny_motion(), s);
    (0..frames).map(|t| camera.encode(&mut e, t, false)).collect()
}

fn motion(slices: u32) -> Settings {
    Settings { inter: Inter::Motion, quality: 70.0, slices, key_int_max: 0, ..Settings::default() }
}

fn decoder() -> Decoder {
    tiny_motion();
    Decoder::new(&runtime(), 2).unwrap()
}

/// Luma that a decoder makes of a frame.
fn concealed(camera: &Camera, d: &mut Decoder, data: &[u8]) -> Result<Vec<u8>> {
    let mut y = vec![0; camera.width * camera.height];
    let planes = vec![(&mut y[..], camera.width)];
    d.conceal(data, &mut PictureMut::new(RawFormat::Gray8, camera.width as u32, camera.height as u32, planes)?)?;
    Ok(y)
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let error: f64 = a.iter().zip(b).map(|(a, b)| (*a as f64 - *b as f64).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / error.max(1e-9)).log10()
}

/// A frame with its slice `i` damaged.
fn damaged(p: &Packet, i: usize) -> Vec<u8> {
    let range = bitstream::parse_header(&p.data).unwrap().slices[i].range.clone();
    let mut data = p.data.clone();
    data[(range.start + range.end) / 2] ^= 0x55;
    data
}

#[test]
fn lost_slices_move_like_their_neighbours() {
    let packets = stream(&MOVING, motion(3), 6);
    let mut gain = Vec::new();
    for lost in 0..3 {
        let mut d = decoder();
        for p in &packets[..4] {
            d.decode(&p.data).unwrap();
        }
        let before = MOVING.luma(&mut d);
        let data = damaged(&packets[4], lost);
        assert!(d.decode(&data).is_err());
        let made = concealed(&MOVING, &mut d, &data).unwrap();
        // It was no reference, and what is held is as it was: the picture before, and the frame itself when it comes.
        assert_eq!(MOVING.luma(&mut d), before);
        d.decode(&packets[4].data).unwrap();
        let truth = MOVING.luma(&mut d);
        let rows = |i: usize| 160 * 32 * i..160 * 32 * (i + 1);
        for i in 0..3 {
            let close = psnr(&made[rows(i)], &truth[rows(i)]);
            let frozen = psnr(&before[rows(i)], &truth[rows(i)]);
            if i == lost {
                gain.push(close - frozen);
            } else {
                assert!(close > 40.0, "slice {lost} lost, {i}: {close:.1} dB");
            }
        }
        d.decode(&packets[5].data).unwrap();
    }
    // The picture moves by five samples a frame; what crosses it otherwise goes with a neighbour.
    assert!(gain.iter().all(|g| *g > 0.4) && gain.iter().sum::<f64>() > 7.0, "{gain:.1?} dB");
}

#[test]
fn a_frame_of_which_nothing_is_left_goes_on_as_the_one_before() {
    let packets = stream(&MOVING, motion(1), 7);
    let mut d = decoder();
    for p in &packets[..4] {
        d.decode(&p.data).unwrap();
    }
    let before = MOVING.luma(&mut d);
    let data = damaged(&packets[4], 0);
    assert!(d.decode(&data).is_err());
    let truth = &MOVING.planes(4)[0];
    let made = concealed(&MOVING, &mut d, &data).unwrap();
    assert!(psnr(&made, truth) > psnr(&before, truth) + 1.0);
    // What refers to it is missing its reference: the same again, for a picture is better than none.
    assert!(d.decode(&packets[5].data).is_err());
    assert_eq!(concealed(&MOVING, &mut d, &packets[5].data).unwrap(), made);
}

#[test]
fn a_damaged_key_frame_shows_what_was_before_it() {
    for inter in [Inter::Motion, Inter::Latent] {
        let packets = stream(&STATIC, Settings { key_int_max: 3, slices: 2, inter, ..Settings::default() }, 6);
        let mut d = decoder();
        for p in &packets[..3] {
            d.decode(&p.data).unwrap();
        }
        let data = damaged(&packets[3], 1);
        assert!(d.decode(&data).is_err());
        let truth = &STATIC.planes(3)[0];
        let made = concealed(&STATIC, &mut d, &data).unwrap();
        assert!(psnr(&made, truth) > 22.0, "{inter:?}");
        // And so does what refers to it.
        for p in &packets[4..] {
            assert!(d.decode(&p.data).is_err());
            assert!(psnr(&concealed(&STATIC, &mut d, &p.data).unwrap(), truth) > 22.0, "{inter:?}");
        }
    }
}

#[test]
fn without_a_picture_before_there_is_nothing_to_show() {
    let packets = stream(&MOVING, motion(2), 3);
    let mut d = decoder();
    assert!(concealed(&MOVING, &mut d, &packets[0].data).is_err());
    assert!(d.decode(&packets[1].data).is_err());
    assert!(concealed(&MOVING, &mut d, &packets[1].data).is_err());
    d.decode(&packets[0].data).unwrap();
    assert!(concealed(&STATIC, &mut d, &packets[1].data).is_err(), "of another size");
    concealed(&MOVING, &mut d, &packets[2].data).unwrap();
    d.reset();
    assert!(concealed(&MOVING, &mut d, &packets[2].data).is_err());
}

#[test]
fn an_intact_frame_is_its_own_picture() {
    for s in [motion(2), Settings { inter: Inter::Latent, ..motion(2) }, Settings { intra_refresh: 4, ..motion(2) }] {
        let packets = stream(&MOVING, s, 8);
        let mut d = decoder();
        for p in &packets {
            let made = (p.number > 0).then(|| concealed(&MOVING, &mut d, &p.data).unwrap());
            d.decode(&p.data).unwrap();
            let shown = MOVING.luma(&mut d);
            assert!(made.is_none_or(|m| m == shown), "frame {}", p.number);
        }
    }
}

/// After a loss in a stream with rotating refresh the picture comes back row by row.
#[test]
fn a_refresh_cycle_shows_through() {
    let camera = Camera { width: 96, height: 160, noise: 0, pan: 3 };
    let packets = stream(&camera, Settings { intra_refresh: 5, ..motion(1) }, 20);
    let mut d = decoder();
    for p in &packets[..4] {
        d.decode(&p.data).unwrap();
    }
    let mut all = decoder();
    for p in &packets[..5] {
        all.decode(&p.data).unwrap();
    }
    let mut rows = Vec::new();
    for p in &packets[5..10] {
        all.decode(&p.data).unwrap();
        assert!(!d.decode(&p.data).is_ok_and(|d| d.whole));
        let made = concealed(&camera, &mut d, &p.data).unwrap();
        // Of the cycle that was broken off nothing can be had.
        let clean = bitstream::parse_header(&p.data).unwrap().clean.filter(|_| p.number > 5).unwrap_or(0);
        let lines = 32 * clean as usize * camera.width;
        assert_eq!(made[..lines], camera.luma(&mut all)[..lines], "frame {}", p.number);
        rows.push(clean);
    }
    assert_eq!(rows, [0, 1, 2, 3, 4]);
    assert!(d.decode(&packets[10].data).unwrap().whole);
}

#[test]
fn no_damage_makes_it_panic() {
    for s in [motion(3), Settings { intra_refresh: 3, ..motion(2) }, Settings { inter: Inter::Latent, ..motion(2) }] {
        let packets = stream(&MOVING, s, 3);
        let mut d = decoder();
        d.decode(&packets[0].data).unwrap();
        d.decode(&packets[1].data).unwrap();
        for i in (0..packets[2].data.len()).step_by(5) {
            let mut bad = packets[2].data.clone();
            bad[i] ^= 0x11;
            let _ = concealed(&MOVING, &mut d, &bad);
            let _ = concealed(&MOVING, &mut d, &bad[..i]);
        }
        d.decode(&packets[2].data).unwrap();
    }
}
