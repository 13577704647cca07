//! What everything that was read turned out to be.

use super::Ledger;
use crate::accounting::ledger_report::LedgerReport;
use crate::accounting::sheet::ReadLine;
use crate::accounting::{Class, PagedBitmap, ReaderAccount};
use std::collections::BTreeMap;

impl Ledger<'_> {
    /// Fills the line of what was read, and counts what only the union of readers shows: copies of which different readers
    /// saw one each, and places that several members of a group have read.
    pub(super) fn settle_read(&self, report: &mut LedgerReport) {
        let mut line = ReadLine { read: report.read, ..ReadLine::default() };
        for reader in &self.readers {
            let of = |class| reader.strangers.get(&class).map_or(0, |found| found.count);
            line.foreign += of(Class::Foreign);
            line.corrupted += of(Class::Corrupted);
            line.phantom += of(Class::Phantom);
            line.redelivered += of(Class::Redelivered);
            for (number, seen) in reader.producers.iter().enumerate() {
                let Some(seen) = seen else { continue };
                let [copies, redelivered, corrupted, phantom] =
                    [Class::Duplicated, Class::Redelivered, Class::Corrupted, Class::Phantom].map(|c| seen.count(c));
                if self.senders.iter().any(|sender| usize::from(sender.producer) == number) {
                    line.copies += copies;
                    line.redelivered += redelivered;
                    line.corrupted += corrupted;
                    line.phantom += phantom;
                } else {
                    line.of_others += seen.seen.len() + copies + redelivered + corrupted + phantom;
                }
            }
        }
        let (mut several, mut distinct) = (0, 0);
        for sender in &self.senders {
            let seen = self.seen(sender.producer);
            let of = |outcome: &PagedBitmap| outcome.intersection_len(&seen);
            let (acked, failed, aborted) = (of(&sender.acked), of(&sender.failed), of(&sender.aborted));
            line.owed += acked;
            line.phantom += failed;
            line.aborted += aborted;
            // Sets that somebody else has written may overlap.
            line.in_doubt += seen.len().saturating_sub(acked + failed + aborted);
            distinct += seen.len();
            let separately = self.readers.iter().filter_map(|reader| reader.producer_seen(sender.producer));
            several += separately.map(|producer| producer.seen.len()).sum::<u64>() - seen.len();
        }
        self.settle_union(several, distinct, &mut line, report);
        report.sheet.read = line;
    }

    /// There were `distinct` messages; `several` first sights were of messages that another of the readers had seen as well.
    fn settle_union(&self, several: u64, distinct: u64, line: &mut ReadLine, report: &mut LedgerReport) {
        if self.readers.len() < 2 {
            return;
        }
        let (copies, redelivered) = (line.copies, line.redelivered);
        match self.by_place() {
            // Places tell exactly which second sights are copies.
            Some(places) if places.together >= distinct => {
                line.copies = places.together - distinct;
                let twice = places.separately.saturating_sub(places.together);
                if self.is_one_group() { line.redelivered += twice } else { line.by_others = twice }
            }
            _ if self.is_one_group() => line.redelivered += several,
            _ => line.by_others = several,
        }
        for (class, before, now) in
            [(Class::Duplicated, copies, line.copies), (Class::Redelivered, redelivered, line.redelivered)]
        {
            if now != before {
                let entry = report.classes.entry(class).or_default();
                entry.count = (entry.count + now).saturating_sub(before);
                entry.samples.truncate(usize::try_from(entry.count).unwrap_or(usize::MAX));
            }
        }
        report.classes.retain(|_, found| found.count > 0);
    }

    /// How many places with intact messages the readers have read; `None` where places say nothing: a log has started over,
    /// or others than these senders wrote as well.
    fn by_place(&self) -> Option<Places> {
        let is_ours = |number: usize| self.senders.iter().any(|sender| usize::from(sender.producer) == number);
        let others = |reader: &&ReaderAccount| {
            reader.producers.iter().enumerate().any(|(number, seen)| seen.is_some() && !is_ours(number))
        };
        let restarted = |reader: &&ReaderAccount| reader.partitions.values().any(|seen| !seen.restarts.is_empty());
        if self.readers.iter().any(|reader| others(reader) || restarted(reader)) {
            return None;
        }
        let mut joined: BTreeMap<(&str, i32), (PagedBitmap, PagedBitmap)> = BTreeMap::new();
        let mut separately = 0;
        for reader in &self.readers {
            for (partition, seen) in &reader.partitions {
                separately += seen.own();
                let (offsets, foreign) = joined.entry((&reader.topic, *partition)).or_default();
                offsets.union_with(&seen.log.offsets);
                foreign.union_with(&seen.log.others);
            }
        }
        let together = joined.values().map(|(offsets, others)| offsets.len().saturating_sub(others.len())).sum();
        Some(Places { separately, together })
    }
}

/// Places with intact messages that were read.
struct Places {
    /// Summed over readers.
    separately: u64,
    /// Each counted once.
    together: u64,
}
