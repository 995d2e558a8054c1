//! The codec's planes -> lines of what a JPEG file holds, a row of MCUs at a time.

use super::Subsampling;
use crate::decoder::rgb::weights;
use crate::{Colour, RawFormat, RawFrame};
use lic_kernels::Level;
use lic_kernels::jpeg::Sample;
use lic_kernels::jpeg::colour::{self, Conversion, Learned, ToRgb};

/// Lines of one component of a row of MCUs. Beside and below the picture its last samples go on.
pub struct Strip<S> {
    /// Samples of a line, whole MCUs.
    pub stride: usize,
    pub lines: usize,
    pub samples: Vec<S>,
}

impl<S: Copy> Strip<S> {
    fn line(&mut self, n: usize) -> &mut [S] {
        &mut self.samples[n * self.stride..][..self.stride]
    }

    /// Repeats the sample before `width` up to the line's end.
    fn extend(&mut self, n: usize, width: usize) {
        let line = self.line(n);
        let last = line[width - 1];
        line[width..].fill(last);
    }
}

/// What gives the rows of a file.
pub trait Rows {
    type Sample: Sample + Default;
    /// Fills the strips of all components with row `row`.
    fn read(&mut self, row: usize, strips: &mut [Strip<Self::Sample>]);
}

/// The nearest line of chroma and the one beyond, for a line of luma.
fn near(line: usize, lines: usize) -> (usize, usize) {
    let beyond = if line.is_multiple_of(2) { (line / 2).saturating_sub(1) } else { (line / 2 + 1).min(lines - 1) };
    (line / 2, beyond)
}

/// Full-range BT.601 YCbCr, as JFIF has it, from I420 or GRAY8.
pub struct Standard<'a> {
    picture: &'a RawFrame<'a>,
    conversion: Option<Conversion>,
    subsampling: Subsampling,
    level: Level,
    /// Converted lines of chroma from `first` on, and what of each goes to luma.
    first: usize,
    chroma: Vec<[Vec<u8>; 2]>,
    share: Vec<Vec<i32>>,
    sum: Vec<u16>,
    double: Vec<u16>,
}

impl<'a> Standard<'a> {
    pub fn new(picture: &'a RawFrame<'a>, colour: Colour, subsampling: Subsampling, level: Level) -> Self {
        // Nothing to convert: the usual matrix in full range.
        let conversion = (!colour.full_range || weights(colour) != (0.299, 0.114)).then(|| conversion(colour));
        let width = picture.width.div_ceil(2);
        // As many lines of luma ask for, and the ones beyond where they are interpolated.
        let lines = match subsampling {
            Subsampling::Yuv420 => 8,
            Subsampling::Yuv444 => 6,
            Subsampling::Grey => 4,
        };
        let chroma = vec![[vec![0; width], vec![0; width]]; lines];
        let double = vec![0; picture.width];
        Standard { picture, conversion, subsampling, level, first: 0, chroma, share: vec![vec![0; width]; lines], sum: Vec::new(), double }
    }

    fn chroma_of(&mut self, row: usize) {
        let (width, height) = (self.picture.width.div_ceil(2), self.picture.height.div_ceil(2));
        self.first = match self.subsampling {
            Subsampling::Yuv420 => 8 * row,
            Subsampling::Yuv444 => (4 * row).saturating_sub(1),
            Subsampling::Grey => 4 * row,
        };
        let (u, v) = (self.picture.planes[1], self.picture.planes[2]);
        for (i, (chroma, share)) in self.chroma.iter_mut().zip(&mut self.share).enumerate() {
            let line = (self.first + i).min(height - 1);
            let from = [u, v].map(|(plane, stride)| &plane[line * stride..][..width]);
            let [cb, cr] = chroma;
            match &self.conversion {
                Some(c) => colour::chroma(self.level, c, from, [cb, cr], share),
                None => (cb.copy_from_slice(from[0]), cr.copy_from_slice(from[1])).0,
            }
        }
    }
}

impl Rows for Standard<'_> {
    type Sample = u8;

    fn read(&mut self, row: usize, strips: &mut [Strip<u8>]) {
        let (width, height) = (self.picture.width, self.picture.height);
        let grey = self.picture.format == RawFormat::Gray8;
        if !grey {
            self.chroma_of(row);
        }
        let (y, stride) = self.picture.planes[0];
        let luma = &mut strips[0];
        let lines = luma.lines;
        for i in 0..lines {
            let line = (row * lines + i).min(height - 1);
            let from = &y[line * stride..][..width];
            let to = &mut luma.line(i)[..width];
            match &self.conversion {
                Some(c) => colour::luma(self.level, c, from, &self.share[if grey { 0 } else { line / 2 - self.first }], to),
                None => to.copy_from_slice(from),
            }
            luma.extend(i, width);
        }
        for (c, strip) in strips[1..].iter_mut().enumerate() {
            for i in 0..strip.lines {
                if self.subsampling == Subsampling::Yuv420 {
                    strip.line(i)[..width.div_ceil(2)].copy_from_slice(&self.chroma[i][c]);
                    strip.extend(i, width.div_ceil(2));
                    continue;
                }
                let (a, b) = near((8 * row + i).min(height - 1), height.div_ceil(2));
                let of = |n: usize| &self.chroma[n - self.first][c][..];
                colour::doubled(self.level, of(a), of(b), &mut self.sum, &mut self.double);
                strip.line(i).iter_mut().zip(&self.double).for_each(|(to, v)| *to = ((v + 8) >> 4) as u8);
                strip.extend(i, width);
            }
        }
    }
}

/// The components of learned colour, from I420 or RGB.
pub struct LearnedRows<'a> {
    picture: &'a RawFrame<'a>,
    learned: Learned,
    to_rgb: ToRgb,
    level: Level,
    sum: Vec<u16>,
    double: [Vec<u16>; 2],
}

impl<'a> LearnedRows<'a> {
    pub fn new(picture: &'a RawFrame<'a>, colour: Colour, learned: Learned, level: Level) -> Self {
        let double = [vec![0; picture.width], vec![0; picture.width]];
        LearnedRows { picture, learned, to_rgb: to_rgb(colour), level, sum: Vec::new(), double }
    }
}

impl Rows for LearnedRows<'_> {
    type Sample = f32;

    fn read(&mut self, row: usize, strips: &mut [Strip<f32>]) {
        let (width, height) = (self.picture.width, self.picture.height);
        let [a, b, c] = strips else { unreachable!("learned colour has three components") };
        for i in 0..8 {
            let line = (8 * row + i).min(height - 1);
            let to = [&mut *a, &mut *b, &mut *c].map(|s| &mut s.line(i)[..width]);
            let (plane, stride) = self.picture.planes[0];
            let from = &plane[line * stride..];
            if self.picture.format == RawFormat::Rgb {
                colour::learned_rgb(self.level, &self.learned, &from[..3 * width], to);
            } else {
                let (first, second) = near(line, height.div_ceil(2));
                for (double, (plane, stride)) in self.double.iter_mut().zip(&self.picture.planes[1..]) {
                    let of = |n: usize| &plane[n * stride..][..width.div_ceil(2)];
                    colour::doubled(self.level, of(first), of(second), &mut self.sum, double);
                }
                let [cb, cr] = &self.double;
                colour::learned_yuv(self.level, &self.learned, &self.to_rgb, (&from[..width], [cb, cr]), to);
            }
            [&mut *a, &mut *b, &mut *c].into_iter().for_each(|s| s.extend(i, width));
        }
    }
}

/// Factors of luma and chroma of a range, and luma's black.
fn range(colour: Colour) -> (f64, f64, i32) {
    if colour.full_range { (1.0, 1.0, 0) } else { (255.0 / 219.0, 255.0 / 224.0, 16) }
}

/// Red, green and blue less luma, of Cb and of Cr.
fn differences(colour: Colour) -> [[f64; 2]; 3] {
    let (kr, kb) = weights(colour);
    let kg = 1.0 - kr - kb;
    let (red, blue) = ([0.0, 2.0 * (1.0 - kr)], [2.0 * (1.0 - kb), 0.0]);
    [red, [-kb / kg * blue[0], -kr / kg * red[1]], blue]
}

fn conversion(colour: Colour) -> Conversion {
    let (luma, chroma, black) = range(colour);
    let [red, green, blue] = differences(colour);
    let (jr, jb) = (0.299, 0.114);
    let to_luma = [0, 1].map(|i| jr * red[i] + (1.0 - jr - jb) * green[i] + jb * blue[i]);
    let cb = [0, 1].map(|i| (blue[i] - to_luma[i]) / (2.0 * (1.0 - jb)));
    let cr = [0, 1].map(|i| (red[i] - to_luma[i]) / (2.0 * (1.0 - jr)));
    let fixed = |v: f64| (v * 65536.0).round() as i32;
    let scaled = |v: [f64; 2]| v.map(|v| fixed(v * chroma));
    Conversion { luma: fixed(luma), black, to_luma: scaled(to_luma), chroma: [scaled(cb), scaled(cr)] }
}

fn to_rgb(colour: Colour) -> ToRgb {
    let (luma, chroma, black) = range(colour);
    let of = |i: usize| differences(colour).map(|d| (d[i] * chroma) as f32);
    ToRgb { luma: luma as f32, black: black as f32, cb: of(0), cr: of(1) }
}
