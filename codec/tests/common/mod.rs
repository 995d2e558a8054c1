//! A synthetic camera and the frozen tiny pack.
#![allow(dead_code)] // each test file uses a part of it

use lic_codec::{
    Colour, Decoder, Encoder, Error, FrameParams, Pack, Packet, PictureMut, RawFormat, RawFrame, Runtime, Settings, StreamInfo,
};
use std::path::Path;
use std::sync::{Arc, Once};

pub fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The tiny pack, also where decoders look for packs.
pub fn tiny() -> Arc<Pack> {
    pack("tiny")
}

/// The same with a prior for kind `motion`.
pub fn tiny_motion() -> Arc<Pack> {
    pack("tiny-motion")
}

fn pack(name: &str) -> Arc<Pack> {
    static ONCE: Once = Once::new();
    // SAFETY: every test of the program goes through here before it reads the environment.
    ONCE.call_once(|| unsafe { std::env::set_var("LIC_MODELS", golden("")) });
    Pack::open(golden(name).to_str().unwrap()).unwrap()
}

pub fn runtime() -> Runtime {
    Runtime::find().unwrap()
}

pub struct Camera {
    pub width: usize,
    pub height: usize,
    /// Amplitude of sensor noise.
    pub noise: i32,
    /// Pixels that everything moves a frame: to the left, in pictures higher than wide up.
    pub pan: i32,
}

impl Camera {
    /// I420 planes of frame t: a textured background, a square that moves over it, noise.
    pub fn planes(&self, t: i32) -> [Vec<u8>; 3] {
        let (w, h) = (self.width, self.height);
        let mut seed = t as u32 ^ 0x9e37_79b9;
        let mut noise = || {
            seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
            if self.noise == 0 { 0 } else { (seed >> 16) as i32 % (2 * self.noise + 1) - self.noise }
        };
        let texture = |x: i32, y: i32| {
            let wave = ((x as f32 * 0.21).sin() + (y as f32 * 0.13 + x as f32 * 0.05).cos()) * 35.0;
            110 + wave as i32 + if (x / 16 + y / 16) % 2 == 0 { 25 } else { 0 }
        };
        let (right, down) = if h > w { (0, self.pan * t) } else { (self.pan * t, 0) };
        let mut y = Vec::with_capacity(w * h);
        for py in 0..h as i32 {
            for px in 0..w as i32 {
                let inside = (px - 20 - 3 * t).abs() < 12 && (py - 40 - t).abs() < 12;
                let v = if inside { 215 - (px - 3 * t) % 9 * 8 } else { texture(px + right, py + down) };
                y.push((v + noise()).clamp(0, 255) as u8);
            }
        }
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let plane = |k: i32| (0..cw * ch).map(|i| (128 + k * ((i % cw) as i32 / 8 - (i / cw) as i32 / 10)).clamp(0, 255) as u8).collect();
        [y, plane(2), plane(-3)]
    }

    pub fn info(&self) -> StreamInfo {
        StreamInfo { width: self.width as u32, height: self.height as u32, fps: (30, 1), par: (1, 1), colour: Colour::BT709, grey: false }
    }

    pub fn encoder(&self, settings: Settings) -> Encoder {
        self.encoder_with(tiny(), settings)
    }

    pub fn encoder_with(&self, pack: Arc<Pack>, settings: Settings) -> Encoder {
        Encoder::new(pack, &runtime(), self.info(), settings).unwrap()
    }

    pub fn encode(&self, e: &mut Encoder, t: i32, key: bool) -> Packet {
        self.encode_with(e, t, &FrameParams { key, ..FrameParams::default() }).unwrap()
    }

    pub fn encode_with(&self, e: &mut Encoder, t: i32, params: &FrameParams) -> Result<Packet, Error> {
        let [y, u, v] = self.planes(t);
        let cw = self.width.div_ceil(2);
        let planes = [(&y[..], self.width), (&u[..], cw), (&v[..], cw)];
        e.encode_with(&RawFrame::new(RawFormat::I420, self.width as u32, self.height as u32, &planes).unwrap(), params)
    }

    pub fn stream(&self, settings: Settings, frames: i32) -> Vec<Packet> {
        let mut e = self.encoder(settings);
        (0..frames).map(|t| self.encode(&mut e, t, false)).collect()
    }

    /// Luma of the decoder's picture.
    pub fn luma(&self, d: &mut Decoder) -> Vec<u8> {
        let [y, _, _] = self.picture(d);
        y
    }

    /// Planes of the decoder's picture.
    pub fn picture(&self, d: &mut Decoder) -> [Vec<u8>; 3] {
        let (w, h) = (self.width, self.height);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let (mut y, mut u, mut v) = (vec![0; w * h], vec![0; cw * ch], vec![0; cw * ch]);
        let planes = vec![(&mut y[..], w), (&mut u[..], cw), (&mut v[..], cw)];
        d.render(&mut PictureMut::new(RawFormat::I420, w as u32, h as u32, planes).unwrap()).unwrap();
        [y, u, v]
    }

    /// Luma PSNR of the decoder's picture against frame t.
    pub fn psnr(&self, d: &mut Decoder, t: i32) -> f64 {
        let (w, h, y) = (self.width, self.height, self.luma(d));
        let truth = &self.planes(t)[0];
        let error: f64 = truth.iter().zip(&y).map(|(a, b)| (*a as f64 - *b as f64).powi(2)).sum();
        10.0 * (255.0 * 255.0 * (w * h) as f64 / error.max(1e-9)).log10()
    }
}

pub const STATIC: Camera = Camera { width: 175, height: 143, noise: 2, pan: 0 };
pub const MOVING: Camera = Camera { width: 160, height: 96, noise: 0, pan: 5 };
