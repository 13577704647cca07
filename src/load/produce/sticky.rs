//! The partition of messages without key.

use super::ProduceSpec;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// `sticky.partitioning.linger.ms` of the client where nothing else is set.
const LINGER_US: u64 = 10_000;

/// A random partition, kept for a while, as `sticky.partitioning.linger.ms` describes it.
pub(super) struct Sticky {
    rng: StdRng,
    partition: i32,
    until_us: u64,
}

impl Sticky {
    /// `None` where the specification asks for partitions of its own, or for another behaviour of the client.
    pub(super) fn new(spec: &ProduceSpec, share: u64) -> Option<Self> {
        let is_default = |name: &str| !spec.config.contains_key(name) && !spec.connection.contains_key(name);
        let as_is =
            spec.transaction.is_none() && is_default("partitioner") && is_default("sticky.partitioning.linger.ms");
        let rng = StdRng::seed_from_u64(spec.seed.wrapping_add(share));
        as_is.then_some(Self { rng, partition: 0, until_us: 0 })
    }

    /// The partition at this time, of so many.
    pub(super) fn at(&mut self, now_us: u64, partitions: i32) -> i32 {
        if now_us >= self.until_us {
            self.partition = self.rng.random_range(0..partitions.max(1));
            self.until_us = now_us + LINGER_US;
        }
        self.partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_kept_for_its_time_and_all_get_their_share() {
        let mut sticky = Sticky { rng: StdRng::seed_from_u64(1), partition: 0, until_us: 0 };
        let mut counts = [0; 6];
        for turn in 0..6000 {
            let now_us = turn * LINGER_US;
            let partition = sticky.at(now_us, 6);
            assert_eq!(sticky.at(now_us + LINGER_US - 1, 6), partition);
            counts[partition as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
