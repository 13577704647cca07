//! One reader's side of the account: a single consumer, or all members of a group together.

use super::report::{ClassReport, Sample};
use super::{Class, Identity, IdentityError, PagedBitmap, RunIdentity};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One message as a reader saw it.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    /// Where it was read.
    pub partition: i32,
    /// Where it was read.
    pub offset: i64,
    /// When it was read, in µs since the epoch.
    pub at_us: i64,
    /// The identity found in it, and whether the body matches its checksum.
    pub identity: Result<(Identity, bool), IdentityError>,
}

/// What a sighting turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The first sight of a message of this run, in order and intact.
    Fresh,
    /// The first sight of a message of this run, with something to note about it.
    FreshBut(Class),
    /// Not a first sight, or not a message of this run.
    Other(Class),
}

impl Seen {
    /// Whether the message is one of this run and had not been seen before.
    pub fn is_fresh(self) -> bool {
        matches!(self, Seen::Fresh | Seen::FreshBut(_))
    }
}

/// Everything a reader saw of this run's messages.
#[derive(Debug)]
pub struct ReaderAccount {
    run: Arc<RunIdentity>,
    /// The topic it read.
    pub topic: String,
    /// Its consumer group, if any.
    pub group: Option<String>,
    /// Whether messages of aborted transactions must not reach it.
    pub read_committed: bool,
    /// How many samples of each class are kept.
    pub sample_limit: usize,
    pub(super) producers: Vec<Option<Box<ProducerSeen>>>,
    pub(super) partitions: BTreeMap<i32, PartitionSeen>,
    pub(super) classes: BTreeMap<Class, ClassReport>,
    /// Messages delivered, of whatever kind.
    pub read: u64,
}

#[derive(Debug)]
pub(super) struct ProducerSeen {
    sent: Arc<AtomicU64>,
    pub(super) seen: PagedBitmap,
    /// By partition: one more than the highest sequence read there.
    next: Vec<u64>,
}

#[derive(Debug, Default)]
pub(super) struct PartitionSeen {
    /// Every offset that was read.
    pub(super) offsets: PagedBitmap,
    /// Those of them that hold no message of this run.
    pub(super) others: PagedBitmap,
    /// The first offset that this reader was responsible for.
    pub(super) start: Option<i64>,
    /// The next offset to read.
    pub(super) position: i64,
    /// The end offset that the drain took.
    pub(super) end: Option<i64>,
    /// Offsets passed over because an assignment began behind them.
    pub(super) excused: Vec<Range<i64>>,
}

impl ReaderAccount {
    /// An account of nothing yet.
    pub fn new(run: Arc<RunIdentity>, topic: impl Into<String>, group: Option<String>, read_committed: bool) -> Self {
        Self {
            run,
            topic: topic.into(),
            group,
            read_committed,
            sample_limit: 100,
            producers: Vec::new(),
            partitions: BTreeMap::new(),
            classes: BTreeMap::new(),
            read: 0,
        }
    }

    /// An account of the same positions and ends that has seen no message.
    pub(super) fn without_messages(&self, run: Arc<RunIdentity>) -> Self {
        let mut empty = Self::new(run, self.topic.clone(), self.group.clone(), self.read_committed);
        empty.sample_limit = self.sample_limit;
        for (number, seen) in &self.partitions {
            let (start, position, end) = (seen.start, seen.position, seen.end);
            empty.partitions.insert(*number, PartitionSeen { start, position, end, ..PartitionSeen::default() });
        }
        empty
    }

    /// The nonce of the run whose messages are accounted for.
    pub fn nonce(&self) -> u64 {
        self.run.nonce()
    }

    /// The reader begins to read a partition at `position`.
    pub fn assigned(&mut self, partition: i32, position: i64) {
        let entry = self.partitions.entry(partition).or_default();
        if entry.start.is_none_or(|start| position < start) {
            entry.start = Some(position);
        } else if position > entry.position {
            entry.excused.push(entry.position..position);
        }
        entry.position = entry.position.max(position);
    }

    /// The reader has passed everything below `position`, whether or not it was delivered.
    pub fn advanced(&mut self, partition: i32, position: i64) {
        let entry = self.partitions.entry(partition).or_default();
        entry.position = entry.position.max(position);
    }

    /// Sets the end offsets that the reader has to reach.
    pub fn drain_to(&mut self, ends: &BTreeMap<i32, i64>) {
        for (partition, end) in ends {
            self.partitions.entry(*partition).or_default().end = Some(*end);
        }
    }

    /// Next offset to read, by partition.
    pub fn positions(&self) -> BTreeMap<i32, i64> {
        self.partitions.iter().map(|(partition, entry)| (*partition, entry.position)).collect()
    }

    /// Whether every end offset set by [`drain_to`](Self::drain_to) has been reached. False before.
    pub fn is_drained(&self) -> bool {
        let mut ends = self.partitions.values().filter_map(|entry| entry.end.map(|end| entry.position >= end));
        ends.next().is_some_and(|first| first && ends.all(|reached| reached))
    }

    /// Whether it has read this offset.
    pub fn has_read(&self, partition: i32, offset: i64) -> bool {
        self.partitions.get(&partition).is_some_and(|seen| seen.offsets.contains(offset as u64))
    }

    /// Enters a message into the account.
    pub fn record(&mut self, sighting: &Sighting) -> Seen {
        self.read += 1;
        let entry = self.partitions.entry(sighting.partition).or_default();
        entry.start.get_or_insert(sighting.offset);
        entry.position = entry.position.max(sighting.offset + 1);
        // Offsets are never negative in a message that was delivered.
        let first_read = entry.offsets.insert(sighting.offset as u64);
        let (identity, intact) = match sighting.identity {
            Ok(found) if found.0.nonce == self.run.nonce() => found,
            other => {
                let class = if first_read {
                    entry.others.insert(sighting.offset as u64);
                    if other == Err(IdentityError::Damaged) { Class::Corrupted } else { Class::Foreign }
                } else {
                    Class::Redelivered
                };
                return self.note(class, None, sighting);
            }
        };
        if !first_read {
            return self.note(Class::Redelivered, Some(identity), sighting);
        }
        let Some(producer) = self.producer(&identity) else {
            self.partitions.entry(sighting.partition).or_default().others.insert(sighting.offset as u64);
            return self.note(Class::Phantom, Some(identity), sighting);
        };
        if !producer.seen.insert(identity.sequence) {
            return self.note(Class::Duplicated, Some(identity), sighting);
        }
        let in_order = producer.advance(sighting.partition, identity.sequence);
        if !intact {
            self.note(Class::Corrupted, Some(identity), sighting);
        }
        if !in_order {
            self.note(Class::Reordered, Some(identity), sighting);
        }
        match (intact, in_order) {
            (true, true) => Seen::Fresh,
            (false, _) => Seen::FreshBut(Class::Corrupted),
            (true, false) => Seen::FreshBut(Class::Reordered),
        }
    }

    /// The account of the producer, provided that it has sent this sequence at all.
    fn producer(&mut self, identity: &Identity) -> Option<&mut ProducerSeen> {
        let index = usize::from(identity.producer);
        if self.producers.get(index).is_none_or(Option::is_none) {
            let sent = self.run.counter(identity.producer)?;
            if self.producers.len() <= index {
                self.producers.resize_with(index + 1, || None);
            }
            self.producers[index] = Some(Box::new(ProducerSeen { sent, seen: PagedBitmap::new(), next: Vec::new() }));
        }
        let producer = self.producers[index].as_mut()?;
        (identity.sequence < producer.sent.load(Ordering::Acquire)).then_some(producer)
    }

    fn note(&mut self, class: Class, identity: Option<Identity>, sighting: &Sighting) -> Seen {
        let report = self.classes.entry(class).or_default();
        report.count += 1;
        if report.samples.len() < self.sample_limit {
            report.samples.push(Sample {
                producer: identity.map(|identity| identity.producer),
                sequence: identity.map(|identity| identity.sequence),
                partition: Some(sighting.partition),
                offset: Some(sighting.offset),
                time_us: Some(sighting.at_us),
                attribution: None,
            });
        }
        Seen::Other(class)
    }

    /// Bytes held on the heap by bitmaps.
    pub fn heap_bytes(&self) -> usize {
        let producers = self.producers.iter().flatten().map(|producer| producer.seen.heap_bytes());
        let partitions = self.partitions.values().map(|p| p.offsets.heap_bytes() + p.others.heap_bytes());
        producers.chain(partitions).sum()
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
}
