//! The codec's planes -> the planes that a JPEG file holds: full-range BT.601 YCbCr.

use super::Subsampling;
use crate::decoder::rgb::weights;
use crate::{Colour, RawFormat, RawFrame};

pub struct Plane {
    pub width: usize,
    pub height: usize,
    pub samples: Vec<u8>,
}

/// From YCbCr by `colour` to full-range BT.601 in 1/65536: what of chroma goes to luma, and the 2x2 matrix of chroma. Luma's own share
/// and what is taken off it are those of the range.
struct Conversion {
    luma: i32,
    black: i32,
    to_luma: [i32; 2],
    chroma: [[i32; 2]; 2],
}

impl Conversion {
    fn new(colour: Colour) -> Conversion {
        let (luma, chroma, black) = if colour.full_range { (1.0, 1.0, 0) } else { (255.0 / 219.0, 255.0 / 224.0, 16) };
        let (kr, kb) = weights(colour);
        let (jr, jb) = (0.299, 0.114);
        let (kg, jg) = (1.0 - kr - kb, 1.0 - jr - jb);
        // Red, green and blue less luma, of Cb and of Cr.
        let red = [0.0, 2.0 * (1.0 - kr)];
        let blue = [2.0 * (1.0 - kb), 0.0];
        let green = [-kb / kg * blue[0], -kr / kg * red[1]];
        let to_luma = [0, 1].map(|i| jr * red[i] + jg * green[i] + jb * blue[i]);
        let cb = [0, 1].map(|i| (blue[i] - to_luma[i]) / (2.0 * (1.0 - jb)));
        let cr = [0, 1].map(|i| (red[i] - to_luma[i]) / (2.0 * (1.0 - jr)));
        let fixed = |v: f64| (v * 65536.0).round() as i32;
        let scaled = |v: [f64; 2]| v.map(|v| fixed(v * chroma));
        Conversion { luma: fixed(luma), black, to_luma: scaled(to_luma), chroma: [scaled(cb), scaled(cr)] }
    }

    fn luma(&self, y: u8, chroma: i32) -> u8 {
        ((self.luma * (y as i32 - self.black) + chroma + 32768) >> 16).clamp(0, 255) as u8
    }
}

/// Planes in the file's order, without padding. The picture is I420 or GRAY8.
pub fn planes(picture: &RawFrame, colour: Colour, subsampling: Subsampling, grey: bool) -> Vec<Plane> {
    let (width, height) = (picture.width, picture.height);
    let conversion = Conversion::new(colour);
    let (luma, stride) = picture.planes[0];
    let mut y = Plane { width, height, samples: vec![0; width * height] };
    if picture.format == RawFormat::Gray8 {
        for (out, line) in y.samples.chunks_exact_mut(width).zip(luma.chunks(stride)) {
            out.iter_mut().zip(line).for_each(|(o, v)| *o = conversion.luma(*v, 0));
        }
        return vec![y];
    }
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let mut chroma = [0, 1].map(|_| Plane { width: cw, height: ch, samples: vec![0; cw * ch] });
    let (u, v) = (picture.planes[1], picture.planes[2]);
    let mut share = vec![0; width + 1];
    for row in 0..ch {
        let (u, v) = (&u.0[row * u.1..][..cw], &v.0[row * v.1..][..cw]);
        let [cb, cr] = &mut chroma;
        let (cb, cr) = (&mut cb.samples[row * cw..][..cw], &mut cr.samples[row * cw..][..cw]);
        for i in 0..cw {
            let (u, v) = (u[i] as i32 - 128, v[i] as i32 - 128);
            let of = |m: [i32; 2]| (((m[0] * u + m[1] * v + 32768) >> 16) + 128).clamp(0, 255) as u8;
            (cb[i], cr[i]) = (of(conversion.chroma[0]), of(conversion.chroma[1]));
            let s = conversion.to_luma[0] * u + conversion.to_luma[1] * v;
            share[2 * i..].iter_mut().take(2).for_each(|o| *o = s);
        }
        for row in (2 * row..height).take(2) {
            let line = &luma[row * stride..][..width];
            let out = &mut y.samples[row * width..][..width];
            for ((o, v), s) in out.iter_mut().zip(line).zip(&share) {
                *o = conversion.luma(*v, *s);
            }
        }
    }
    if grey {
        return vec![y];
    }
    let [cb, cr] = chroma;
    match subsampling {
        Subsampling::Yuv444 => vec![y, doubled(&cb, width, height), doubled(&cr, width, height)],
        _ => vec![y, cb, cr],
    }
}

/// Twice the columns and rows, cut to `width` and `height`; each sample 3/4 of the nearest and 1/4 of the next, in both directions.
fn doubled(from: &Plane, width: usize, height: usize) -> Plane {
    let near = |i: usize, most: usize| (i / 2, if i.is_multiple_of(2) { (i / 2).saturating_sub(1) } else { (i / 2 + 1).min(most - 1) });
    let mut samples = Vec::with_capacity(width * height);
    let mut column = vec![0u16; from.width];
    for y in 0..height {
        let (a, b) = near(y, from.height);
        let (a, b) = (&from.samples[a * from.width..][..from.width], &from.samples[b * from.width..][..from.width]);
        column.iter_mut().zip(a.iter().zip(b)).for_each(|(c, (a, b))| *c = 3 * *a as u16 + *b as u16);
        samples.extend((0..width).map(|x| {
            let (a, b) = near(x, from.width);
            ((3 * column[a] + column[b] + 8) >> 4) as u8
        }));
    }
    Plane { width, height, samples }
}
