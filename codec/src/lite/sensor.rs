//! The sensor: planes -> latents.

use super::{CHANNELS, GROUPS, Lite};
use lic_kernels::Level;
use lic_kernels::lite::projection::{Patches, Samples, Scratch};
use lic_kernels::lite::quantise::{Row, Scale, quantise};
use lic_kernels::lite::{LUMA, STEPS};
use std::sync::Arc;

/// Where |v - y| is below this, a latent stays at its reference: a static camera's noise codes nothing.
const HOLD: f32 = 0.7;
const OF_LUMA: usize = GROUPS * LUMA;

/// One 4:2:0 picture.
pub struct Picture<'a> {
    pub y: Samples<'a>,
    pub uv: [Samples<'a>; 2],
}

/// Computes latents; keeps its buffers between pictures.
pub struct Sensor {
    lite: Arc<Lite>,
    level: Level,
    luma: Vec<i32>,
    chroma: Vec<i32>,
    scratch: Scratch,
    /// Of the step used last.
    scale: Option<(usize, Box<Scale>)>,
}

impl Sensor {
    pub fn new(lite: Arc<Lite>, level: Level) -> Sensor {
        Sensor { lite, level, luma: vec![], chroma: vec![], scratch: Scratch::default(), scale: None }
    }

    /// Latents of the first `groups` groups (the rest 0), CHANNELS a position; `reference`: those of kind `latent`'s reference,
    /// which hold the ones that hardly moved.
    pub fn latents(&mut self, p: &Picture, step: usize, groups: usize, reference: Option<&[i8]>, out: &mut Vec<i8>) {
        assert!(step < STEPS && (1..=GROUPS).contains(&groups));
        let (columns, rows) = (p.y.width.div_ceil(16), p.y.height.div_ceil(16));
        let scale = match self.scale.take() {
            Some((s, scale)) if s == step => scale,
            _ => Box::new(self.scale_of(step)),
        };
        let row = columns * CHANNELS;
        out.resize(rows * row, 0);
        self.luma.resize(columns * OF_LUMA, 0);
        self.chroma.resize(columns * (CHANNELS - OF_LUMA), 0);
        let (luma_blocks, chroma_blocks) = ((groups * LUMA).div_ceil(16), (groups * (16 - LUMA)).div_ceil(16));
        for (y, out) in out.chunks_exact_mut(row).enumerate() {
            let patches = |blocks| Patches { y, columns, blocks };
            self.lite.luma.row(self.level, &[p.y], patches(luma_blocks), &mut self.scratch, &mut self.luma);
            self.lite.chroma.row(self.level, &p.uv, patches(chroma_blocks), &mut self.scratch, &mut self.chroma);
            let reference = reference.map(|r| &r[y * row..][..row]);
            quantise(self.level, &scale, &Row { luma: &self.luma, chroma: &self.chroma, groups, reference, hold: HOLD }, out);
        }
        self.scale = Some((step, scale));
    }

    fn scale_of(&self, step: usize) -> Scale {
        let gain = &self.lite.gain[step * CHANNELS..][..CHANNELS];
        let (mut scale, mut offset) = ([0.0; CHANNELS], [0.0; CHANNELS]);
        for c in 0..CHANNELS {
            let (middle, range, sum) = match c.checked_sub(OF_LUMA) {
                // As synthesis gives them, whatever the range.
                None => (125.5, 219.0, self.lite.luma.sum[c]),
                Some(c) => (128.0, 224.0, self.lite.chroma.sum[c]),
            };
            (scale[c], offset[c]) = (gain[c] / range, middle * sum as f32);
        }
        let zone = self.lite.zone[step * CHANNELS..][..CHANNELS].try_into().expect("whole");
        Scale { scale, offset, zone }
    }
}
