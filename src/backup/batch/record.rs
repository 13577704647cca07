//! The records of a batch: null is not empty, and headers keep order and repetition.

use super::attributes::TimeStampType;
use super::batch_error::BatchError;
use super::header::Header;
use super::varint;

/// One record, in the bytes of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// In ms since the epoch: the producer's, or the broker's where the batch says so.
    pub timestamp: i64,
    /// The key; `None` for null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` for null: a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    headers: Headers<'a>,
    /// Everything behind the offset, as it is stored.
    pub(super) rest: &'a [u8],
}

impl<'a> BatchRecord<'a> {
    /// The headers, in their order.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// What a marker says, where the record is one of a control batch.
    pub fn control(&self) -> Option<Control> {
        match self.key?.get(2..4)? {
            [0, 0] => Some(Control::Abort),
            [0, 1] => Some(Control::Commit),
            _ => Some(Control::Other),
        }
    }
}

/// What the record of a control batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The producer's transaction was aborted.
    Abort,
    /// It was committed.
    Commit,
    /// Something else, such as the start of a leader's epoch.
    Other,
}

/// A header of a record. Keys may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// Its key: text, as Kafka has it, but not checked to be.
    pub key: &'a [u8],
    /// Its value; `None` for null.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    left: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Checks that the bytes are so many headers and nothing more.
    fn checked(left: usize, bytes: &'a [u8]) -> Option<Self> {
        let headers = Self { left, bytes };
        let mut walk = headers;
        for _ in 0..left {
            walk.pop()?;
        }
        walk.bytes.is_empty().then_some(headers)
    }

    fn pop(&mut self) -> Option<RecordHeader<'a>> {
        let mut bytes = self.bytes;
        let key = take(&mut bytes, varint::read_length)??;
        let value = take(&mut bytes, varint::read_length)?;
        *self = Self { left: self.left - 1, bytes };
        Some(RecordHeader { key, value })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = RecordHeader<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 { None } else { self.pop() }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// A length and so many bytes; `Some(None)` for null.
fn take<'a>(bytes: &mut &'a [u8], length: impl Fn(&mut &'a [u8]) -> Option<Option<usize>>) -> Option<Option<&'a [u8]>> {
    let Some(length) = length(bytes)? else { return Some(None) };
    let (found, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Some(found))
}

/// The records of a batch, in the order of their offsets. After an error nothing follows.
#[derive(Clone, Debug)]
pub struct BatchRecords<'a> {
    header: Header,
    bytes: &'a [u8],
    index: u32,
    last: i64,
    over: bool,
}

impl<'a> BatchRecords<'a> {
    pub(super) fn new(header: Header, bytes: &'a [u8]) -> Self {
        Self { header, bytes, index: 0, last: -1, over: false }
    }

    /// The uncompressed bytes of the records that have not been read.
    #[cfg(test)]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn read(&mut self) -> Result<BatchRecord<'a>, &'static str> {
        const CUT: &str = "it is cut short";
        let length = varint::read(&mut self.bytes).and_then(|length| usize::try_from(length).ok()).ok_or(CUT)?;
        let (mut record, rest) = self.bytes.split_at_checked(length).ok_or("it is longer than the batch")?;
        self.bytes = rest;
        record = record.get(1..).ok_or(CUT)?;
        let time = varint::read(&mut record).ok_or(CUT)?;
        let delta = varint::read(&mut record).ok_or(CUT)?;
        if delta <= self.last || delta > i64::from(self.header.last_offset_delta) {
            return Err("its offset is not one of the batch, or not behind the record before");
        }
        self.last = delta;
        let whole = record;
        let key = take(&mut record, varint::read_length).ok_or("its key is cut short")?;
        let value = take(&mut record, varint::read_length).ok_or("its value is cut short")?;
        let count = varint::read(&mut record).and_then(|count| usize::try_from(count).ok()).ok_or(CUT)?;
        let headers = Headers::checked(count, record).ok_or("its headers do not fill the record")?;
        let timestamp = match self.header.attributes.time_stamp_type() {
            TimeStampType::CreateTime => self.header.base_timestamp.wrapping_add(time),
            TimeStampType::LogAppendTime => self.header.max_timestamp,
        };
        Ok(BatchRecord {
            offset: self.header.base_offset.saturating_add(delta),
            timestamp,
            key,
            value,
            headers,
            rest: whole,
        })
    }
}

impl<'a> Iterator for BatchRecords<'a> {
    type Item = Result<BatchRecord<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        if self.index == self.header.count.cast_unsigned() {
            self.over = true;
            let left = !self.bytes.is_empty();
            let reason = "and more bytes follow";
            return left.then_some(Err(BatchError::Count { stated: self.header.count, reason }));
        }
        let index = self.index;
        self.index += 1;
        if self.bytes.is_empty() {
            self.over = true;
            return Some(Err(BatchError::Count { stated: self.header.count, reason: "and there are fewer" }));
        }
        let record = self.read();
        self.over = record.is_err();
        Some(record.map_err(|reason| BatchError::Record { index, reason }))
    }
}
