//! MCAP files (<https://mcap.dev/spec>): their records in order, whatever is cut off at the end, and their channels.

use crate::Result;
use mcap::records::{Record, op};
use mcap::sans_io::{LinearReadEvent, LinearReader, LinearReaderOptions, SummaryReadEvent, SummaryReader};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

/// Largest record, and largest chunk, that is read: several raw pictures of the largest size.
pub const MAX_RECORD: usize = 128 << 20;

/// A topic of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    pub id: u16,
    pub topic: String,
    /// `cdr`, `protobuf`, ...
    pub encoding: String,
    pub metadata: BTreeMap<String, String>,
    /// 0: none.
    pub schema_id: u16,
    /// `sensor_msgs/msg/Image`, ...; and how its text is to be read, and the text.
    pub schema: String,
    pub schema_encoding: String,
    pub schema_data: Vec<u8>,
}

/// Records from beginning to end; those of chunks as well, in place of these.
pub struct Records<R> {
    from: R,
    reader: LinearReader,
    cut: bool,
    done: bool,
}

impl<R: Read> Records<R> {
    pub fn new(from: R) -> Records<R> {
        // A chunk is checked before anything of it is believed, and so held in memory: twice MAX_RECORD at most.
        let options = LinearReaderOptions::default().with_prevalidate_chunk_crcs(true).with_record_length_limit(MAX_RECORD);
        Records { from, reader: LinearReader::new_with_options(options), cut: false, done: false }
    }

    /// The file ended within a record: what came before is whole.
    pub fn cut(&self) -> bool {
        self.cut
    }

    #[allow(clippy::should_implement_trait)] // it can fail
    /// The next record; None: the end, or where the file was cut.
    pub fn next(&mut self) -> Result<Option<Record<'static>>> {
        while !self.done {
            match self.reader.next_event() {
                None => self.done = true,
                Some(Ok(LinearReadEvent::ReadRequest(n))) => {
                    let read = self.from.read(self.reader.insert(n.min(1 << 20)))?;
                    self.reader.notify_read(read);
                }
                // What follows the data repeats it.
                Some(Ok(LinearReadEvent::Record { opcode: op::DATA_END, .. })) => self.done = true,
                Some(Ok(LinearReadEvent::Record { opcode, data })) => return Ok(Some(mcap::parse_record(opcode, data)?.into_owned())),
                Some(Err(mcap::McapError::UnexpectedEof)) => (self.done, self.cut) = (true, true),
                Some(Err(e)) => {
                    self.done = true;
                    return Err(e.into());
                }
            }
        }
        Ok(None)
    }
}

/// The channels of a file, by its summary or, where there is none, by reading all of it. The file stands at its beginning afterwards.
pub fn channels(file: &mut (impl Read + Seek)) -> Result<Vec<Channel>> {
    let mut out = match summary(file) {
        Some(found) => found,
        None => {
            file.seek(SeekFrom::Start(0))?;
            scanned(file)?
        }
    };
    file.seek(SeekFrom::Start(0))?;
    out.sort_by_key(|c| c.id);
    out.dedup_by_key(|c| c.id);
    Ok(out)
}

fn summary(file: &mut (impl Read + Seek)) -> Option<Vec<Channel>> {
    let mut reader = SummaryReader::new();
    while let Some(event) = reader.next_event() {
        match event.ok()? {
            SummaryReadEvent::ReadRequest(n) => {
                let read = file.read(reader.insert(n.min(MAX_RECORD))).ok()?;
                reader.notify_read(read);
            }
            SummaryReadEvent::SeekRequest(to) => reader.notify_seeked(file.seek(to).ok()?),
        }
    }
    let s = reader.finish().filter(|s| !s.channels.is_empty())?;
    let channel = |c: &mcap::Channel| {
        let none = Default::default;
        let (name, encoding, data) = c.schema.as_ref().map_or_else(none, |s| (s.name.clone(), s.encoding.clone(), s.data.to_vec()));
        Channel {
            id: c.id,
            topic: c.topic.clone(),
            encoding: c.message_encoding.clone(),
            metadata: c.metadata.clone(),
            schema_id: c.schema.as_ref().map_or(0, |s| s.id),
            schema: name,
            schema_encoding: encoding,
            schema_data: data,
        }
    };
    Some(s.channels.values().map(|c| channel(c)).collect())
}

fn scanned(file: &mut impl Read) -> Result<Vec<Channel>> {
    let (mut records, mut schemas, mut out) = (Records::new(file), BTreeMap::new(), Vec::new());
    while let Some(record) = records.next()? {
        match record {
            Record::Schema { header, data } => {
                schemas.insert(header.id, (header.name, header.encoding, data.into_owned()));
            }
            Record::Channel(c) => {
                let (schema, schema_encoding, schema_data) = schemas.get(&c.schema_id).cloned().unwrap_or_default();
                let (id, topic, encoding) = (c.id, c.topic, c.message_encoding);
                out.push(Channel {
                    id,
                    topic,
                    encoding,
                    metadata: c.metadata,
                    schema_id: c.schema_id,
                    schema,
                    schema_encoding,
                    schema_data,
                });
            }
            _ => {}
        }
    }
    Ok(out)
}
