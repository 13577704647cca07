//! Looks after all workers while a run goes on: that they live, and what their clocks say.

use super::ensemble::Shared;
use crate::ground::{lock, plural};
use std::sync::atomic::Ordering;
use std::sync::{Arc, TryLockError};
use std::time::{Duration, Instant};

/// Between two looks at all workers.
const LOOK: Duration = Duration::from_millis(100);
/// A look that comes later than this was held up itself, and says nothing of others.
const HELD_UP: Duration = Duration::from_secs(1);
/// So many looks are a second.
const LOOKS: u64 = 10;

impl Shared {
    /// Tells how well all clocks are known, and takes it into account.
    pub(super) fn tell_bounds(&self) {
        lock(&self.hearing).merge.allow(self.apart_ns());
        self.lines.iter().for_each(|line| self.emit(line));
        let worst_ns = self.lines.iter().map(|line| line.clock().0).max();
        if let (Some(recorder), Some(worst_ns)) = (&self.recorder, worst_ns) {
            let count = self.lines.len();
            let worst_us = worst_ns.div_ceil(1000);
            recorder.note(format!("{} started, clocks within {worst_us} µs", plural(count, "worker")));
        }
    }

    /// How far the clocks of two workers may be apart by now, in ns.
    fn apart_ns(&self) -> u64 {
        worst_two(self.lines.iter().map(|line| line.apart_ns()))
    }

    /// Enters what the units of this process have written down, also where no worker tells anything any more. Whoever has something
    /// to enter now does that as well, and is not waited for: all workers wait for a sign of life.
    fn looks_at_hearing(&self) {
        let mut hearing = match self.hearing.try_lock() {
            Ok(hearing) => hearing,
            Err(TryLockError::Poisoned(hearing)) => hearing.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        hearing.merge.allow(self.apart_ns());
        self.enter_all(&mut hearing);
    }

    /// Looks after all workers until the run is over.
    pub(super) fn watch(self: &Arc<Self>) {
        let mut looks = 0;
        while !self.over.load(Ordering::Acquire) {
            let before = Instant::now();
            std::thread::sleep(LOOK);
            let held_up = before.elapsed() > HELD_UP;
            looks += 1;
            for line in self.lines.iter().filter(|line| !line.is_dead() && !line.closing.load(Ordering::Acquire)) {
                if held_up {
                    line.is_forgiven();
                } else if line.is_silent() {
                    self.loses(line.index, "it gave no sign of life for 3 s");
                    continue;
                }
                if line.is_apart() {
                    self.loses(line.index, "what its clock says cannot be known well enough any more");
                } else if (held_up || looks % LOOKS == 0) && line.clock().1 > 0 {
                    // A worker that hears nothing takes this process for dead.
                    line.ping_if_free();
                }
            }
            self.looks_at_hearing();
        }
    }

    /// The end of one worker may take some time, in which the others have to hear of this process.
    fn loses(self: &Arc<Self>, index: usize, why: &'static str) {
        let shared = Arc::clone(self);
        let ending = std::thread::spawn(move || shared.lose(&shared.lines[index], why));
        lock(&self.endings).push(ending);
    }
}

/// The sum of the two largest.
pub(super) fn worst_two(all: impl Iterator<Item = u64>) -> u64 {
    let mut all: Vec<u64> = all.collect();
    all.sort_unstable();
    all.iter().rev().take(2).sum()
}
