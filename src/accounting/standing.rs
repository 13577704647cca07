//! In which log a reader stands: by the topic's id, by leader epochs, and by what its client tells.

use super::ReaderAccount;
use super::reader::close_earlier;
use std::collections::BTreeMap;

/// A topic's id.
pub type TopicIdBytes = [u8; 16];

impl ReaderAccount {
    /// The topic has this id now, which was seen at `at_us` (in µs since the epoch). Where it had another one, its logs are over,
    /// and every partition waits until the reader is seen in the new one.
    pub fn is_of_topic(&mut self, id: TopicIdBytes, at_us: i64) {
        let replaced = self.topic_ids.last().is_some_and(|last| *last != id);
        if self.topic_ids.last() != Some(&id) {
            if self.topic_ids.contains(&id) {
                // Ids do not come back: this is told by a broker that does not know better yet.
                return;
            }
            self.topic_ids.push(id);
        }
        for entry in self.partitions.values_mut() {
            if replaced { entry.replaced(at_us) } else { entry.is_the_same() }
        }
    }

    /// How many topics have had the name that it reads, one after the other, as far as was seen.
    pub fn topics(&self) -> usize {
        self.topic_ids.len()
    }

    /// Partitions whose logs are over, while the reader has not been seen in those that stand there now.
    pub fn left_behind(&self) -> Vec<i32> {
        let left = self.partitions.iter().filter(|(_, entry)| entry.is_elsewhere());
        left.map(|(partition, _)| *partition).collect()
    }

    /// By partition: behind the last message that was delivered, and the leader epoch in which that was written.
    pub fn last_epochs(&self) -> BTreeMap<i32, (i64, i32)> {
        let of = |(partition, entry): (&i32, &super::partition::PartitionSeen)| Some((*partition, entry.last_epoch()?));
        self.partitions.iter().filter_map(of).collect()
    }

    /// The log of a partition was cut off below `position`, behind the last message that was delivered from it: by its leader
    /// epochs, however far it reaches by now.
    pub fn cut_below(&mut self, partition: i32, position: i64, at_us: i64) {
        self.in_partition(partition, |entry| entry.cut_below(position, at_us));
    }

    /// The client of this life of a member polls and has nothing more to deliver; its position is this.
    pub fn stands_at(&mut self, life: usize, partition: i32, position: i64, at_us: i64) {
        self.in_partition(partition, |entry| {
            entry.advanced(life, position);
            entry.stands_still(life, at_us);
        });
    }

    /// Changes what is known of a partition, whose log may turn out to be over.
    pub(super) fn in_partition(&mut self, partition: i32, change: impl FnOnce(&mut super::partition::PartitionSeen)) {
        let entry = self.partitions.entry(partition).or_default();
        change(entry);
        close_earlier(entry, &self.producers);
    }
}
