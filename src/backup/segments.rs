//! The batches of a partition of an archive, in the order of their offsets.

use super::archive::Archive;
use super::archive_error::ArchiveError;
use super::batch::{Batch, BatchError, HEADER, Header, LARGEST};
use super::manifest::{KeptPartition, Segment};
use super::stored_file::StoredFile;
use std::collections::VecDeque;

/// How much memory is taken at once for a batch.
const PIECE: usize = 256 << 10;

/// Where a batch stands in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPosition {
    /// The path of the file.
    pub file: String,
    /// The byte at which it begins.
    pub at: u64,
}

/// A batch of an archive; its checksum fits.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What its header says.
    pub header: Header,
    /// Where it stands.
    pub position: BatchPosition,
}

impl StoredBatch {
    /// The batch.
    ///
    /// # Errors
    /// None that reading it has not found already.
    pub fn batch(&self) -> Result<Batch<'_>, ArchiveError> {
        Batch::read(&self.bytes).map_err(|error| self.damaged(&error))
    }

    /// An error that names where the batch stands.
    pub fn damaged(&self, error: &BatchError) -> ArchiveError {
        ArchiveError::batch(&self.position.file, self.position.at, error)
    }
}

/// The batches of one segment, held against what the manifest says of it: length, digest, and order of offsets. One batch is
/// in memory at a time. After an error nothing follows.
pub struct SegmentReader {
    segment: Segment,
    file: StoredFile,
    at: u64,
    next: i64,
    over: bool,
}

impl SegmentReader {
    /// Opens a segment.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] where it is not there, [`ArchiveError::Sealed`] where no identity opens it, or the store's.
    pub fn open(archive: &Archive, segment: &Segment) -> Result<Self, ArchiveError> {
        let file = StoredFile::open(archive, segment)?;
        Ok(Self { segment: segment.clone(), file, at: 0, next: segment.base, over: false })
    }

    fn read(&mut self) -> Result<Option<StoredBatch>, ArchiveError> {
        let mut bytes = vec![0; HEADER];
        let begun = self.at;
        match self.fill(&mut bytes)? {
            0 => return self.close().map(|()| None),
            HEADER => {}
            short => {
                let error = BatchError::CutShort { needed: HEADER as u64, left: short as u64 };
                return Err(ArchiveError::batch(self.file.path(), begun, &error));
            }
        }
        let path = self.file.path().to_owned();
        let wrong = |error: BatchError| ArchiveError::batch(&path, begun, &error);
        let header = Header::read(&bytes).map_err(wrong)?;
        if begun + header.size as u64 > self.segment.bytes {
            let left = self.segment.bytes.saturating_sub(begun);
            return Err(wrong(BatchError::CutShort { needed: header.size as u64, left }));
        }
        if header.size > LARGEST {
            return Err(wrong(BatchError::TooLarge { limit: LARGEST }));
        }
        // Memory is taken as the file fills it: what a header claims may not be there.
        let mut read = HEADER;
        while read < header.size {
            bytes.resize(header.size.min(read + PIECE.max(read)), 0);
            let wanted = bytes.len() - read;
            let filled = self.fill(&mut bytes[read..])?;
            read += filled;
            if filled < wanted {
                break;
            }
        }
        if read < header.size {
            return Err(wrong(BatchError::CutShort { needed: header.size as u64, left: read as u64 }));
        }
        Batch::read(&bytes).and_then(|batch| batch.check()).map_err(wrong)?;
        // A codec that nobody knows is found here, before anything of the batch is sent anywhere.
        header.attributes.codec().map_err(wrong)?;
        if header.base_offset < self.next || (begun == 0 && header.base_offset != self.segment.base) {
            let reason = format!("the batch begins at offset {}, expected was {}", header.base_offset, self.next);
            return Err(ArchiveError::Damaged { file: path, at: Some(begun), reason });
        }
        if header.next_offset() > self.segment.end {
            let reason = format!("the batch ends at offset {}, the file at {}", header.next_offset(), self.segment.end);
            return Err(ArchiveError::Damaged { file: path, at: Some(begun), reason });
        }
        self.next = header.next_offset();
        let position = BatchPosition { file: path, at: begun };
        Ok(Some(StoredBatch { bytes, header, position }))
    }

    /// Reads until the buffer is full or the file ends. Returns how much that was.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let filled = self.file.fill(buffer)?;
        self.at += filled as u64;
        Ok(filled)
    }

    /// At the end of the file: it is as long, and the same, as when it was written.
    fn close(&self) -> Result<(), ArchiveError> {
        let (file, at) = (self.file.path().to_owned(), Some(self.at));
        if self.at != self.segment.bytes {
            let reason = format!("it has {} bytes, the manifest says {}", self.at, self.segment.bytes);
            return Err(ArchiveError::Damaged { file, at, reason });
        }
        if self.next != self.segment.end {
            let reason = format!("it ends at offset {}, the manifest says {}", self.next, self.segment.end);
            return Err(ArchiveError::Damaged { file, at, reason });
        }
        self.file.close(&self.segment)
    }
}

impl Iterator for SegmentReader {
    type Item = Result<StoredBatch, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let read = self.read().transpose();
        self.over = !matches!(read, Some(Ok(_)));
        read
    }
}

/// All batches of a partition that reach to an offset or beyond it. Where offsets are neither in a segment nor counted as missing, that is
/// the only answer: whoever reads on would take what is left for all.
pub struct Segments {
    archive: Archive,
    disorder: Option<ArchiveError>,
    waiting: VecDeque<Segment>,
    reader: Option<SegmentReader>,
    from: i64,
    failed: bool,
}

impl Segments {
    /// From the batch on that holds this offset, or the next one that exists. Segments before it are not read.
    pub fn new(archive: &Archive, partition: &KeptPartition, from: i64) -> Self {
        let waiting = partition.segments.iter().filter(|segment| segment.end > from).cloned().collect();
        let disorder = partition.disorder().map(|reason| {
            let folder = partition.segments.first().and_then(|segment| segment.file.rsplit_once('/'));
            let place = archive.store().path(folder.map_or("", |(folder, _)| folder));
            ArchiveError::damaged(&place, format!("partition {}: {reason}", partition.partition))
        });
        Self { archive: archive.clone(), disorder, waiting, reader: None, from, failed: false }
    }

    fn step(&mut self) -> Result<Option<StoredBatch>, ArchiveError> {
        if let Some(disorder) = self.disorder.take() {
            return Err(disorder);
        }
        loop {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                none => match self.waiting.pop_front() {
                    Some(segment) => none.insert(SegmentReader::open(&self.archive, &segment)?),
                    None => return Ok(None),
                },
            };
            match reader.next().transpose()? {
                Some(stored) if stored.header.next_offset() <= self.from => {}
                Some(stored) => return Ok(Some(stored)),
                None => self.reader = None,
            }
        }
    }
}

impl Iterator for Segments {
    type Item = Result<StoredBatch, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let read = self.step().transpose();
        self.failed = matches!(read, Some(Err(_)));
        read
    }
}
