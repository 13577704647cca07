//! Turns the batches that a broker sent into the segments of an archive: kept as they are, or merged, split at gaps and compressed.

use super::segment::OpenSegment;
use crate::backup::Recipient;
use crate::backup::archive_error::ArchiveError;
use crate::backup::batch::{Batch, BatchError, BatchKind, Batches, Builder, Codec, Compressor, HEADER, Header};
use crate::backup::gaps::Gaps;
use crate::backup::manifest::{AbortedRange, Batching, GapReason, KeptPartition, OffsetGap, OpenTransaction, Segment};
use crate::backup::store::Store;
use crate::backup::transactions::PartitionTransactions;
use std::fmt;
use std::sync::Arc;

/// Compressed batches of that many bytes are kept as they are: larger ones would hardly save more.
const SMALL: usize = 64 << 10;
/// Merged batches have at most that many bytes, uncompressed: within Kafka's default limit of a batch.
pub(super) const TARGET: usize = 1_000_000;

/// What a packer is for.
pub(super) struct PackerJob {
    pub(super) store: Arc<dyn Store>,
    /// The partition's folder in the archive.
    pub(super) folder: String,
    /// To whom the segments are encrypted.
    pub(super) recipients: Arc<[Recipient]>,
    pub(super) batching: Batching,
    pub(super) compressor: Compressor,
    /// The most bytes of a merged batch.
    pub(super) target: usize,
    /// The length at which a segment is closed.
    pub(super) segment: u64,
    /// Whether the cleaner may leave records out.
    pub(super) compacted: bool,
    /// The offset behind the last one that is taken.
    pub(super) until: i64,
}

/// Why a packer cannot go on.
#[derive(Clone, Debug)]
pub(super) enum PackError {
    /// The archive cannot be written.
    Archive(ArchiveError),
    /// The broker sent something that is no sound batch.
    Batch {
        /// The offset that it was to hold.
        offset: i64,
        error: BatchError,
    },
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(error) => error.fmt(f),
            Self::Batch { offset, error } => write!(f, "what the broker sent for offset {offset}: {error}"),
        }
    }
}

impl From<ArchiveError> for PackError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

/// The batches of one partition on their way into its segments. Blocks: it compresses and writes.
pub(super) struct Packer {
    job: PackerJob,
    next: i64,
    epoch: Option<i32>,
    builder: Builder,
    scratch: Vec<u8>,
    packed: Vec<u8>,
    segment: Option<OpenSegment>,
    /// Those that are complete and that nobody has asked for yet, each with the partition as it then was.
    completed: Vec<(Segment, PackerProgress)>,
    /// How the archive could not be written. What was in hand then is gone, and `next` may be behind it.
    failed: Option<ArchiveError>,
    transactions: PartitionTransactions,
    gaps: Gaps,
}

impl Packer {
    /// Goes on where an archive is.
    pub(super) fn new(job: PackerJob, partition: &KeptPartition) -> Self {
        Self {
            job,
            next: partition.next,
            epoch: partition.last_epoch,
            builder: Builder::default(),
            scratch: Vec::new(),
            packed: Vec::new(),
            segment: None,
            completed: Vec::new(),
            failed: None,
            transactions: PartitionTransactions::of(partition),
            gaps: Gaps::of(partition),
        }
    }

    /// The offset that is taken next.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// The offset behind the last one that is taken.
    pub(super) fn until(&self) -> i64 {
        self.job.until
    }

    /// Whether all is taken.
    pub(super) fn is_done(&self) -> bool {
        self.next >= self.job.until
    }

    /// Whether the cleaner may leave records out.
    pub(super) fn is_compacted(&self) -> bool {
        self.job.compacted
    }

    /// The leader epoch of the last batch.
    pub(super) fn epoch(&self) -> Option<i32> {
        self.epoch
    }

    /// The segments that are complete since it was asked last, each with the partition as it then was. Whatever became of an answer, those that
    /// it completed are on disk, and what comes next lies behind them.
    pub(super) fn completed(&mut self) -> Vec<(Segment, PackerProgress)> {
        std::mem::take(&mut self.completed)
    }

    /// Takes the whole batches of an answer.
    ///
    /// # Errors
    /// The archive cannot be written, now or once before; or a batch is not sound, and what came before it is taken.
    pub(super) fn take(&mut self, records: &[u8]) -> Result<(), PackError> {
        self.unless_failed(|packer| packer.take_all(records))
    }

    fn take_all(&mut self, records: &[u8]) -> Result<(), PackError> {
        for batch in Batches::new(records) {
            let offset = self.next;
            let wrong = |error| PackError::Batch { offset, error };
            let batch = batch.map_err(wrong)?;
            if batch.header().next_offset() <= self.next {
                continue;
            }
            if batch.header().base_offset >= self.job.until {
                // Nothing is left of what was before the cut.
                self.hole(self.job.until);
                self.next = self.next.max(self.job.until);
                break;
            }
            batch.check().map_err(wrong)?;
            self.place(&batch)?;
            let waiting = self.builder.size() as u64;
            let long = self.segment.as_ref().is_some_and(|segment| segment.bytes() + waiting >= self.job.segment);
            if long {
                let sealed = self.seal()?;
                self.completed.extend(sealed);
            }
        }
        Ok(())
    }

    /// Takes note that offsets up to this one are not there.
    pub(super) fn skip_to(&mut self, offset: i64, reason: GapReason) -> Result<(), PackError> {
        let until = offset.min(self.job.until);
        self.unless_failed(Self::flush)?;
        self.gaps.add(self.next, until, reason);
        self.next = self.next.max(until);
        Ok(())
    }

    /// Completes what is there. The segment, where there is one, and the partition as it is now.
    pub(super) fn finish(&mut self) -> Result<(Option<Segment>, PackerProgress), PackError> {
        match self.unless_failed(Self::seal)? {
            Some((segment, progress)) => Ok((Some(segment), progress)),
            None => Ok((None, self.progress())),
        }
    }

    /// Once the archive could not be written, nothing more can: a part of what was taken is in no file.
    fn unless_failed<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, PackError>) -> Result<T, PackError> {
        if let Some(error) = &self.failed {
            return Err(error.clone().into());
        }
        let done = work(self);
        if let Err(PackError::Archive(error)) = &done {
            self.failed = Some(error.clone());
        }
        done
    }

    fn progress(&self) -> PackerProgress {
        PackerProgress {
            next: self.next,
            epoch: self.epoch,
            gaps: self.gaps.listed(),
            missing: self.gaps.missing(),
            aborted: self.transactions.aborted(),
            open: self.transactions.open(),
        }
    }

    fn place(&mut self, batch: &Batch<'_>) -> Result<(), PackError> {
        let header = *batch.header();
        let offset = header.base_offset;
        let wrong = |error| PackError::Batch { offset, error };
        self.transactions.follow(batch, self.next, &mut self.scratch).map_err(wrong)?;
        self.epoch = Some(header.leader_epoch).filter(|epoch| *epoch >= 0);
        let partial = header.base_offset < self.next || header.next_offset() > self.job.until;
        // Of one that the cleaner has emptied a part is nothing.
        let marker = header.attributes.is_control() || (header.count == 0 && !partial);
        if marker || (!partial && self.keeps(&header).map_err(wrong)?) { self.keep(batch) } else { self.repack(batch) }
    }

    fn keeps(&self, header: &Header) -> Result<bool, BatchError> {
        let codec = header.attributes.codec()?;
        Ok(match self.job.batching {
            Batching::Verbatim => true,
            Batching::Recompress => false,
            // Without compression a large batch is as good as it can be.
            Batching::Auto => {
                header.size >= SMALL && (codec != Codec::None || self.job.compressor.codec() == Codec::None)
            }
        })
    }

    /// Writes a batch as it is.
    fn keep(&mut self, batch: &Batch<'_>) -> Result<(), PackError> {
        self.flush()?;
        let header = batch.header();
        self.hole(header.base_offset);
        if !header.is_dense() {
            let mut scratch = std::mem::take(&mut self.scratch);
            let wrong = |error| PackError::Batch { offset: header.base_offset, error };
            let records = batch.records(&mut scratch).map_err(wrong)?;
            // All of them before any counts as taken: one that cannot be read is asked for again with the whole batch.
            let offsets: Result<Vec<i64>, BatchError> = records.map(|record| Ok(record?.offset)).collect();
            for offset in offsets.map_err(wrong)? {
                self.hole(offset);
                self.next = offset + 1;
            }
            self.scratch = scratch;
            self.hole(header.next_offset());
        }
        self.next = header.next_offset();
        let segment = self.segment(header.base_offset)?;
        segment.fetched(header.size);
        Ok(segment.add(header, batch.bytes(), header.size as u64, false)?)
    }

    /// Puts its records into merged batches.
    fn repack(&mut self, batch: &Batch<'_>) -> Result<(), PackError> {
        let header = batch.header();
        let kind = BatchKind::of(header);
        let wrong = |error| PackError::Batch { offset: header.base_offset, error };
        let mut scratch = std::mem::take(&mut self.scratch);
        for record in batch.records(&mut scratch).map_err(wrong)? {
            let record = record.map_err(wrong)?;
            if record.offset < self.next {
                continue;
            }
            if record.offset >= self.job.until {
                break;
            }
            self.hole(record.offset);
            if !self.builder.takes(&kind, &record, self.job.target) {
                self.flush()?;
            }
            if self.builder.is_empty() {
                let ahead = i32::try_from(record.offset - header.base_offset).unwrap_or(0);
                let known = header.base_sequence >= 0;
                let sequence = if known { header.base_sequence.wrapping_add(ahead) & i32::MAX } else { -1 };
                self.builder.begin(kind, sequence);
                self.segment(record.offset)?;
            }
            self.builder.copy(&record);
            self.next = record.offset + 1;
        }
        self.scratch = scratch;
        if let Some(segment) = &mut self.segment {
            segment.fetched(header.size);
        }
        // What compaction removed at its end.
        let end = header.next_offset().min(self.job.until);
        self.hole(end);
        self.next = self.next.max(end);
        Ok(())
    }

    /// Takes note of the offsets between what was taken and this one.
    fn hole(&mut self, until: i64) {
        let reason = if self.job.compacted { GapReason::Compaction } else { GapReason::Unexplained };
        self.gaps.add(self.next, until.min(self.job.until), reason);
    }

    /// The segment that is open; one that begins at this offset where there is none.
    fn segment(&mut self, base: i64) -> Result<&mut OpenSegment, ArchiveError> {
        match &mut self.segment {
            Some(segment) => Ok(segment),
            none => {
                let PackerJob { store, folder, recipients, .. } = &self.job;
                Ok(none.insert(OpenSegment::create(&**store, folder, base, recipients)?))
            }
        }
    }

    /// Writes the merged batch that is being filled.
    fn flush(&mut self) -> Result<(), PackError> {
        let uncompressed = (HEADER + self.builder.size()) as u64;
        self.packed.clear();
        let offset = self.builder.next_offset();
        let wrong = |error| PackError::Batch { offset, error };
        let Some(header) = self.builder.finish(&mut self.job.compressor, &mut self.packed).map_err(wrong)? else {
            return Ok(());
        };
        let packed = std::mem::take(&mut self.packed);
        let added = self.segment(header.base_offset)?.add(&header, &packed, uncompressed, true);
        self.packed = packed;
        Ok(added?)
    }

    fn seal(&mut self) -> Result<Option<(Segment, PackerProgress)>, PackError> {
        self.flush()?;
        let Some(segment) = self.segment.take() else { return Ok(None) };
        let segment = segment.seal()?;
        Ok(Some((segment, self.progress())))
    }
}

/// What is known of a partition when a segment is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PackerProgress {
    next: i64,
    epoch: Option<i32>,
    gaps: Vec<OffsetGap>,
    missing: u64,
    aborted: Vec<AbortedRange>,
    open: Vec<OpenTransaction>,
}

impl PackerProgress {
    /// Enters it into a manifest. Returns the gaps that are new.
    pub(super) fn enter(self, partition: &mut KeptPartition) -> Vec<OffsetGap> {
        let known = partition.gaps.len();
        let fresh = self.gaps.iter().skip(known).cloned().collect();
        partition.next = self.next;
        partition.last_epoch = self.epoch;
        partition.gaps = self.gaps;
        partition.missing = self.missing;
        partition.aborted = self.aborted;
        partition.open = self.open;
        fresh
    }
}
