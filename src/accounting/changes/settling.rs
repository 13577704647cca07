//! The records among which changes that can be settled look for their own.

use super::content::Told;
use super::scope::{ConnectorScope, concerns};
use super::settled::{SettledPast, is_certain};
use crate::database::{Lsn, RowChange};
use crate::debezium::{ChangeEvent, Op, ReadEvent, ReadKind, Snapshot};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Records by position and by row.
pub(super) struct Arrivals<'e> {
    events: &'e [ReadEvent],
    /// Places of streamed changes, by position, each in the order of reading.
    by_lsn: HashMap<Lsn, Vec<usize>>,
    /// Behind each record of a row the next one of that row in the same partition.
    next: HashMap<usize, usize>,
    /// Records that came after a later change of their row.
    late: HashSet<usize>,
    /// Places of records that belong to what is settled, and whether a record is one of them.
    used: Vec<usize>,
    is_used: Vec<bool>,
}

impl<'e> Arrivals<'e> {
    /// Looks through what was read; `None` where a snapshot is among it, the end of a transaction, or a record that nobody can place: their
    /// account is settled as a whole.
    pub(super) fn of(scope: &ConnectorScope<'_>, settled: &SettledPast, events: &'e [ReadEvent]) -> Option<Self> {
        let mut all = Self {
            events,
            by_lsn: HashMap::new(),
            next: HashMap::new(),
            late: HashSet::new(),
            used: Vec::new(),
            is_used: vec![false; events.len()],
        };
        // The last record of each row: its place, and the furthest position so far.
        let mut rows: HashMap<(&str, i32, u64), (usize, Lsn)> = HashMap::new();
        let mut seen: HashSet<(&str, i32, i64)> = HashSet::with_capacity(events.len());
        for (place, read) in events.iter().enumerate() {
            if !seen.insert((&read.topic, read.partition, read.offset)) || settled.has_read(read) {
                continue;
            }
            let (key, lsn) = match &read.kind {
                ReadKind::Ignored(_) => continue,
                // Of what is settled nobody asks for the end of its transaction.
                ReadKind::Boundary(_) | ReadKind::Plain(_) | ReadKind::Unreadable(_) => return None,
                ReadKind::Tombstone { key } => (key, None),
                ReadKind::Change(event) => {
                    if event.op == Op::Read || event.source.snapshot != Snapshot::No {
                        return None;
                    }
                    (&event.key, event.source.lsn)
                }
            };
            let row = (&*read.topic, read.partition, marked(&key.as_ref().map(|key| key.as_json())));
            let position = lsn.unwrap_or_default();
            match rows.get_mut(&row) {
                Some((last, furthest)) => {
                    all.next.insert(*last, place);
                    if lsn.is_some_and(|lsn| lsn < *furthest) {
                        all.late.insert(place);
                    }
                    (*last, *furthest) = (place, position.max(*furthest));
                }
                None => {
                    rows.insert(row, (place, position));
                }
            }
            if let (ReadKind::Change(event), Some(lsn)) = (&read.kind, lsn)
                && concerns(scope.rules, &event.source.origin.name)
            {
                all.by_lsn.entry(lsn).or_default().push(place);
            }
        }
        Some(all)
    }

    pub(super) fn read(&self, place: usize) -> &'e ReadEvent {
        &self.events[place]
    }

    /// How many records belong to what is settled.
    pub(super) fn used(&self) -> usize {
        self.used.len()
    }

    /// A record belongs to what is settled.
    pub(super) fn take(&mut self, place: usize) {
        self.used.push(place);
        self.is_used[place] = true;
    }

    /// All but the first so many that were taken do not.
    pub(super) fn give_back(&mut self, kept: usize) {
        for place in self.used.drain(kept..) {
            self.is_used[place] = false;
        }
    }

    /// The places of the records that belong to what is settled, in order.
    pub(super) fn into_used(mut self) -> Vec<usize> {
        self.used.sort_unstable();
        self.used
    }

    /// The first record that is certainly the change's, where it came in time.
    pub(super) fn first(&self, scope: &ConnectorScope<'_>, change: &RowChange) -> Option<(usize, &'e ChangeEvent)> {
        let open = self.by_lsn.get(&change.lsn)?.iter().copied().filter(|place| !self.is_used[*place]);
        let mut certain = open.filter_map(|place| {
            let read = self.read(place);
            let ReadKind::Change(event) = &read.kind else { return None };
            is_certain(scope, &Told::of(read, event), change).then_some((place, &**event))
        });
        certain.next().filter(|(place, _)| !self.late.contains(place))
    }

    /// The tombstone that follows a delete at once, where one does.
    pub(super) fn tombstone_behind(&self, place: usize) -> Option<usize> {
        let next = *self.next.get(&place)?;
        matches!(self.events[next].kind, ReadKind::Tombstone { .. }).then_some(next)
    }
}

fn marked(row: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    hasher.finish()
}
