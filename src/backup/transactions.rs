//! Which transactions were aborted, and which are open: told by the markers in the log.

use crate::backup::batch::{Batch, BatchError, Control, Header};
use crate::backup::manifest::{AbortedRange, KeptPartition, OpenTransaction};
use std::collections::BTreeMap;

/// The transactions of a partition, up to an offset.
#[derive(Clone, Debug, Default)]
pub(in crate::backup) struct PartitionTransactions {
    /// The first record of each producer without a marker yet.
    open: BTreeMap<i64, i64>,
    aborted: Vec<AbortedRange>,
}

impl PartitionTransactions {
    /// As an archive left them.
    pub(in crate::backup) fn of(partition: &KeptPartition) -> Self {
        let open = partition.open.iter().map(|open| (open.producer_id, open.first)).collect();
        Self { open, aborted: partition.aborted.clone() }
    }

    /// Takes note of a batch, in the order of the log. `from` is the first offset of it that is kept.
    pub(in crate::backup) fn follow(
        &mut self,
        batch: &Batch<'_>,
        from: i64,
        scratch: &mut Vec<u8>,
    ) -> Result<(), BatchError> {
        let header = batch.header();
        if header.attributes.is_control() {
            for record in batch.records(scratch)? {
                let record = record?;
                match record.control() {
                    Some(Control::Abort) => {
                        if let Some(first) = self.open.remove(&header.producer_id) {
                            let range = AbortedRange { producer_id: header.producer_id, first, marker: record.offset };
                            self.aborted.push(range);
                        }
                    }
                    Some(Control::Commit) => {
                        self.open.remove(&header.producer_id);
                    }
                    _ => {}
                }
            }
        } else if header.attributes.is_transactional() && header.count > 0 {
            self.open.entry(header.producer_id).or_insert(header.base_offset.max(from));
        }
        Ok(())
    }

    pub(in crate::backup) fn aborted(&self) -> Vec<AbortedRange> {
        self.aborted.clone()
    }

    pub(in crate::backup) fn open(&self) -> Vec<OpenTransaction> {
        let open =
            self.open.iter().map(|(producer_id, first)| OpenTransaction { producer_id: *producer_id, first: *first });
        open.collect()
    }
}

/// Which records of a partition a reader of committed data sees.
#[derive(Clone, Debug, Default)]
pub struct CommittedRecords {
    /// By producer: the first record and the marker of each aborted transaction, ascending.
    aborted: BTreeMap<i64, Vec<(i64, i64)>>,
    /// By producer: the first record of an open one.
    open: BTreeMap<i64, i64>,
}

impl CommittedRecords {
    /// Of a partition of an archive.
    pub fn of(partition: &KeptPartition) -> Self {
        let mut aborted: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
        for range in &partition.aborted {
            aborted.entry(range.producer_id).or_default().push((range.first, range.marker));
        }
        Self { aborted, open: partition.open.iter().map(|open| (open.producer_id, open.first)).collect() }
    }

    /// Whether the records of a batch are seen: they are not of a marker, nor of a transaction that was aborted or is open. All
    /// records of a batch have the same fate.
    pub fn sees(&self, header: &Header) -> bool {
        if header.attributes.is_control() {
            return false;
        }
        if !header.attributes.is_transactional() {
            return true;
        }
        let (producer, offset) = (header.producer_id, header.base_offset);
        if self.open.get(&producer).is_some_and(|first| offset >= *first) {
            return false;
        }
        let Some(ranges) = self.aborted.get(&producer) else { return true };
        let next = ranges.partition_point(|(_, marker)| *marker <= offset);
        ranges.get(next).is_none_or(|(first, _)| *first > offset)
    }
}
