//! Streams of a lite pack: a synthetic one, whose sensor computes block cosines and whose pictures are those cosines summed again.

mod common;
#[path = "common/mutate.rs"]
mod mutate;

use common::{Camera, golden, runtime};
use lic_codec::bitstream::{self, SliceKind};
use lic_codec::{Decoder, Encoder, Error, Inter, Pack, Packet, Settings};
use mutate::{Random, change};
use safetensors::tensor::{Dtype, TensorView};
use std::f64::consts::PI;
use std::path::Path;
use std::sync::{Arc, OnceLock};

const M: usize = 128;
const STEPS: usize = 64;

/// Orthonormal cosines of n x n samples, lowest frequencies first.
fn cosines(n: usize, keep: usize) -> Vec<Vec<f64>> {
    let mut order: Vec<(usize, usize)> = (0..n * n).map(|i| (i / n, i % n)).collect();
    order.sort_by_key(|&(u, v)| (u * u + v * v, u));
    let one = |k: usize, i: usize| {
        let scale = if k == 0 { 1.0 / n as f64 } else { 2.0 / n as f64 };
        scale.sqrt() * (PI * (2 * i + 1) as f64 * k as f64 / (2 * n) as f64).cos()
    };
    order.iter().take(keep).map(|&(u, v)| (0..n * n).map(|i| one(u, i / n) * one(v, i % n)).collect()).collect()
}

/// The step of synthesis for a latent of 1, in units of the picture.
fn unit(step: usize) -> f64 {
    0.3 * (-(step as f64) / 12.0).exp2()
}

fn bytes<const N: usize, T: Copy>(v: &[T], f: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    v.iter().flat_map(|&x| f(x)).collect()
}

/// `lite.safetensors`.
fn tables() -> Vec<u8> {
    let (luma, chroma) = (cosines(16, 96), cosines(8, 16));
    let whole = |w: &[f64]| -> (Vec<i8>, f64) {
        let most = w.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
        (w.iter().map(|v| (v / most * 127.0).round() as i8).collect(), most / 127.0)
    };
    let (mut l, mut c, mut sizes) = (vec![], vec![], vec![]);
    for w in &luma {
        let (k, size) = whole(w);
        l.extend(k);
        sizes.push(size);
    }
    for i in 0..32 {
        let (k, size) = whole(&chroma[i / 2]);
        (0..2).for_each(|plane| c.extend(if plane == i % 2 { k.clone() } else { vec![0; 64] }));
        sizes.push(size);
    }
    let gain: Vec<f32> = (0..STEPS).flat_map(|s| sizes.iter().map(move |z| (z / unit(s)) as f32)).collect();
    let units: Vec<i32> = (0..STEPS).flat_map(|s| vec![(unit(s) * 65536.0) as i32; M]).collect();
    let mut freq = vec![];
    for _ in 0..8 {
        for level in 0..48 {
            let b = ((level as f64 + 0.5) / 4.0 + 7.0).exp2() / 4096.0;
            let p: Vec<f64> = (-15..=15).map(|v: i32| (-(v.abs() as f64) / b).exp()).chain([1e-3]).collect();
            let sum: f64 = p.iter().sum();
            let mut f: Vec<i16> = p.iter().map(|p| 1 + (p / sum * (16384.0 - 32.0)) as i16).collect();
            f[15] += (16384 - f.iter().map(|&v| v as i32).sum::<i32>()) as i16;
            freq.extend(f);
        }
    }
    let map = |contexts: usize, n: usize| -> Vec<i32> {
        [vec![32768 / n as i32; n - 1], vec![32768 - (n as i32 - 1) * (32768 / n as i32)]].concat().repeat(contexts)
    };
    let i8s = |v: &[i8]| bytes(v, |x| x.to_le_bytes());
    let i16s = |n: usize, v: i16| bytes(&vec![v; n], |x| x.to_le_bytes());
    let i32s = |v: &[i32]| bytes(v, |x| x.to_le_bytes());
    let mut all: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = vec![
        ("luma".into(), Dtype::I8, vec![96, 1, 16, 16], i8s(&l)),
        ("chroma".into(), Dtype::I8, vec![32, 2, 8, 8], i8s(&c)),
        ("gain".into(), Dtype::F32, vec![STEPS, M], bytes(&gain, |x| x.to_le_bytes())),
        ("zone".into(), Dtype::U8, vec![STEPS, M], vec![160; STEPS * M]),
        ("unit".into(), Dtype::I32, vec![STEPS, M], i32s(&units)),
        ("freq".into(), Dtype::I16, vec![8, 48, 32], bytes(&freq, |x| x.to_le_bytes())),
        ("map.none".into(), Dtype::I32, vec![17, 9], i32s(&map(17, 9))),
        ("map.latent".into(), Dtype::I32, vec![16, 18], i32s(&map(16, 18))),
    ];
    for mode in ["intra", "inter"] {
        let shapes: [(&str, Vec<usize>, i16); 5] = [
            ("floor", vec![STEPS, M], 300),
            ("count", vec![9, M], 300),
            ("own", vec![4, M], 900),
            ("near", vec![2, M, 8], 20),
            ("here", vec![M, 8], 20),
        ];
        for (name, shape, value) in shapes {
            let n = shape.iter().product();
            all.push((format!("{mode}.{name}"), Dtype::I16, shape, i16s(n, value)));
        }
        let mean: Vec<i8> = (0..16 * 64).map(|i| if i == 0 || i == 16 { 32 } else { 0 }).collect(); // brightness, from left and above
        all.push((format!("{mode}.mean"), Dtype::I8, vec![16, 64], i8s(&mean)));
    }
    let views = all.iter().map(|(n, t, s, d)| (n.clone(), TensorView::new(*t, s.clone(), d).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/lite"))
}

fn pack() -> Arc<Pack> {
    static PACK: OnceLock<Arc<Pack>> = OnceLock::new();
    PACK.get_or_init(|| {
        std::fs::create_dir_all(folder().join("cosine")).unwrap();
        let write = |n: &str, b: &[u8]| std::fs::write(folder().join("cosine").join(n), b).unwrap();
        write("model.toml", b"name = \"cosine\"\nformat = 1\n");
        write("lite.safetensors", &tables());
        // Not run here: pictures are made from latents below.
        write("synthesis.onnx", &std::fs::read(golden("tiny/synthesis.onnx")).unwrap());
        // SAFETY: every test of the program goes through here before it reads the environment.
        unsafe { std::env::set_var("LIC_MODELS", folder()) };
        Pack::open(folder().join("cosine").to_str().unwrap()).unwrap()
    })
    .clone()
}

fn decoder() -> Decoder {
    pack();
    Decoder::new(&runtime(), 1).unwrap()
}

fn stream(camera: &Camera, s: Settings, frames: i32) -> Vec<Packet> {
    let mut e = camera.encoder_with(pack(), s);
    (0..frames).map(|t| camera.encode(&mut e, t, false)).collect()
}

/// PSNR of luma, of the cosines that the decoder's latents say.
fn psnr(d: &Decoder, camera: &Camera, t: i32) -> f64 {
    let (l, basis) = (d.latents().unwrap(), cosines(16, 96));
    let y = &camera.planes(t)[0];
    let (mut error, mut n) = (0.0, 0);
    for (p, values) in l.values.chunks_exact(M).enumerate() {
        let mut block = [125.5f64; 256];
        for (i, b) in basis.iter().enumerate() {
            let v = values[i / 12 * 16 + i % 12] as f64 / 65536.0 * 219.0;
            block.iter_mut().zip(b).for_each(|(x, b)| *x += v * b);
        }
        for (i, x) in block.iter().enumerate() {
            let (px, py) = (p % l.columns * 16 + i % 16, p / l.columns * 16 + i / 16);
            if px < camera.width && py < camera.height {
                error += (x - y[py * camera.width + px] as f64).powi(2);
                n += 1;
            }
        }
    }
    -10.0 * (error / n as f64 / 65025.0).log10()
}

const STILL: Camera = Camera { width: 150, height: 118, noise: 2, pan: 0 };

#[test]
fn latents_are_the_picture_at_every_step() {
    let mut last = (0, 0.0);
    for quality in [0.0, 30.0, 60.0, 100.0] {
        let s = Settings { quality, key_int_max: 1, ..Settings::default() };
        let (packets, mut d) = (stream(&STILL, s, 1), decoder());
        d.decode(&packets[0].data).unwrap();
        let now = (packets[0].data.len(), psnr(&d, &STILL, 0));
        println!("quality {quality}: {} bytes, {:.1} dB", now.0, now.1);
        assert!(now.0 > last.0 && now.1 > last.1);
        last = now;
    }
    assert!(last.1 > 32.0, "{} dB", last.1);
}

#[test]
fn what_stays_is_copied_and_nothing_drifts() {
    let (packets, mut d) = (stream(&STILL, Settings { quality: 50.0, ..Settings::default() }, 40), decoder());
    for (t, p) in packets.iter().enumerate() {
        let got = d.decode(&p.data).unwrap();
        assert_eq!((got.key, got.whole, got.number), (t == 0, true, t as u32));
        assert!(p.key || 3 * p.data.len() < packets[0].data.len(), "frame {t}: {} of {} bytes", p.data.len(), packets[0].data.len());
        let kinds = bitstream::parse_header(&p.data).unwrap().slices.iter().map(|s| s.kind).collect::<Vec<_>>();
        assert_eq!(kinds, [if t == 0 { SliceKind::None } else { SliceKind::Latent { distance: 1 } }]);
        if t % 13 == 0 {
            let quality = psnr(&d, &STILL, t as i32);
            assert!(quality > 26.0, "frame {t}: {quality} dB");
        }
    }
    let copied = d.latents().unwrap().skip.iter().filter(|s| **s).count();
    assert!(copied > 20, "{copied} positions were copied");
}

#[test]
fn bit_rates_limits_refresh_slices_and_losses() {
    let camera = Camera { width: 96, height: 200, noise: 1, pan: 3 };
    for s in [
        Settings { bitrate: 120, ..Settings::default() },
        Settings { max_frame_bytes: 700, ..Settings::default() },
        Settings { intra_refresh: 5, slices: 3, ..Settings::default() },
        Settings { slices: 7, inter: Inter::Latent, ..Settings::default() },
    ] {
        let mut e = camera.encoder_with(pack(), s.clone());
        let (mut all, mut some, mut late) = (decoder(), decoder(), decoder());
        for t in 0..24 {
            // Changes of quality: the reference is in another step's units.
            if s.bitrate == 0 && t % 6 == 4 {
                e.set_settings(Settings { quality: 30.0 + 3.0 * t as f32, ..s.clone() }).unwrap();
            }
            let p = camera.encode(&mut e, t, false);
            assert!(s.max_frame_bytes == 0 || p.data.len() <= s.max_frame_bytes as usize, "{} bytes", p.data.len());
            let expect = all.decode(&p.data).unwrap();
            if t == 9 {
                e.frame_lost(p.number);
            } else {
                let got = some.decode(&p.data).unwrap();
                assert_eq!(got.latents_crc, expect.latents_crc, "frame {t}");
            }
            if s.intra_refresh > 0 && t >= 11 {
                // The lost frame broke a cycle off: the next one begins at 15.
                let got = late.decode(&p.data);
                assert!(t < 20 || got.unwrap().latents_crc == expect.latents_crc, "frame {t}");
            }
        }
    }
    let e: Result<Encoder, Error> =
        Encoder::new(pack(), &runtime(), camera.info(), Settings { max_frame_bytes: 30, ..Settings::default() });
    assert!(matches!(e, Err(Error::Unsupported(text)) if text.contains("the smallest possible is")));
}

#[test]
fn damaged_frames_are_errors() {
    let packets = stream(&STILL, Settings { quality: 60.0, slices: 2, ..Settings::default() }, 6);
    let mut r = Random(17);
    for round in 0..400 {
        let (mut d, mut trusting) = (decoder(), decoder());
        trusting.trust_payloads(true);
        for (i, p) in packets.iter().enumerate() {
            let mut data = p.data.clone();
            // Not the header, whose CRC would end the matter.
            let payload = bitstream::parse_header(&data).unwrap().slices[0].range.start;
            let damaged = round % packets.len() == i;
            while damaged && data == p.data {
                let to = data.len();
                change(&mut r, &mut data, payload..to, &packets[0].data);
            }
            let got = d.decode(&data);
            assert!(!damaged || matches!(got, Err(Error::Damaged(_))), "round {round}: {got:?}");
            let _ = trusting.decode(&data);
            if damaged {
                break;
            }
            got.unwrap();
        }
    }
}

#[test]
fn damaged_tables_are_errors() {
    pack();
    let good = tables();
    let broken = folder().join("broken");
    std::fs::create_dir_all(&broken).unwrap();
    for n in ["model.toml", "synthesis.onnx"] {
        std::fs::copy(folder().join("cosine").join(n), broken.join(n)).unwrap();
    }
    let end = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let (mut r, mut taken) = (Random(5), 0);
    for round in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..1 + r.next(3) {
            let within = if r.once_in(2) { 0..end } else { 0..bytes.len() };
            change(&mut r, &mut bytes, within, &good);
        }
        std::fs::write(broken.join("lite.safetensors"), &bytes).unwrap();
        match Pack::open(broken.to_str().unwrap()) {
            Ok(pack) => {
                taken += 1;
                let mut e = STILL.encoder_with(pack, Settings::default());
                (0..2).for_each(|t| drop(STILL.encode(&mut e, t, false)));
            }
            Err(Error::Pack(text)) => assert!(text.contains("lite.safetensors"), "{text}"),
            Err(e) => panic!("round {round}: {e}"),
        }
    }
    assert!(taken > 10, "{taken} packs were taken");
}
