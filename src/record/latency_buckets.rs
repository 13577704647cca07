//! Latencies counted in few buckets, for those who sum them up over time.

use hdrhistogram::Histogram;

/// Upper bounds of the buckets, in µs.
pub const BOUNDS_US: [u64; 18] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
];

/// How many latencies were not above each bound, of how many, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyBuckets {
    /// For each of [`BOUNDS_US`], how many were not above it, to within the 1 % of the histograms that they come from.
    pub within: [u64; BOUNDS_US.len()],
    /// How many there are.
    pub count: u64,
    /// Their sum, in µs.
    pub sum_us: u64,
}

impl LatencyBuckets {
    /// Adds what a histogram in µs holds. The sum is known to whoever recorded it.
    pub fn add(&mut self, histogram: &Histogram<u64>) {
        for value in histogram.iter_recorded() {
            let (us, count) = (value.value_iterated_to(), value.count_at_value());
            let first = BOUNDS_US.partition_point(|bound| *bound < us);
            self.within.iter_mut().skip(first).for_each(|within| *within = within.saturating_add(count));
            self.count = self.count.saturating_add(count);
        }
    }

    /// Adds those of another one.
    pub fn merge(&mut self, other: &Self) {
        for (own, more) in self.within.iter_mut().zip(other.within) {
            *own = own.saturating_add(more);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}
