//! Walks the plan: foreground steps one after the other, background steps beside them.

use super::run::Run;
use super::stop::{Stop, StopSignal, Stopper, stopper};
use super::task::{Ended, Task};
use crate::plan::{Children, PlannedStep, condition, matrix};
use crate::record::{StepRecord, StepStatus};
use crate::step::ErrorKind;
use futures_util::future::BoxFuture;
use minijinja::value::Serde;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

/// A step that runs beside the others.
struct Background {
    id: String,
    ends: bool,
    stopper: Stopper,
    ended: watch::Receiver<bool>,
    task: Option<AbortHandle>,
}

/// Walks the sections of one run.
pub(super) struct Walker {
    run: Arc<Run>,
    backgrounds: Mutex<Vec<Background>>,
    foreground: Stopper,
    foreground_signal: StopSignal,
    failed: Arc<AtomicBool>,
    halted: Arc<AtomicBool>,
}

impl Walker {
    pub fn new(run: Arc<Run>) -> Self {
        let (foreground, foreground_signal) = stopper();
        Self {
            run,
            backgrounds: Mutex::default(),
            foreground,
            foreground_signal,
            failed: Arc::default(),
            halted: Arc::default(),
        }
    }

    /// Learns from an earlier walker whether something failed; nothing that stopped the earlier one stops this one.
    pub fn inherit(&self, earlier: &Self) {
        self.failed.fetch_or(earlier.failed.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Waits for `future`, or until everything has to end.
    pub async fn unless_halted(&self, future: impl Future<Output = ()>) {
        let mut halt = self.foreground_signal.clone();
        tokio::select! {
            () = future => {}
            _ = halt.at_least(Stop::Now) => {}
        }
    }

    fn backgrounds(&self) -> MutexGuard<'_, Vec<Background>> {
        self.backgrounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends everything as soon as possible; the load before all else.
    pub fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
        self.failed.store(true, Ordering::Relaxed);
        self.foreground.stop(Stop::Now);
        for background in self.backgrounds().iter() {
            background.stopper.stop(Stop::Now);
        }
    }

    /// Gives up the steps that run in the background; the foreground is given up by dropping its future.
    pub fn abandon(&self) {
        self.halt();
        for background in self.backgrounds().drain(..) {
            if let Some(task) = background.task {
                task.abort();
            }
        }
    }

    /// Whether everything was told to end.
    fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// Runs steps one after the other; returns false where the rest must not run.
    pub fn list<'a>(&'a self, steps: &'a [PlannedStep]) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            for (index, step) in steps.iter().enumerate() {
                if self.is_halted() {
                    self.skip(&steps[index..]);
                    return false;
                }
                if !self.one(step).await {
                    self.skip(&steps[index + 1..]);
                    return false;
                }
            }
            true
        })
    }

    /// Records steps that are not run because of what happened before them.
    pub fn skip(&self, steps: &[PlannedStep]) {
        for step in steps {
            Task::of(step).skip(&self.run, "the run ended before it");
        }
    }

    async fn one(&self, step: &PlannedStep) -> bool {
        let mut task = Task::of(step);
        match self.condition(step) {
            Ok(true) => {}
            Ok(false) => {
                task.skip(&self.run, "its condition is false");
                return true;
            }
            Err(message) => {
                self.run.recorder.warn(format!("{}: the condition cannot be evaluated: {message}", task.id));
                task.skip(&self.run, "its condition cannot be evaluated");
                self.failed.store(true, Ordering::Relaxed);
                return false;
            }
        }
        let inside = match &step.children {
            Children::None => true,
            Children::Sequence(steps) => {
                task.announce(&self.run);
                task.announced = true;
                self.list(steps).await
            }
            Children::Branches(branches) => {
                task.announce(&self.run);
                task.announced = true;
                let results = futures_util::future::join_all(branches.iter().map(|branch| self.list(branch))).await;
                results.into_iter().all(|fine| fine)
            }
        };
        if !inside {
            task.skip(&self.run, "a step inside it failed");
            return false;
        }
        if task.modifiers.background {
            self.background(task, step.facts.ends).await
        } else {
            self.foreground(task).await
        }
    }

    fn condition(&self, step: &PlannedStep) -> Result<bool, String> {
        let Some(text) = &step.modifiers.condition else { return Ok(true) };
        let failed = self.failed.load(Ordering::Relaxed);
        let steps: BTreeMap<String, minijinja::Value> = self
            .run
            .live
            .records()
            .iter()
            .filter_map(|record| {
                let id = record.id.strip_prefix(&step.bindings.prefix)?;
                Some((id.to_owned(), minijinja::Value::from(Serde(crate::judge::measure::for_condition(record)))))
            })
            .collect();
        let names = BTreeMap::from([
            ("failed", minijinja::Value::from(failed)),
            ("always", minijinja::Value::from(true)),
            ("environment", minijinja::Value::from(self.run.environment.info().kind.to_string())),
            ("vars", minijinja::Value::from(Serde(&*step.bindings.vars))),
            ("matrix", minijinja::Value::from(Serde(&step.bindings.matrix))),
            ("steps", minijinja::Value::from(Serde(steps))),
        ]);
        condition::evaluate(text, &names).map_err(|error| format!("{error} [{}]", matrix::label(&self.run.plan.cell)))
    }

    async fn foreground(&self, task: Task) -> bool {
        let stops = task.stops_on_failure;
        let (prepared, _) = oneshot::channel();
        let ended = task.run(Arc::clone(&self.run), self.foreground_signal.clone(), prepared).await;
        self.go_on(&ended, stops)
    }

    fn go_on(&self, ended: &Ended, stops: bool) -> bool {
        if is_bad(&ended.record) {
            self.failed.store(true, Ordering::Relaxed);
        }
        match ended.error {
            None => true,
            Some(ErrorKind::Interrupted) => !self.is_halted(),
            Some(_) => !stops,
        }
    }

    /// Starts a step beside the others; returns once it is prepared or over.
    async fn background(&self, task: Task, ends: bool) -> bool {
        let (stopper, signal) = stopper();
        let (prepared, mut when_prepared) = oneshot::channel();
        let (over, mut ended) = watch::channel(false);
        let background = Background { id: task.id.clone(), ends, stopper, ended: ended.clone(), task: None };
        self.backgrounds().push(background);
        let (failed, halted) = (Arc::clone(&self.failed), Arc::clone(&self.halted));
        let (foreground, run) = (self.foreground.clone(), Arc::clone(&self.run));
        let spawned = tokio::spawn(async move {
            let stops = task.stops_on_failure;
            let result = task.run(run, signal, prepared).await;
            if is_bad(&result.record) {
                failed.store(true, Ordering::Relaxed);
            }
            if stops && result.error.is_some_and(|kind| kind != ErrorKind::Interrupted) {
                halted.store(true, Ordering::Relaxed);
                foreground.stop(Stop::Now);
            }
            over.send_replace(true);
        });
        if let Some(background) = self.backgrounds().last_mut() {
            background.task = Some(spawned.abort_handle());
        }
        let mut halt = self.foreground_signal.clone();
        tokio::select! {
            Ok(_) = &mut when_prepared => true,
            _ = ended.wait_for(|over| *over) => !self.is_halted(),
            _ = halt.at_least(Stop::Now) => false,
        }
    }

    /// Ends the background: what ends by itself is joined, readers drain; all end at once after a halt.
    pub async fn finish(&self) {
        // They stay in the list, so that whoever gives up waiting can still abandon them.
        let ends: Vec<_> = self.backgrounds().iter().filter(|one| one.ends).map(|one| one.ended.clone()).collect();
        let mut halt = self.foreground_signal.clone();
        for mut ended in ends {
            tokio::select! {
                _ = ended.wait_for(|over| *over) => {}
                _ = halt.at_least(Stop::Now) => {}
            }
        }
        let reason = if self.is_halted() { Stop::Now } else { Stop::RunEnd };
        let all: Vec<_> = self
            .backgrounds()
            .iter()
            .map(|one| {
                one.stopper.stop(reason);
                (one.id.clone(), one.stopper.clone(), one.ended.clone())
            })
            .collect();
        for (_, stopper, ended) in &all {
            let mut ended = ended.clone();
            tokio::select! {
                _ = ended.wait_for(|over| *over) => {}
                () = async {
                    halt.at_least(Stop::Now).await;
                    stopper.stop(Stop::Now);
                    std::future::pending::<()>().await;
                } => {}
            }
        }
        self.backgrounds().clear();
        for (id, ..) in all {
            if self.run.live.record(&id).is_none() {
                self.run.recorder.warn(format!("{id} left no record"));
            }
        }
    }
}

fn is_bad(record: &StepRecord) -> bool {
    matches!(record.status, StepStatus::Failed | StepStatus::Error)
}
