//! How finely a time line is kept: in tenths of a second where something happened and for the last minutes, else the more coarsely the
//! longer ago, so that a week takes little more than an hour. Edges are exact to the millisecond.

use super::series::{SLICE, TICK_US};
use crate::ground::lock;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

/// Slices of the last so many ticks, milliseconds, stay as they are.
const FINE: u64 = 2 * 60 * 1000;
/// Older ones are kept in slices of so many ticks, the second numbers, once they are as old as the first ones say.
const COARSE: [(u64, u64); 5] = [
    (0, 10 * SLICE),
    (15 * MINUTE, 100 * SLICE),
    (6 * 60 * MINUTE, MINUTE),
    (2 * 24 * 60 * MINUTE, 10 * MINUTE),
    (14 * 24 * 60 * MINUTE, 60 * MINUTE),
];
/// What the end of a run is compared with is its beginning: slices that begin before the first numbers are never longer than the second.
const EARLY: [(u64, u64); 2] = [(10 * MINUTE, 100 * SLICE), (120 * MINUTE, MINUTE)];
/// Ticks of a minute.
const MINUTE: u64 = 60 * 1000;
/// So many ticks before and after a fault stay as they are.
const AROUND: u64 = 30 * 1000;
/// Edges beyond this number are not told apart: a run of that many steps is not looked at by single ones.
const MOST: usize = 20_000;

/// What a run's time lines have to keep apart. Clones share it: whoever reports a fault tells all time lines.
#[derive(Clone, Debug, Default)]
pub struct Detail(Arc<Mutex<Edges>>);

#[derive(Debug, Default)]
struct Edges {
    /// Ticks at which something began or ended: no slice reaches over one.
    cuts: BTreeSet<u64>,
    /// The same for faults, around which slices stay as they are.
    faults: BTreeSet<u64>,
}

impl Detail {
    fn edges(&self) -> MutexGuard<'_, Edges> {
        lock(&self.0)
    }

    /// Something began or ended at this second of the run: slices will have an edge there.
    pub fn cut(&self, at: f64) {
        let mut edges = self.edges();
        if edges.cuts.len() < MOST {
            edges.cuts.extend(ticks(at));
        }
    }

    /// A fault began, took effect, was undone or recovered from at this second of the run.
    pub fn fault(&self, at: f64) {
        let mut edges = self.edges();
        if edges.faults.len() < MOST {
            edges.faults.extend(ticks(at));
        }
    }

    /// When anything of a fault happened so far, in µs of the run, in order.
    pub fn faults_us(&self) -> Vec<u64> {
        self.edges().faults.iter().map(|tick| tick * TICK_US).collect()
    }

    /// The slice, in ticks, of the tick `at`: up to the next edge, 100 ms at most.
    pub(super) fn slice(&self, at: u64) -> Range<u64> {
        let from = at / SLICE * SLICE;
        let edges = self.edges();
        let (mut low, mut high) = (from, from + SLICE);
        for set in [&edges.cuts, &edges.faults] {
            low = set.range(from..=at).next_back().map_or(low, |edge| low.max(*edge));
            high = set.range(at + 1..high).next().map_or(high, |edge| high.min(*edge));
        }
        low..high
    }

    /// The stretch, in ticks, into which the slice that begins at `start` is to be merged; `now` is the latest tick. `None` where it
    /// stays as it is.
    pub(super) fn coarse(&self, start: u64, now: u64) -> Option<Range<u64>> {
        let age = now.saturating_sub(start);
        if age < FINE {
            return None;
        }
        let edges = self.edges();
        if edges.faults.range(start.saturating_sub(AROUND)..=start.saturating_add(AROUND)).next().is_some() {
            return None;
        }
        let length = COARSE.iter().rev().find(|(from, _)| age >= *from).map_or(SLICE, |(_, length)| *length);
        let length = EARLY.iter().find(|(until, _)| start < *until).map_or(length, |(_, most)| length.min(*most));
        let from = start / length * length;
        let to = from + length;
        // What lies between two edges stays apart from what lies beyond them.
        let from = edges.cuts.range(from..=start).next_back().copied().unwrap_or(from);
        let to = edges.cuts.range(start + 1..to).next().copied().unwrap_or(to);
        let near = |tick: &u64| [*tick, tick.saturating_sub(AROUND), tick.saturating_add(AROUND + 1)];
        let (mut low, mut high) = (from, to);
        for edge in edges.faults.range(from.saturating_sub(AROUND + 1)..=to.saturating_add(AROUND + 1)).flat_map(near) {
            if edge <= start {
                low = low.max(edge);
            } else {
                high = high.min(edge);
            }
        }
        Some(low..high)
    }
}

/// The ticks just before and just after a time: the edges of the tick in which it lies.
fn ticks(at: f64) -> [u64; 2] {
    let tick = at.max(0.0) * 1e6 / TICK_US as f64;
    // A time of the run is far below what a u64 holds.
    [tick.floor() as u64, tick.ceil() as u64]
}
