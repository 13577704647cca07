//! Changing the header of a stored batch, and nothing else.

use super::attributes::Attributes;
use super::batch_error::BatchError;
use super::header::{Batch, CHECKED_FROM};

/// A whole batch whose header may be changed. [`Editor::seal`] makes the checksum fit again; the base offset and the leader
/// epoch are not part of it.
#[derive(Debug)]
pub struct Editor<'a> {
    bytes: &'a mut [u8],
}

impl<'a> Editor<'a> {
    /// Of the batch that fills these bytes.
    ///
    /// # Errors
    /// See [`Batch::read`]; [`BatchError::Length`] where more than the batch is there.
    pub fn new(bytes: &'a mut [u8]) -> Result<Self, BatchError> {
        let size = Batch::read(bytes)?.header().size;
        if size != bytes.len() {
            return Err(BatchError::Length(i32::try_from(bytes.len()).unwrap_or(i32::MAX)));
        }
        Ok(Self { bytes })
    }

    /// What the header says now.
    ///
    /// # Errors
    /// See [`super::header::Header::read`].
    #[cfg(test)]
    pub fn header(&self) -> Result<super::header::Header, BatchError> {
        super::header::Header::read(self.bytes)
    }

    /// Sets the offset of the first record: all others follow.
    pub fn base_offset(&mut self, offset: i64) -> &mut Self {
        self.put(0, &offset.to_be_bytes())
    }

    /// Sets the epoch of the leader; -1 for a batch on its way to a broker.
    pub fn leader_epoch(&mut self, epoch: i32) -> &mut Self {
        self.put(12, &epoch.to_be_bytes())
    }

    /// Sets the attributes. The codec must stay the one of the records.
    pub fn attributes(&mut self, attributes: Attributes) -> &mut Self {
        self.put(21, &attributes.0.to_be_bytes())
    }

    /// Sets who sends it: producer id, epoch and the sequence number of the first record; -1 each for nobody.
    pub fn producer(&mut self, id: i64, epoch: i16, sequence: i32) -> &mut Self {
        self.put(43, &id.to_be_bytes()).put(51, &epoch.to_be_bytes()).put(53, &sequence.to_be_bytes())
    }

    /// Computes the checksum again. The last thing to do.
    pub fn seal(&mut self) {
        let checksum = crc32c::crc32c(&self.bytes[CHECKED_FROM..]);
        self.put(17, &checksum.to_be_bytes());
    }

    fn put(&mut self, at: usize, field: &[u8]) -> &mut Self {
        self.bytes[at..at + field.len()].copy_from_slice(field);
        self
    }
}
