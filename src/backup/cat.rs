//! The records of an archive, one after the other, as lines for people and programs.

use super::archive::Archive;
use super::archive_error::ArchiveError;
use super::batch::TimeStampType;
use super::manifest::{KeptPartition, KeptTopic};
use super::segments::Segments;
use super::transactions::CommittedRecords;
use base64::Engine;
use serde::{Serialize, Serializer};

/// Bytes: text where they are UTF-8, else an object `{"base64": …}`, so that the two cannot be confused.
#[derive(Clone, Copy, Debug)]
pub struct ShownBytes<'a>(pub &'a [u8]);

impl Serialize for ShownBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let text = base64::engine::general_purpose::STANDARD.encode(self.0);
                serializer.collect_map([("base64", text)])
            }
        }
    }
}

/// A record as one line of JSON.
#[derive(Debug, Serialize)]
pub struct RecordLine<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The time stamp, in ms since the epoch.
    pub timestamp: i64,
    /// `CreateTime` or `LogAppendTime`.
    pub timestamp_type: &'static str,
    /// The key.
    pub key: Option<ShownBytes<'a>>,
    /// The value.
    pub value: Option<ShownBytes<'a>>,
    /// Keys and values of the headers, in their order.
    pub headers: Vec<(ShownBytes<'a>, Option<ShownBytes<'a>>)>,
}

/// Which records are meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatSelection {
    /// From this offset on.
    pub from: i64,
    /// At most so many.
    pub most: Option<u64>,
    /// Those of aborted and open transactions, too; not markers.
    pub uncommitted: bool,
}

/// Hands the records of a partition to `each`, in the order of their offsets, until that says `false`. Returns how many there were.
///
/// # Errors
/// The archive cannot be read, or is damaged.
pub fn records(
    archive: &Archive,
    topic: &KeptTopic,
    partition: &KeptPartition,
    selection: CatSelection,
    mut each: impl FnMut(RecordLine<'_>) -> bool,
) -> Result<u64, ArchiveError> {
    let committed = CommittedRecords::of(partition);
    let mut scratch = Vec::new();
    let mut seen = 0;
    for stored in Segments::new(archive, partition, selection.from) {
        let stored = stored?;
        let header = &stored.header;
        if header.attributes.is_control() || (!selection.uncommitted && !committed.sees(header)) {
            continue;
        }
        let timestamp_type = match header.attributes.time_stamp_type() {
            TimeStampType::CreateTime => "CreateTime",
            TimeStampType::LogAppendTime => "LogAppendTime",
        };
        let wrong = |error| stored.damaged(&error);
        for record in stored.batch()?.records(&mut scratch).map_err(wrong)? {
            let record = record.map_err(wrong)?;
            if record.offset < selection.from {
                continue;
            }
            if selection.most.is_some_and(|most| seen >= most) {
                return Ok(seen);
            }
            let headers = record.headers().map(|header| (ShownBytes(header.key), header.value.map(ShownBytes)));
            seen += 1;
            let go_on = each(RecordLine {
                topic: &topic.name,
                partition: partition.partition,
                offset: record.offset,
                timestamp: record.timestamp,
                timestamp_type,
                key: record.key.map(ShownBytes),
                value: record.value.map(ShownBytes),
                headers: headers.collect(),
            });
            if !go_on {
                return Ok(seen);
            }
        }
    }
    Ok(seen)
}
