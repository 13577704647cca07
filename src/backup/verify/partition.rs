//! The segments of a partition, read as a whole.

use super::{ArchiveProblem, Level, problem};
use crate::backup::archive::{Archive, manifest_name};
use crate::backup::archive_error::ArchiveError;
use crate::backup::gaps::Gaps;
use crate::backup::manifest::{GapReason, KeptPartition, KeptTopic, Segment};
use crate::backup::segments::{SegmentReader, StoredBatch};
use crate::backup::stored_file::StoredFile;
use crate::backup::transactions::PartitionTransactions;

/// What was read of a partition.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) sealed: u64,
    pub(super) problems: Vec<ArchiveProblem>,
}

/// What is computed again.
struct Anew {
    next: i64,
    gaps: Gaps,
    transactions: PartitionTransactions,
    scratch: Vec<u8>,
}

/// Reads all segments. One that is damaged does not hide what is wrong with the next.
pub(super) fn check(
    archive: &Archive,
    topic: &KeptTopic,
    partition: &KeptPartition,
    level: Level,
) -> Result<Looked, ArchiveError> {
    let mut looked = Looked::default();
    let mut anew = (level == Level::Deep).then(|| Anew {
        next: partition.first,
        gaps: Gaps::default(),
        transactions: PartitionTransactions::default(),
        scratch: Vec::new(),
    });
    for segment in &partition.segments {
        if let Err(error) = read(archive, segment, &mut anew, &mut looked) {
            looked.problems.push(problem(error)?);
            // What follows cannot be held against what is not known.
            anew = None;
        }
    }
    if let Some(mut anew) = anew {
        anew.gaps.add(anew.next, partition.next, GapReason::Unexplained);
        if let Some(reason) = compare(&anew, partition) {
            let number = archive.numbers()?.last().copied().unwrap_or(0);
            let file = archive.store().path(&manifest_name(number));
            let reason = format!("{}/{}: {reason}", topic.name, partition.partition);
            looked.problems.push(ArchiveProblem { file, at: None, reason });
        }
    }
    Ok(looked)
}

fn read(
    archive: &Archive,
    segment: &Segment,
    anew: &mut Option<Anew>,
    looked: &mut Looked,
) -> Result<(), ArchiveError> {
    if segment.stored.is_some() && anew.is_none() && archive.identities().is_empty() {
        looked.sealed += 1;
        looked.bytes += segment.length();
        return StoredFile::sum_up(archive, segment);
    }
    let (mut batches, mut records, mut largest) = (0, 0, 0);
    for stored in SegmentReader::open(archive, segment)? {
        let stored = stored?;
        batches += 1;
        records += u64::from(stored.header.count.unsigned_abs());
        largest = largest.max(stored.bytes.len() as u64);
        looked.batches += 1;
        looked.bytes += stored.bytes.len() as u64;
        if let Some(anew) = anew {
            looked.records += anew.follow(&stored)?;
        }
    }
    let path = archive.store().path(&segment.file);
    let found = [("batches", batches, segment.batches), ("records", records, segment.records)];
    for (what, found, stated) in found.into_iter().chain([("bytes in its largest batch", largest, segment.largest)]) {
        if found != stated {
            return Err(ArchiveError::damaged(&path, format!("it has {found} {what}, the manifest says {stated}")));
        }
    }
    Ok(())
}

impl Anew {
    /// Decodes a batch. Returns how many records it has.
    fn follow(&mut self, stored: &StoredBatch) -> Result<u64, ArchiveError> {
        let batch = stored.batch()?;
        let wrong = |error| stored.damaged(&error);
        self.transactions.follow(&batch, stored.header.base_offset, &mut self.scratch).map_err(wrong)?;
        let mut count = 0;
        for record in batch.records(&mut self.scratch).map_err(wrong)? {
            let record = record.map_err(wrong)?;
            self.gaps.add(self.next, record.offset, GapReason::Unexplained);
            self.next = record.offset.saturating_add(1);
            count += 1;
        }
        Ok(count)
    }
}

/// Holds what was computed against the manifest.
fn compare(anew: &Anew, partition: &KeptPartition) -> Option<String> {
    if anew.gaps.missing() != partition.missing {
        let (found, stated) = (anew.gaps.missing(), partition.missing);
        return Some(format!("{found} offsets have no record, it says {stated}"));
    }
    if anew.transactions.aborted() != partition.aborted {
        return Some("its aborted transactions differ from those in the manifest".to_owned());
    }
    if anew.transactions.open() != partition.open {
        return Some("its open transactions differ from those in the manifest".to_owned());
    }
    None
}
