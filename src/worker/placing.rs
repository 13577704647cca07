//! Where units run, and how they are told something.

use super::ensemble::Shared;
use super::line::Line;
use super::message::Down;
use super::watching::worst_two;
use crate::ground::lock;
use crate::load::LoadError;
use crate::load::afar::{Afar, BeginHere, FarJournal, FarOrder, FarUnit, FarWork, Hearer, UnitKind, UnitTask};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The least time between telling workers when to start and that time.
const LEAD: Duration = Duration::from_millis(100);

/// A unit that may come back: what it is, its step, and its number there.
type Returning = (UnitKind, String, usize);

/// Where units run. Members come back to where they were.
pub(super) type Places = (BTreeMap<FarUnit, usize>, BTreeMap<Returning, usize>);

/// Units that stay in this process: what they write down is told in a stream of its own.
pub(super) struct Near {
    /// The number of their stream, behind those of all workers.
    pub(super) stream: usize,
    pub(super) journal: Arc<FarJournal>,
    pub(super) units: Mutex<BTreeMap<FarUnit, Box<dyn FarWork>>>,
}

impl Shared {
    /// The worker for a unit: where it was before, else the next one that lives.
    fn place_of(&self, task: &UnitTask) -> Option<&Arc<Line>> {
        let key = (task.kind, task.step.clone(), task.number);
        let mut places = lock(&self.places);
        let before = places.1.get(&key).map(|place| &self.lines[*place]).filter(|line| !line.is_dead());
        if let Some(line) = before {
            return Some(line);
        }
        let turns = (0..self.lines.len()).map(|_| self.turn.fetch_add(1, Ordering::Relaxed) % self.lines.len());
        let line = turns.map(|place| &self.lines[place]).find(|line| !line.is_dead())?;
        places.1.insert(key, line.index);
        Some(line)
    }
}

impl Afar for Shared {
    fn prepare(
        &self,
        task: UnitTask,
        hearer: Arc<dyn Hearer>,
    ) -> Result<(FarUnit, BTreeMap<String, String>), LoadError> {
        let none = || LoadError::Spec("no worker is left that could run it".to_owned());
        let line = self.place_of(&task).ok_or_else(none)?;
        let unit = self.next_unit.fetch_add(1, Ordering::Relaxed);
        lock(&self.hearing).hearers.insert(unit, (line.index, hearer));
        lock(&self.places).0.insert(unit, line.index);
        let kind = match task.kind {
            UnitKind::Producer => "producer",
            UnitKind::Member => "member",
        };
        let names_files = [".location\"", ".keytab\""].iter().any(|name| task.body.contains(name));
        let answer = line.prepare(unit, format!("{} {kind} {}", task.step, task.number), task);
        let is_elsewhere = line.process_here().is_none();
        let failed = match answer {
            Ok(Ok(effective)) => return Ok((unit, effective)),
            Ok(Err(why)) if names_files && is_elsewhere => {
                format!("{why} (in {}, where the files have to be that the connection names)", line.name())
            }
            Ok(Err(why)) if is_elsewhere => format!("{why} (in {})", line.name()),
            Ok(Err(why)) => why,
            Err(error) => format!("{}: {error}", line.name()),
        };
        lock(&self.hearing).hearers.remove(&unit);
        lock(&self.places).0.remove(&unit);
        Err(LoadError::Spec(failed))
    }

    fn begin_here(&self, hearer: Arc<dyn Hearer>, begin: BeginHere<'_>) -> Result<FarUnit, LoadError> {
        let unit = self.next_unit.fetch_add(1, Ordering::Relaxed);
        lock(&self.hearing).hearers.insert(unit, (self.near.stream, hearer));
        match begin(self.near.journal.of(unit)) {
            Ok(work) => {
                lock(&self.near.units).insert(unit, work);
                Ok(unit)
            }
            Err(error) => {
                lock(&self.hearing).hearers.remove(&unit);
                Err(error)
            }
        }
    }

    fn tell(&self, unit: FarUnit, order: FarOrder) {
        if let Some(work) = lock(&self.near.units).get_mut(&unit) {
            return work.order(order);
        }
        let place = lock(&self.places).0.get(&unit).copied();
        if let Some(line) = place.map(|place| &self.lines[place]) {
            // Who cannot be told anything any more is found by its stream.
            let _ = line.say(&Down::Order { unit, order });
        }
    }

    fn lead(&self) -> Duration {
        let worst_ns = self.lines.iter().map(|line| line.clock().1).max().unwrap_or(0);
        LEAD.max(Duration::from_nanos(5 * worst_ns))
    }

    fn known_us(&self) -> u64 {
        self.known_us.load(Ordering::Acquire)
    }

    fn clock_bound_us(&self) -> u64 {
        worst_two(self.lines.iter().map(|line| line.clock().0)).div_ceil(1000)
    }

    fn processes(&self) -> Vec<u32> {
        self.lines.iter().filter_map(|line| line.process_here()).collect()
    }

    fn cpu_us(&self) -> u64 {
        self.lines.iter().map(|line| line.cpu_us.load(Ordering::Relaxed)).sum()
    }
}
