//! How many messages lie between two offsets: markers of transactions take offsets and are no messages, and compaction leaves
//! gaps.

use super::cluster::{WireCluster, nobody};
use super::fetch::{Aborted, FetchLimits, FetchPosition, FetchPositions, Fetched, Fetcher};
use super::offsets::IsolationLevel;
use super::topics::{self, DescribedTopic};
use super::wire_error::WireError;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

/// Bytes of an answer.
const BYTES: u32 = 1 << 20;
/// A log that is written faster than it is counted is not followed forever.
const ROUNDS: usize = 64;
/// The attributes of a batch: written in a transaction, and written by the coordinator of one.
const TRANSACTIONAL: u16 = 1 << 4;
const CONTROL: u16 = 1 << 5;

/// Counts the messages of a topic in a span of offsets of each partition, as readers see them who read committed or all
/// messages. What lies behind an open transaction counts as far as offsets go: nobody knows yet what becomes of it.
///
/// ACL: READ on the Topic.
pub async fn count(
    cluster: &WireCluster,
    topic: &str,
    spans: &BTreeMap<i32, Range<i64>>,
    isolation: IsolationLevel,
) -> BTreeMap<i32, Result<u64, WireError>> {
    let described = topics::describe(cluster, &[topic]).await.and_then(|mut found| {
        let unknown = || nobody(&format!("topic `{topic}`"), "no broker knows it");
        Ok(found.remove(topic).ok_or_else(unknown)??)
    });
    let described = match described {
        Ok(described) => described,
        Err(error) => return spans.keys().map(|partition| (*partition, Err(error.clone()))).collect(),
    };
    let mut by_leader: BTreeMap<i32, BTreeMap<i32, Count>> = BTreeMap::new();
    let mut counted = BTreeMap::new();
    for (partition, span) in spans {
        match described.partitions.iter().find(|found| found.index == *partition).and_then(|found| found.leader) {
            Some(leader) => _ = by_leader.entry(leader).or_default().insert(*partition, Count::new(span)),
            None => {
                let error = nobody(&format!("the leader of {topic}/{partition}"), "it has none now");
                counted.insert(*partition, Err(error));
            }
        }
    }
    for (leader, mut counts) in by_leader {
        let ended = count_at(cluster, leader, &described, &mut counts, isolation).await;
        counted.extend(counts.into_iter().map(|(partition, count)| (partition, ended.clone().and(count.result()))));
    }
    counted
}

/// Counts at one leader.
async fn count_at(
    cluster: &WireCluster,
    leader: i32,
    topic: &DescribedTopic,
    counts: &mut BTreeMap<i32, Count>,
    isolation: IsolationLevel,
) -> Result<(), WireError> {
    let limits = FetchLimits { total: BYTES, partition: BYTES, wait: Duration::ZERO, isolation };
    let mut fetcher = Fetcher::open(cluster, leader, limits).await?;
    for _ in 0..ROUNDS {
        let open = counts.iter().filter(|(_, count)| count.is_open());
        let partitions: Vec<FetchPosition> = open
            .map(|(partition, count)| FetchPosition { partition: *partition, offset: count.next, leader_epoch: None })
            .collect();
        if partitions.is_empty() {
            break;
        }
        for ((_, partition), answer) in
            fetcher.fetch(vec![FetchPositions { topic: topic.name.clone(), id: topic.id, partitions }]).await?
        {
            if let Some(count) = counts.get_mut(&partition) {
                match answer {
                    Ok(fetched) => count.take(&fetched),
                    Err(error) => count.failed = Some(error),
                }
            }
        }
    }
    Ok(())
}

/// A partition while it is counted.
struct Count {
    next: i64,
    end: i64,
    messages: u64,
    /// Aborted transactions that were named, so that none is taken twice.
    named: BTreeSet<(i64, i64)>,
    /// Those that have not begun before `next`.
    ahead: VecDeque<Aborted>,
    /// Producers within an aborted transaction.
    aborting: BTreeSet<i64>,
    is_over: bool,
    failed: Option<WireError>,
}

impl Count {
    fn new(span: &Range<i64>) -> Self {
        Self {
            next: span.start,
            end: span.end,
            messages: 0,
            named: BTreeSet::new(),
            ahead: VecDeque::new(),
            aborting: BTreeSet::new(),
            is_over: false,
            failed: None,
        }
    }

    fn is_open(&self) -> bool {
        self.failed.is_none() && !self.is_over && self.next < self.end
    }

    fn result(self) -> Result<u64, WireError> {
        match self.failed {
            Some(error) => Err(error),
            // What was not looked at counts as far as offsets go.
            None => Ok(self.messages + u64::try_from(self.end - self.next).unwrap_or(0)),
        }
    }

    fn take(&mut self, fetched: &Fetched) {
        let mut aborted = fetched.aborted.clone();
        aborted.sort_by_key(|aborted| aborted.first);
        self.ahead.extend(aborted.into_iter().filter(|aborted| self.named.insert((aborted.producer, aborted.first))));
        let before = self.next;
        let mut rest = &fetched.records[..];
        while let Some((batch, behind)) = Batch::first(rest) {
            rest = behind;
            self.enter(&batch);
        }
        // Without a batch that was read there is no more to come: the rest is open, or in a format from before batches.
        self.is_over = self.next == before;
    }

    fn enter(&mut self, batch: &Batch) {
        while self.ahead.front().is_some_and(|aborted| aborted.first <= batch.last) {
            self.aborting.extend(self.ahead.pop_front().map(|aborted| aborted.producer));
        }
        let is_control = batch.attributes & CONTROL != 0;
        let is_aborted = batch.attributes & TRANSACTIONAL != 0 && self.aborting.contains(&batch.producer);
        if is_control {
            self.aborting.remove(&batch.producer);
        } else if !is_aborted {
            let within = (batch.last.min(self.end - 1) - batch.base.max(self.next) + 1).max(0);
            self.messages += u64::try_from(within.min(i64::from(batch.count))).unwrap_or(0);
        }
        self.next = self.next.max(batch.last + 1);
    }
}

/// The head of a batch of records.
struct Batch {
    base: i64,
    last: i64,
    attributes: u16,
    producer: i64,
    count: i32,
}

impl Batch {
    /// The length of a head.
    const HEAD: usize = 61;

    /// The first batch, and what lies behind it; `None` where it is cut off, or of a format from before batches.
    fn first(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let head = bytes.get(..Self::HEAD)?;
        let i32_at = |at: usize| Some(i32::from_be_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let i64_at = |at: usize| Some(i64::from_be_bytes(head.get(at..at + 8)?.try_into().ok()?));
        let length = usize::try_from(i32_at(8)?).ok()?.checked_add(12)?;
        if head[16] != 2 || length < Self::HEAD {
            return None;
        }
        let rest = bytes.get(length..)?;
        let base = i64_at(0)?;
        let batch = Self {
            base,
            last: base.checked_add(i64::from(i32_at(23)?))?,
            attributes: u16::from_be_bytes([head[21], head[22]]),
            producer: i64_at(43)?,
            count: i32_at(57)?,
        };
        Some((batch, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn batch(base: i64, delta: i32, attributes: u16, producer: i64, count: i32) -> Vec<u8> {
        let mut bytes = base.to_be_bytes().to_vec();
        bytes.extend((Batch::HEAD as i32 - 12).to_be_bytes());
        bytes.extend([0, 0, 0, 0, 2, 0, 0, 0, 0]); // leader epoch, format, checksum
        bytes.extend(attributes.to_be_bytes());
        bytes.extend(delta.to_be_bytes());
        bytes.extend([0; 16]); // time stamps
        bytes.extend(producer.to_be_bytes());
        bytes.extend([0; 6]); // epoch, sequence
        bytes.extend(count.to_be_bytes());
        bytes
    }

    fn counted(span: Range<i64>, records: &[Vec<u8>], aborted: &[Aborted]) -> u64 {
        let mut count = Count::new(&span);
        count.take(&Fetched {
            high_watermark: span.end,
            records: Bytes::from(records.concat()),
            aborted: aborted.to_vec(),
        });
        count.result().expect("nothing failed")
    }

    #[test]
    fn markers_aborted_messages_and_gaps_are_no_messages() {
        let marker = |base, producer| batch(base, 0, TRANSACTIONAL | CONTROL, producer, 1);
        let data = |base, count, producer| batch(base, count - 1, TRANSACTIONAL, producer, count);
        // Only a marker is left.
        assert_eq!(counted(10..11, &[marker(10, 7)], &[]), 0);
        // The first batch begins before the span.
        assert_eq!(counted(12..21, &[data(10, 10, 7), marker(20, 7)], &[]), 8);
        // An aborted transaction, and a committed one of the same producer behind it.
        let log = [data(0, 5, 7), marker(5, 7), data(6, 3, 7), marker(9, 7)];
        assert_eq!(counted(0..10, &log, &[Aborted { producer: 7, first: 0 }]), 3);
        assert_eq!(counted(0..10, &log, &[]), 8);
        // Compaction has left three of ten, and nothing up to the end.
        assert_eq!(counted(0..10, &[batch(0, 9, 0, -1, 3)], &[]), 3);
        // What cannot be read counts as far as offsets go.
        assert_eq!(counted(0..10, &[batch(0, 3, 0, -1, 4), vec![1, 2, 3]], &[]), 4 + 6);
    }
}
