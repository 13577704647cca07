//! The readers' partitions of one topic, joined.

use crate::accounting::{PagedBitmap, ReaderAccount};
use std::collections::BTreeMap;
use std::ops::Range;

/// What all readers together know of one partition.
#[derive(Debug, Default)]
pub(super) struct JoinedPartition {
    /// The first offset that anyone was responsible for.
    pub(super) start: Option<i64>,
    /// The furthest end that a drain took.
    pub(super) end: Option<i64>,
    /// What lay behind it in open transactions.
    pub(super) high: Option<i64>,
    /// Whether somebody has reached that end.
    pub(super) drained: bool,
    /// Whether its log has started over.
    pub(super) restarted: bool,
    position: i64,
    offsets: PagedBitmap,
    excused: Vec<Range<i64>>,
}

impl JoinedPartition {
    /// Whether the readers passed over this offset although it was theirs to read.
    pub(super) fn skipped(&self, offset: i64) -> bool {
        self.start.is_some_and(|start| offset >= start)
            && offset < self.position
            && !self.offsets.contains(offset as u64)
            && !self.excused.iter().any(|range| range.contains(&offset))
    }
}

/// Whether another reader of the same group holds this partition and has not come to its end: what the group gave it is its to read,
/// also where another one had read it before.
fn is_still_read(readers: &[&ReaderAccount], reader: &ReaderAccount, partition: i32, end: i64) -> bool {
    readers.iter().any(|other| {
        let is_of_its_group = other.group.is_some() && other.group == reader.group && other.topic == reader.topic;
        let seen = other.partitions.get(&partition);
        is_of_its_group && other.holds.contains(&partition) && !seen.is_some_and(|seen| seen.has_reached(end))
    })
}

/// Every partition that any reader has seen.
#[derive(Debug, Default)]
pub(super) struct Joined(BTreeMap<String, BTreeMap<i32, JoinedPartition>>);

impl Joined {
    pub(super) fn of(readers: &[&ReaderAccount]) -> Self {
        let mut all = Self::default();
        for reader in readers {
            let topic = all.0.entry(reader.topic.clone()).or_default();
            for (number, seen) in &reader.partitions {
                let place = topic.entry(*number).or_default();
                place.start = [place.start, seen.start].into_iter().flatten().min();
                if seen.end > place.end {
                    (place.end, place.high) = (seen.end, seen.high);
                }
                place.position = place.position.max(seen.reached());
                place.restarted |= !seen.restarts.is_empty();
                place.offsets.union_with(&seen.log.offsets);
                place.excused.extend(seen.excused.iter().cloned());
            }
        }
        // What one of them may have read and cannot tell of is not missing, whoever else came to the end.
        if readers.iter().any(|reader| reader.unaccounted) {
            return all;
        }
        // Only now is the furthest end known.
        for reader in readers {
            let Some(topic) = all.0.get_mut(&reader.topic) else { continue };
            for (number, seen) in &reader.partitions {
                let Some(place) = topic.get_mut(number) else { continue };
                place.drained |=
                    place.end.is_some_and(|end| seen.has_reached(end) && !is_still_read(readers, reader, *number, end));
            }
        }
        all
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&JoinedPartition> {
        self.0.get(topic)?.get(&partition)
    }

    fn ends(&self) -> impl Iterator<Item = bool> + '_ {
        self.0.values().flat_map(BTreeMap::values).filter(|place| place.end.is_some()).map(|place| place.drained)
    }

    /// Whether every end that a drain took has been reached; false where none was taken.
    pub(super) fn is_drained(&self) -> bool {
        let mut ends = self.ends();
        ends.next().is_some_and(|first| first && ends.all(|reached| reached))
    }

    /// Whether any end has been reached.
    pub(super) fn is_anything_drained(&self) -> bool {
        self.ends().any(|reached| reached)
    }
}
