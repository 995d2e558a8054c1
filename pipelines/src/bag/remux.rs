//! MCAP -> MCAP: cameras coded anew, everything else as it is.

use super::{COMPRESSED, Content, Message, RAW, SCHEMA, cameras, file};
use crate::commands::Error;
use crate::transcode::{Coder, Done, Images, Progress};
use lic_codec::jpeg::{self, Notes};
use lic_codec::{Colour, Decoder, Encoder, Pack, PictureMut, RawFormat, RawFrame, Runtime, StreamInfo};
use lic_container::bag::{Channel, Records, channels};
use lic_ros2::{CompressedImage, Header};
use mcap::records::{MessageHeader, Record};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

type Out = mcap::Writer<BufWriter<File>>;

/// A new file. `profile`: `ros2`, for what is in it.
fn create(part: &Path, profile: &str) -> Result<Out, Error> {
    let file = File::create(part).map_err(|e| format!("{}: {e}", part.display()))?;
    let library = format!("lic {}", env!("CARGO_PKG_VERSION"));
    Ok(mcap::WriteOptions::new().profile(profile).library(library).create(BufWriter::new(file))?)
}

/// A new channel of CompressedImage.
fn channel(out: &mut Out, topic: &str, metadata: &BTreeMap<String, String>) -> Result<u16, Error> {
    let schema = out.add_schema(COMPRESSED, "ros2msg", SCHEMA.as_bytes())?;
    Ok(out.add_channel(schema, topic, "cdr", metadata)?)
}

/// A file with one topic of packets, in the order in which they come.
pub struct Packets {
    out: Out,
    channel: u16,
    sequence: u32,
    frame_id: String,
}

impl Packets {
    pub fn create(part: &Path, topic: &str, frame_id: &str) -> Result<Packets, Error> {
        let mut out = create(part, "ros2")?;
        let channel = channel(&mut out, topic, &BTreeMap::new())?;
        Ok(Packets { out, channel, sequence: 0, frame_id: frame_id.into() })
    }

    /// `time`: nanoseconds.
    pub fn push(&mut self, packet: Vec<u8>, time: u64) -> Result<(), Error> {
        let message = CompressedImage { header: Header::new(time as i64, &self.frame_id), format: "lic".into(), data: packet };
        let header = MessageHeader { channel_id: self.channel, sequence: self.sequence, log_time: time, publish_time: time };
        self.out.write_to_known_channel(&header, &message.to_cdr())?;
        self.sequence += 1;
        Ok(())
    }

    /// Ends the file: its bytes.
    pub fn finish(mut self) -> Result<u64, Error> {
        finish(&mut self.out)?;
        let file = self.out.into_inner().into_inner().map_err(|e| e.into_error())?;
        Ok(file.metadata()?.len())
    }
}

fn finish(out: &mut Out) -> Result<(), Error> {
    out.finish()?;
    Ok(())
}

/// One camera on its way.
struct Camera {
    raw: bool,
    out: u16,
    encoder: Option<(Encoder, StreamInfo)>,
    decoder: Option<Decoder>,
}

/// What does not change from message to message.
struct How<'a> {
    coder: &'a Coder,
    images: Images,
    pack: Arc<Pack>,
    runtime: Runtime,
}

/// `topics`: the cameras to code; none: all.
pub fn remux(path: &Path, topics: &[String], images: Images, coder: &Coder, part: &Path, progress: &dyn Progress) -> Result<Done, Error> {
    let source = file(path)?;
    let open = || File::open(&source).map_err(|e| format!("{}: {e}", source.display()));
    let bytes = open()?.metadata()?.len();
    let all = channels(&mut open()?)?;
    let mut wanted = cameras(path)?;
    if let Some(missing) = topics.iter().find(|t| !wanted.iter().any(|c| c.topic == **t)) {
        return Err(format!("no pictures on the topic {missing}").into());
    }
    wanted.retain(|c| topics.is_empty() || topics.contains(&c.topic));
    for (id, what) in others(&source, &wanted)? {
        let at = wanted.iter().position(|c| c.id == id).expect("one of them");
        if !topics.is_empty() {
            return Err(format!("{}: pictures of the kind {what:?} are not read", wanted[at].topic).into());
        }
        progress.warn(&format!("{}: pictures of the kind {what:?} are copied as they are", wanted.remove(at).topic));
    }
    if wanted.is_empty() {
        return Err("no camera in it: no topic of sensor_msgs/msg/Image or CompressedImage with pictures of 8 bits".into());
    }
    let mut records = Records::new(BufReader::new(open()?));
    let profile = match records.next()? {
        Some(Record::Header(h)) => h.profile,
        _ => String::new(),
    };
    let mut out = create(part, &profile)?;
    // What is copied keeps its ids, so it comes first.
    for c in all.iter().filter(|c| !wanted.iter().any(|w| w.id == c.id)) {
        if c.schema_id != 0 {
            out.add_schema_with_id(c.schema_id, &c.schema, &c.schema_encoding, &c.schema_data)?;
        }
        out.add_channel_with_id(c.id, c.schema_id, &c.topic, &c.encoding, &c.metadata)?;
    }
    let how = How { coder, images, pack: Pack::open(&coder.model)?, runtime: Runtime::find()? };
    let mut targets = HashMap::new();
    for (c, name) in wanted.iter().zip(renamed(&wanted, &all, images)) {
        let id = channel(&mut out, &name, &c.metadata)?;
        targets.insert(c.id, Camera { raw: c.schema == RAW, out: id, encoder: None, decoder: None });
    }
    let (mut done, mut first, mut last, mut read) = (Done::default(), None, 0, 0u64);
    while let Some(record) = records.next()? {
        match record {
            Record::Message { header, data } => {
                read += data.len() as u64;
                let Some(camera) = targets.get_mut(&header.channel_id) else {
                    out.write_to_known_channel(&header, &data)?;
                    continue;
                };
                let message = Message::parse(camera.raw, &data, header.log_time)?;
                first.get_or_insert(header.log_time);
                last = last.max(header.log_time);
                if let Some(coded) = camera.code(&how, &message, &data)? {
                    let header = MessageHeader { channel_id: camera.out, ..header };
                    out.write_to_known_channel(&header, &coded)?;
                    done.frames += 1;
                }
                // Parts of the file stand for parts of the time.
                progress.at(Duration::from_millis(read / 1000), Some(Duration::from_millis(bytes / 1000)));
            }
            Record::Attachment { header: h, data, .. } => out.attach(&mcap::Attachment {
                log_time: h.log_time,
                create_time: h.create_time,
                name: h.name,
                media_type: h.media_type,
                data,
            })?,
            Record::Metadata(m) => out.write_metadata(&m)?,
            _ => {}
        }
    }
    if records.cut() {
        progress.warn("the file was cut: what came before is kept");
    }
    finish(&mut out)?;
    let file = out.into_inner().into_inner().map_err(|e| e.into_error())?;
    done.bytes = file.metadata()?.len();
    done.seconds = (last - first.unwrap_or(last)) as f64 * 1e-9;
    Ok(done)
}

/// Of these topics those whose first message holds what lic cannot code (depth, 16 bits, Bayer, PNG), and what that is.
fn others(source: &Path, cameras: &[Channel]) -> Result<Vec<(u16, String)>, Error> {
    let (mut open, mut found): (Vec<&Channel>, _) = (cameras.iter().collect(), vec![]);
    let mut records = Records::new(BufReader::new(File::open(source)?));
    while !open.is_empty() {
        let Some(record) = records.next()? else { break };
        let Record::Message { header, data } = record else { continue };
        let Some(i) = open.iter().position(|c| c.id == header.channel_id) else { continue };
        let camera = open.swap_remove(i);
        if let Ok(Message { content: Content::Other(what), .. }) = Message::parse(camera.schema == RAW, &data, header.log_time) {
            found.push((camera.id, what));
        }
    }
    Ok(found)
}

/// Names of what becomes of topics: without what image_transport added, unless that is taken then.
fn renamed(wanted: &[Channel], all: &[Channel], images: Images) -> Vec<String> {
    let kind = if images == Images::Lic { "lic" } else { "compressed" };
    let short = |c: &Channel| {
        let base = c.topic.strip_suffix("/compressed").or_else(|| c.topic.strip_suffix("/lic")).unwrap_or(&c.topic);
        format!("{base}/{kind}")
    };
    let names: Vec<String> = wanted.iter().map(short).collect();
    let others = |c: &Channel, name: &str| all.iter().any(|o| o.id != c.id && o.topic == name);
    let twice = |name: &String| names.iter().filter(|n| *n == name).count() > 1;
    wanted.iter().zip(&names).map(|(c, n)| if twice(n) || others(c, n) { format!("{}/{kind}", c.topic) } else { n.clone() }).collect()
}

impl Camera {
    /// The message as it is to be, in CDR; None: a packet that cannot be decoded yet. `as_it_is`: as it was.
    fn code(&mut self, how: &How, m: &Message, as_it_is: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let image = |format: &str, data| CompressedImage { header: m.header.clone(), format: format.into(), data }.to_cdr();
        match (&m.content, how.images) {
            (Content::Lic(_), Images::Lic) | (Content::Jpeg(_), Images::Jpeg) => Ok(Some(as_it_is.to_vec())),
            (Content::Lic(packet), Images::Jpeg) => Ok(self.decode(how, packet, m.time)?.map(|file| image("jpeg", file))),
            (content, Images::Lic) => content.with_picture(|p| Ok(Some(image("lic", self.encode(how, p, m.time)?)))),
            (content, Images::Jpeg) => content.with_picture(|p| Ok(Some(image("jpeg", written(&p, m.time)?)))),
        }
    }

    fn encode(&mut self, how: &How, picture: RawFrame, time: u64) -> Result<Vec<u8>, Error> {
        let info = StreamInfo {
            width: picture.width() as u32,
            height: picture.height() as u32,
            fps: (0, 1),
            par: (1, 1),
            colour: Colour::BT709,
            grey: picture.format() == RawFormat::Gray8,
        };
        let number = self.encoder.as_ref().map_or(0, |(e, _)| e.next_number());
        if self.encoder.as_ref().is_none_or(|(_, i)| *i != info) {
            let mut made = Encoder::new(how.pack.clone(), &how.runtime, info, how.coder.settings())?;
            made.set_next_number(number);
            self.encoder = Some((made, info));
        }
        let (encoder, _) = self.encoder.as_mut().expect("just made");
        Ok(encoder.encode(&picture.at(Duration::from_nanos(time)), false)?.data)
    }

    /// A packet as a JPEG file.
    fn decode(&mut self, how: &How, packet: &[u8], time: u64) -> Result<Option<Vec<u8>>, Error> {
        if self.decoder.is_none() {
            let mut decoder = Decoder::new(&how.runtime, how.coder.threads.unwrap_or(0))?;
            decoder.set_task(how.coder.task());
            self.decoder = Some(decoder);
        }
        let decoder = self.decoder.as_mut().expect("just made");
        let decoded = match decoder.decode(packet) {
            Ok(d) if d.whole => d,
            // The recording began in the middle of a group.
            Ok(_) | Err(lic_codec::Error::MissingReference { .. }) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let (w, h) = (decoded.info.width as usize, decoded.info.height as usize);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let mut data = vec![0; w * h + 2 * cw * ch];
        let (y, c) = data.split_at_mut(w * h);
        let (u, v) = c.split_at_mut(cw * ch);
        decoder.render(&mut PictureMut::new(RawFormat::I420, decoded.info.width, decoded.info.height, vec![(y, w), (u, cw), (v, cw)])?)?;
        let frame = RawFrame::new(RawFormat::I420, decoded.info.width, decoded.info.height, &[(y, w), (u, cw), (v, cw)])?;
        let header = lic_codec::bitstream::parse_header(packet)?;
        let notes = Notes { time: Some(time), number: header.number, step: header.step, ..Notes::default() };
        Ok(Some(jpeg::write(&frame, decoded.info.colour, &jpeg::Options::default(), &notes)?))
    }
}

/// A raw picture as a JPEG file: JPEG quality 90.
fn written(picture: &RawFrame, time: u64) -> Result<Vec<u8>, Error> {
    if picture.format() != RawFormat::Gray8 && picture.format() != RawFormat::I420 {
        return Err("raw colour pictures become lic packets, not JPEG: use --images lic, and JPEG from there".into());
    }
    let options = jpeg::Options { quality: 90, ..jpeg::Options::default() };
    Ok(jpeg::write(picture, Colour::BT601, &options, &Notes { time: Some(time), ..Notes::default() })?)
}
