//! Holds senders against readers.

use super::reader::PartitionSeen;
use super::report::{Attribution, LedgerReport, Sample};
use super::{Class, Evidence, PagedBitmap, ReaderAccount, SenderAccount};
use std::collections::{BTreeMap, HashMap};

/// An account between one or several senders and one reader or the union of several.
#[derive(Debug, Default)]
pub struct Ledger<'a> {
    senders: Vec<&'a SenderAccount>,
    readers: Vec<&'a ReaderAccount>,
    sample_limit: usize,
}

/// The readers' partitions of one topic, joined.
type Joined = BTreeMap<(String, i32), PartitionSeen>;

impl<'a> Ledger<'a> {
    /// An account between `senders` and the union of `readers`.
    pub fn new(
        senders: impl IntoIterator<Item = &'a SenderAccount>,
        readers: impl IntoIterator<Item = &'a ReaderAccount>,
    ) -> Self {
        Self { senders: senders.into_iter().collect(), readers: readers.into_iter().collect(), sample_limit: 100 }
    }

    /// Keeps up to `limit` samples of each class (100 unless told).
    pub fn with_samples(mut self, limit: usize) -> Self {
        self.sample_limit = limit;
        self
    }

    /// The acknowledged sequences that no reader saw, by producer: what a fresh read has to look for.
    pub fn missing(&self) -> HashMap<u16, PagedBitmap> {
        let mut missing = HashMap::new();
        for sender in &self.senders {
            let set: PagedBitmap = sender.acked.difference(&self.seen_by_any(sender.producer)).collect();
            if !set.is_empty() {
                missing.insert(sender.producer, set);
            }
        }
        missing
    }

    /// Sorts every difference into its class. `evidence` from a fresh read says where the lost ones
    /// went missing.
    pub fn settle(&self, evidence: Option<&Evidence>) -> LedgerReport {
        let mut report = LedgerReport::default();
        let joined = self.join();
        report.drained = !self.readers.is_empty() && is_drained(&joined);
        for reader in &self.readers {
            report.read += reader.read;
            for (class, found) in &reader.classes {
                let entry = report.classes.entry(*class).or_default();
                entry.count += found.count;
                let room = self.sample_limit.saturating_sub(entry.samples.len());
                entry.samples.extend(found.samples.iter().take(room).cloned());
            }
        }
        for sender in &self.senders {
            self.settle_sender(sender, &joined, evidence, &mut report);
        }
        self.settle_union(&joined, &mut report);
        report
    }

    fn settle_sender(
        &self,
        sender: &SenderAccount,
        joined: &Joined,
        evidence: Option<&Evidence>,
        report: &mut LedgerReport,
    ) {
        report.sent += sender.sent;
        report.acked += sender.acked.len();
        report.failed += sender.failed.len();
        report.unknown += sender.unknown.len();
        report.aborted += sender.aborted.len();
        let seen = self.seen_by_any(sender.producer);
        report.distinct += seen.len();
        report.unknown_read += sender.unknown.intersection(&seen).count() as u64;

        let committed_only = self.seen_by(sender.producer, |reader| reader.read_committed);
        let aborted_read: PagedBitmap = sender.aborted.intersection(&committed_only).collect();
        let phantoms: PagedBitmap = sender.failed.intersection(&seen).collect();
        let missing: PagedBitmap = sender.acked.difference(&seen).collect();

        let mut places = HashMap::new();
        if !(missing.is_empty() && aborted_read.is_empty()) {
            sender.offsets.for_each(|sequence, partition, offset| {
                if missing.contains(sequence) || aborted_read.contains(sequence) {
                    places.insert(sequence, (partition, offset));
                }
            });
        }
        let sample = |sequence: u64, place: Option<(i32, i64)>| Sample {
            producer: Some(sender.producer),
            sequence: Some(sequence),
            partition: place.map(|place| place.0),
            offset: place.map(|place| place.1).filter(|offset| *offset >= 0),
            time_us: sender.due_us.as_ref().map(|due| due(sequence)),
            attribution: None,
        };
        for sequence in aborted_read.iter() {
            report.add(Class::AbortedRead, self.sample_limit, sample(sequence, places.get(&sequence).copied()));
        }
        for sequence in phantoms.iter() {
            report.add(Class::Phantom, self.sample_limit, sample(sequence, None));
        }
        for sequence in missing.iter() {
            let found = evidence.and_then(|evidence| evidence.found.get(&(sender.producer, sequence)).copied());
            let place = found.or_else(|| places.get(&sequence).copied());
            let partition = place.and_then(|place| joined.get(&(sender.topic.clone(), place.0)));
            if let (Some(place), Some(partition)) = (place, partition)
                && place.1 >= 0
                && partition.start.is_some_and(|start| place.1 < start)
            {
                report.before_start += 1;
                continue;
            }
            let mut sample = sample(sequence, place);
            if !report.drained {
                report.add(Class::Unread, self.sample_limit, sample);
                continue;
            }
            if let Some(evidence) = evidence {
                let below =
                    place.is_some_and(|(partition, offset)| offset >= 0 && evidence.is_below_start(partition, offset));
                let (attribution, counter) = match (found, below) {
                    (Some(_), _) => (Attribution::InLogNotRead, &mut report.lost_in_log_not_read),
                    (None, true) => (Attribution::BelowLogStart, &mut report.lost_below_log_start),
                    (None, false) => (Attribution::MissingFromLog, &mut report.lost_missing_from_log),
                };
                *counter += 1;
                sample.attribution = Some(attribution);
            }
            if let (Some(found), Some(partition)) = (found, partition)
                && partition.skipped(found.1)
            {
                report.add(Class::Skipped, self.sample_limit, sample.clone());
            }
            report.add(Class::Lost, self.sample_limit, sample);
        }
    }

    /// What only the union of readers shows: copies of which different readers saw one each.
    fn settle_union(&self, joined: &Joined, report: &mut LedgerReport) {
        if self.readers.len() < 2 {
            return;
        }
        let producers = self.readers.iter().map(|reader| reader.producers.len()).max().unwrap_or(0);
        let distinct: u64 = (0..producers).map(|producer| self.seen_by_any(producer as u16).len()).sum();
        let copies: u64 = joined.values().map(|partition| partition.offsets.len() - partition.others.len()).sum();
        if let Some(duplicated) = copies.checked_sub(distinct).filter(|count| *count > 0) {
            report.classes.entry(Class::Duplicated).or_default().count = duplicated;
        }
        // The same offset read by two readers is a second delivery only if they are one group.
        let group = self.readers[0].group.as_ref();
        if group.is_some() && self.readers.iter().all(|reader| reader.group.as_ref() == group) {
            let separately: u64 =
                self.readers.iter().flat_map(|reader| reader.partitions.values()).map(|p| p.offsets.len()).sum();
            let together: u64 = joined.values().map(|partition| partition.offsets.len()).sum();
            if separately > together {
                report.classes.entry(Class::Redelivered).or_default().count += separately - together;
            }
        }
    }

    fn seen_by(&self, producer: u16, which: impl Fn(&ReaderAccount) -> bool) -> PagedBitmap {
        let mut all = PagedBitmap::new();
        for reader in self.readers.iter().filter(|reader| which(reader)) {
            if let Some(Some(seen)) = reader.producers.get(usize::from(producer)) {
                all.union_with(&seen.seen);
            }
        }
        all
    }

    fn seen_by_any(&self, producer: u16) -> PagedBitmap {
        self.seen_by(producer, |_| true)
    }

    fn join(&self) -> Joined {
        let mut joined = Joined::new();
        for reader in &self.readers {
            for (partition, seen) in &reader.partitions {
                joined.entry((reader.topic.clone(), *partition)).or_default().join(seen);
            }
        }
        joined
    }
}

fn is_drained(joined: &Joined) -> bool {
    let mut ends = joined.values().filter_map(|partition| partition.end.map(|end| partition.position >= end));
    ends.next().is_some_and(|first| first && ends.all(|reached| reached))
}

impl PartitionSeen {
    fn join(&mut self, other: &PartitionSeen) {
        self.offsets.union_with(&other.offsets);
        self.others.union_with(&other.others);
        self.start = [self.start, other.start].into_iter().flatten().min();
        self.end = self.end.max(other.end);
        self.position = self.position.max(other.position);
        self.excused.extend(other.excused.iter().cloned());
    }

    /// Whether the reader passed over this offset although it was its own to read.
    fn skipped(&self, offset: i64) -> bool {
        self.start.is_some_and(|start| offset >= start)
            && offset < self.position
            && !self.offsets.contains(offset as u64)
            && !self.excused.iter().any(|range| range.contains(&offset))
    }
}
