//! One reader's side of the account: a single consumer, or all members of a group together.

use super::bodies::Bodies;
use super::ledger_report::{ClassReport, MessageSample};
use super::partition::PartitionSeen;
use super::sighting::{Sighting, SightingKind};
use super::standing::TopicIdBytes;
use super::{Beside, Class, Identity, IdentityError, PagedBitmap, RunIdentity};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Everything a reader saw of this run's messages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReaderAccount {
    #[serde(skip)]
    run: Arc<RunIdentity>,
    /// The step that read.
    pub step: String,
    /// The topic it read.
    pub topic: String,
    /// Its consumer group, if any.
    pub group: Option<String>,
    /// Whether messages of aborted transactions must not reach it.
    pub read_committed: bool,
    /// Whether it was asked to begin elsewhere than at the first message: at the end, or at committed offsets. Only then is it
    /// not responsible for what lies before.
    pub elsewhere: bool,
    /// When it began, in µs since the epoch.
    pub began_us: i64,
    /// How many samples of each class are kept.
    pub sample_limit: usize,
    pub(super) producers: Vec<Option<Box<ProducerSeen>>>,
    pub(super) partitions: BTreeMap<i32, PartitionSeen>,
    /// What cannot be attributed to a producer of this run.
    pub(super) strangers: BTreeMap<Class, ClassReport>,
    /// Messages delivered, of whatever kind.
    pub read: u64,
    /// Whether something that it was given is not in here, because the process that read it died or its client hangs: then nothing
    /// can be said of what is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unaccounted: bool,
    /// The partitions that its group had given to it when this was taken down.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub holds: BTreeSet<i32>,
    /// The ids of the topics that have had its name, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) topic_ids: Vec<TopicIdBytes>,
}

/// What a reader saw of one producer's messages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ProducerSeen {
    #[serde(skip)]
    sent: Arc<AtomicU64>,
    /// Seen intact.
    pub(super) seen: PagedBitmap,
    /// Of those, the ones that were delivered again: a copy, or the same place once more.
    pub(super) again: PagedBitmap,
    /// Seen in a form that does not match its checksum.
    pub(super) damaged: PagedBitmap,
    #[serde(skip)]
    bodies: Bodies,
    /// By partition: one more than the highest sequence read there.
    next: Vec<u64>,
    /// Everything that was not a first sight in order.
    pub(super) noted: BTreeMap<Class, ClassReport>,
}

impl ReaderAccount {
    /// An account of nothing yet.
    pub fn new(run: Arc<RunIdentity>, topic: impl Into<String>, group: Option<String>, read_committed: bool) -> Self {
        Self { run, topic: topic.into(), group, read_committed, sample_limit: 100, ..Self::default() }
    }

    /// An account of the same positions and ends that has seen no message.
    pub(super) fn without_messages(&self, run: Arc<RunIdentity>) -> Self {
        let mut empty = self.clone();
        empty.run = run;
        empty.producers.clear();
        empty.strangers.clear();
        empty.read = 0;
        for partition in empty.partitions.values_mut() {
            partition.log = Default::default();
            partition.earlier.clear();
            partition.restarts.clear();
            partition.is_held_by_nobody();
        }
        empty
    }

    /// A life of a member, or the only one (`None`), is given a partition and reads it from `position` on, where that is known.
    pub fn assigned(&mut self, life: Option<usize>, partition: i32, position: Option<i64>) {
        self.in_partition(partition, |entry| entry.assigned(life, position));
    }

    /// This life of a member has given up a partition.
    pub fn revoked(&mut self, life: usize, partition: i32) {
        self.in_partition(partition, |entry| entry.revoked(life));
    }

    /// The reader is responsible for everything in a partition from the offset `start` on, whoever is given it.
    pub fn answers_from(&mut self, partition: i32, start: i64) {
        self.in_partition(partition, |entry| entry.answers_from(start));
    }

    /// The client of this life of a member tells that it has passed everything below `position`, whether or not it was delivered.
    pub fn advanced(&mut self, life: usize, partition: i32, position: i64) {
        self.in_partition(partition, |entry| entry.advanced(life, position));
    }

    /// Where this life of a member stands in partitions of which its client goes on telling a position further on, which it had
    /// before it was sent back.
    pub fn sent_back(&self, life: usize) -> BTreeMap<i32, i64> {
        let all = self.partitions.iter();
        all.filter_map(|(partition, entry)| Some((*partition, entry.sent_back(life)?))).collect()
    }

    /// The log of a partition begins at `start`: nothing is left to be read before it.
    pub fn begins_at(&mut self, partition: i32, start: i64) {
        self.in_partition(partition, |entry| entry.begins_at(start));
    }

    /// The log of a partition was seen to end at `high` after the reader's position had been `position`: where that lies
    /// behind the end, the log has started over.
    pub fn ends_at(&mut self, partition: i32, high: i64, position: i64) {
        self.partitions.entry(partition).or_default().ends_at(high, position);
    }

    /// Sets the end offsets that the reader has to reach.
    pub fn drain_to(&mut self, ends: &BTreeMap<i32, i64>) {
        self.drain_to_stable(ends, ends);
    }

    /// Sets the last stable offsets that the reader has to reach, beside those behind the last message.
    pub fn drain_to_stable(&mut self, stable: &BTreeMap<i32, i64>, high: &BTreeMap<i32, i64>) {
        for (partition, end) in stable {
            let high = high.get(partition).map_or(*end, |high| *high.max(end));
            self.partitions.entry(*partition).or_default().has_to_reach(*end, high);
        }
    }

    /// Next offset to read, by partition.
    pub fn positions(&self) -> BTreeMap<i32, i64> {
        self.partitions.iter().map(|(partition, entry)| (*partition, entry.position)).collect()
    }

    /// Whether every end offset set by [`drain_to`](Self::drain_to) has been reached. False before.
    pub fn is_drained(&self) -> bool {
        if self.unaccounted {
            return false;
        }
        let mut ends = self.partitions.values().filter(|entry| entry.end.is_some()).map(PartitionSeen::is_drained);
        ends.next().is_some_and(|first| first && ends.all(|reached| reached))
    }

    /// [`is_drained`](Self::is_drained), where what other readers of the group have read is not this one's to read.
    pub fn is_drained_beside(&self, others: &Beside) -> bool {
        if self.unaccounted {
            return false;
        }
        let mut ends = self.partitions.iter().filter_map(|(partition, entry)| {
            let end = entry.end?;
            Some(entry.is_drained() || others.is_at(*partition, |position| position >= end))
        });
        ends.next().is_some_and(|first| first && ends.all(|reached| reached))
    }

    /// Partitions whose log ends in an open transaction: nobody knows what will follow.
    pub fn held_back(&self) -> Vec<i32> {
        let held = self.partitions.iter().filter(|(_, entry)| entry.end < entry.high);
        held.map(|(partition, _)| *partition).collect()
    }

    /// Where logs were seen to start over: partition, and the offset at which the new log was noticed.
    pub fn restarts(&self) -> Vec<(i32, i64)> {
        let all = self.partitions.iter();
        all.flat_map(|(partition, entry)| entry.restarts.iter().map(|offset| (*partition, *offset))).collect()
    }

    /// Whether it has read this offset of the log as it is now.
    pub fn has_read(&self, partition: i32, offset: i64) -> bool {
        self.partitions.get(&partition).is_some_and(|seen| seen.log.offsets.contains(offset as u64))
    }

    /// How often, and where first, it was given the same place again.
    pub(super) fn redelivered(&self) -> ClassReport {
        let all = self.producers.iter().flatten().map(|producer| &producer.noted).chain([&self.strangers]);
        let mut sum = ClassReport::default();
        for found in all.filter_map(|noted| noted.get(&Class::Redelivered)) {
            sum.count += found.count;
            sum.samples.extend(found.samples.iter().cloned());
        }
        sum
    }

    /// What it saw of a producer's messages.
    pub(super) fn producer_seen(&self, number: u16) -> Option<&ProducerSeen> {
        self.producers.get(usize::from(number))?.as_deref()
    }

    /// Enters where a message was read, and nothing of the message itself: for who only has to know where a reader stands.
    pub(crate) fn glance(&mut self, partition: i32, offset: i64, life: usize, epoch: Option<i32>) {
        self.in_partition(partition, |entry| _ = entry.enter_in(offset, life, epoch));
    }

    /// Enters a message into the account. Identity decides what it is; its offset only tells a copy from the same place
    /// read again.
    pub fn record(&mut self, sighting: &Sighting) -> SightingKind {
        self.record_in(sighting, None)
    }

    /// [`record`](Self::record), of a message that was written in this leader epoch.
    pub fn record_in(&mut self, sighting: &Sighting, epoch: Option<i32>) -> SightingKind {
        self.read += 1;
        let entry = self.partitions.entry(sighting.partition).or_default();
        let new_place = entry.enter_in(sighting.offset, sighting.life, epoch);
        close_earlier(entry, &self.producers);
        let (identity, intact) = match sighting.identity {
            Ok(found) if found.0.nonce == self.run.nonce() => found,
            other => {
                let damaged = other == Err(IdentityError::Damaged);
                let class = if damaged { Class::Corrupted } else { Class::Foreign };
                return self.stranger(class, new_place, sighting);
            }
        };
        let Some(producer) = Self::producer(&mut self.producers, &self.run, identity.producer) else {
            return self.stranger(Class::Phantom, new_place, sighting);
        };
        // A copy under another key is a copy; who is given a message only so has not been given what was sent, and at that place not
        // later either.
        let was_odd = !new_place && entry.log.others.contains(sighting.offset as u64);
        let intact = intact && (!sighting.altered || producer.seen.contains(identity.sequence) && !was_odd);
        let class = if identity.sequence >= producer.sent.load(Ordering::Acquire) {
            if new_place { Class::Phantom } else { Class::Redelivered }
        } else if !intact {
            let known = producer.seen.contains(identity.sequence) || !producer.damaged.insert(identity.sequence);
            // Its place in the order of sending is known all the same.
            producer.glimpse(sighting.partition, identity.sequence);
            match (new_place, known) {
                (false, true) if !entry.held_own(sighting.offset) => Class::Redelivered,
                (true, true) if entry.other_before(sighting.offset) => Class::Redelivered,
                (true, _) => Class::Corrupted,
                // Something else stood here.
                (false, _) => {
                    self.displaced(sighting, None);
                    return self.note_of(Class::Corrupted, identity, sighting);
                }
            }
        } else if producer.seen.insert(identity.sequence) {
            producer.bodies.note(identity.sequence, identity.body_crc);
            let in_order = producer.advance(sighting.partition, identity.sequence);
            if !new_place {
                self.displaced(sighting, Some(identity));
            }
            if in_order {
                return SightingKind::Fresh;
            }
            self.note_of(Class::Reordered, identity, sighting);
            return SightingKind::FreshBut(Class::Reordered);
        } else if producer.bodies.differs(identity.sequence, identity.body_crc) {
            // Under the same identity, but not the same message.
            if new_place { Class::Corrupted } else { Class::Redelivered }
        } else {
            producer.again.insert(identity.sequence);
            let known = !new_place || entry.known_before(sighting.offset, identity.producer, identity.sequence);
            if known { Class::Redelivered } else { Class::Duplicated }
        };
        if new_place && matches!(class, Class::Phantom | Class::Corrupted) {
            entry.log.others.insert(sighting.offset as u64);
        }
        producer.note(class, identity, sighting, self.sample_limit);
        SightingKind::Other(class)
    }

    /// Another message than this one was read at this place before: only another log explains that. `own` is the message
    /// where it is intact and of this run.
    fn displaced(&mut self, sighting: &Sighting, own: Option<Identity>) {
        let Some(entry) = self.partitions.get_mut(&sighting.partition) else { return };
        entry.displaced(sighting.offset, sighting.life);
        if own.is_none() {
            entry.log.others.insert(sighting.offset as u64);
        }
        close_earlier(entry, &self.producers);
        // It was entered a moment ago, and is no part of what had been seen before.
        if let (Some(own), Some(log)) = (own, entry.earlier.last_mut())
            && let Some(seen) = log.seen.as_mut().and_then(|seen| seen.get_mut(usize::from(own.producer)))
        {
            seen.remove(own.sequence);
        }
    }

    fn note_of(&mut self, class: Class, identity: Identity, sighting: &Sighting) -> SightingKind {
        if let Some(Some(producer)) = self.producers.get_mut(usize::from(identity.producer)) {
            producer.note(class, identity, sighting, self.sample_limit);
        }
        SightingKind::Other(class)
    }

    /// Notes a message that is no producer's of this run.
    fn stranger(&mut self, class: Class, new_place: bool, sighting: &Sighting) -> SightingKind {
        let entry = self.partitions.get(&sighting.partition);
        let held_own = entry.is_some_and(|entry| entry.held_own(sighting.offset));
        let known = if new_place { entry.is_some_and(|entry| entry.same_before(sighting.offset)) } else { !held_own };
        let class = if known { Class::Redelivered } else { class };
        if new_place && let Some(entry) = self.partitions.get_mut(&sighting.partition) {
            entry.log.others.insert(sighting.offset as u64);
        } else if held_own {
            self.displaced(sighting, None);
        }
        let identity = sighting.identity.ok().map(|found| found.0).filter(|found| found.nonce == self.run.nonce());
        note(self.strangers.entry(class).or_default(), identity, sighting, self.sample_limit);
        SightingKind::Other(class)
    }

    /// The account of a producer, provided that it is one of this run.
    pub(super) fn producer<'a>(
        producers: &'a mut Vec<Option<Box<ProducerSeen>>>,
        run: &RunIdentity,
        number: u16,
    ) -> Option<&'a mut ProducerSeen> {
        let index = usize::from(number);
        if producers.get(index).is_none_or(Option::is_none) {
            let sent = run.counter(number)?;
            if producers.len() <= index {
                producers.resize_with(index + 1, || None);
            }
            producers[index] = Some(Box::new(ProducerSeen { sent, ..ProducerSeen::default() }));
        }
        producers[index].as_deref_mut()
    }

    /// Bytes held on the heap by bitmaps.
    pub fn heap_bytes(&self) -> usize {
        let producers = self.producers.iter().flatten();
        let producers = producers.map(|seen| [&seen.seen, &seen.again, &seen.damaged].map(PagedBitmap::heap_bytes));
        let partitions = self.partitions.values().map(PartitionSeen::heap_bytes);
        producers.flatten().chain(partitions).sum()
    }
}

impl ProducerSeen {
    /// Whether the sequence comes after all others of this producer in the partition.
    fn advance(&mut self, partition: i32, sequence: u64) -> bool {
        let index = partition as usize;
        if self.next.len() <= index {
            self.next.resize(index + 1, 0);
        }
        let in_order = sequence >= self.next[index];
        if in_order {
            self.next[index] = sequence + 1;
        }
        in_order
    }

    /// A damaged form of the message was seen: the intact one may still follow.
    fn glimpse(&mut self, partition: i32, sequence: u64) {
        let index = partition as usize;
        if self.next.len() <= index {
            self.next.resize(index + 1, 0);
        }
        self.next[index] = self.next[index].max(sequence);
    }

    fn note(&mut self, class: Class, identity: Identity, sighting: &Sighting, limit: usize) {
        note(self.noted.entry(class).or_default(), Some(identity), sighting, limit);
    }

    /// How many of a class were noted.
    pub(super) fn count(&self, class: Class) -> u64 {
        self.noted.get(&class).map_or(0, |report| report.count)
    }
}

/// Keeps what had been seen of every producer with a log that is over.
pub(super) fn close_earlier(entry: &mut PartitionSeen, producers: &[Option<Box<ProducerSeen>>]) {
    if let Some(log) = entry.earlier.last_mut().filter(|log| log.seen.is_none()) {
        let of = |seen: &Option<Box<ProducerSeen>>| seen.as_ref().map(|seen| seen.seen.clone()).unwrap_or_default();
        log.seen = Some(producers.iter().map(of).collect());
    }
}

fn note(report: &mut ClassReport, identity: Option<Identity>, sighting: &Sighting, limit: usize) {
    report.count += 1;
    if report.samples.len() < limit {
        report.samples.push(MessageSample {
            producer: identity.map(|identity| identity.producer),
            sequence: identity.map(|identity| identity.sequence),
            partition: Some(sighting.partition),
            offset: Some(sighting.offset),
            time_us: Some(sighting.at_us),
            attribution: None,
        });
    }
}
