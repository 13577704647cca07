//! The time line: what happened in each slice of the run.
//!
//! What happens is entered to the millisecond. When a few seconds have passed, and it is known where faults and steps began and
//! ended meanwhile, milliseconds are merged to slices of 100 ms, later ones to a second, to ten and to more, but never over such an edge
//! (see [`Detail`]). What is counted between two edges is therefore exact.

use super::detail::Detail;
use std::collections::BTreeMap;
use std::ops::Range;

/// Length of a slice without an edge in it, in µs.
pub const SLICE_US: u64 = 100_000;
/// What times are told apart by, in µs.
pub(super) const TICK_US: u64 = 1_000;
/// Ticks of a slice.
pub(super) const SLICE: u64 = SLICE_US / TICK_US;
/// Slices up to which nothing is merged to seconds.
const FREE: usize = 3_000;
/// Ticks that stay apart until the edges in them are known: a fault's times are told when it is proved.
const OPEN: u64 = 5_000;
/// So many ticks are settled at a time.
const SETTLE_EVERY: u64 = 1_000;

/// What is kept of one slice.
pub trait SliceSample: Clone + Default {
    /// Adds what happened in the slice that follows.
    fn follow(&mut self, later: &Self);
    /// Adds what somebody else did in the same slice.
    fn beside(&mut self, other: &Self);
}

/// A slice of the run.
#[derive(Debug, PartialEq, Eq)]
pub struct Slice<'a, T> {
    /// Its start, in µs of the run.
    pub start_us: u64,
    /// Its end, in µs of the run.
    pub end_us: u64,
    /// What happened in it.
    pub sample: &'a T,
}

impl<T> Clone for Slice<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slice<'_, T> {}

impl<T> Slice<'_, T> {
    /// Whether the span touches it.
    fn touches(&self, span_us: &Range<u64>) -> bool {
        self.start_us < span_us.end && self.end_us > span_us.start
    }

    /// Whether it lies in the span as a whole.
    pub fn lies_in(&self, span_us: &Range<u64>) -> bool {
        self.start_us >= span_us.start && self.end_us <= span_us.end
    }
}

/// The slices of a run in which something happened, in order. They do not overlap.
#[derive(Debug, Clone)]
pub struct TimeLine<T> {
    /// By their first tick: their length in ticks and what happened.
    slices: BTreeMap<u64, (u64, T)>,
    detail: Detail,
    /// The number of slices at which older ones are merged.
    limit: usize,
    /// The tick before which all are merged to slices.
    settled: u64,
}

impl<T> Default for TimeLine<T> {
    fn default() -> Self {
        Self::kept_by(Detail::default())
    }
}

impl<T: PartialEq> PartialEq for TimeLine<T> {
    fn eq(&self, other: &Self) -> bool {
        self.slices == other.slices
    }
}

impl<T> TimeLine<T> {
    /// An empty time line that keeps apart what `detail` says.
    pub fn kept_by(detail: Detail) -> Self {
        Self { slices: BTreeMap::new(), detail, limit: FREE, settled: 0 }
    }

    /// How many slices there are.
    pub fn len(&self) -> usize {
        self.slices.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// All slices, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Slice<'_, T>> {
        self.slices.iter().map(|(start, (ticks, sample))| Slice {
            start_us: start * TICK_US,
            end_us: (start + ticks) * TICK_US,
            sample,
        })
    }

    /// The slices that a span touches, in order.
    pub fn touching(&self, span_us: Range<u64>) -> impl Iterator<Item = Slice<'_, T>> {
        let first = span_us.start / TICK_US;
        let first = self.slices.range(..=first).next_back().map_or(first, |(start, _)| *start);
        let last = span_us.end.div_ceil(TICK_US).max(first);
        self.slices
            .range(first..last)
            .map(|(start, (ticks, sample))| Slice {
                start_us: start * TICK_US,
                end_us: (start + ticks) * TICK_US,
                sample,
            })
            .filter(move |slice| slice.touches(&span_us))
    }

    /// The samples with the edges of their slices in µs of the run, to complete them.
    pub(crate) fn complete(&mut self, mut with: impl FnMut(Range<u64>, &mut T)) {
        for (start, (ticks, sample)) in &mut self.slices {
            with(start * TICK_US..(*start + *ticks) * TICK_US, sample);
        }
    }

    /// The slices as they are stored: first tick, ticks, sample.
    pub(super) fn stored(&self) -> impl ExactSizeIterator<Item = (u64, u64, &T)> {
        self.slices.iter().map(|(start, (ticks, sample))| (*start, *ticks, sample))
    }

    /// Enters what is known of a whole span; false where it overlaps what is there.
    pub fn enter(&mut self, span_us: Range<u64>, sample: T) -> bool {
        let (start, end) = (span_us.start / TICK_US, span_us.end / TICK_US);
        end > start && self.restore(start, end - start, sample, u64::MAX)
    }

    /// Takes a stored slice; false where it overlaps what is there or reaches beyond `end`.
    pub(super) fn restore(&mut self, start: u64, ticks: u64, sample: T, end: u64) -> bool {
        let fits = ticks > 0 && start.checked_add(ticks).is_some_and(|own| own <= end);
        let before = self.slices.range(..=start).next_back().is_none_or(|(at, (long, _))| at + long <= start);
        let after = fits && self.slices.range(start..start + ticks).next().is_none();
        if fits && before && after {
            self.slices.insert(start, (ticks, sample));
        }
        fits && before && after
    }
}

impl<T: SliceSample> TimeLine<T> {
    /// The sample of the time `at_us` of the run, to be added to.
    pub fn at(&mut self, at_us: u64) -> &mut T {
        let tick = at_us / TICK_US;
        if tick >= self.settled.saturating_add(OPEN + SETTLE_EVERY) {
            self.settle(tick - OPEN);
        }
        self.entry(tick..tick + 1)
    }

    /// The sample of the whole slice in which `at_us` of the run lies, for what is known no finer.
    pub(super) fn whole(&mut self, at_us: u64) -> &mut T {
        let start = at_us / SLICE_US * SLICE;
        self.entry(start..start + SLICE)
    }

    fn entry(&mut self, ticks: Range<u64>) -> &mut T {
        let covering =
            self.slices.range(..=ticks.start).next_back().filter(|(start, (long, _))| *start + *long > ticks.start);
        let (start, long) = match covering.map(|(start, (long, _))| (*start, *long)) {
            Some(known) => known,
            None => {
                if self.slices.len() >= self.limit {
                    self.coarsen(ticks.start);
                }
                (ticks.start, ticks.end - ticks.start)
            }
        };
        &mut self.slices.entry(start).or_insert_with(|| (long, T::default())).1
    }

    /// Something began or ended at `at_us` of the run: slices will have an edge there, in all time lines of the run.
    pub fn edge(&self, at_us: u64) {
        self.detail.cut(at_us as f64 / 1e6);
    }

    /// Merges all ticks to slices: nothing more will be known of edges.
    pub fn close(&mut self) {
        self.settle(u64::MAX);
    }

    /// Merges the ticks before `until` to slices, as long as no edge is in them.
    fn settle(&mut self, until: u64) {
        let until = until / SLICE * SLICE;
        let mut open = self.slices.split_off(&self.settled);
        let later = open.split_off(&until);
        let mut last: Option<(Range<u64>, T)> = None;
        for (start, (long, sample)) in open {
            match &mut last {
                Some((slice, all)) if start + long <= slice.end => all.follow(&sample),
                _ => {
                    self.slices.extend(last.take().map(|(slice, all)| (slice.start, (slice.end - slice.start, all))));
                    let slice = self.detail.slice(start);
                    let slice = if start + long <= slice.end { slice } else { start..start + long };
                    last = Some((slice, sample));
                }
            }
        }
        self.slices.extend(last.map(|(slice, all)| (slice.start, (slice.end - slice.start, all))));
        self.slices.extend(later);
        self.settled = until;
    }

    /// All that happened in a span. `None` where one of its edges lies inside a slice: then nobody can tell.
    pub fn sum(&self, span_us: Range<u64>) -> Option<T> {
        let mut sum = T::default();
        for slice in self.touching(span_us.clone()) {
            if !slice.lies_in(&span_us) {
                return None;
            }
            sum.follow(slice.sample);
        }
        Some(sum)
    }

    /// Adds what somebody else did in the same time. Where one is kept in coarser slices, the sum is as well.
    pub fn merge(&mut self, other: &Self) {
        for (start, (ticks, sample)) in &other.slices {
            let (mut from, mut to) = (*start, start + ticks);
            let first = self.slices.range(..=from).next_back().filter(|(at, (long, _))| *at + *long > from);
            from = first.map_or(from, |(at, _)| *at);
            let mut own: Option<T> = None;
            while let Some(at) = self.slices.range(from..to).next().map(|(at, _)| *at)
                && let Some((long, next)) = self.slices.remove(&at)
            {
                to = to.max(at + long);
                match &mut own {
                    Some(own) => own.follow(&next),
                    None => own = Some(next),
                }
            }
            let mut both = own.unwrap_or_default();
            both.beside(sample);
            self.slices.insert(from, (to - from, both));
        }
    }

    /// Merges what is older, as its detail says.
    fn coarsen(&mut self, now: u64) {
        let mut merged: BTreeMap<u64, (u64, T)> = BTreeMap::new();
        let mut open: Option<Range<u64>> = None;
        for (start, (ticks, sample)) in std::mem::take(&mut self.slices) {
            let inside = open.as_ref().is_some_and(|span| start + ticks <= span.end);
            if inside && let Some(mut last) = merged.last_entry() {
                let from = *last.key();
                let (long, all) = last.get_mut();
                all.follow(&sample);
                *long = start + ticks - from;
                continue;
            }
            open = self.detail.coarse(start, now);
            merged.insert(start, (ticks, sample));
        }
        self.slices = merged;
        self.limit = FREE.max(self.slices.len() + self.slices.len() / 4 + 300);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::slices::ProduceSlice;

    fn sent(line: &TimeLine<ProduceSlice>, span_us: Range<u64>) -> Option<u64> {
        line.sum(span_us).map(|sum| sum.sent)
    }

    #[test]
    fn an_hour_is_bounded_and_exact_between_edges() {
        let detail = Detail::default();
        let mut line = TimeLine::<ProduceSlice>::kept_by(detail.clone());
        for tick in 0..36_000 {
            if tick == 12_003 {
                detail.fault(1200.34);
            }
            if tick == 20_007 {
                detail.cut(2000.65);
            }
            line.at(tick * SLICE_US + 17).sent += 500;
        }
        line.close();
        assert!(line.len() < 4_500, "{}", line.len());
        assert_eq!(line.iter().map(|slice| slice.sample.sent).sum::<u64>(), 18_000_000);
        // Around the fault every tenth of a second is an edge; at the step's end there is one.
        for at in [0, 11_750, 12_003, 12_004, 12_290, 35_999] {
            assert_eq!(sent(&line, 0..at * SLICE_US), Some(at * 500), "{at}");
        }
        assert_eq!(sent(&line, 0..2_000_650_000), Some(20_007 * 500));
        assert_eq!(sent(&line, 0..20_003 * SLICE_US), None, "inside a slice of ten seconds");
        let edges: Vec<_> = line.iter().map(|slice| (slice.start_us, slice.end_us)).collect();
        assert!(edges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "no overlap");
    }

    #[test]
    fn weeks_take_little_more_than_an_hour() {
        let detail = Detail::default();
        let mut line = TimeLine::<ProduceSlice>::kept_by(detail.clone());
        let (week, fault) = (7 * 24 * 3600, 3 * 24 * 3600);
        for second in (0..3 * week).step_by(10) {
            if second == fault + 10 {
                detail.fault(fault as f64 + 0.5);
            }
            line.at(second * 1_000_000 + 17).sent += 5000;
        }
        line.close();
        assert!(line.len() < 10_500, "{}", line.len());
        assert_eq!(line.iter().map(|slice| slice.sample.sent).sum::<u64>(), 3 * week * 500);
        for at in [60, 300, fault - 20, fault, fault + 10, fault + 20] {
            assert_eq!(
                sent(&line, 0..at * 1_000_000),
                Some(at * 500),
                "{at}: what is near a fault, or early, stays apart"
            );
        }
    }

    #[test]
    fn what_is_counted_between_the_edges_of_a_fault_is_exact_to_the_millisecond() {
        let detail = Detail::default();
        let mut line = TimeLine::<ProduceSlice>::kept_by(detail.clone());
        for ms in 0..20_000 {
            // Its times are told when it is proved, and when it is undone.
            if ms == 9_400 {
                [7.2514, 7.2521].into_iter().for_each(|at| detail.fault(at));
            }
            if ms == 9_600 {
                detail.fault(9.2521);
            }
            line.at(ms * 1000 + 300).sent += 1;
        }
        assert!(line.len() < 6_300, "{}", line.len());
        line.close();
        assert!(line.len() < 210, "{}", line.len());
        assert_eq!(sent(&line, 0..7_252_000), Some(7252));
        assert_eq!(sent(&line, 7_253_000..9_252_000), Some(1999));
        assert_eq!(sent(&line, 9_252_000..20_000_000), Some(10_748));
        assert_eq!(sent(&line, 9_251_000..20_000_000), None, "no edge of anything");
    }

    #[test]
    fn time_lines_of_different_detail_add_up() {
        let (mut fine, mut coarse) = (TimeLine::<ProduceSlice>::default(), TimeLine::<ProduceSlice>::default());
        for tick in 0..40 {
            fine.at(tick * SLICE_US).sent += 1;
        }
        fine.close();
        assert!(coarse.restore(1000, 1000, ProduceSlice { sent: 100, ..Default::default() }, u64::MAX));
        assert!(!coarse.restore(1500, 100, ProduceSlice::default(), u64::MAX), "it overlaps");
        let mut both = fine.clone();
        both.merge(&coarse);
        coarse.merge(&fine);
        assert_eq!(both, coarse);
        assert_eq!(sent(&both, 1_000_000..2_000_000), Some(110));
        assert_eq!(sent(&both, 1_100_000..2_000_000), None);
        assert_eq!(sent(&both, 0..4_000_000), Some(140));
    }
}
