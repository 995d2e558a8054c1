//! Any frame of a file as a picture.

use super::{Frame, Reader};
use crate::{Error, Result};
use lic_codec::{Decoder, PictureMut, RawFormat, Runtime, StreamInfo};
use std::io::{Read, Seek};

/// A decoded frame.
#[derive(Clone, Debug)]
pub struct Picture {
    pub info: StreamInfo,
    pub format: RawFormat,
    /// Planes one after the other, lines without padding.
    pub data: Vec<u8>,
    /// Nanoseconds, if the frame says so.
    pub time: Option<u64>,
}

/// Decodes frames by their place in the file. A frame costs the decoding of its group up to it; the one after it, or any later one of the
/// same group, only what is between.
pub struct Pictures<R> {
    reader: Reader<R>,
    decoder: Decoder,
    group: Option<usize>,
    /// Of that group, whole.
    frames: Vec<Frame>,
    /// How many of them were decoded.
    decoded: usize,
    info: Option<StreamInfo>,
}

impl<R: Read + Seek> Pictures<R> {
    /// `threads`: 0 for all cores.
    pub fn open(file: R, runtime: &Runtime, threads: u32) -> Result<Pictures<R>> {
        let (reader, decoder) = (Reader::open(file)?, Decoder::new(runtime, threads)?);
        Ok(Pictures { reader, decoder, group: None, frames: Vec::new(), decoded: 0, info: None })
    }

    pub fn reader(&self) -> &Reader<R> {
        &self.reader
    }

    /// Frame `n`, from 0, as I420, NV12, GRAY8, RGB or BGR.
    pub fn frame(&mut self, n: u64, format: RawFormat) -> Result<Picture> {
        let place = self.reach(n)?;
        let info = self.info.ok_or_else(|| Error::Damaged("a group without a key frame".into()))?;
        let mut sizes = format.planes(info.width as usize, info.height as usize);
        let mut data = vec![0; sizes.iter().map(|(line, lines)| line * lines).sum()];
        let mut rest = &mut data[..];
        let planes = sizes.drain(..).map(|(line, lines)| (rest.split_off_mut(..line * lines).expect("as large"), line)).collect();
        self.decoder.render(&mut PictureMut::new(format, info.width, info.height, planes)?)?;
        Ok(Picture { info, format, data, time: self.frames[place].time })
    }

    /// Time of frame `n` in nanoseconds, if it says one, without decoding.
    pub fn time(&mut self, n: u64) -> Result<Option<u64>> {
        let (group, place) = self.reader.index().find(n).ok_or_else(|| Error::NoFrame { n, of: self.reader.index().frames() })?;
        if self.group == Some(group) {
            return Ok(self.frames[place as usize].time);
        }
        Ok(self.reader.up_to(n)?.last().and_then(|f| f.time))
    }

    /// Decodes up to frame `n`: its place in the group.
    fn reach(&mut self, n: u64) -> Result<usize> {
        let (group, place) = self.reader.index().find(n).ok_or_else(|| Error::NoFrame { n, of: self.reader.index().frames() })?;
        let place = place as usize;
        if self.group != Some(group) {
            self.group = None;
            self.frames.clear();
            let count = self.reader.index().groups[group].frames;
            let mut frames = self.reader.frames(group)?;
            for _ in 0..count {
                self.frames.push(frames.next()?.ok_or_else(|| Error::Damaged("the file is shorter than its index says".into()))?);
            }
            (self.group, self.decoded) = (Some(group), 0);
            self.decoder.reset();
        } else if place + 1 < self.decoded {
            self.decoded = 0;
            self.decoder.reset();
        }
        while self.decoded <= place {
            let done = self.decoder.decode(&self.frames[self.decoded].data);
            if done.is_err() {
                // What comes after it in the group cannot be decoded either.
                self.group = None;
            }
            self.info = Some(done?.info);
            self.decoded += 1;
        }
        Ok(place)
    }
}
