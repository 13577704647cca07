//! What a reader noted so far.

use super::{Class, ReaderAccount};
use std::collections::BTreeMap;

impl ReaderAccount {
    /// How many messages of each class it was given that were not a first sight in order, before anything is settled: who sent them, and what
    /// may be, is not asked.
    pub fn noted(&self) -> BTreeMap<Class, u64> {
        let mut all: BTreeMap<Class, u64> = BTreeMap::new();
        let noted = self.producers.iter().flatten().map(|producer| &producer.noted).chain([&self.strangers]);
        for (class, report) in noted.flatten() {
            *all.entry(*class).or_default() += report.count;
        }
        all
    }
}
