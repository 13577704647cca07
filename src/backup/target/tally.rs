//! Digests over the records of a partition, in blocks, so that a difference is found without keeping the records.

use crate::backup::{Digest, Hasher};

/// So many records make a block.
pub(super) const BLOCK: u64 = 1000;

/// A record with everything that has to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    /// Whether the time is marked as the broker's.
    pub(super) appended: bool,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// The same, in bytes of somebody else.
pub(super) struct Borrowed<'a, H> {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) appended: bool,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: H,
}

impl<'a, H: ExactSizeIterator<Item = (&'a [u8], Option<&'a [u8]>)>> Borrowed<'a, H> {
    pub(super) fn into_plain(self) -> Plain {
        Plain {
            offset: self.offset,
            timestamp: self.timestamp,
            appended: self.appended,
            key: self.key.map(<[u8]>::to_vec),
            value: self.value.map(<[u8]>::to_vec),
            headers: self.headers.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect(),
        }
    }
}

/// What was read of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct TargetTally {
    open: Hasher,
    buffer: Vec<u8>,
    pub(super) records: u64,
    pub(super) blocks: Vec<Digest>,
    /// The target offset of the first record of each block.
    pub(super) firsts: Vec<i64>,
}

impl TargetTally {
    /// Adds a record.
    pub(super) fn add<'a>(
        &mut self,
        record: Borrowed<'a, impl ExactSizeIterator<Item = (&'a [u8], Option<&'a [u8]>)>>,
    ) {
        if self.records.is_multiple_of(BLOCK) {
            self.firsts.push(record.offset);
        }
        // Lengths stand before everything, and null has one of its own: no two records have the same bytes.
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.extend_from_slice(&record.offset.to_be_bytes());
        buffer.extend_from_slice(&record.timestamp.to_be_bytes());
        buffer.push(u8::from(record.appended));
        put(buffer, record.key);
        put(buffer, record.value);
        buffer.extend_from_slice(&(record.headers.len() as u64).to_be_bytes());
        for (key, value) in record.headers {
            put(buffer, Some(key));
            put(buffer, value);
        }
        self.open.update(buffer);
        self.records += 1;
        if self.records.is_multiple_of(BLOCK) {
            self.blocks.push(std::mem::take(&mut self.open).finish());
        }
    }

    /// Closes the last block.
    pub(super) fn close(mut self) -> Self {
        if !self.records.is_multiple_of(BLOCK) {
            self.blocks.push(std::mem::take(&mut self.open).finish());
        }
        self
    }

    /// The digest of all records.
    pub(super) fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        hasher.update(&self.records.to_be_bytes());
        for block in &self.blocks {
            hasher.update(block.to_string().as_bytes());
        }
        hasher.finish()
    }

    /// The first block in which the two differ.
    pub(super) fn differs_in(&self, other: &Self) -> Option<usize> {
        let both = self.blocks.iter().zip(&other.blocks).position(|(one, two)| one != two);
        both.or_else(|| (self.blocks.len() != other.blocks.len()).then(|| self.blocks.len().min(other.blocks.len())))
    }
}

fn put(buffer: &mut Vec<u8>, bytes: Option<&[u8]>) {
    buffer.extend_from_slice(&bytes.map_or(-1, |bytes| bytes.len() as i64).to_be_bytes());
    buffer.extend_from_slice(bytes.unwrap_or_default());
}
