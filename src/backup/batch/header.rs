//! A batch in place: its header, its checksum, and the next one.

use super::attributes::Attributes;
use super::batch_error::BatchError;
use super::record::BatchRecords;

/// The length of a batch's header in bytes.
pub const HEADER: usize = 61;
/// What comes before the bytes that the length field counts: base offset and the field itself.
const BEFORE_LENGTH: usize = 12;
/// Where the bytes begin that the checksum covers.
pub(super) const CHECKED_FROM: usize = 21;

/// What a batch's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The offset of the first record; records count from it.
    pub base_offset: i64,
    /// The bytes of the whole batch, the header included.
    pub size: usize,
    /// The epoch of the leader that appended it; -1 in a batch that no broker has seen.
    pub leader_epoch: i32,
    /// CRC-32C of everything from the attributes on.
    pub checksum: u32,
    /// Codec, kind of time stamps, transactional, control.
    pub attributes: Attributes,
    /// The last offset that the batch stands for, counted from the first. Compaction keeps it when the last record goes.
    pub last_offset_delta: i32,
    /// What the time stamps of records count from, in ms since the epoch.
    pub base_timestamp: i64,
    /// The largest time stamp; the one of all records where the broker set it.
    pub max_timestamp: i64,
    /// The producer's id; -1 without one.
    pub producer_id: i64,
    /// Its epoch; -1 without one.
    pub producer_epoch: i16,
    /// The sequence number of the first record; -1 without one.
    pub base_sequence: i32,
    /// How many records there are.
    pub count: i32,
}

impl Header {
    /// Reads the header at the front; the records behind it need not be there yet.
    ///
    /// # Errors
    /// [`BatchError::CutShort`], [`BatchError::Length`], [`BatchError::Magic`], [`BatchError::Count`].
    pub fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        let header = bytes
            .first_chunk::<HEADER>()
            .ok_or(BatchError::CutShort { needed: HEADER as u64, left: bytes.len() as u64 })?;
        let length = i32::from_be_bytes(part(header, 8));
        let size = usize::try_from(length).ok().map(|length| length.saturating_add(BEFORE_LENGTH));
        let size = size.filter(|size| *size >= HEADER).ok_or(BatchError::Length(length))?;
        let magic = i8::from_be_bytes(part(header, 16));
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let found = Self {
            base_offset: i64::from_be_bytes(part(header, 0)),
            size,
            leader_epoch: i32::from_be_bytes(part(header, 12)),
            checksum: u32::from_be_bytes(part(header, 17)),
            attributes: Attributes(i16::from_be_bytes(part(header, 21))),
            last_offset_delta: i32::from_be_bytes(part(header, 23)),
            base_timestamp: i64::from_be_bytes(part(header, 27)),
            max_timestamp: i64::from_be_bytes(part(header, 35)),
            producer_id: i64::from_be_bytes(part(header, 43)),
            producer_epoch: i16::from_be_bytes(part(header, 51)),
            base_sequence: i32::from_be_bytes(part(header, 53)),
            count: i32::from_be_bytes(part(header, 57)),
        };
        if found.count < 0 || found.last_offset_delta < 0 || found.count > found.last_offset_delta.saturating_add(1) {
            let reason = "which does not fit the offsets that it spans";
            return Err(BatchError::Count { stated: found.count, reason });
        }
        Ok(found)
    }

    /// The last offset that the batch stands for.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset behind the batch.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Whether every offset of the span has its record: compaction leaves batches that have not.
    pub fn is_dense(&self) -> bool {
        self.count == self.last_offset_delta.saturating_add(1)
    }
}

fn part<const N: usize>(header: &[u8; HEADER], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[at..at + N]);
    out
}

/// A whole batch, in the bytes that it was found in.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    header: Header,
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Reads the batch at the front.
    ///
    /// # Errors
    /// See [`Header::read`]; [`BatchError::CutShort`] where its end is not there.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = Header::read(bytes)?;
        let needed = header.size;
        let whole =
            bytes.get(..needed).ok_or(BatchError::CutShort { needed: needed as u64, left: bytes.len() as u64 })?;
        Ok(Self { header, bytes: whole })
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// All its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records as they are stored: compressed, where a codec is set.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER..]
    }

    /// Holds the bytes against the checksum.
    ///
    /// # Errors
    /// [`BatchError::Checksum`].
    pub fn check(&self) -> Result<(), BatchError> {
        let computed = crc32c::crc32c(&self.bytes[CHECKED_FROM..]);
        if computed == self.header.checksum {
            return Ok(());
        }
        Err(BatchError::Checksum { stored: self.header.checksum, computed })
    }

    /// The records, in the order of their offsets. `scratch` takes them uncompressed where a codec is set; use it again for
    /// the next batch.
    ///
    /// # Errors
    /// What [`decompress`](super::decompress) can end in; what is wrong with single records comes from the iteration.
    pub fn records<'s>(&self, scratch: &'s mut Vec<u8>) -> Result<BatchRecords<'s>, BatchError>
    where
        'a: 's,
    {
        let codec = self.header.attributes.codec()?;
        let body: &'s [u8] = match codec {
            super::Codec::None => self.payload(),
            codec => {
                scratch.clear();
                super::decompress(codec, self.payload(), scratch)?;
                scratch
            }
        };
        Ok(BatchRecords::new(self.header, body))
    }
}

/// The whole batches in bytes, one after the other. A last one that is cut short, as fetch answers have it, ends the iteration.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, failed: false }
    }

    /// The bytes that have not been read.
    #[cfg(test)]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match Batch::read(self.bytes) {
            Ok(batch) => {
                self.bytes = &self.bytes[batch.header.size..];
                Some(Ok(batch))
            }
            Err(BatchError::CutShort { .. }) => None,
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}
