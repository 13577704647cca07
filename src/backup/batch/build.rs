//! Making batches from records, dense and in order.

use super::attributes::{Attributes, TimeStampType};
use super::batch_error::BatchError;
use super::codec::Compressor;
use super::header::{CHECKED_FROM, HEADER, Header};
use super::record::{BatchRecord, RecordHeader};
use super::varint;

/// What all records of one batch share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchKind {
    /// The epoch of the leader that appended them; -1 for none.
    pub leader_epoch: i32,
    /// The producer and its epoch, where the records belong to its transaction.
    pub transaction: Option<(i64, i16)>,
    /// The one time stamp of all records, where the broker set it.
    pub append_time: Option<i64>,
}

impl BatchKind {
    /// Of records that nobody has appended yet, without a transaction.
    pub const FRESH: Self = Self { leader_epoch: -1, transaction: None, append_time: None };

    /// Of the records of a stored batch.
    pub fn of(header: &Header) -> Self {
        let attributes = header.attributes;
        Self {
            leader_epoch: header.leader_epoch,
            transaction: attributes.is_transactional().then_some((header.producer_id, header.producer_epoch)),
            append_time: (attributes.time_stamp_type() == TimeStampType::LogAppendTime).then_some(header.max_timestamp),
        }
    }
}

/// Collects records of one kind with offsets that follow each other, and makes a batch of them.
#[derive(Debug)]
pub struct Builder {
    kind: BatchKind,
    body: Vec<u8>,
    base_offset: i64,
    base_sequence: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new(BatchKind::FRESH)
    }
}

impl Builder {
    /// For records of this kind.
    pub fn new(kind: BatchKind) -> Self {
        Self {
            kind,
            body: Vec::new(),
            base_offset: 0,
            base_sequence: -1,
            base_timestamp: 0,
            max_timestamp: 0,
            count: 0,
        }
    }

    /// Whether it holds no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes of the records so far, uncompressed.
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// The offset behind the last record.
    pub fn next_offset(&self) -> i64 {
        self.base_offset + i64::from(self.count)
    }

    /// Whether a record may follow: same kind, the next offset, and the body within `limit` bytes with it. Into an empty one
    /// anything may.
    pub fn takes(&self, kind: &BatchKind, record: &BatchRecord<'_>, limit: usize) -> bool {
        // Length, attributes and deltas take at most 26 bytes.
        let size = record.rest.len() + 26;
        self.is_empty()
            || (self.kind == *kind
                && record.offset == self.next_offset()
                && self.count < i32::MAX
                && self.body.len() + size <= limit)
    }

    /// Begins again with records of this kind. `base_sequence` is the first one's number in its producer's sequence; -1 for none.
    pub fn begin(&mut self, kind: BatchKind, base_sequence: i32) {
        self.kind = kind;
        self.base_sequence = base_sequence;
        self.body.clear();
        self.count = 0;
    }

    /// Adds a record of another batch: key, value and headers stay the bytes that they are.
    pub fn copy(&mut self, record: &BatchRecord<'_>) {
        self.put(record.offset, record.timestamp, record.rest);
    }

    /// Adds a record. `None` is null, which is not empty.
    pub fn add<'h>(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = RecordHeader<'h>>,
    ) {
        fn bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
            varint::write(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
            out.extend_from_slice(bytes.unwrap_or_default());
        }
        let mut rest = Vec::new();
        bytes(&mut rest, key);
        bytes(&mut rest, value);
        varint::write(&mut rest, headers.len() as i64);
        for header in headers {
            bytes(&mut rest, Some(header.key));
            bytes(&mut rest, header.value);
        }
        self.put(offset, timestamp, &rest);
    }

    fn put(&mut self, offset: i64, timestamp: i64, rest: &[u8]) {
        if self.count == 0 {
            self.base_offset = offset;
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        debug_assert_eq!(offset, self.next_offset(), "records of a batch follow each other");
        let time = timestamp.wrapping_sub(self.base_timestamp);
        let delta = i64::from(self.count);
        let length = 1 + varint::size(time) + varint::size(delta) + rest.len();
        varint::write(&mut self.body, length as i64);
        self.body.push(0);
        varint::write(&mut self.body, time);
        varint::write(&mut self.body, delta);
        self.body.extend_from_slice(rest);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.count += 1;
    }

    /// Appends the batch to `out` and begins again. `None` where there are no records.
    ///
    /// # Errors
    /// [`BatchError::Codec`]; [`BatchError::TooLarge`] where it does not fit Kafka's length field.
    pub fn finish(&mut self, compressor: &mut Compressor, out: &mut Vec<u8>) -> Result<Option<Header>, BatchError> {
        if self.is_empty() {
            return Ok(None);
        }
        let at = out.len();
        let (producer, epoch) = self.kind.transaction.unwrap_or((-1, -1));
        let kind =
            if self.kind.append_time.is_some() { TimeStampType::LogAppendTime } else { TimeStampType::CreateTime };
        let attributes = Attributes::default()
            .with_codec(compressor.codec())
            .with_time_stamp_type(kind)
            .with_transactional(self.kind.transaction.is_some());
        let sequence = self.kind.transaction.map_or(-1, |_| self.base_sequence);
        out.extend_from_slice(&self.base_offset.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.kind.leader_epoch.to_be_bytes());
        out.extend_from_slice(&[2, 0, 0, 0, 0]);
        out.extend_from_slice(&attributes.0.to_be_bytes());
        out.extend_from_slice(&(self.count - 1).to_be_bytes());
        out.extend_from_slice(&self.base_timestamp.to_be_bytes());
        out.extend_from_slice(&self.kind.append_time.unwrap_or(self.max_timestamp).to_be_bytes());
        out.extend_from_slice(&producer.to_be_bytes());
        out.extend_from_slice(&epoch.to_be_bytes());
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        debug_assert_eq!(out.len() - at, HEADER);
        compressor.compress(&self.body, out)?;
        let length =
            i32::try_from(out.len() - at - 12).map_err(|_| BatchError::TooLarge { limit: i32::MAX as usize })?;
        out[at + 8..at + 12].copy_from_slice(&length.to_be_bytes());
        let checksum = crc32c::crc32c(&out[at + CHECKED_FROM..]);
        out[at + 17..at + 21].copy_from_slice(&checksum.to_be_bytes());
        let header = Header::read(&out[at..])?;
        self.begin(self.kind, -1);
        Ok(Some(header))
    }
}
