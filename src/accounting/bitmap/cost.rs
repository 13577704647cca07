//! What sets take, before they are made and gone through.

use super::{DENSE_SLACK, PAGE_BITS, PagedBitmap, Partial};
use std::ops::Range;

impl PagedBitmap {
    /// Numbers of one page, of which each takes as much as all.
    pub(in crate::accounting) const PAGE: u64 = PAGE_BITS;

    /// At most so many bytes on the heap does a set take of these runs, which ascend.
    pub(in crate::accounting) fn bytes_of(runs: impl IntoIterator<Item = Range<u64>>) -> u64 {
        // An entry of either table, with what maps and growing lists take beside it.
        const ENTRY: u64 = 64;
        let (mut bytes, mut behind, mut broken) = (0u64, 0, None);
        for run in runs.into_iter().filter(|run| !run.is_empty()) {
            let (first, last) = (run.start / PAGE_BITS, (run.end - 1) / PAGE_BITS);
            // The dense table grows over a small gap, and what is farther away goes to the sparse one.
            let gap = Some(first.saturating_sub(behind)).filter(|gap| *gap <= DENSE_SLACK).unwrap_or(0);
            bytes += ENTRY * (last + 1 - behind.max(first) + gap);
            behind = behind.max(last + 1);
            let partial = [(first, run.start % PAGE_BITS != 0), (last, run.end % PAGE_BITS != 0)];
            for (page, _) in partial.into_iter().filter(|(_, partial)| *partial) {
                if broken.replace(page) != Some(page) {
                    bytes += size_of::<Partial>() as u64;
                }
            }
        }
        bytes
    }

    /// How many pages it has: what it takes to go through it where no page is looked into.
    pub(in crate::accounting) fn page_count(&self) -> u64 {
        (self.dense.len() + self.sparse.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "a list of one range is what is meant")]
    fn what_runs_will_take_is_known_before() {
        let far = PAGE_BITS * 1_000_000;
        let single: Vec<_> = (0..100).map(|n| n * PAGE_BITS..n * PAGE_BITS + 1).collect();
        let sparse: Vec<_> = (1..100).map(|n| n * far..n * far + 1).collect();
        for runs in
            [vec![0..10 * PAGE_BITS], vec![5..200_000, 200_001..PAGE_BITS * 50], single, sparse, vec![far..far + 3]]
        {
            let mut set = PagedBitmap::new();
            runs.iter().for_each(|run| set.insert_range(run.clone()));
            assert_eq!(set.len(), runs.iter().map(|run| run.end - run.start).sum::<u64>());
            let (taken, told) = (set.heap_bytes() as u64, PagedBitmap::bytes_of(runs));
            assert!(taken <= told, "{taken} {told}");
        }
        assert!(PagedBitmap::bytes_of([0..1 << 36]) <= 64 << 20);
    }
}
