//! Records that are sent as they are: with their keys, headers, partitions and time stamps.

use super::lines::{MOST_HELD, PIECE};
use super::record_file::{RecordFormat, read_file};
use super::source::{Extras, Number, PayloadSource, Rendered, rendered, with_room};
use super::{IdentityPlace, LoadError};
use crate::accounting::{IDENTITY_HEADER, Identity, IdentityError};
use crate::ground::json_path::JsonPath;
use crate::kafka::{LogSink, OffsetReader, RereadMessage, reread};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a cluster may take to tell where a topic begins and ends.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where records come from.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordOrigin {
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        format: RecordFormat,
        /// What of each record is what.
        fields: RecordFields,
    },
    /// All that a topic of the same cluster holds when the load is prepared, partition after partition.
    Topic {
        /// Its name.
        name: String,
        /// Whether each record keeps its time stamp.
        timestamps: bool,
        /// Whether each record keeps the number of its partition.
        partitions: bool,
    },
}

/// What of a JSON document is what; what is not given is not set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordFields {
    /// The value; the whole document, byte for byte, where absent.
    pub value: Option<JsonPath>,
    /// The key.
    pub key: Option<JsonPath>,
    /// Headers by name.
    pub headers: BTreeMap<String, JsonPath>,
    /// The partition.
    pub partition: Option<JsonPath>,
    /// The time stamp: ms since the epoch, or a text as RFC 3339 has it.
    pub timestamp: Option<JsonPath>,
}

/// Which records are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordSpec {
    /// Where they come from.
    pub origin: RecordOrigin,
}

/// A record as it was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SourceRecord {
    /// `None` for null.
    pub(super) value: Option<Vec<u8>>,
    /// `None` for null.
    pub(super) key: Option<Vec<u8>>,
    pub(super) headers: Vec<(CString, Option<Vec<u8>>)>,
    pub(super) partition: Option<i32>,
    pub(super) timestamp_ms: Option<i64>,
}

/// Records, ready to be sent.
pub struct RecordSet {
    records: Vec<ReadyRecord>,
    held: usize,
}

struct ReadyRecord {
    value: Vec<u8>,
    key: Option<Vec<u8>>,
    extras: Extras,
    rendered: Rendered,
}

impl RecordSet {
    /// Reads them all. Blocks.
    pub(super) fn read(
        spec: &RecordSpec,
        connection: &BTreeMap<String, String>,
        asked: Option<IdentityPlace>,
    ) -> Result<Self, LoadError> {
        let mut set = Self { records: Vec::new(), held: 0 };
        let place = asked.unwrap_or(IdentityPlace::Header);
        let whence = match &spec.origin {
            RecordOrigin::File { path, format, fields } => {
                read_file(path, *format, fields, &mut |record| set.take(record, place))?;
                format!("`{}`", path.display())
            }
            RecordOrigin::Topic { name, timestamps, partitions } => {
                for (number, record) in (1..).zip(read_topic(name, connection, (*timestamps, *partitions))?) {
                    let wrong = |why| LoadError::Spec(format!("topic `{name}`, record {number}: {why}"));
                    set.take(record, place).map_err(wrong)?;
                }
                format!("topic `{name}`")
            }
        };
        if set.records.is_empty() {
            return Err(LoadError::Spec(format!("{whence} has no records to send")));
        }
        Ok(set)
    }

    fn take(&mut self, record: SourceRecord, place: IdentityPlace) -> Result<(), String> {
        let ready = ready(record, place)?;
        self.held += size_of::<ReadyRecord>() + 3 * PIECE + ready.bytes();
        if self.held > MOST_HELD {
            let most = MOST_HELD >> 20;
            return Err(format!(
                "the records up to here take more than {most} MiB of memory; send fewer, over and over"
            ));
        }
        self.records.push(ready);
        Ok(())
    }
}

impl ReadyRecord {
    /// Bytes of its parts.
    fn bytes(&self) -> usize {
        let Self { value, key, extras, .. } = self;
        let headers = extras.headers.iter().map(|header| {
            let (name, value) = header;
            size_of_val(header) + 2 * PIECE + name.as_bytes().len() + value.as_ref().map_or(0, Vec::len)
        });
        value.len() + key.as_ref().map_or(0, Vec::len) + headers.sum::<usize>()
    }
}

/// A record with room for an identity.
fn ready(record: SourceRecord, place: IdentityPlace) -> Result<ReadyRecord, &'static str> {
    let SourceRecord { value, key, headers, partition, timestamp_ms } = record;
    let marked = value.as_deref().is_some_and(|value| !matches!(Identity::find(value), Err(IdentityError::Absent)));
    if marked || headers.iter().any(|(name, _)| name.to_bytes() == IDENTITY_HEADER.as_bytes()) {
        return Err(
            "it carries an identity of kscen already, and would be taken for the message that it was: send messages with \
                    `identity: none` into a topic that is to be sent again",
        );
    }
    let extras = Extras { headers, partition, timestamp_ms, has_key: key.is_some() };
    let Some(value) = value else {
        return Ok(ReadyRecord { value: Vec::new(), key, extras, rendered: Rendered::tombstone(place) });
    };
    let (value, place) = with_room(&value, Some(place)).ok_or("it is no JSON object, which `identity: field` needs")?;
    let rendered = rendered(&value, place);
    Ok(ReadyRecord { value, key, extras, rendered })
}

/// All that a topic holds, partition after partition.
fn read_topic(
    name: &str,
    connection: &BTreeMap<String, String>,
    (timestamps, partitions): (bool, bool),
) -> Result<Vec<SourceRecord>, LoadError> {
    let offsets = OffsetReader::new(connection, false, LogSink::default())?;
    let all = offsets.partitions(name, PATIENCE)?;
    let (starts, ends) = (offsets.starts(name, &all, PATIENCE)?, offsets.ends(name, &all, PATIENCE)?);
    drop(offsets);
    let from: BTreeMap<i32, i64> =
        starts.into_iter().filter(|(partition, start)| ends.get(partition).is_some_and(|end| start < end)).collect();
    let (mut found, mut bytes, mut fault) = (BTreeMap::<i32, Vec<SourceRecord>>::new(), 0, None);
    reread(connection, name, &from, |message| {
        let end = ends.get(&message.partition).copied().unwrap_or(0);
        if message.offset >= end {
            return ControlFlow::Break(());
        }
        let last = message.offset + 1 >= end;
        let headers = message.headers.iter().map(|(name, value)| 2 * PIECE + name.len() + value.map_or(0, <[u8]>::len));
        bytes += size_of::<SourceRecord>() + message.key.map_or(0, <[u8]>::len) + message.value.map_or(0, <[u8]>::len);
        bytes += headers.sum::<usize>();
        if bytes > MOST_HELD {
            fault = Some(format!("topic `{name}` holds more than {} MiB", MOST_HELD >> 20));
        }
        match of_message(&message, timestamps, partitions) {
            Ok(record) => found.entry(message.partition).or_default().push(record),
            Err(why) => fault = Some(format!("topic `{name}`, {}@{}: {why}", message.partition, message.offset)),
        }
        if last || fault.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    match fault {
        Some(fault) => Err(LoadError::Spec(fault)),
        None => Ok(found.into_values().flatten().collect()),
    }
}

fn of_message(message: &RereadMessage<'_>, timestamps: bool, partitions: bool) -> Result<SourceRecord, String> {
    let header = |(name, value): &(&[u8], Option<&[u8]>)| match CString::new(*name) {
        Ok(name) => Ok((name, value.map(<[u8]>::to_vec))),
        Err(_) => Err("the name of a header holds a zero byte".to_owned()),
    };
    Ok(SourceRecord {
        value: message.value.map(<[u8]>::to_vec),
        key: message.key.map(<[u8]>::to_vec),
        headers: message.headers.iter().map(header).collect::<Result<_, _>>()?,
        partition: partitions.then_some(message.partition),
        timestamp_ms: (timestamps && message.timestamp >= 0).then_some(message.timestamp),
    })
}

/// Sends records, over and over.
pub(super) struct TopicRecords {
    set: Arc<RecordSet>,
}

impl TopicRecords {
    pub(super) fn new(set: Arc<RecordSet>) -> Self {
        Self { set }
    }

    fn at(&self, index: u64) -> &ReadyRecord {
        &self.set.records[(index % self.set.records.len() as u64) as usize]
    }
}

impl PayloadSource for TopicRecords {
    fn has_extras(&self) -> bool {
        true
    }

    fn extras(&self, index: u64) -> Option<&Extras> {
        Some(&self.at(index).extras)
    }

    fn render(&mut self, message: Number, body: &mut Vec<u8>, key: &mut Vec<u8>) -> Rendered {
        let record = self.at(message.index);
        body.extend_from_slice(&record.value);
        key.extend_from_slice(record.key.as_deref().unwrap_or_default());
        record.rendered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::payload::Carrier;

    fn record(value: Option<&str>) -> SourceRecord {
        SourceRecord { value: value.map(|text| text.as_bytes().to_vec()), ..SourceRecord::default() }
    }

    #[test]
    fn values_stay_as_they_are_unless_room_is_asked_for_in_them() {
        let ready = |value, place| ready(record(value), place).expect("a record");
        let header = ready(Some(r#"{"a":1}"#), IdentityPlace::Header);
        assert_eq!((header.value.as_slice(), header.rendered.carrier), (br#"{"a":1}"#.as_slice(), Carrier::Header));
        assert_eq!(ready(Some(""), IdentityPlace::None).rendered.carrier, Carrier::Nowhere);
        assert!(matches!(ready(Some(r#"{"a":1}"#), IdentityPlace::Field).rendered.carrier, Carrier::Field(_)));
        let tombstone = ready(None, IdentityPlace::Field);
        assert!(tombstone.rendered.tombstone && tombstone.rendered.carrier == Carrier::Header);
        assert_eq!(ready(None, IdentityPlace::None).rendered.carrier, Carrier::Nowhere);
    }

    #[test]
    fn what_could_not_be_told_from_another_message_is_refused() {
        assert!(ready(record(Some("text")), IdentityPlace::Field).is_err());
        let marked = format!(r#"{{"kscen":"{}"}}"#, "0".repeat(80));
        assert!(ready(record(Some(&marked)), IdentityPlace::Header).is_err_and(|why| why.contains("identity: none")));
        let headers = vec![(c"kscen".to_owned(), None)];
        assert!(ready(SourceRecord { headers, ..record(Some("x")) }, IdentityPlace::Header).is_err());
    }

    #[test]
    fn records_take_no_more_memory_than_they_may() {
        let mut set = RecordSet { records: Vec::new(), held: 0 };
        let mut take =
            |bytes: usize| set.take(SourceRecord { key: Some(vec![0; bytes]), ..record(None) }, IdentityPlace::None);
        assert!(take(MOST_HELD / 2).is_ok());
        assert!(take(MOST_HELD / 2).expect_err("too many").contains("128 MiB of memory"));
        let mut set = RecordSet { records: Vec::new(), held: 0 };
        let taken = (0..).take_while(|_| set.take(record(Some("1")), IdentityPlace::None).is_ok()).count();
        assert!((400_000..2_000_000).contains(&taken), "short records count with what they take: {taken}");
    }
}
