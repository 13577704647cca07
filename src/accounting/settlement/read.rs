//! What everything that was read turned out to be.

use super::Ledger;
use crate::accounting::ledger_report::LedgerReport;
use crate::accounting::partition::PartitionSeen;
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
        let (mut several, mut distinct) = (Several::default(), 0);
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
            let Several { within, between } = self.seen_by_several(sender.producer);
            (several.within, several.between) = (several.within + within, several.between + between);
        }
        self.settle_union(several, distinct, &mut line, report);
        report.sheet.read = line;
    }

    /// How many first sights of a producer's messages were of those that another reader had seen as well.
    pub(super) fn seen_by_several(&self, producer: u16) -> Several {
        let (mut several, mut of_units) = (Several::default(), 0);
        if self.readers.len() < 2 {
            return several;
        }
        for unit in self.units() {
            let mut together = PagedBitmap::new();
            for seen in unit.iter().filter_map(|reader| reader.producer_seen(producer)) {
                several.within += seen.seen.len();
                together.union_with(&seen.seen);
            }
            several.within -= together.len();
            of_units += together.len();
        }
        several.between = of_units - self.seen(producer).len();
        several
    }

    /// There were `distinct` messages; `several` first sights were of messages that another of the readers had seen as well.
    fn settle_union(&self, several: Several, distinct: u64, line: &mut ReadLine, report: &mut LedgerReport) {
        if self.readers.len() < 2 {
            return;
        }
        let (copies, redelivered) = (line.copies, line.redelivered);
        let twice = match self.by_place() {
            // Places tell exactly which second sights are copies.
            Some(places) if places.together >= distinct => {
                line.copies = places.together - distinct;
                places.twice
            }
            _ => several,
        };
        line.redelivered += twice.within;
        line.by_others = twice.between;
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
        let (mut all, mut twice, mut of_units) = (JoinedPlaces::default(), Several::default(), 0);
        for unit in self.units() {
            let mut joined = JoinedPlaces::default();
            for reader in unit {
                twice.within += reader.partitions.values().map(PartitionSeen::own).sum::<u64>();
                joined.add(reader);
                all.add(reader);
            }
            twice.within = twice.within.saturating_sub(joined.own());
            of_units += joined.own();
        }
        let together = all.own();
        twice.between = of_units.saturating_sub(together);
        Some(Places { together, twice })
    }
}

/// What several readers have seen: all but one sight of each.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Several {
    /// Those of one group, which is to be given a message once.
    pub(super) within: u64,
    /// Those of different groups, or of none.
    between: u64,
}

/// Places with intact messages that were read.
struct Places {
    /// Each counted once.
    together: u64,
    /// Those that several readers have read.
    twice: Several,
}

/// Offsets that some readers have read, by topic and partition, and those of them at which something else than a message of the run stood.
#[derive(Default)]
struct JoinedPlaces<'a>(BTreeMap<(&'a str, i32), (PagedBitmap, PagedBitmap)>);

impl<'a> JoinedPlaces<'a> {
    fn add(&mut self, reader: &'a ReaderAccount) {
        for (partition, seen) in &reader.partitions {
            let (offsets, foreign) = self.0.entry((&reader.topic, *partition)).or_default();
            offsets.union_with(&seen.log.offsets);
            foreign.union_with(&seen.log.others);
        }
    }

    /// How many of them were places of intact messages.
    fn own(&self) -> u64 {
        self.0.values().map(|(offsets, others)| offsets.len().saturating_sub(others.len())).sum()
    }
}
