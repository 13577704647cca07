//! A segment that is being written.

use crate::backup::archive_error::ArchiveError;
use crate::backup::batch::{Codec, Header};
use crate::backup::digest::Hasher;
use crate::backup::manifest::Segment;
use crate::backup::store::{NewFile, Store, StoreError};
use std::collections::BTreeSet;
use std::io::Write;

/// How much is handed to the store at once.
const PIECE: usize = 1 << 20;

/// A file of batches before it is whole.
pub(super) struct OpenSegment {
    file: Box<dyn NewFile>,
    path: String,
    buffer: Vec<u8>,
    hasher: Hasher,
    codecs: BTreeSet<Codec>,
    about: Segment,
}

impl OpenSegment {
    /// Begins the file of this name.
    pub(super) fn create(store: &dyn Store, name: String, base: i64) -> Result<Self, ArchiveError> {
        let about = Segment {
            file: name,
            base,
            end: base,
            batches: 0,
            records: 0,
            bytes: 0,
            fetched: 0,
            uncompressed: 0,
            largest: 0,
            min_time: i64::MAX,
            max_time: i64::MIN,
            codecs: Vec::new(),
            repacked: 0,
            sha256: Hasher::default().finish(),
        };
        let file = store.create(&about.file)?;
        let path = store.path(&about.file);
        let (hasher, codecs, buffer) = (Hasher::default(), BTreeSet::new(), Vec::with_capacity(PIECE));
        Ok(Self { file, path, buffer, hasher, codecs, about })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.about.bytes
    }

    /// Counts what a broker sent for this file.
    pub(super) fn fetched(&mut self, bytes: usize) {
        self.about.fetched += bytes as u64;
    }

    /// Adds a batch. `uncompressed` is what it would take so; `repacked` whether it is not as the broker gave it.
    pub(super) fn add(
        &mut self,
        header: &Header,
        bytes: &[u8],
        uncompressed: u64,
        repacked: bool,
    ) -> Result<(), ArchiveError> {
        let codec = header.attributes.codec().map_err(|error| ArchiveError::damaged(&self.path, error.to_string()))?;
        self.codecs.insert(codec);
        self.about.end = header.next_offset();
        self.about.batches += 1;
        self.about.records += u64::from(header.count.unsigned_abs());
        self.about.bytes += bytes.len() as u64;
        self.about.uncompressed += uncompressed;
        self.about.largest = self.about.largest.max(bytes.len() as u64);
        self.about.min_time = self.about.min_time.min(header.base_timestamp);
        self.about.max_time = self.about.max_time.max(header.max_timestamp);
        self.about.repacked += u64::from(repacked);
        self.hasher.update(bytes);
        if self.buffer.len() + bytes.len() > PIECE {
            self.flush()?;
        }
        if bytes.len() >= PIECE {
            return self.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ArchiveError> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let failed = |error| StoreError::new("write", self.path.clone(), error);
        Ok(self.file.write_all(bytes).map_err(failed)?)
    }

    /// Makes the file whole and durable.
    pub(super) fn seal(mut self) -> Result<Segment, ArchiveError> {
        self.flush()?;
        self.file.commit()?;
        self.about.sha256 = self.hasher.finish();
        self.about.codecs = self.codecs.into_iter().collect();
        Ok(self.about)
    }
}
