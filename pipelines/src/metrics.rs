//! How alike two pictures are: PSNR as benches/rd defines it, and MS-SSIM.

use crate::commands::Error;
use gst_video::prelude::*;

/// One plane of 8 bits.
pub struct Plane<'a> {
    pub data: &'a [u8],
    pub stride: usize,
    pub width: usize,
    pub height: usize,
}

impl<'a> Plane<'a> {
    fn lines(&self) -> impl Iterator<Item = &'a [u8]> {
        let width = self.width;
        self.data.chunks(self.stride).take(self.height).map(move |l| &l[..width.min(l.len())])
    }
}

/// Y, U and V of a sample of I420, given to `f`.
pub fn planes<T>(sample: &gst::Sample, f: impl FnOnce([Plane; 3]) -> T) -> Result<T, Error> {
    let info = gst_video::VideoInfo::from_caps(sample.caps().ok_or("a picture without caps")?)?;
    let buffer = sample.buffer().ok_or("a sample without a buffer")?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
    let plane = |n: u32| -> Result<Plane, Error> {
        let data = frame.plane_data(n)?;
        let (width, height) = (frame.comp_width(n) as usize, frame.comp_height(n) as usize);
        Ok(Plane { data, stride: frame.plane_stride()[n as usize] as usize, width, height })
    };
    Ok(f([plane(0)?, plane(1)?, plane(2)?]))
}

/// PSNR of each plane in dB. A mean squared error below 0.01 counts as that: 68.13 dB is the most.
pub fn psnr(a: &[Plane; 3], b: &[Plane; 3]) -> [f64; 3] {
    std::array::from_fn(|i| {
        let mut sum = 0u64;
        for (x, y) in a[i].lines().zip(b[i].lines()) {
            sum += x.iter().zip(y).map(|(x, y)| (x.abs_diff(*y) as u64).pow(2)).sum::<u64>();
        }
        let mse = sum as f64 / (a[i].width * a[i].height).max(1) as f64;
        10.0 * (255.0 * 255.0 / mse.max(1e-2)).log10()
    })
}

/// (6 Y + U + V) / 8.
pub fn yuv(planes: [f64; 3]) -> f64 {
    (6.0 * planes[0] + planes[1] + planes[2]) / 8.0
}

/// Weights of the five scales (Wang, Simoncelli, Bovik 2003).
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;

/// MS-SSIM of two planes of one size, as in Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment"
/// (2003): Gaussian window of 11x11 where it fits, means of 2x2 between scales. None where a side is shorter than 176 pixels.
pub fn ms_ssim(a: &Plane, b: &Plane) -> Option<f64> {
    if a.width.min(a.height) < WINDOW << (WEIGHTS.len() - 1) {
        return None;
    }
    let float = |p: &Plane| p.lines().flat_map(|l| l.iter().map(|v| *v as f32)).collect::<Vec<f32>>();
    let (mut a_, mut b_, mut w, mut h) = (float(a), float(b), a.width, a.height);
    let mut product = 1.0;
    for (scale, weight) in WEIGHTS.iter().enumerate() {
        let (ssim, structure) = ssim(&a_, &b_, w, h);
        let last = scale + 1 == WEIGHTS.len();
        product *= (if last { ssim } else { structure }).max(0.0).powf(*weight);
        if !last {
            a_ = half(&a_, w, h);
            b_ = half(&b_, w, h);
            (w, h) = (w / 2, h / 2);
        }
    }
    Some(product)
}

fn half(p: &[f32], w: usize, h: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity((w / 2) * (h / 2));
    for y in 0..h / 2 {
        let (top, bottom) = (&p[2 * y * w..][..w], &p[(2 * y + 1) * w..][..w]);
        out.extend((0..w / 2).map(|x| (top[2 * x] + top[2 * x + 1] + bottom[2 * x] + bottom[2 * x + 1]) * 0.25));
    }
    out
}

/// Mean SSIM, and the mean of its contrast and structure alone.
fn ssim(a: &[f32], b: &[f32], w: usize, h: usize) -> (f64, f64) {
    const C1: f32 = (0.01 * 255.0) * (0.01 * 255.0);
    const C2: f32 = (0.03 * 255.0) * (0.03 * 255.0);
    let mut window: [f32; WINDOW] = std::array::from_fn(|i| (-(i as f64 - 5.0).powi(2) / (2.0 * SIGMA * SIGMA)).exp() as f32);
    let sum: f32 = window.iter().sum();
    window.iter_mut().for_each(|v| *v /= sum);
    let blur = |f: &dyn Fn(usize) -> f32| blurred(f, w, h, &window);
    let (ma, mb) = (blur(&|i| a[i]), blur(&|i| b[i]));
    let (aa, bb, ab) = (blur(&|i| a[i] * a[i]), blur(&|i| b[i] * b[i]), blur(&|i| a[i] * b[i]));
    let (mut whole, mut structure) = (0f64, 0f64);
    for i in 0..ma.len() {
        let (va, vb, cov) = (aa[i] - ma[i] * ma[i], bb[i] - mb[i] * mb[i], ab[i] - ma[i] * mb[i]);
        let cs = (2.0 * cov + C2) / (va + vb + C2);
        let l = (2.0 * ma[i] * mb[i] + C1) / (ma[i] * ma[i] + mb[i] * mb[i] + C1);
        structure += cs as f64;
        whole += (l * cs) as f64;
    }
    (whole / ma.len() as f64, structure / ma.len() as f64)
}

/// Weighted means where the window fits: `w` - 10 by `h` - 10.
fn blurred(f: &dyn Fn(usize) -> f32, w: usize, h: usize, window: &[f32; WINDOW]) -> Vec<f32> {
    let (ow, oh) = (w - WINDOW + 1, h - WINDOW + 1);
    let mut lines = vec![0f32; ow * h];
    let mut line = vec![0f32; w];
    for y in 0..h {
        line.iter_mut().enumerate().for_each(|(x, v)| *v = f(y * w + x));
        let out = &mut lines[y * ow..][..ow];
        for (k, weight) in window.iter().enumerate() {
            out.iter_mut().zip(&line[k..]).for_each(|(o, v)| *o += weight * v);
        }
    }
    let mut out = vec![0f32; ow * oh];
    for y in 0..oh {
        let to = &mut out[y * ow..][..ow];
        for (k, weight) in window.iter().enumerate() {
            to.iter_mut().zip(&lines[(y + k) * ow..]).for_each(|(o, v)| *o += weight * v);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(w: usize, h: usize, f: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        (0..w * h).map(|i| f(i % w, i / w)).collect()
    }

    fn plane(data: &[u8], width: usize) -> Plane<'_> {
        Plane { data, stride: width, width, height: data.len() / width }
    }

    #[test]
    fn psnr_is_that_of_the_mean_squared_error() {
        let (a, b) = (picture(8, 8, |_, _| 100), picture(8, 8, |x, _| if x < 4 { 100 } else { 102 }));
        let three = |d: &'static [u8]| std::array::from_fn(|_| plane(d, 8));
        let (a, b) = (three(a.leak()), three(b.leak()));
        // Half of the pixels are off by 2.
        assert!((psnr(&a, &b)[0] - 10.0 * (65025.0f64 / 2.0).log10()).abs() < 1e-9);
        assert!((psnr(&a, &a)[2] - 68.1308).abs() < 1e-3);
        assert_eq!(yuv([8.0, 16.0, 0.0]), 8.0);
    }

    #[test]
    fn ms_ssim_is_what_a_plain_implementation_says() {
        // The value: the paper's formula written down again in Python, in double precision.
        let a = picture(192, 184, |x, y| ((x * 7 + y * 13 + x * y / 16) % 256) as u8);
        let b = picture(192, 184, |x, y| ((x * 7 + y * 13 + x * y / 16) % 256 / 64 * 64 + x * y % 61) as u8);
        let got = ms_ssim(&plane(&a, 192), &plane(&b, 192)).unwrap();
        assert!((got - MS_SSIM).abs() < 1e-4, "{got}");
        assert!((ms_ssim(&plane(&a, 192), &plane(&a, 192)).unwrap() - 1.0).abs() < 1e-6);
        assert_eq!(ms_ssim(&plane(&a[..192 * 100], 192), &plane(&b[..192 * 100], 192)), None);
    }

    const MS_SSIM: f64 = 0.981635;
}
