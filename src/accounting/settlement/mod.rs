//! Holds senders against readers.

mod effort;
mod fate;
mod joined;
mod read;
mod successors;

pub(super) use effort::MOST_EFFORT;

use super::ledger_report::{LedgerReport, LogRestart, MessageSample, Why};
use super::sender::WroteTo;
use super::sheet::SentLine;
use super::terms::Supersession;
use super::{Class, LogEvidence, PagedBitmap, ReaderAccount, SenderAccount, Terms};
use fate::{FateSearch, Searched, UnreadFate};
use joined::Joined;
use std::collections::{BTreeMap, HashMap};
use successors::Successors;

/// An account between one or several senders and one reader or the union of several.
#[derive(Debug, Default)]
pub struct Ledger<'a> {
    senders: Vec<&'a SenderAccount>,
    readers: Vec<&'a ReaderAccount>,
    /// Others that wrote to the same topics: their messages may supersede.
    beside: Vec<&'a SenderAccount>,
    terms: Terms,
    /// What a fresh read of each topic found, where there are several.
    searched: Option<&'a BTreeMap<String, LogEvidence>>,
    /// Messages of which nobody can tell whether they came through a pipeline, by producer.
    untold: Option<&'a BTreeMap<u16, PagedBitmap>>,
    sample_limit: usize,
}

impl<'a> Ledger<'a> {
    /// An account between `senders` and the union of `readers`.
    pub fn new(
        senders: impl IntoIterator<Item = &'a SenderAccount>,
        readers: impl IntoIterator<Item = &'a ReaderAccount>,
    ) -> Self {
        Self {
            senders: senders.into_iter().collect(),
            readers: readers.into_iter().collect(),
            sample_limit: 100,
            ..Self::default()
        }
    }

    /// Keeps up to `limit` samples of each class (100 unless told).
    pub fn with_samples(mut self, limit: usize) -> Self {
        self.sample_limit = limit;
        self
    }

    /// What the scenario declares about messages that may go; nothing unless told.
    pub fn under(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// Other senders of the run that wrote to the same topics.
    pub fn beside(mut self, others: impl IntoIterator<Item = &'a SenderAccount>) -> Self {
        self.beside = others.into_iter().collect();
        self
    }

    /// What fresh reads found, by topic: for senders to several topics.
    pub fn searched(mut self, topics: &'a BTreeMap<String, LogEvidence>) -> Self {
        self.searched = Some(topics);
        self
    }

    /// Messages of which nobody can tell whether they came through a pipeline, by producer: where no reader saw them, they are unread.
    pub fn untold(mut self, messages: &'a BTreeMap<u16, PagedBitmap>) -> Self {
        self.untold = Some(messages);
        self
    }

    /// The acknowledged sequences that no reader saw, by producer: what a fresh read has to look for. Nothing where no
    /// reader has come to any end, since nothing can be said then.
    pub fn missing(&self) -> HashMap<u16, PagedBitmap> {
        let mut missing = HashMap::new();
        if !Joined::of(&self.readers).is_anything_drained() {
            return missing;
        }
        for sender in &self.senders {
            let set: PagedBitmap = sender.acked.difference(&self.seen(sender.producer)).collect();
            if !set.is_empty() {
                missing.insert(sender.producer, set);
            }
        }
        missing
    }

    /// Sorts every message into its column, and every difference into its class. `evidence` from a fresh read says where the
    /// lost ones went missing.
    pub fn settle(&self, evidence: Option<&LogEvidence>) -> LedgerReport {
        let mut report = LedgerReport::default();
        let joined = Joined::of(&self.readers);
        report.drained = joined.is_drained();
        for reader in &self.readers {
            report.read += reader.read;
            report.held_back |= !reader.held_back().is_empty();
            let known = report.restarts.len();
            for (partition, offset) in reader.restarts() {
                let restart = LogRestart { partition, offset };
                if !report.restarts[..known].contains(&restart) {
                    report.restarts.push(restart);
                }
            }
        }
        self.enter_noted(&mut report);
        let searched = Searched { topics: self.searched, any: evidence };
        let search = FateSearch {
            successors: self.successors(&searched),
            searched,
            untold: self.untold,
            joined: &joined,
            terms: &self.terms,
            elsewhere: !self.readers.is_empty() && self.readers.iter().all(|reader| reader.elsewhere),
            began_us: self.readers.iter().map(|reader| reader.began_us).min().unwrap_or(0),
            bytes: self.senders.iter().chain(&self.beside).map(|sender| sender.bytes).sum(),
        };
        for sender in &self.senders {
            self.settle_sender(sender, &search, &mut report);
        }
        // The ends were taken before the log was searched: what lies behind them is still to be read.
        report.drained &= !report.unread_because.contains_key(&Why::NotReached);
        self.settle_read(&mut report);
        report
    }

    /// What readers noted while they read, of these senders and of nobody's messages.
    fn enter_noted(&self, report: &mut LedgerReport) {
        for reader in &self.readers {
            let producers = self.senders.iter().filter_map(|sender| reader.producer_seen(sender.producer));
            for (class, found) in producers.flat_map(|seen| &seen.noted).chain(&reader.strangers) {
                let entry = report.classes.entry(*class).or_default();
                entry.count += found.count;
                let room = self.sample_limit.saturating_sub(entry.samples.len());
                entry.samples.extend(found.samples.iter().take(room).cloned());
            }
        }
    }

    fn settle_sender(&self, sender: &SenderAccount, search: &FateSearch<'_>, report: &mut LedgerReport) {
        let seen = self.seen(sender.producer);
        let again = self.again(sender.producer);
        let mut line = SentLine {
            step: sender.step.clone(),
            sent: sender.sent,
            failed: sender.failed.len(),
            unknown: sender.unknown.len(),
            aborted: sender.aborted.len(),
            in_flight: if sender.complete { 0 } else { sender.sent.saturating_sub(sender.outcomes()) },
            acked: sender.acked.len(),
            ..SentLine::default()
        };
        line.duplicated = again.iter().filter(|n| sender.acked.contains(*n) && seen.contains(*n)).count() as u64;
        line.read_once = sender.acked.intersection_len(&seen) - line.duplicated;
        report.sent += line.sent;
        report.acked += line.acked;
        report.failed += line.failed;
        report.unknown += line.unknown;
        report.aborted += line.aborted;
        report.distinct += seen.len();
        report.unknown_read += sender.unknown.intersection_len(&seen);
        self.settle_uncommitted(sender, &seen, report);

        let damaged = self.damaged(sender.producer);
        let missing: PagedBitmap = sender.acked.difference(&seen).filter(|n| !damaged.contains(*n)).collect();
        line.damaged = sender.acked.len() - sender.acked.intersection_len(&seen) - missing.len();
        if !missing.is_empty() {
            let mut placed = PagedBitmap::new();
            sender.offsets.for_each(|sequence, partition, offset| {
                if missing.contains(sequence) && placed.insert(sequence) {
                    self.settle_missing(sender, sequence, Some((partition, offset)), search, &mut line, report);
                }
            });
            for sequence in missing.difference(&placed) {
                self.settle_missing(sender, sequence, None, search, &mut line, report);
            }
        }
        report.before_start += line.excused;
        report.sheet.enter(&line);
    }

    /// What was read though it must not have been: of aborted transactions, and what was reported as not written.
    fn settle_uncommitted(&self, sender: &SenderAccount, seen: &PagedBitmap, report: &mut LedgerReport) {
        let aborted_read: PagedBitmap = sender.aborted.intersection(seen).collect();
        let mut places = HashMap::new();
        if !aborted_read.is_empty() {
            sender.offsets.for_each(|sequence, partition, offset| {
                if aborted_read.contains(sequence) {
                    places.insert(sequence, (partition, offset));
                }
            });
        }
        for sequence in aborted_read.iter() {
            let place = places.get(&sequence).copied();
            report.add(Class::AbortedRead, self.sample_limit, sample(sender, sequence, place));
        }
        for sequence in sender.failed.intersection(seen) {
            report.add(Class::Phantom, self.sample_limit, sample(sender, sequence, None));
        }
    }

    fn settle_missing(
        &self,
        sender: &SenderAccount,
        sequence: u64,
        place: Option<(i32, i64)>,
        search: &FateSearch<'_>,
        line: &mut SentLine,
        report: &mut LedgerReport,
    ) {
        let evidence = search.searched.of(&sender.topic);
        let found = evidence.and_then(|evidence| evidence.found.get(&(sender.producer, sequence)).copied());
        let mut sample = sample(sender, sequence, found.or(place));
        match search.fate(sender, sequence, place, found) {
            UnreadFate::Excused => line.excused += 1,
            UnreadFate::Superseded => line.superseded += 1,
            UnreadFate::Expired => line.expired += 1,
            UnreadFate::Unread(why) => {
                line.unread += 1;
                *report.unread_because.entry(why).or_default() += 1;
                report.add(Class::Unread, self.sample_limit, sample);
            }
            UnreadFate::Lost { attribution, skipped } => {
                line.lost += 1;
                if let Some(attribution) = attribution {
                    *report.lost_where(attribution) += 1;
                }
                sample.attribution = attribution;
                if skipped {
                    report.add(Class::Skipped, self.sample_limit, sample.clone());
                }
                report.add(Class::Lost, self.sample_limit, sample);
            }
        }
    }

    /// Of each topic of which messages may be superseded, and of which there is evidence.
    fn successors<'s>(&'s self, searched: &Searched<'s>) -> HashMap<&'s str, Successors> {
        let topics = self.senders.iter().map(|sender| sender.topic.as_str());
        let topics = topics.filter(|topic| self.terms.supersedes(topic) != Supersession::Never);
        let mut all = HashMap::new();
        for topic in topics {
            let Some(evidence) = searched.of(topic).filter(|_| !all.contains_key(topic)) else { continue };
            let writers = self.senders.iter().chain(&self.beside).copied();
            // What went to another topic of the same name supersedes nothing in this one.
            let here =
                |sender: &&SenderAccount| sender.topic == topic && sender.wrote_to(evidence.topic) != WroteTo::Another;
            all.insert(topic, Successors::of(writers.filter(here)));
        }
        all
    }

    /// A set that each reader keeps of a producer's messages, joined.
    fn union(&self, producer: u16, set: impl Fn(&super::reader::ProducerSeen) -> &PagedBitmap) -> PagedBitmap {
        let mut all = PagedBitmap::new();
        for reader in &self.readers {
            if let Some(seen) = reader.producer_seen(producer) {
                all.union_with(set(seen));
            }
        }
        all
    }

    fn seen(&self, producer: u16) -> PagedBitmap {
        self.union(producer, |producer| &producer.seen)
    }

    fn damaged(&self, producer: u16) -> PagedBitmap {
        self.union(producer, |producer| &producer.damaged)
    }

    /// What was delivered more than once: to one reader or, within a group, to several.
    fn again(&self, producer: u16) -> PagedBitmap {
        let mut again = self.union(producer, |producer| &producer.again);
        for unit in self.units().iter().filter(|unit| unit.len() > 1) {
            let mut before = PagedBitmap::new();
            for seen in unit.iter().filter_map(|reader| reader.producer_seen(producer)) {
                again.extend(before.intersection(&seen.seen));
                before.union_with(&seen.seen);
            }
        }
        again
    }

    /// The readers in units, each of which is to be given a message once: those of one group together, each other one alone.
    fn units(&self) -> Vec<Vec<&'a ReaderAccount>> {
        let (mut of_group, mut units): (HashMap<&str, usize>, Vec<Vec<&'a ReaderAccount>>) = Default::default();
        for reader in self.readers.iter().copied() {
            let next = units.len();
            let number = reader.group.as_deref().map_or(next, |group| *of_group.entry(group).or_insert(next));
            match units.get_mut(number) {
                Some(unit) => unit.push(reader),
                None => units.push(vec![reader]),
            }
        }
        units
    }
}

fn sample(sender: &SenderAccount, sequence: u64, place: Option<(i32, i64)>) -> MessageSample {
    MessageSample {
        producer: Some(sender.producer),
        sequence: Some(sequence),
        partition: place.map(|place| place.0),
        offset: place.map(|place| place.1).filter(|offset| *offset >= 0),
        time_us: sender.due_us(sequence),
        attribution: None,
    }
}

impl Why {
    /// Why so many messages are neither read nor proved to be lost.
    pub fn describe(self, count: u64) -> String {
        let (are, they) = if count == 1 { ("message", "it") } else { ("messages", "they") };
        match self {
            Self::NotReached => format!("{count} acknowledged {are} were not read before the reader's end"),
            Self::OpenTransaction => {
                format!("{count} acknowledged {are} lie behind an open transaction, which holds back the readers")
            }
            Self::PlaceUnknown => format!(
                "the broker did not tell where {count} acknowledged {are} went, so {they} may lie before the reader's start"
            ),
            Self::KeysUnknown => format!(
                "{count} acknowledged {are} are gone from a compacted topic, and the keys that would tell why are not known"
            ),
            Self::PolicyUnknown => format!(
                "{count} acknowledged {are} are gone, and whether the topic is compacted could not be read from the cluster"
            ),
            Self::LogUnknown => format!(
                "{count} acknowledged {are} are gone from a compacted topic that was replaced or cut off, and which of its logs {they} \
                 stood in is not known"
            ),
            Self::NotSearched => format!("the log could not be searched for {count} acknowledged {are}"),
            Self::LogsCut => format!(
                "whether {count} acknowledged {are} came through the pipeline is not known, as its logs are not all there any more"
            ),
            Self::AgeUnknown => format!(
                "{count} acknowledged {are} are gone from the start of the log, and whether {they} had come to the age of `retention.ms` is \
                 not known: the load had no rate"
            ),
        }
    }
}
