//! A segment that is being written.

use crate::backup::Recipient;
use crate::backup::archive_error::ArchiveError;
use crate::backup::batch::{Codec, Header};
use crate::backup::digest::Hasher;
use crate::backup::keys::seal;
use crate::backup::manifest::Segment;
use crate::backup::names::segment_name;
use crate::backup::store::{NewFile, Store, StoreError};
use age::stream::StreamWriter;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// How much is handed to the store at once. Each partition at work has a buffer of it.
const PIECE: usize = 256 << 10;

/// A file that is summed up as it is written.
struct SummedFile {
    file: Box<dyn NewFile>,
    hasher: Hasher,
    bytes: u64,
}

impl Write for SummedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Where the batches go.
enum SegmentSink {
    Plain(SummedFile),
    /// They are encrypted on the way.
    Sealed(Box<StreamWriter<SummedFile>>),
}

impl SegmentSink {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Sealed(writer) => writer.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<SummedFile> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Sealed(writer) => writer.finish(),
        }
    }
}

/// A file of batches before it is whole.
pub(super) struct OpenSegment {
    sink: SegmentSink,
    path: String,
    buffer: Vec<u8>,
    codecs: BTreeSet<Codec>,
    about: Segment,
}

impl OpenSegment {
    /// Begins the file whose first batch has this offset, in this folder, encrypted to these, where there are any.
    pub(super) fn create(
        store: &dyn Store,
        folder: &str,
        base: i64,
        recipients: &[Recipient],
    ) -> Result<Self, ArchiveError> {
        let about = Segment {
            file: segment_name(folder, base, !recipients.is_empty()),
            base,
            end: base,
            batches: 0,
            records: 0,
            bytes: 0,
            stored: None,
            fetched: 0,
            uncompressed: 0,
            largest: 0,
            min_time: i64::MAX,
            max_time: i64::MIN,
            codecs: Vec::new(),
            repacked: 0,
            sha256: Hasher::default().finish(),
        };
        let file = SummedFile { file: store.create(&about.file)?, hasher: Hasher::default(), bytes: 0 };
        let path = store.path(&about.file);
        let sink = if recipients.is_empty() {
            SegmentSink::Plain(file)
        } else {
            let failed = |error| StoreError::new("encrypt", path.clone(), error);
            SegmentSink::Sealed(Box::new(seal(recipients, file).map_err(failed)?))
        };
        let (codecs, buffer) = (BTreeSet::new(), Vec::with_capacity(PIECE));
        Ok(Self { sink, path, buffer, codecs, about })
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
        Ok(self.sink.write_all(bytes).map_err(failed)?)
    }

    /// Makes the file whole and durable.
    pub(super) fn seal(mut self) -> Result<Segment, ArchiveError> {
        self.flush()?;
        let sealed = matches!(self.sink, SegmentSink::Sealed(_));
        let SummedFile { file, hasher, bytes } =
            self.sink.finish().map_err(|error| StoreError::new("write", self.path.clone(), error))?;
        file.commit()?;
        self.about.stored = sealed.then_some(bytes);
        self.about.sha256 = hasher.finish();
        self.about.codecs = self.codecs.into_iter().collect();
        Ok(self.about)
    }
}
