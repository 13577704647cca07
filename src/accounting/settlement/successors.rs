//! Which messages of a compacted topic have a later one of the same key.

use crate::accounting::{PagedBitmap, SenderAccount};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Stands for a message without a key: compaction refuses those.
const NONE: u64 = 0;

/// The last place of each key in each partition, and the key of each message.
#[derive(Debug, Default)]
pub(super) struct Successors {
    /// By producer, then by sequence; absent where the keys of a producer are not known.
    keys: HashMap<u16, Vec<u64>>,
    last: HashMap<(i32, u64), i64>,
    /// By partition the first offset at which two messages were acknowledged: the log was cut off or replaced there.
    twice: HashMap<i32, i64>,
}

impl Successors {
    /// Of these producers, who write to one topic.
    pub(super) fn of<'a>(senders: impl Iterator<Item = &'a SenderAccount>) -> Self {
        let mut all = Self::default();
        let mut places: HashMap<i32, PagedBitmap> = HashMap::new();
        for sender in senders {
            sender.offsets.for_each(|sequence, partition, offset| {
                if let Ok(place) = u64::try_from(offset)
                    && sender.acked.contains(sequence)
                    && !places.entry(partition).or_default().insert(place)
                {
                    let first = all.twice.entry(partition).or_insert(offset);
                    *first = (*first).min(offset);
                }
            });
            let Some(plan) = &sender.keys else { continue };
            let mut keys = vec![NONE; usize::try_from(sender.sent).unwrap_or(0)];
            let known = plan.each(sender.sent, |sequence, key| {
                let mut hasher = DefaultHasher::new();
                key.hash(&mut hasher);
                keys[sequence as usize] = hasher.finish().max(1);
            });
            if !known {
                continue;
            }
            sender.offsets.for_each(|sequence, partition, offset| {
                let key = keys.get(sequence as usize).copied().unwrap_or(NONE);
                // A transaction that was aborted supersedes nothing.
                if key != NONE && sender.acked.contains(sequence) {
                    let last = all.last.entry((partition, key)).or_insert(offset);
                    *last = (*last).max(offset);
                }
            });
            all.keys.insert(sender.producer, keys);
        }
        all
    }

    /// Whether messages of two logs stood there one after the other.
    pub(super) fn is_in_doubt(&self, (partition, offset): (i32, i64)) -> bool {
        self.twice.get(&partition).is_some_and(|first| offset >= *first)
    }

    /// Whether a later message of the same key and partition was acknowledged; `None` where the key is not known.
    pub(super) fn supersedes(&self, producer: u16, sequence: u64, (partition, offset): (i32, i64)) -> Option<bool> {
        let key = *self.keys.get(&producer)?.get(sequence as usize)?;
        Some(key != NONE && self.last.get(&(partition, key)).is_some_and(|last| *last > offset))
    }
}
