//! Bytes: of any frame by `max_frame_bytes`, of any second by `bitrate`; and where in the picture they go.

mod common;

use common::{Camera, runtime, tiny, tiny_motion};
use lic_codec::{Decoder, Encoder, Error, FrameParams, Inter, Pack, Packet, RawFormat, RawFrame, Region, Settings};
use std::collections::VecDeque;

const SECOND: u64 = 1_000_000_000;

/// What a scene shows in a frame.
#[derive(Clone, Copy, Debug)]
enum Scene {
    Still,
    Moving,
    Noise,
    /// One or the other, from cut to cut.
    Cuts,
}

const SCENES: [Scene; 4] = [Scene::Still, Scene::Moving, Scene::Noise, Scene::Cuts];

fn planes(camera: &Camera, scene: Scene, t: i32) -> [Vec<u8>; 3] {
    let (w, h) = (camera.width, camera.height);
    match scene {
        Scene::Still => Camera { width: w, height: h, noise: 2, pan: 0 }.planes(t % 3),
        Scene::Moving => Camera { width: w, height: h, noise: 1, pan: 5 }.planes(t),
        Scene::Noise => {
            let mut x = t as u32 ^ 0x9e37_79b9;
            let mut noise = || {
                x = x.wrapping_mul(1664525).wrapping_add(1013904223);
                (x >> 24) as u8
            };
            let c = w.div_ceil(2) * h.div_ceil(2);
            [w * h, c, c].map(|n| (0..n).map(|_| noise()).collect())
        }
        Scene::Cuts => planes(camera, [Scene::Still, Scene::Moving, Scene::Noise, Scene::Moving][(t / 13 % 4) as usize], t + 40 * (t / 13)),
    }
}

fn encode(e: &mut Encoder, camera: &Camera, scene: Scene, t: i32, params: &FrameParams) -> Packet {
    encode_at(e, camera, scene, t, None, params)
}

fn encode_at(e: &mut Encoder, camera: &Camera, scene: Scene, t: i32, time: Option<u64>, params: &FrameParams) -> Packet {
    let [y, u, v] = planes(camera, scene, t);
    let cw = camera.width.div_ceil(2);
    let planes = [(&y[..], camera.width), (&u[..], cw), (&v[..], cw)];
    let frame = RawFrame::new(RawFormat::I420, camera.width as u32, camera.height as u32, &planes).unwrap();
    let frame = time.map_or(frame.clone(), |t| frame.at(std::time::Duration::from_nanos(t)));
    e.encode_with(&frame, params).unwrap()
}

/// Frames of every scene under a limit that changes; the largest share of it that a frame took.
fn caps(camera: &Camera, settings: Settings, limits: &[u32], frames: i32) -> Vec<f64> {
    let mut shares = Vec::new();
    for scene in SCENES {
        let mut e = camera.encoder_with(tiny_motion(), settings.clone());
        let mut d = Decoder::new(&runtime(), 1).unwrap();
        for t in 0..frames {
            let most = limits[t as usize / 5 % limits.len()];
            e.set_settings(Settings { max_frame_bytes: most, quality: [100.0, 30.0, 70.0][t as usize % 3], ..settings.clone() }).unwrap();
            let p = encode(&mut e, camera, scene, t, &FrameParams { key: t % 17 == 16, ..FrameParams::default() });
            assert!(p.data.len() <= most as usize, "{scene:?}, frame {t}: {} bytes of {most}, {settings:?}", p.data.len());
            shares.push(p.data.len() as f64 / most as f64);
            d.decode(&p.data).unwrap_or_else(|e| panic!("{scene:?}, frame {t}: {e}"));
        }
    }
    shares
}

#[test]
fn no_frame_exceeds_its_limit_and_each_decodes() {
    let camera = Camera { width: 160, height: 96, noise: 0, pan: 0 };
    let base = Settings { slices: 2, threads: 1, ..Settings::default() };
    for s in [
        base.clone(),
        Settings { inter: Inter::Latent, ..base.clone() },
        Settings { intra_refresh: 4, ..base.clone() },
        Settings { rdo: false, inter: Inter::Motion, ..base.clone() },
        Settings { bitrate: 90, ..base.clone() },
    ] {
        let least = camera.encoder_with(tiny_motion(), s.clone()).least_frame_bytes() as u32;
        caps(&camera, s, &[500, 4000, least, 1000, 50_000, 600], 30);
    }
}

/// 10,000 frames: `scripts/soak-caps`.
#[test]
#[ignore = "minutes"]
fn ten_thousand_frames_under_limits_of_half_to_fifty_kilobytes() {
    let camera = Camera { width: 320, height: 192, noise: 0, pan: 0 };
    let mut all = 0;
    for s in [
        Settings::default(),
        Settings { inter: Inter::Latent, ..Settings::default() },
        Settings { intra_refresh: 8, slices: 3, ..Settings::default() },
        Settings { bitrate: 800, slices: 2, ..Settings::default() },
        Settings { inter: Inter::None, ..Settings::default() },
    ] {
        all += caps(&camera, s, &[500, 50_000, 700, 1000, 20_000, 1500, 2500, 4000, 10_000], 500).len();
    }
    println!("{all} frames, none larger than its limit");
    assert!(all >= 10_000);
}

#[test]
fn most_of_a_limit_is_used_where_it_is_needed() {
    let camera = Camera { width: 320, height: 192, noise: 0, pan: 0 };
    for most in [500u32, 1000, 2000] {
        let s = Settings { quality: 100.0, max_frame_bytes: most, ..Settings::default() };
        let mut e = camera.encoder_with(tiny_motion(), s);
        let packets: Vec<Packet> = (0..30).map(|t| encode(&mut e, &camera, Scene::Cuts, t, &FrameParams::default())).collect();
        // Coded again: so there is more to say than fits.
        let shares: Vec<f64> = packets.iter().filter(|p| p.attempts > 1).map(|p| p.data.len() as f64 / most as f64).collect();
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        let attempts = packets.iter().map(|p| p.attempts).sum::<u32>() as f64 / 30.0;
        println!("{most}: {attempts:.1} attempts a frame; of {} with several {mean:.2} used on average, {shares:.2?}", shares.len());
        assert!(!shares.is_empty() && mean > 0.5, "{shares:?}");
    }
}

#[test]
fn a_limit_that_nothing_fits_into_is_refused_with_the_smallest_that_something_does() {
    let camera = Camera { width: 160, height: 96, noise: 0, pan: 0 };
    let new = |most| {
        let s = Settings { max_frame_bytes: most, ..Settings::default() };
        Encoder::new(tiny(), &runtime(), camera.info(), s)
    };
    let Err(Error::Unsupported(text)) = new(10) else { panic!("10 bytes are not refused") };
    let least = camera.encoder(Settings::default()).least_frame_bytes();
    assert!(text.contains(&format!("the smallest possible is {least} ")), "{text}");
    assert!(new(least as u32 - 1).is_err());
    let mut e = new(least as u32).unwrap();
    for t in 0..8 {
        let p = encode(&mut e, &camera, Scene::Noise, t, &FrameParams { key: t == 4, ..FrameParams::default() });
        assert!(p.data.len() <= least);
    }
    let before = e.settings().clone();
    assert!(e.set_settings(Settings { max_frame_bytes: 10, ..before.clone() }).is_err());
    assert_eq!(*e.settings(), before);
}

/// Bytes of the fullest second so far, as a multiple of the target's.
struct Windows {
    target: f64,
    sent: VecDeque<(u64, usize)>,
    worst: f64,
}

impl Windows {
    fn sent(&mut self, time: u64, bytes: usize) {
        self.sent.push_back((time, bytes));
        self.sent.retain(|s| time - s.0 < SECOND);
        self.worst = self.worst.max(self.sent.iter().map(|s| s.1).sum::<usize>() as f64 / self.target);
    }
}

/// Every window that ends with a frame, of every scene, at rates of 1 to 60 frames a second, regular and not, with key frames asked for
/// at any time.
#[test]
fn no_second_holds_more_than_its_share() {
    let camera = Camera { width: 160, height: 96, noise: 0, pan: 0 };
    let mut chance = 12345u32;
    let mut below = move |n: u64| {
        chance = chance.wrapping_mul(1664525).wrapping_add(1013904223);
        (chance >> 8) as u64 % n
    };
    for (fps, kbits, frames) in [(1u64, 60u32, 20), (5, 60, 40), (15, 100, 60), (30, 150, 90), (60, 150, 150)] {
        for (scene, regular) in SCENES.into_iter().zip([true, false, false, true]) {
            for known in [true, false] {
                let info = lic_codec::StreamInfo { fps: if known { (fps as u32, 1) } else { (0, 1) }, ..camera.info() };
                let s = Settings { bitrate: kbits, quality: 100.0, key_int_max: 25, threads: 1, ..Settings::default() };
                let mut e = Encoder::new(tiny_motion(), &runtime(), info, s).unwrap();
                let mut windows = Windows { target: kbits as f64 * 125.0, sent: VecDeque::new(), worst: 0.0 };
                let mut time = 5 * SECOND;
                for t in 0..frames {
                    let p =
                        encode_at(&mut e, &camera, scene, t, Some(time), &FrameParams { key: below(20) == 0, ..FrameParams::default() });
                    windows.sent(time, p.data.len());
                    time += if regular { SECOND / fps } else { SECOND * (20 + below(160)) / 100 / fps };
                }
                assert!(windows.worst <= 1.1, "{scene:?}, {fps}/s, rate known: {known}: {:.3} of the target", windows.worst);
            }
        }
    }
}

/// PSNR of luma inside and outside a rectangle, and bytes.
fn inside_outside(settings: Settings, r: (usize, usize, usize, usize), delta_qp: f32) -> (f64, f64, usize) {
    let camera = Camera { width: 320, height: 192, noise: 2, pan: 2 };
    // The frozen packs know too little of pictures to say what a region gains.
    tiny();
    let pack = Pack::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/base")).unwrap();
    let mut e = camera.encoder_with(pack, settings);
    let mut d = Decoder::new(&runtime(), 1).unwrap();
    let (mut error, mut count, mut bytes) = ([0f64; 2], [0f64; 2], 0);
    let regions = vec![Region { x: r.0 as u32, y: r.1 as u32, width: r.2 as u32, height: r.3 as u32, delta_qp }];
    for t in 0..16 {
        let p = encode(&mut e, &camera, Scene::Moving, t, &FrameParams { regions: regions.clone(), ..FrameParams::default() });
        bytes += p.data.len();
        d.decode(&p.data).unwrap();
        let (truth, shown) = (&planes(&camera, Scene::Moving, t)[0], camera.luma(&mut d));
        for (i, (a, b)) in truth.iter().zip(&shown).enumerate() {
            let (x, y) = (i % camera.width, i / camera.width);
            let out = !((r.0..r.0 + r.2).contains(&x) && (r.1..r.1 + r.3).contains(&y)) as usize;
            error[out] += (*a as f64 - *b as f64).powi(2);
            count[out] += 1.0;
        }
    }
    let psnr = |i: usize| 10.0 * (255.0 * 255.0 * count[i] / error[i]).log10();
    (psnr(0), psnr(1), bytes)
}

#[test]
fn a_region_of_interest_is_better_at_equal_bytes() {
    let r = (96, 48, 96, 80);
    // Without motion, and with latents alone, a region gains less.
    for (inter, gain) in [(Inter::Auto, 0.5), (Inter::Latent, 0.2), (Inter::None, 0.2)] {
        let s = |quality| Settings { quality, inter, ..Settings::default() };
        let with = inside_outside(s(15.0), r, -6.0);
        // Without, the least quality that takes as many bytes or more.
        let plain = (15..=100).map(|q| inside_outside(s(q as f32), r, 0.0)).find(|p| p.2 >= with.2).unwrap();
        println!("{inter:?}: {with:.2?} with the region, {plain:.2?} without");
        assert!(with.0 >= plain.0 + gain && with.1 < plain.1, "{inter:?}: {with:?} against {plain:?}");
        // And the other way round.
        let (less, same) = (inside_outside(s(15.0), r, 6.0), inside_outside(s(15.0), r, 0.0));
        assert!(less.0 < same.0 - 0.5 && less.2 < same.2, "{inter:?}: {less:?} against {same:?}");
    }
}
