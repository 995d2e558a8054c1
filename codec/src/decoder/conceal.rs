//! A picture of a frame of which something is damaged or missing: what is intact as it is, the rest from the newest whole picture, moved as
//! what lies around it. Whoever wants such pictures asks for them; nothing is ever predicted from one.

use super::{Decoder, Reading, Stream, write_picture};
use crate::PictureMut;
use crate::bitstream::{self, FrameHeader, SliceHeader, SliceKind};
use crate::error::{Error, Result};
use crate::held::{HeldFrame, Picture};
use crate::motion::{self, Networks};
use crate::prior::Kernels;
use crate::slice::Latents;
use crate::threads::parallel;
use lic_kernels::Level;
use lic_kernels::motion::Quarters;
use lic_kernels::planes::Planes;
use std::ops::Range;

impl Decoder {
    /// The picture of a frame that [`Decoder::decode`] refused or found not whole, with the stream's size, as good as it can be made: its
    /// lost slices show the newest whole picture, moved by the vectors of the nearest intact slice or, without one, by its own.
    /// Frames held stay as they are. Fails without a picture before, or if the frame's header is damaged.
    pub fn conceal(&mut self, data: &[u8], out: &mut PictureMut) -> Result<()> {
        let threads = self.threads.clone();
        threads.run(|| self.conceal_here(data, out))
    }

    fn conceal_here(&mut self, data: &[u8], out: &mut PictureMut) -> Result<()> {
        let header = bitstream::parse_header(data)?;
        let nothing = || Error::Unsupported("there is no picture to conceal with".into());
        let s = self.stream.as_mut().filter(|s| s.whole.is_some()).ok_or_else(nothing)?;
        let same = header.stream.is_none_or(|i| (i.width, i.height) == (s.info.width, s.info.height));
        if !same || (out.width, out.height) != (s.info.width as usize, s.info.height as usize) {
            return Err(Error::Unsupported("the picture to write has another size than the stream".into()));
        }
        let (threads, kernels) = (self.threads.count(), self.sessions.kernels);
        let picture = s.conceal(data, &header, self.sessions.of(&s.pack, threads)?, threads, kernels)?;
        write_picture(&picture, s.info.colour, out);
        Ok(())
    }
}

impl Stream {
    fn conceal(&mut self, data: &[u8], header: &FrameHeader, networks: &mut Networks, threads: usize, level: Level) -> Result<Planes> {
        let pack = self.pack.clone();
        let m = pack.channels;
        let (w, h) = crate::latent_size(&self.info);
        let (rows, count) = (header.slice_rows(h)?, header.slices.len());
        let reference = |s: &SliceHeader| Some(header.number.wrapping_sub(s.kind.distance()? as u32));
        let clean = header.clean.unwrap_or(0) as usize;
        let decode = |i: usize| -> Option<Latents> {
            let end = rows[i].end.div_ceil(2);
            if let Some(known) = reference(&header.slices[i]).map(|n| self.held.get(n).map(|f| f.known)) {
                known?.is_none_or(|k| end <= k.min(clean)).then_some(())?;
            }
            let kernels = Kernels { level, threads };
            self.slice_of(data, header, i, &rows[i], kernels, Reading::default()).ok().map(|s| s.0)
        };
        let mut slices = parallel(threads, count, decode);

        // Pictures that it is made from.
        let moves = |i: usize| matches!(header.slices[i].kind, SliceKind::Motion { .. });
        for i in (0..count).filter(|&i| slices[i].is_some() && moves(i)) {
            self.held.picture(reference(&header.slices[i]).expect("kind motion has one"), networks, w)?;
        }
        let newest = match self.whole.and_then(|n| self.held.get_mut(n)) {
            Some(f) => f,
            None => self.past.as_mut().ok_or_else(|| Error::Unsupported("there is no picture to conceal with".into()))?,
        };
        newest.picture(networks, w)?;
        let newest = match self.whole.and_then(|n| self.held.get(n)) {
            Some(f) => f,
            None => self.past.as_ref().expect("seen above"),
        };
        let Picture::Made(newest_picture) = &newest.picture else { unreachable!("made above") };

        let sources: Vec<(Range<usize>, Option<&Planes>)> = (0..count)
            .map(|i| {
                let source = match &slices[i] {
                    None => Some(newest_picture),
                    Some(_) if moves(i) => reference(&header.slices[i]).and_then(|n| self.held.made(n)),
                    Some(_) => None,
                };
                (rows[i].clone(), source)
            })
            .collect();
        let lost: Vec<(usize, Latents)> = (0..count)
            .filter(|&i| slices[i].is_none())
            .map(|i| {
                let mut latents = Latents::unknown(rows[i].len() * w, m, true);
                let blocks = latents.motion.iter_mut().flat_map(|x| x.blocks.iter_mut());
                let vectors = rows[i].clone().flat_map(|row| vectors_near(row, w, &rows, &slices, newest));
                blocks.zip(vectors).for_each(|(b, v)| b.vectors = v);
                (i, latents)
            })
            .collect();
        lost.into_iter().for_each(|(i, latents)| slices[i] = Some(latents));

        let mut frame = HeldFrame::of(header.number, header.step, slices.into_iter().flatten().collect(), m);
        let Picture::Pending(mut pending) = std::mem::take(&mut frame.picture) else { unreachable!("just begun") };
        if !frame.vectors.is_empty() {
            pending.prediction = motion::compensate(level, &sources, &frame.vectors, header.clean.is_some(), threads);
        }
        if header.clean.is_some() {
            pending.alone = rows;
        }
        networks.make(&frame, pending, w)
    }
}

/// Vectors for a row of a lost slice.
fn vectors_near(row: usize, w: usize, rows: &[Range<usize>], slices: &[Option<Latents>], newest: &HeldFrame) -> Vec<Quarters> {
    let fields = rows.iter().zip(slices).filter_map(|(r, s)| Some((r, s.as_ref()?.motion.as_ref()?)));
    let nearest = |r: &Range<usize>| row.clamp(r.start, r.end - 1);
    match fields.min_by_key(|(r, _)| nearest(r).abs_diff(row)) {
        Some((r, field)) => field.blocks[(nearest(r) - r.start) * w..][..w].iter().map(|b| b.vectors).collect(),
        None => newest.vectors.get(row * w..(row + 1) * w).map_or_else(|| vec![Quarters::default(); w], <[Quarters]>::to_vec),
    }
}
