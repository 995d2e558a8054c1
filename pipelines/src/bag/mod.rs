//! Cameras in MCAP files and ROS 2 bags.

mod picture;
mod remux;

pub use picture::{Content, Message};
pub use remux::{Packets, remux};

use crate::commands::Error;
use lic_container::bag::{Channel, Records, channels};
use lic_ros2::{CompressedImage, Image};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// `sensor_msgs/msg/CompressedImage` as an MCAP schema of encoding ros2msg.
pub const SCHEMA: &str = "\
std_msgs/Header header
string format
uint8[] data
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
";
/// Its name.
pub const COMPRESSED: &str = "sensor_msgs/msg/CompressedImage";
pub const RAW: &str = "sensor_msgs/msg/Image";

/// The MCAP file of an input: itself, or that of a bag's folder.
pub fn file(path: &Path) -> Result<PathBuf, Error> {
    if path.is_file() {
        return Ok(path.to_path_buf());
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(path)?.flatten().map(|e| e.path()).collect();
    found.sort();
    let with = |e: &str| found.iter().filter(|p| p.extension().is_some_and(|x| x == e)).cloned().collect::<Vec<_>>();
    match (&with("mcap")[..], with("db3").is_empty()) {
        ([one], _) => Ok(one.clone()),
        ([], false) => Err("bags in SQLite are not read: `ros2 bag convert` makes MCAP of them".into()),
        ([], true) => Err("no MCAP file in it".into()),
        _ => Err("a bag of several MCAP files: name them one by one".into()),
    }
}

/// Topics with pictures that can be read: raw, JPEG or lic.
pub fn cameras(path: &Path) -> Result<Vec<Channel>, Error> {
    let mut all = channels(&mut File::open(file(path)?)?)?;
    all.retain(|c| c.encoding == "cdr" && (c.schema == COMPRESSED || c.schema == RAW));
    Ok(all)
}

/// The messages of one topic.
pub struct Topic {
    records: Records<BufReader<File>>,
    raw: bool,
    id: u16,
}

impl Topic {
    pub fn open(path: &Path, topic: &str) -> Result<Topic, Error> {
        let camera = cameras(path)?.into_iter().find(|c| c.topic == topic).ok_or_else(|| format!("no pictures on the topic {topic}"))?;
        let records = Records::new(BufReader::new(File::open(file(path)?)?));
        Ok(Topic { records, raw: camera.schema == RAW, id: camera.id })
    }

    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        while let Some(record) = self.records.next()? {
            if let mcap::records::Record::Message { header, data } = record
                && header.channel_id == self.id
            {
                return Ok(Some(Message::parse(self.raw, &data, header.log_time)?));
            }
        }
        Ok(None)
    }
}

impl Message {
    /// `raw`: an Image, not a CompressedImage; `log`: when it was recorded.
    pub fn parse(raw: bool, data: &[u8], log: u64) -> Result<Message, Error> {
        let wrong = |e: lic_ros2::CdrError| format!("a message that is not what its schema says: {e}");
        let (header, content) = if raw {
            let i = Image::from_cdr(data).map_err(wrong)?;
            (i.header.clone(), Content::of_image(i))
        } else {
            let c = CompressedImage::from_cdr(data).map_err(wrong)?;
            (c.header.clone(), Content::of_compressed(c))
        };
        let stamp = header.stamp();
        let time = if stamp > 0 { stamp as u64 } else { log };
        Ok(Message { header, time, content })
    }
}
