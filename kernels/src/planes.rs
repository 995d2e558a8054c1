//! Raw pictures of any layout -> I420 planes padded to multiples of 16 by repeating the edge.

/// Padded 8-bit planes: luma `width` x `height` (multiples of 16), chroma half of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planes {
    pub width: usize,
    pub height: usize,
    pub y: Vec<u8>,
    pub u: Vec<u8>,
    pub v: Vec<u8>,
}

impl Planes {
    /// Room for a picture of `width` x `height` samples.
    pub fn for_size(width: usize, height: usize) -> Planes {
        let (w, h) = (width.next_multiple_of(16), height.next_multiple_of(16));
        Planes { width: w, height: h, y: vec![0; w * h], u: vec![128; w * h / 4], v: vec![128; w * h / 4] }
    }

    /// From row `first` of blocks on, bands of so many rows: threads can share a picture.
    pub fn bands(&mut self, first: usize, rows: impl IntoIterator<Item = usize>) -> Vec<Bands<'_>> {
        let (luma, chroma) = (16 * self.width, 4 * self.width);
        let (mut y, mut u, mut v) = (&mut self.y[first * luma..], &mut self.u[first * chroma..], &mut self.v[first * chroma..]);
        let band = |n| Bands {
            y: y.split_off_mut(..n * luma).expect("rows of the picture"),
            u: u.split_off_mut(..n * chroma).expect("rows of the picture"),
            v: v.split_off_mut(..n * chroma).expect("rows of the picture"),
        };
        rows.into_iter().map(band).collect()
    }

    /// Repeats the last column and line of the picture's `width` x `height` outwards.
    pub fn extend(&mut self, width: usize, height: usize) {
        let (w, h) = (self.width, self.height);
        extend(&mut self.y, w, h, width, height);
        extend(&mut self.u, w / 2, h / 2, width.div_ceil(2), height.div_ceil(2));
        extend(&mut self.v, w / 2, h / 2, width.div_ceil(2), height.div_ceil(2));
    }
}

/// Whole rows of blocks of 16x16 samples of a picture, to be written: for every row 16 lines of luma, 8 of each chroma.
pub struct Bands<'a> {
    pub y: &'a mut [u8],
    pub u: &'a mut [u8],
    pub v: &'a mut [u8],
}

fn extend(plane: &mut [u8], stride: usize, lines: usize, width: usize, height: usize) {
    if width < stride {
        for line in plane.chunks_exact_mut(stride).take(height) {
            let last = line[width - 1];
            line[width..].fill(last);
        }
    }
    for y in height..lines {
        plane.copy_within((height - 1) * stride..height * stride, y * stride);
    }
}

/// Copies `lines` lines of `width` bytes.
pub fn copy(src: &[u8], src_stride: usize, dst: &mut [u8], dst_stride: usize, width: usize, lines: usize) {
    for (s, d) in src.chunks(src_stride).zip(dst.chunks_mut(dst_stride)).take(lines) {
        d[..width].copy_from_slice(&s[..width]);
    }
}

/// Interleaved chroma -> two planes; `first` gets the even bytes.
pub fn split(src: &[u8], src_stride: usize, first: &mut [u8], second: &mut [u8], dst_stride: usize, width: usize, lines: usize) {
    for ((s, a), b) in src.chunks(src_stride).zip(first.chunks_mut(dst_stride)).zip(second.chunks_mut(dst_stride)).take(lines) {
        for ((pair, a), b) in s.chunks_exact(2).zip(&mut a[..width]).zip(&mut b[..width]) {
            (*a, *b) = (pair[0], pair[1]);
        }
    }
}

/// Two planes -> interleaved chroma; `first` gives the even bytes.
pub fn interleave(first: &[u8], second: &[u8], src_stride: usize, dst: &mut [u8], dst_stride: usize, width: usize, lines: usize) {
    for ((d, a), b) in dst.chunks_mut(dst_stride).zip(first.chunks(src_stride)).zip(second.chunks(src_stride)).take(lines) {
        for ((pair, a), b) in d.chunks_exact_mut(2).zip(&a[..width]).zip(&b[..width]) {
            pair.copy_from_slice(&[*a, *b]);
        }
    }
}

/// Packed 4:2:2 -> planes; `luma` is the place of the first luma byte in a pair of pixels (YUY2: 0, UYVY: 1). Chroma of
/// two lines is averaged.
pub fn packed_422(src: &[u8], stride: usize, luma: usize, width: usize, height: usize, out: &mut Planes) {
    let (w, chroma) = (out.width, 1 - luma);
    for (line, dst) in src.chunks(stride).zip(out.y.chunks_exact_mut(w)).take(height) {
        for (pair, d) in line.chunks_exact(2).zip(&mut dst[..width]) {
            *d = pair[luma];
        }
    }
    for cy in 0..height.div_ceil(2) {
        let a = &src[2 * cy * stride..];
        let b = &src[(2 * cy + 1).min(height - 1) * stride..];
        let (u, v) = (&mut out.u[cy * w / 2..], &mut out.v[cy * w / 2..]);
        for cx in 0..width.div_ceil(2) {
            let at = 4 * cx + chroma;
            u[cx] = (a[at] as u16 + b[at] as u16).div_ceil(2) as u8;
            v[cx] = (a[at + 2] as u16 + b[at + 2] as u16).div_ceil(2) as u8;
        }
    }
}

/// RGB of `bytes` a pixel with red, green and blue at the given places -> BT.709, limited range (ITU-R BT.709-6, 3.4 and
/// 3.5, in 16-bit fixed point); chroma is the mean of 2x2 pixels.
pub fn rgb(src: &[u8], stride: usize, bytes: usize, order: [usize; 3], width: usize, height: usize, out: &mut Planes) {
    let w = out.width;
    let [r, g, b] = order;
    for (line, dst) in src.chunks(stride).zip(out.y.chunks_exact_mut(w)).take(height) {
        for (p, d) in line.chunks_exact(bytes).zip(&mut dst[..width]) {
            let sum = 11966 * p[r] as i32 + 40254 * p[g] as i32 + 4064 * p[b] as i32;
            *d = (16 + ((sum + 32768) >> 16)) as u8;
        }
    }
    for cy in 0..height.div_ceil(2) {
        let lines = [2 * cy, (2 * cy + 1).min(height - 1)];
        for cx in 0..width.div_ceil(2) {
            let columns = [2 * cx, (2 * cx + 1).min(width - 1)];
            let mut s = [0i32; 3];
            for y in lines {
                for x in columns {
                    let p = &src[y * stride + x * bytes..][..bytes];
                    s = [s[0] + p[r] as i32, s[1] + p[g] as i32, s[2] + p[b] as i32];
                }
            }
            let u = -6596 * s[0] - 22189 * s[1] + 28784 * s[2];
            let v = 28784 * s[0] - 26145 * s[1] - 2639 * s[2];
            out.u[cy * w / 2 + cx] = (128 + ((u + (1 << 17)) >> 18)).clamp(0, 255) as u8;
            out.v[cy * w / 2 + cx] = (128 + ((v + (1 << 17)) >> 18)).clamp(0, 255) as u8;
        }
    }
}

/// Fixed-point coefficients of YCbCr -> RGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RgbMatrix {
    /// Black, and 65536 times what multiplies luma above it.
    black: i32,
    luma: i32,
    /// 65536 times what multiplies Cr in red, Cb and Cr in green, Cb in blue.
    red: i32,
    green: [i32; 2],
    blue: i32,
}

impl RgbMatrix {
    /// From the weights of red and blue in luma (ITU-T H.273, 8.3: E'Y = KR E'R + (1 - KR - KB) E'G + KB E'B); `full`: whether samples take
    /// 0 to 255 or, luma, 16 to 235 and chroma 16 to 240.
    pub fn new(red: f64, blue: f64, full: bool) -> RgbMatrix {
        let (y, c) = if full { (1.0, 1.0) } else { (255.0 / 219.0, 255.0 / 224.0) };
        let fixed = |v: f64| (v * 65536.0).round() as i32;
        let (r, b, green) = (2.0 * (1.0 - red) * c, 2.0 * (1.0 - blue) * c, 1.0 - red - blue);
        RgbMatrix {
            black: if full { 0 } else { 16 },
            luma: fixed(y),
            red: fixed(r),
            green: [fixed(-b * blue / green), fixed(-r * red / green)],
            blue: fixed(b),
        }
    }

    /// Black; 65536 times what multiplies luma above it, Cr in red, Cb and Cr in green, Cb in blue.
    pub fn coefficients(&self) -> [i32; 6] {
        [self.black, self.luma, self.red, self.green[0], self.green[1], self.blue]
    }
}

/// The picture of `width` x `height` in 4:2:0 planes -> 3 bytes a pixel with red, green and blue at the given places. Four pixels share
/// their chroma sample, as [`rgb`] averages them.
pub fn to_rgb(from: &Planes, m: RgbMatrix, [r, g, b]: [usize; 3], dst: &mut [u8], dst_stride: usize, width: usize, height: usize) {
    let w = from.width;
    let byte = |v: i32| (v >> 16).clamp(0, 255) as u8;
    for (y, line) in dst.chunks_mut(dst_stride).take(height).enumerate() {
        let luma = &from.y[y * w..][..width];
        let (u, v) = (&from.u[y / 2 * w / 2..], &from.v[y / 2 * w / 2..]);
        for (((two, luma), u), v) in line[..3 * width].chunks_mut(6).zip(luma.chunks(2)).zip(u).zip(v) {
            let (u, v) = (*u as i32 - 128, *v as i32 - 128);
            let chroma = [m.red * v, m.green[0] * u + m.green[1] * v, m.blue * u].map(|c| c + 32768);
            for (p, luma) in two.chunks_exact_mut(3).zip(luma) {
                let luma = m.luma * (*luma as i32 - m.black);
                (p[r], p[g], p[b]) = (byte(luma + chroma[0]), byte(luma + chroma[1]), byte(luma + chroma[2]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There and back; colours without chroma detail lose only what rounding takes.
    #[test]
    fn rgb_and_back() {
        let m = RgbMatrix::new(0.2126, 0.0722, false);
        for colour in [[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [12, 200, 99], [130, 7, 250]] {
            // An odd size: the last pixel of a line has no pair.
            let (mut p, mut back) = (Planes::for_size(3, 3), [9u8; 3 * 10]);
            rgb(&colour.repeat(9), 9, 3, [0, 1, 2], 3, 3, &mut p);
            to_rgb(&p, m, [2, 1, 0], &mut back, 10, 3, 3);
            for line in back.chunks(10) {
                assert_eq!(line[9], 9, "what lies between lines");
                for pixel in line[..9].chunks(3) {
                    for (a, b) in colour.iter().zip(pixel.iter().rev()) {
                        assert!(a.abs_diff(*b) <= 3, "{colour:?}: {pixel:?}");
                    }
                }
            }
        }
        assert_eq!(
            RgbMatrix::new(0.299, 0.114, true),
            RgbMatrix { black: 0, luma: 65536, red: 91881, green: [-22553, -46802], blue: 116130 }
        );
    }

    #[test]
    fn rgb_of_white_black_and_primaries() {
        let mut p = Planes::for_size(2, 2);
        let mut yuv = |c: [u8; 3]| {
            rgb(&[c, c, c, c].concat(), 6, 3, [0, 1, 2], 2, 2, &mut p);
            (p.y[0], p.u[0], p.v[0])
        };
        assert_eq!(yuv([255, 255, 255]), (235, 128, 128));
        assert_eq!(yuv([0, 0, 0]), (16, 128, 128));
        assert_eq!(yuv([255, 0, 0]), (63, 102, 240));
        assert_eq!(yuv([0, 0, 255]), (32, 240, 118));
    }

    #[test]
    fn extends_odd_sizes() {
        let mut p = Planes::for_size(3, 1);
        p.y[..3].copy_from_slice(&[1, 2, 3]);
        p.u[..2].copy_from_slice(&[4, 5]);
        p.extend(3, 1);
        assert_eq!((p.y[15], p.y[255], p.u[7], p.u[63]), (3, 3, 5, 5));
    }
}
