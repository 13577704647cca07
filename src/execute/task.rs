//! One step while it runs: attempts, time limit, stop, record.

use super::expected;
use super::values::LiveValues;
use crate::moment;
use crate::plan::{Bindings, PlannedStep};
use crate::record::{EventKind, Failure, Quantity, Section, StepRecord, StepStatus};
use crate::scenario::Modifiers;
use crate::text::{Location, Origin};
use crate::verb::{
    AnyStep, ErrorKind, SharedRun, StepContext, StepError, StepOutcome, Stop, StopSignal, Stopper, VerbEntry, Work,
    stopper,
};
use futures_util::FutureExt;
use serde_json::Value;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a step that was asked to end may take to put its figures in order.
const GRACE: Duration = Duration::from_secs(10);

/// A planned step without its children, owned, so that it can run beside others.
pub(super) struct Task {
    pub id: String,
    pub entry: &'static VerbEntry,
    pub section: Section,
    pub origin: Origin,
    pub title: String,
    asked: BTreeMap<String, String>,
    pub timeout: Duration,
    pub modifiers: Modifiers,
    pub stops_on_failure: bool,
    /// When it was announced, where that was before the steps inside it ran.
    announced: Option<f64>,
    step: Arc<dyn AnyStep>,
    dynamic: Option<Value>,
    bindings: Arc<Bindings>,
}

/// How a step ended.
pub(super) struct TaskEnd {
    pub record: StepRecord,
    pub error: Option<ErrorKind>,
}

impl Task {
    pub fn of(step: &PlannedStep) -> Self {
        Self {
            id: step.id.clone(),
            entry: step.entry,
            section: step.section,
            origin: step.origin.clone(),
            title: step.title.clone(),
            asked: step.asked.clone(),
            timeout: step.timeout,
            modifiers: step.modifiers.clone(),
            stops_on_failure: step.stops_on_failure(),
            announced: None,
            step: Arc::clone(&step.step),
            dynamic: step.dynamic.clone(),
            bindings: Arc::clone(&step.bindings),
        }
    }

    /// Announces the step: it starts.
    pub fn announce(&mut self, run: &SharedRun) {
        self.announced = Some(run.clock.now());
        run.recorder.emit(EventKind::StepStarted {
            id: self.id.clone(),
            verb: self.entry.verb.to_owned(),
            section: self.section,
            title: self.title.clone(),
            background: self.modifiers.background,
            planned: self.step.facts().planned.map(|planned| planned.as_secs_f64()),
        });
    }

    /// Runs the step to its end, whatever that is.
    pub async fn run(mut self, run: Arc<SharedRun>, outer: StopSignal, prepared: oneshot::Sender<f64>) -> TaskEnd {
        if self.announced.is_none() {
            self.announce(&run);
        }
        let mut prepared = Some(prepared);
        let mut prepared_at = None;
        let attempts = self.modifiers.retry.as_ref().map_or(0, |retry| retry.times.0);
        let mut attempt = 0;
        let result = loop {
            let result = self.attempt(&run, outer.clone(), &mut prepared, &mut prepared_at).await;
            let result = match &self.modifiers.expect_failure {
                Some(expected) => expected::failure(expected, &self.id, result, &run.recorder),
                None => result,
            };
            let again = match &result {
                Err(error) => error.kind != ErrorKind::Interrupted && attempt < attempts && outer.reason().is_none(),
                Ok(_) => false,
            };
            if !again {
                break result;
            }
            attempt += 1;
            if let Err(error) = &result {
                let (id, reason) = (self.id.clone(), error.message.clone());
                run.recorder.emit(EventKind::StepRetried { id, attempt: attempt + 1, reason });
            }
            if let Some(pause) = self.modifiers.retry.as_ref().and_then(|retry| retry.every) {
                let mut stop = outer.clone();
                tokio::select! {
                    () = tokio::time::sleep(pause.0) => {}
                    _ = stop.asked() => break result,
                }
            }
        };
        self.close(&run, prepared_at, result, None)
    }

    async fn attempt(
        &self,
        run: &Arc<SharedRun>,
        mut outer: StopSignal,
        prepared: &mut Option<oneshot::Sender<f64>>,
        prepared_at: &mut Option<f64>,
    ) -> Result<StepOutcome, StepError> {
        let step = self.resolved(run)?;
        run.may(step.as_ref())?;
        let earlier = run.live.attempts(&self.id).len();
        let (inner, signal) = stopper();
        let mut cx = StepContext {
            run: Arc::clone(run),
            id: self.id.clone(),
            prefix: self.bindings.prefix.clone(),
            origin: self.origin.clone(),
            background: self.modifiers.background,
            deadline: self.modifiers.timeout.and_then(|_| moment::now().checked_add(self.timeout)),
            stop: signal,
            prepared: prepared.take(),
            prepared_at: None,
        };
        let guarded = AssertUnwindSafe(step.run(&mut cx)).catch_unwind();
        let guarded = async { guarded.await.unwrap_or_else(|panic| Err(defect(panic.as_ref()))) };
        let result = limited(guarded, self.timeout, &mut outer, &inner).await;
        *prepared = cx.prepared.take();
        *prepared_at = cx.prepared_at.or(*prepared_at);
        result.unwrap_or_else(|late| {
            // Its figures stay: a step that hangs is when they are needed most.
            let attempts = run.live.attempts(&self.id);
            let kept = attempts.get(earlier..).and_then(<[_]>::last).map(|live| live.given_up(run.clock.now_us()));
            Err(kept.into_iter().fold(late.error(), StepError::after))
        })
    }

    /// The step, decoded again where it depends on what only running shows.
    fn resolved(&self, run: &SharedRun) -> Result<Arc<dyn AnyStep>, StepError> {
        let Some(body) = &self.dynamic else { return Ok(Arc::clone(&self.step)) };
        let value = self.bindings.resolve(body, &LiveValues(run)).map_err(|errors| {
            let (pointer, message) = errors.into_iter().next().unwrap_or_default();
            StepError::broken("unresolved-reference", message).at(pointer)
        })?;
        (self.entry.decode)((self.entry.normalise)(value))
            .map(Arc::from)
            .map_err(|error| StepError::broken("bad-value", error.message).at(error.pointer))
    }

    /// The record of a step that is over.
    fn close(
        &self,
        run: &SharedRun,
        prepared: Option<f64>,
        result: Result<StepOutcome, StepError>,
        skipped: Option<StepStatus>,
    ) -> TaskEnd {
        self.close_at(run, prepared, result, skipped, None)
    }

    /// The same; `at` is where the file states what failed, where that is not in the step's body.
    fn close_at(
        &self,
        run: &SharedRun,
        prepared: Option<f64>,
        result: Result<StepOutcome, StepError>,
        skipped: Option<StepStatus>,
        at: Option<Location>,
    ) -> TaskEnd {
        let (outcome, error) = match result {
            Ok(outcome) => (outcome, None),
            Err(mut error) => (error.outcome.take().map(|outcome| *outcome).unwrap_or_default(), Some(error)),
        };
        let status = match error.as_ref().map(|error| error.kind) {
            None => skipped.unwrap_or(StepStatus::Done),
            Some(ErrorKind::Check) => StepStatus::Failed,
            Some(ErrorKind::Interrupted) => StepStatus::Stopped,
            Some(ErrorKind::Broken | ErrorKind::InvalidLoad | ErrorKind::NoEffect) => StepStatus::Error,
        };
        let kind = error.as_ref().map(|error| error.kind);
        let now = run.clock.now();
        let failure = error.filter(|error| error.kind != ErrorKind::Interrupted).map(|error| Failure {
            code: error.code.to_owned(),
            at: at.or_else(|| Some(self.origin.key_location(error.pointer.as_deref().unwrap_or("")))),
            message: error.message,
            help: error.help,
            log: error.log,
        });
        let record = StepRecord {
            id: self.id.clone(),
            verb: self.entry.verb.to_owned(),
            section: self.section,
            title: self.title.clone(),
            asked: self.asked.clone(),
            at: self.origin.key_location(""),
            background: self.modifiers.background,
            status,
            started: self.announced.unwrap_or(now),
            prepared,
            ended: now,
            failure,
            metrics: outcome.metrics,
            latencies: outcome.latencies,
            produced: outcome.produced,
            consumed: outcome.consumed,
            written: outcome.written,
            captures: outcome.captures,
            runs: self.entry.work == Work::Runs,
            judged: outcome.judged,
            details: outcome.details,
        };
        run.live.end(&self.id, record.clone());
        run.recorder.emit(EventKind::StepEnded { record: Box::new(record.clone()) });
        TaskEnd { record, error: kind }
    }

    /// The record of a step that is not run.
    pub fn skip(&self, run: &SharedRun, why: &str) {
        let outcome = StepOutcome::default().details(serde_json::json!({ "skipped": why }));
        self.close(run, None, Ok(outcome), Some(StepStatus::Skipped));
    }

    /// The record of a step that cannot be run, for a reason that stands in the file at `at`.
    pub fn refuse(&self, run: &SharedRun, error: StepError, at: Location) -> TaskEnd {
        self.close_at(run, None, Err(error), None, Some(at))
    }

    /// The record of a step whose steps inside it took longer than it may.
    pub fn give_up(&self, run: &SharedRun, limit: Duration) -> TaskEnd {
        self.close(run, None, Err(Late::Timeout(limit).error()), None)
    }
}

/// A step that did not end when it was asked to.
enum Late {
    Timeout(Duration),
    Stopped,
}

impl Late {
    fn error(self) -> StepError {
        match self {
            Self::Timeout(limit) => {
                let message = format!("it took longer than {}", Quantity::seconds(limit.as_secs_f64()));
                StepError::broken("timeout", message).help("raise its `timeout`, or find out what it waits for")
            }
            Self::Stopped => StepError::interrupted(),
        }
    }
}

/// The error for a step that panicked: kscen's own defect, which must not pass for a result.
fn defect(panic: &(dyn Any + Send)) -> StepError {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    StepError::broken("panic", format!("kscen has a defect: {}", words.unwrap_or("it panicked")))
        .help("report it with the scenario and the run's folder")
}

/// Runs a step's future within its limit; asks it to end, grants it some grace, and then gives it up.
async fn limited(
    future: impl Future<Output = Result<StepOutcome, StepError>>,
    limit: Duration,
    outer: &mut StopSignal,
    inner: &Stopper,
) -> Result<Result<StepOutcome, StepError>, Late> {
    tokio::pin!(future);
    let deadline = tokio::time::sleep(limit);
    tokio::pin!(deadline);
    let mut asked = None;
    let timed_out = loop {
        tokio::select! {
            result = &mut future => return Ok(result),
            () = &mut deadline => { inner.stop(Stop::Timeout); break true; }
            reason = next(outer, asked) => {
                asked = Some(reason);
                inner.stop(reason);
                if reason == Stop::Now { break false; }
            }
        }
    };
    match tokio::time::timeout(GRACE, &mut future).await {
        // A step that ends in good order after its time was up has still taken too long.
        Ok(Ok(outcome)) if timed_out => Ok(Err(Late::Timeout(limit).error().after(outcome))),
        Ok(Err(error)) if timed_out && error.kind == ErrorKind::Interrupted => {
            Ok(Err(StepError { outcome: error.outcome, ..Late::Timeout(limit).error() }))
        }
        Ok(result) => Ok(result),
        Err(_) if timed_out => Err(Late::Timeout(limit)),
        Err(_) => Err(Late::Stopped),
    }
}

/// The next reason to end that is more urgent than the last.
pub(super) async fn next(signal: &mut StopSignal, last: Option<Stop>) -> Stop {
    match last {
        None => signal.asked().await,
        Some(Stop::RunEnd) => signal.at_least(Stop::Timeout).await,
        Some(_) => signal.at_least(Stop::Now).await,
    }
}
