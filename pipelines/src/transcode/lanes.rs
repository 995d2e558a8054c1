//! Groups of pictures coded side by side: two encoders take turns at them, whatever the number of cores, so that the bytes are always the
//! same. One frame after the other leaves a core idle half of the time.

use crate::commands::Error;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use gst_video::prelude::*;
use lic_codec::{Encoder, Pack, RawFormat, RawFrame, Runtime, Settings, StreamInfo};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Encoders.
const LANES: usize = 2;
/// Bytes of pictures that may wait for their encoder; longer groups are coded one after the other.
const MOST_WAITING: usize = 100 << 20;

/// A picture on its way.
struct Job {
    buffer: gst::Buffer,
    info: gst_video::VideoInfo,
    number: u32,
    key: bool,
    time: u64,
}

struct Lane {
    jobs: Option<Sender<Job>>,
    packets: Receiver<Result<Vec<u8>, Error>>,
    thread: Option<JoinHandle<()>>,
}

/// All of them.
pub struct Lanes {
    settings: Settings,
    pack: Arc<Pack>,
    runtime: Runtime,
    lanes: Vec<Lane>,
    gop: u64,
    taken: u64,
    /// Of frames whose packets have not been given back: lane, time, duration.
    pending: VecDeque<(usize, u64, Option<u64>)>,
}

/// A coded frame: bytes, time and duration in nanoseconds.
pub type Packet = (Vec<u8>, u64, Option<u64>);

impl Lanes {
    /// Whether these settings can be coded so: not if each frame depends on all before it.
    pub fn suit(settings: &Settings) -> bool {
        settings.bitrate == 0 && settings.max_frame_bytes == 0 && settings.key_int_max > 0
    }

    /// `settings.threads`: of all lanes together.
    pub fn new(pack: &str, settings: Settings) -> Result<Lanes, Error> {
        let (pack, runtime, gop) = (Pack::open(pack)?, Runtime::find()?, settings.key_int_max as u64);
        Ok(Lanes { settings, pack, runtime, lanes: Vec::new(), gop, taken: 0, pending: VecDeque::new() })
    }

    /// The next picture: what packets are ready.
    pub fn push(&mut self, sample: &gst::Sample, time: u64) -> Result<Vec<Packet>, Error> {
        let buffer = sample.buffer_owned().ok_or("a sample without a buffer")?;
        let info = gst_video::VideoInfo::from_caps(sample.caps().ok_or("a sample without caps")?)?;
        if self.lanes.is_empty() {
            let count = if self.gop as usize * info.size() <= MOST_WAITING { LANES } else { 1 };
            // While one lane gets a group as fast as it codes it, the other has half a group to live on.
            let waiting = self.gop as usize / 2 + 1;
            let threads = match self.settings.threads {
                0 => std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
                n => n,
            };
            let settings = Settings { threads: (threads / count as u32).max(1), ..self.settings.clone() };
            self.lanes = (0..count).map(|_| Lane::new(self.pack.clone(), self.runtime.clone(), settings.clone(), waiting)).collect();
        }
        let lane = (self.taken / self.gop) as usize % self.lanes.len();
        let job = Job { number: self.taken as u32, key: self.taken.is_multiple_of(self.gop), info, time, buffer };
        self.pending.push_back((lane, time, job.buffer.duration().map(|d| d.nseconds())));
        // A lane that has ended says why where its packets are taken.
        let _ = self.lanes[lane].jobs.as_ref().expect("open until the end").send(job);
        self.taken += 1;
        let mut out = Vec::new();
        while let Some(&(lane, time, duration)) = self.pending.front() {
            let Ok(packet) = self.lanes[lane].packets.try_recv() else { break };
            self.pending.pop_front();
            out.push((packet?, time, duration));
        }
        Ok(out)
    }

    /// What is left.
    pub fn finish(&mut self) -> Result<Vec<Packet>, Error> {
        self.lanes.iter_mut().for_each(|l| l.jobs = None);
        let mut out = Vec::new();
        while let Some((lane, time, duration)) = self.pending.pop_front() {
            let packet = self.lanes[lane].packets.recv().map_err(|_| "an encoder stopped on an error within lic")?;
            out.push((packet?, time, duration));
        }
        Ok(out)
    }
}

impl Lane {
    fn new(pack: Arc<Pack>, runtime: Runtime, settings: Settings, waiting: usize) -> Lane {
        let (jobs, todo) = bounded::<Job>(waiting);
        let (done, packets) = unbounded();
        let thread = std::thread::spawn(move || {
            let mut encoder = None;
            for job in todo {
                let coded = code(&mut encoder, &pack, &runtime, &settings, job);
                let failed = coded.is_err();
                if done.send(coded).is_err() || failed {
                    break;
                }
            }
        });
        Lane { jobs: Some(jobs), packets, thread: Some(thread) }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn code(
    encoder: &mut Option<(Encoder, StreamInfo)>,
    pack: &Arc<Pack>,
    runtime: &Runtime,
    settings: &Settings,
    job: Job,
) -> Result<Vec<u8>, Error> {
    if job.info.is_interlaced() {
        return Err("interlaced pictures: put them through a deinterlacer first".into());
    }
    let stream = gstlic::stream::stream_info(&job.info);
    let frame = gst_video::VideoFrame::from_buffer_readable(job.buffer, &job.info).map_err(|_| "a picture that cannot be read")?;
    let format = if stream.grey { RawFormat::Gray8 } else { RawFormat::I420 };
    let planes: Vec<_> = (0..frame.n_planes())
        .map(|i| Ok((frame.plane_data(i)?, frame.plane_stride()[i as usize] as usize)))
        .collect::<Result<_, gst::glib::BoolError>>()?;
    let raw = RawFrame::new(format, stream.width, stream.height, &planes)?.at(Duration::from_nanos(job.time));
    let changed = encoder.as_ref().is_none_or(|(_, s)| *s != stream);
    if changed {
        *encoder = Some((Encoder::new(pack.clone(), runtime, stream, settings.clone())?, stream));
    }
    let (encoder, _) = encoder.as_mut().expect("made above");
    if job.key || changed {
        encoder.set_next_number(job.number);
    }
    Ok(encoder.encode(&raw, job.key || changed)?.data)
}
