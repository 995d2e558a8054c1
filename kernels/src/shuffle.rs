//! Planes <-> the networks' 96 channels at 1/8: luma space-to-depth 8, chroma space-to-depth 4.
//!
//! Channel `8 * dy + dx` holds luma sample (dy, dx) of each 8x8 block, channels 64.. and 80.. the 4x4 blocks of U and V.
//! Values: (Y - 16) / 219 - 0.5 and (C - 128) / 224, whatever the stream's range: the networks see code values.

use crate::planes::Planes;

const LUMA: (f32, f32) = (219.0, 16.0 + 109.5);
const CHROMA: (f32, f32) = (224.0, 128.0);

/// Planes -> `[96][height / 8][width / 8]`.
pub fn pack(planes: &Planes, out: &mut Vec<f32>) {
    let (w, h) = (planes.width / 8, planes.height / 8);
    out.resize(96 * w * h, 0.0);
    let (y, c) = out.split_at_mut(64 * w * h);
    let (u, v) = c.split_at_mut(16 * w * h);
    plane_to_depth::<8>(&planes.y, w, h, LUMA, y);
    plane_to_depth::<4>(&planes.u, w, h, CHROMA, u);
    plane_to_depth::<4>(&planes.v, w, h, CHROMA, v);
}

fn plane_to_depth<const B: usize>(src: &[u8], w: usize, h: usize, (scale, zero): (f32, f32), out: &mut [f32]) {
    for by in 0..h {
        for dy in 0..B {
            let line = &src[(by * B + dy) * w * B..][..w * B];
            for dx in 0..B {
                let dst = &mut out[((dy * B + dx) * h + by) * w..][..w];
                for (d, block) in dst.iter_mut().zip(line.chunks_exact(B)) {
                    *d = (block[dx] as f32 - zero) * (1.0 / scale);
                }
            }
        }
    }
}

/// Channels of one plane (`[B * B][h][w]`) -> samples, cut to `width` x `height`; `step` is the distance of samples in a
/// line (2 for one half of interleaved chroma).
#[allow(clippy::too_many_arguments)]
pub fn depth_to_plane<const B: usize>(
    src: &[f32],
    w: usize,
    h: usize,
    dst: &mut [u8],
    stride: usize,
    step: usize,
    width: usize,
    height: usize,
) {
    let (scale, zero) = if B == 8 { LUMA } else { CHROMA };
    let mut line = vec![0u8; w * B];
    for y in 0..height {
        let (by, dy) = (y / B, y % B);
        for dx in 0..B {
            let src = &src[((dy * B + dx) * h + by) * w..][..w];
            for (block, v) in line.chunks_exact_mut(B).zip(src) {
                // The cast saturates: below 0 and NaN give 0, above 255 gives 255.
                block[dx] = (v * scale + zero + 0.5) as u8;
            }
        }
        let dst = &mut dst[y * stride..];
        if step == 1 {
            dst[..width].copy_from_slice(&line[..width]);
        } else {
            for (d, s) in dst.iter_mut().step_by(step).zip(&line[..width]) {
                *d = *s;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pack_and_back() {
        let mut p = Planes::for_size(32, 16);
        for (i, v) in p.y.iter_mut().chain(&mut p.u).chain(&mut p.v).enumerate() {
            *v = (i * 7) as u8;
        }
        let (mut t, mut y, mut uv) = (Vec::new(), vec![0; 512], vec![0; 256]);
        pack(&p, &mut t);
        depth_to_plane::<8>(&t[..64 * 8], 4, 2, &mut y, 32, 1, 32, 16);
        depth_to_plane::<4>(&t[64 * 8..80 * 8], 4, 2, &mut uv, 32, 2, 16, 8);
        depth_to_plane::<4>(&t[80 * 8..], 4, 2, &mut uv[1..], 32, 2, 16, 8);
        assert_eq!(y, p.y);
        assert!(uv.chunks_exact(2).zip(p.u.iter().zip(&p.v)).all(|(a, (u, v))| a == [*u, *v]));
    }
}
