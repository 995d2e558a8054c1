//! To MCAP files.

use super::{Coder, Done, Progress};
use crate::bag::{self, Packets};
use crate::commands::Error;
use crate::inputs::{Input, Kind};
use lic_container::lic::{Clock, Frames};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Topic of pictures that come from no topic.
const TOPIC: &str = "/camera/lic";

pub fn run(input: &Input, coder: &Coder, part: &Path, progress: &dyn Progress) -> Result<Done, Error> {
    let topic = coder.topics.first().map_or(TOPIC, String::as_str);
    let frame_id = topic.trim_matches('/').split('/').next().unwrap_or_default();
    let state = (Done::default(), None, 0u64);
    let push = |packets: &mut Packets, (done, first, last): &mut (Done, Option<u64>, u64), data: Vec<u8>, time: u64| {
        done.frames += 1;
        first.get_or_insert(time);
        *last = time;
        packets.push(data, time)
    };
    let (packets, (mut done, first, last)) = match input.kind {
        Kind::Mcap => return bag::remux(&input.path, &coder.topics, coder.images, coder, part, progress),
        Kind::Lic => {
            let (mut packets, mut state) = (Packets::create(part, topic, frame_id)?, state);
            let mut frames = Frames::new(BufReader::new(File::open(&input.path)?), 0);
            let mut clock = Clock::default();
            while let Some(f) = frames.next()? {
                let time = clock.time(&f.header, f.time);
                push(&mut packets, &mut state, f.data, time)?;
            }
            (packets, state)
        }
        _ => {
            let (out, source) = super::lic::packets(
                input,
                coder,
                progress,
                (Packets::create(part, topic, frame_id)?, state),
                move |(packets, state), (data, time, _)| push(packets, state, data, time),
            )?;
            source.left_out("an MCAP file", progress);
            out
        }
    };
    done.bytes = packets.finish()?;
    done.seconds = (last - first.unwrap_or(last)) as f64 * 1e-9;
    Ok(done)
}
