//! What the threads of a worker write down.

use super::{FarEvent, FarUnit};
use crate::ground::lock;
use crate::record::RunClock;
use std::sync::{Arc, Mutex};

/// Something that happened, with its place among all that happened in this process.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// When it was written down, in ns of the run: never before the one that stands before it.
    pub stamp_ns: u64,
    /// To whom.
    pub unit: FarUnit,
    /// What.
    pub event: FarEvent,
}

/// What the threads of a worker have written down and nobody has fetched yet.
#[derive(Debug)]
pub struct FarJournal {
    clock: RunClock,
    entries: Mutex<Vec<JournalEntry>>,
}

impl FarJournal {
    /// An empty journal on the run's clock.
    pub fn new(clock: RunClock) -> Arc<Self> {
        Arc::new(Self { clock, entries: Mutex::default() })
    }

    /// The part of one unit.
    pub fn of(self: &Arc<Self>, unit: FarUnit) -> UnitJournal {
        UnitJournal { journal: Arc::clone(self), unit }
    }

    /// Takes what was written down, and says up to when, in ns of the run, that is all.
    pub fn take(&self) -> (Vec<JournalEntry>, u64) {
        let mut entries = lock(&self.entries);
        // Whoever writes after this has a later stamp.
        (std::mem::take(&mut *entries), self.clock.now_ns())
    }
}

/// Where one unit writes down what happens to it.
#[derive(Debug, Clone)]
pub struct UnitJournal {
    journal: Arc<FarJournal>,
    unit: FarUnit,
}

impl UnitJournal {
    /// Something happened.
    pub fn push(&self, event: FarEvent) {
        let mut entries = lock(&self.journal.entries);
        // Read under the lock, so that stamps never go back.
        let stamp_ns = self.journal.clock.now_ns();
        entries.push(JournalEntry { stamp_ns, unit: self.unit, event });
    }
}
