//! Walks the plan: foreground steps one after the other, background steps beside them.

use super::task::{Task, TaskEnd, next};
use crate::ground::lock;
use crate::plan::{Children, PlannedStep, condition, matrix};
use crate::record::{EventKind, Failure, StepRecord, StepStatus};
use crate::verb::{ErrorKind, SharedRun, StepError, Stop, StopSignal, Stopper, stopper};
use futures_util::future::BoxFuture;
use minijinja::value::Serde;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
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
    run: Arc<SharedRun>,
    /// The cell of the matrix, for messages.
    cell: matrix::Cell,
    backgrounds: Mutex<Vec<Background>>,
    foreground: Stopper,
    foreground_signal: StopSignal,
    failed: Arc<AtomicBool>,
    halted: Arc<AtomicBool>,
    /// A section was left before its end, because a step of it failed.
    left: AtomicBool,
}

impl Walker {
    pub fn new(run: Arc<SharedRun>, cell: matrix::Cell) -> Self {
        let (foreground, foreground_signal) = stopper();
        Self {
            run,
            cell,
            backgrounds: Mutex::default(),
            foreground,
            foreground_signal,
            failed: Arc::default(),
            halted: Arc::default(),
            left: AtomicBool::new(false),
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
        lock(&self.backgrounds)
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

    /// Runs a section; returns false where the rest must not run.
    pub async fn section(&self, steps: &[PlannedStep]) -> bool {
        let whole = self.list(steps, &self.foreground_signal).await;
        self.left.fetch_or(!whole, Ordering::Relaxed);
        whole
    }

    /// Nobody comes any more to what would have ended the loads that go on until they are asked: they are asked now. False where they
    /// are halted.
    fn end_soaks(&self) -> bool {
        let asks = !self.is_halted();
        if asks {
            self.run.live.end_soaks(true);
        }
        asks
    }

    /// Runs steps one after the other until they are asked to end; returns false where the rest must not run.
    fn list<'a>(&'a self, steps: &'a [PlannedStep], stop: &'a StopSignal) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            for (index, step) in steps.iter().enumerate() {
                if self.is_halted() || is_over(stop) {
                    self.skip(&steps[index..]);
                    return false;
                }
                if !self.one(step, stop).await {
                    self.skip(&steps[index + 1..]);
                    return false;
                }
            }
            true
        })
    }

    /// Records steps that are not run because of what happened before them.
    pub fn skip(&self, steps: &[PlannedStep]) {
        steps.iter().for_each(|step| self.leave_out(step, "the run ended before this step"));
    }

    /// Records that a step, and what is inside it, is not run.
    fn leave_out(&self, step: &PlannedStep, why: &str) {
        step.walk(&mut |step| Task::of(step).skip(&self.run, why));
    }

    async fn one(&self, step: &PlannedStep, stop: &StopSignal) -> bool {
        let mut task = Task::of(step);
        match self.condition(step) {
            Ok(true) => {}
            Ok(false) => {
                self.leave_out(step, "its condition is false");
                return true;
            }
            Err(message) => {
                let error = StepError::broken("bad-condition", format!("the condition cannot be evaluated: {message}"));
                let at = step.origin.beside("if").location("");
                let ended = task.refuse(&self.run, error.help("use only steps that have ended by then"), at);
                step.walk_inside(&mut |inner| Task::of(inner).skip(&self.run, "the step that contains it did not run"));
                return self.go_on(&ended, task.stops_on_failure);
            }
        }
        if !matches!(step.children, Children::None) {
            task.announce(&self.run);
            match self.inside(step, stop).await {
                Inside::Done => {}
                Inside::Failed => {
                    task.skip(&self.run, "a step inside it failed");
                    return !task.stops_on_failure && !self.is_halted() && !is_over(stop);
                }
                Inside::Late(limit) => {
                    let ended = task.give_up(&self.run, limit);
                    return self.go_on(&ended, task.stops_on_failure);
                }
            }
        }
        if task.modifiers.background {
            self.background(task, step.facts.ends).await
        } else {
            self.foreground(task, stop.clone()).await
        }
    }

    /// Runs the steps inside a step, within its own `timeout` where it has one: each of them has one, too.
    async fn inside(&self, step: &PlannedStep, stop: &StopSignal) -> Inside {
        let Some(limit) = step.modifiers.timeout.map(|limit| limit.0) else {
            return if self.children(step, stop).await { Inside::Done } else { Inside::Failed };
        };
        let (stopper, signal) = stopper();
        let children = self.children(step, &signal);
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(children, deadline);
        let (mut outer, mut asked, mut is_late) = (stop.clone(), None, false);
        let fine = loop {
            tokio::select! {
                fine = &mut children => break fine,
                () = &mut deadline, if !is_late => {
                    is_late = true;
                    stopper.stop(Stop::Timeout);
                }
                reason = next(&mut outer, asked), if asked != Some(Stop::Now) => {
                    asked = Some(reason);
                    stopper.stop(reason);
                }
            }
        };
        match (is_late, fine) {
            (true, _) => Inside::Late(limit),
            (false, true) => Inside::Done,
            (false, false) => Inside::Failed,
        }
    }

    async fn children(&self, step: &PlannedStep, stop: &StopSignal) -> bool {
        match &step.children {
            Children::None => true,
            Children::Sequence(steps) => self.list(steps, stop).await,
            Children::Branches(branches) => {
                let (stops, asked) = (step.stops_on_failure(), &AtomicBool::new(false));
                let branches = branches.iter().map(|branch| async move {
                    let fine = self.list(branch, stop).await;
                    // Other branches are waited for.
                    if !fine && stops && !asked.load(Ordering::Relaxed) {
                        asked.store(self.end_soaks(), Ordering::Relaxed);
                    }
                    fine
                });
                let fine = futures_util::future::join_all(branches).await.into_iter().all(|fine| fine);
                if asked.load(Ordering::Relaxed) {
                    self.run.live.end_soaks(false);
                }
                fine
            }
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
            ("matrix", minijinja::Value::from(Serde(&*step.bindings.matrix))),
            ("steps", minijinja::Value::from(Serde(steps))),
        ]);
        condition::evaluate(text, &names).map_err(|error| format!("{error} [{}]", matrix::label(&self.cell)))
    }

    async fn foreground(&self, task: Task, stop: StopSignal) -> bool {
        let stops = task.stops_on_failure;
        let (prepared, _) = oneshot::channel();
        let ended = task.run(Arc::clone(&self.run), stop, prepared).await;
        self.go_on(&ended, stops)
    }

    fn go_on(&self, ended: &TaskEnd, stops: bool) -> bool {
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
        let asked = self.left.load(Ordering::Relaxed) && self.end_soaks();
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
        if asked {
            self.run.live.end_soaks(false);
        }
        for (id, ..) in all {
            if self.run.live.record(&id).is_none() {
                let message = format!("kscen has a defect: `{id}` ended and left no record");
                let failure = Failure { code: "no-record".to_owned(), message, help: None, at: None, log: Vec::new() };
                self.run.recorder.emit(EventKind::RunFailed { failure });
            }
        }
    }
}

/// How the steps inside a step ended.
enum Inside {
    /// The step goes on.
    Done,
    /// One of them failed, or the run ended before them.
    Failed,
    /// They took longer than the step may.
    Late(Duration),
}

/// Whether steps were asked to end before they are done.
fn is_over(stop: &StopSignal) -> bool {
    stop.reason().is_some_and(|reason| reason >= Stop::Timeout)
}

fn is_bad(record: &StepRecord) -> bool {
    matches!(record.status, StepStatus::Failed | StepStatus::Error)
}
