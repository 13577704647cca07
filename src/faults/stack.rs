//! What is in force, and how it is undone: the last one first.

use super::fault_error::FaultError;
use super::journal::Journal;
use super::lanes::Lanes;
use super::target::{Condition, Target, undo_in_time};
use super::unasked::{Looks, SeenService};
use super::undo::{Journalled, Undo};
use crate::environment::{Effect, NetworkFaultKind, Recipe};
use crate::ground::lock;
use crate::moment;
use crate::record::{EventKind, FaultRecord, InForce, Recorder, RunClock, TargetKind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How long a service may take to be ready again.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// In which order what is in force is undone at the end: brokers answer for topics, and a connector can be resumed only when its
/// worker is up again.
const ORDER: [TargetKind; 5] =
    [TargetKind::Service, TargetKind::Topic, TargetKind::Connector, TargetKind::Program, TargetKind::Reader];

/// Who undoes a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UndoneBy {
    /// The step that applied it, while that step runs.
    Held,
    /// The inverse verb, or the end of `steps`.
    Open,
    /// Nobody: it is meant to stay.
    Stays,
}

/// A fault that was announced.
pub(super) struct Open {
    pub(super) number: u64,
    pub(super) target: Arc<dyn Target>,
    pub(super) condition: Option<Condition>,
    pub(super) recipe: Option<Box<Recipe>>,
    pub(super) record: FaultRecord,
    pub(super) fate: UndoneBy,
    /// Whether it has ended though nobody undid it; whoever holds it hears of that.
    pub(super) lost: watch::Sender<bool>,
    /// When it was last known to be in force, in seconds of the run.
    pub(super) seen: f64,
    pub(super) guard: Option<AbortHandle>,
    /// How long its target may take to be ready again.
    pub(super) patience: Duration,
    /// Whether it is known what came of it. Where whoever asked for it gave up, it may still be under way.
    pub(super) answered: bool,
    /// Whether it was tried before to undo it: then it may have been undone by that.
    pub(super) tried: bool,
}

impl Open {
    /// How another process would undo what may be under way still where a service is. Connections are cut in a moment, and by a recipe of
    /// their own others that are cut would be connected as well.
    fn under_way(&self) -> Option<Box<Recipe>> {
        let is_act = matches!(self.condition, Some(Condition::Outlives(Undo::Act { .. })));
        self.recipe.clone().filter(|_| is_act && !self.answered)
    }
}

/// The faults in force, and their journal on disk.
pub struct UndoStack(pub(super) Arc<Stack>);

/// What the parts of this room share.
pub(super) struct Stack {
    open: Mutex<Vec<Open>>,
    pub(super) lanes: Arc<Lanes>,
    /// The services as they were seen last, by name.
    pub(super) known: tokio::sync::Mutex<BTreeMap<String, SeenService>>,
    /// Whether they could be looked at, by name.
    pub(super) looks: Mutex<BTreeMap<String, Looks>>,
    pub(super) journal: Arc<Journal>,
    pub(super) clock: RunClock,
    pub(super) recorder: Recorder,
}

impl UndoStack {
    /// An empty stack with its journal.
    pub fn new(journal: Arc<Journal>, clock: RunClock, recorder: Recorder) -> Self {
        let (open, lanes, known) = (Mutex::default(), Arc::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Stack { open, lanes, known, looks: Mutex::default(), journal, clock, recorder }))
    }

    /// Undoes what is in force and not meant to stay, last first; those that a running step holds only where
    /// `held_too`. A `patience` of zero does not wait until services are ready. Returns what could not be undone.
    pub async fn undo_all(&self, held_too: bool, patience: Duration) -> Vec<String> {
        let stack = &self.0;
        let mut failures = Vec::new();
        for kind in ORDER {
            let mut tried = Vec::new();
            let mut repaired = Vec::new();
            let mut longest = BTreeMap::new();
            while let Some((number, target)) = stack.next(kind, held_too, &tried) {
                tried.push(number);
                let stated = stack.with(number, |open| open.patience).unwrap_or_default();
                // It stays on the stack until it is undone: whoever is interrupted here can be followed by another.
                match stack.undo(number, patience).await {
                    Ok(Some(record)) => {
                        let time = longest.entry(target.name()).or_insert(patience);
                        *time = stated.max(*time);
                        repaired.push((target, record));
                    }
                    Ok(None) => {}
                    Err(error) => failures.push(format!("{} of {}: {error}", target.what(), target.name())),
                }
            }
            // Only now: a service that was resumed is not ready while it is still cut off.
            for (target, mut record) in repaired {
                if patience.is_zero() || stack.is_hindered(target.as_ref()) {
                    continue;
                }
                match target.ready(longest.get(&target.name()).copied().unwrap_or(patience)).await {
                    Ok(Some(at)) if record.ended_early.is_none() => {
                        record.ready = Some(stack.clock.at(at));
                        stack.recorder.emit(EventKind::Fault { record });
                    }
                    Ok(_) => {}
                    Err(error) => {
                        // Undone it is: to try again would change nothing.
                        let text = format!("after {} of {} was undone: {error}", target.what(), target.name());
                        stack.recorder.emit(EventKind::Leftover { text });
                    }
                }
            }
        }
        failures
    }

    /// Whether a fault that outlives the run is in force still: it is meant to stay, or could not be undone.
    pub fn leaves_something(&self) -> bool {
        self.0.open().iter().any(|open| matches!(open.condition, Some(Condition::Outlives(_))))
    }
}

impl Drop for UndoStack {
    fn drop(&mut self) {
        self.0.open().iter_mut().filter_map(|open| open.guard.take()).for_each(|guard| guard.abort());
    }
}

impl Stack {
    pub(super) fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        lock(&self.open)
    }

    /// Changes an entry, where it is still there.
    pub(super) fn with<R>(&self, number: u64, change: impl FnOnce(&mut Open) -> R) -> Option<R> {
        self.open().iter_mut().find(|open| open.number == number).map(change)
    }

    fn next(&self, kind: TargetKind, held_too: bool, tried: &[u64]) -> Option<(u64, Arc<dyn Target>)> {
        let due = |open: &Open| open.fate == UndoneBy::Open || (held_too && open.fate == UndoneBy::Held);
        let open = self.open();
        let wanted = |open: &&Open| due(open) && open.target.kind() == kind && !tried.contains(&open.number);
        open.iter().rev().find(wanted).map(|open| (open.number, Arc::clone(&open.target)))
    }

    /// The step that has already done the same, and whether it holds it at this moment.
    pub(super) fn same(&self, target: &dyn Target) -> Option<(String, UndoneBy)> {
        let condition = target.condition()?;
        let open = self.open();
        let same = |open: &&Open| {
            !*open.lost.borrow()
                && open.record.effective.is_some()
                && open.condition.as_ref() == Some(&condition)
                && open.target.what() == target.what()
        };
        open.iter().rev().find(same).map(|open| (open.record.step.clone(), open.fate))
    }

    /// Announces a fault before it is applied: the journal holds it from now on. `patience` is how long its target may take to be ready
    /// again, `shared` whether another step holds it already.
    pub(super) async fn announce(
        &self,
        step: &str,
        target: &Arc<dyn Target>,
        patience: Duration,
        (fate, shared): (UndoneBy, bool),
    ) -> Result<u64, FaultError> {
        let record = FaultRecord {
            step: step.to_owned(),
            target: target.name(),
            kind: Some(target.kind()),
            action: target.what(),
            requested: self.clock.now(),
            ..FaultRecord::default()
        };
        let condition = target.condition();
        let recipe = if shared { self.recipe_of(&condition) } else { target.recipe().await?.map(Box::new) };
        let fault = format!("{} of {}", record.action, record.target);
        let number = match &condition {
            Some(Condition::Outlives(undo)) if fate != UndoneBy::Stays => {
                let entry = Journalled { fault, undo: undo.clone(), recipe: recipe.clone() };
                self.journal.announce(&entry).map_err(FaultError::Journal)?
            }
            _ => self.journal.number(),
        };
        let (lost, target) = (watch::Sender::new(false), Arc::clone(target));
        self.open().push(Open {
            number,
            target,
            condition,
            recipe,
            record,
            fate,
            lost,
            seen: 0.0,
            guard: None,
            patience,
            answered: false,
            tried: false,
        });
        Ok(number)
    }

    fn recipe_of(&self, condition: &Option<Condition>) -> Option<Box<Recipe>> {
        self.open().iter().find(|open| open.condition == *condition)?.recipe.clone()
    }

    /// It is known what came of a fault. Where it has taken effect, that is entered.
    ///
    /// # Errors
    /// It has not: as it was told.
    pub(super) fn answered(&self, number: u64, effect: Result<Effect, FaultError>) -> Result<Effect, FaultError> {
        self.with(number, |open| open.answered = true);
        let effect = effect?;
        self.took_effect(number, &effect);
        Ok(effect)
    }

    /// The fault has taken effect.
    fn took_effect(&self, number: u64, effect: &Effect) -> Option<FaultRecord> {
        let from = self.clock.at(effect.down.unwrap_or(effect.effective));
        let record = self.with(number, |open| {
            // Which members of a reader were ended is known only now.
            open.condition = open.target.condition();
            open.seen = from;
            let record = &mut open.record;
            record.requested = self.clock.at(effect.requested);
            record.effective = Some(from);
            record.in_force = vec![InForce { from, to: None }];
            record.proof.clone_from(&effect.proof);
            record.forced = effect.forced;
            record.members = open.target.members();
            record.clone()
        })?;
        self.recorder.emit(EventKind::Fault { record: record.clone() });
        if effect.forced {
            let FaultRecord { action, target, .. } = &record;
            self.recorder.warn(format!("{action} of {target}: it did not end in order in time, and was killed"));
        }
        Some(record)
    }

    /// The fault was seen in force no longer, although nobody had undone it. `at` is when it was last known to be.
    pub(super) fn lose(&self, number: u64, at: f64, why: &str) {
        let lost = self.with(number, |open| {
            if open.lost.send_replace(true) || open.record.effective.is_none() {
                return None;
            }
            open.record.end(at, at);
            open.record.ended_early = Some(why.to_owned());
            Some(open.record.clone())
        });
        if let Some(Some(record)) = lost {
            let text = format!("{} of {} is no longer in force: {why}", record.action, record.target);
            self.recorder.warn(text);
            self.recorder.emit(EventKind::Fault { record });
        }
    }

    /// Undoes a fault and strikes it. Where another one holds the target in the same state, that one undoes it in its time.
    /// Returns its record; `None` where it had never taken effect.
    pub(super) async fn undo(&self, number: u64, patience: Duration) -> Result<Option<FaultRecord>, FaultError> {
        let known = self.with(number, |open| (Arc::clone(&open.target), open.under_way()));
        let Some((target, under_way)) = known else { return Ok(None) };
        let mut turn = self.lanes.enter(target.lane()).await;
        // From here on it may not be in force any more.
        let begun = moment::now();
        let effective = if self.is_shared(number) {
            begun
        } else {
            turn.acts(true);
            if let Some(recipe) = &under_way {
                // What is still to come of it is awaited, as by another process that finds it in the journal.
                recipe.heal().await?;
            }
            let undone = undo_in_time(target.as_ref(), patience).await;
            let tried = self.with(number, |open| std::mem::replace(&mut open.tried, true));
            let undone = undone?;
            if !undone.acted && tried == Some(false) && !target.is_watched_by_others() {
                self.lose(number, self.with(number, |open| open.seen).unwrap_or_default(), "it was found undone");
            }
            turn.acts(undone.acted || under_way.is_some());
            turn.leaves(target.leaves(true).filter(|_| undone.acted));
            undone.effective
        };
        drop(turn);
        Ok(self.close(number, begun, effective))
    }

    /// Whether another fault in force has changed the same.
    fn is_shared(&self, number: u64) -> bool {
        let open = self.open();
        let Some(own) = open.iter().find(|open| open.number == number) else { return false };
        own.condition.is_some()
            && open.iter().any(|other| {
                other.number != number
                    && other.condition == own.condition
                    && other.record.effective.is_some()
                    && !*other.lost.borrow()
            })
    }

    /// A fault was undone: it is struck from stack and journal. `begun` is when that was begun, `effective` when it was done.
    pub(super) fn close(&self, number: u64, begun: Instant, effective: Instant) -> Option<FaultRecord> {
        let mut record = self.strike(number)?;
        record.effective?;
        if record.ended_early.is_none() {
            record.end(self.clock.at(begun), self.clock.at(effective));
            self.recorder.emit(EventKind::Fault { record: record.clone() });
        }
        Some(record)
    }

    /// A fault is over, or never took effect.
    pub(super) fn strike(&self, number: u64) -> Option<FaultRecord> {
        let mut open = self.open();
        let index = open.iter().position(|open| open.number == number)?;
        let struck = open.remove(index);
        drop(open);
        if let Some(guard) = struck.guard {
            guard.abort();
        }
        self.journal.strike(number);
        Some(struck.record)
    }

    /// Ends every other fault that carrying out `target` has ended, between the two times, and returns the records of those that
    /// were over with their steps. A step that still holds one learns that it has been ended.
    pub(super) fn ended_by(
        &self,
        target: &dyn Target,
        step: &str,
        own: Option<u64>,
        (begun, at): (Instant, Instant),
    ) -> Vec<FaultRecord> {
        let ended: Vec<(u64, UndoneBy)> = self
            .open()
            .iter()
            .filter(|open| Some(open.number) != own && open.record.effective.is_some() && !*open.lost.borrow())
            .filter(|open| open.condition.as_ref().is_some_and(|condition| target.ends(condition)))
            .map(|open| (open.number, open.fate))
            .collect();
        let mut records = Vec::new();
        for (number, fate) in ended {
            if fate == UndoneBy::Held {
                let why = format!("step `{step}` ended it with a `{}` of {}", target.what(), target.name());
                self.lose(number, self.clock.at(begun), &why);
            } else {
                records.extend(self.close(number, begun, at));
            }
        }
        records
    }

    /// Whether another fault keeps the target from being ready, which only a service can be kept from.
    pub(super) fn is_hindered(&self, target: &dyn Target) -> bool {
        if target.kind() != TargetKind::Service {
            return false;
        }
        let service = target.name();
        let silences = |open: &Open| match &open.condition {
            Some(Condition::Outlives(Undo::Act { service: disturbed, .. })) => *disturbed == service,
            Some(Condition::Outlives(Undo::Heal { fault })) => {
                fault.service == service && matches!(fault.kind, NetworkFaultKind::Cut | NetworkFaultKind::Reset)
            }
            _ => false,
        };
        self.open().iter().any(|open| silences(open) && open.record.effective.is_some() && !*open.lost.borrow())
    }
}
