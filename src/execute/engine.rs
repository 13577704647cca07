//! Runs one plan from its first event to its verdict.

use super::crew::{Crew, opened};
use super::interrupt::Interrupt;
use super::walk::Walker;
use super::watchers::Watchers;
use super::{cleanup, commit, down, excerpts, machine, others, sampler};
use crate::accounting::{RunIdentity, Settlements};
use crate::environment::{Environment, EnvironmentError, EnvironmentInfo, Grant, Needs};
use crate::faults::{Owned, PATIENCE as UNDO_PATIENCE, UndoStack};
use crate::judge;
use crate::kafka::LogSink;
use crate::moment;
use crate::plan::Plan;
use crate::project::hide_addresses;
use crate::record::pulse::Pids;
use crate::record::{EventKind, Failure, Outcome, Record, Recorder, RunClock, RunInfo, Verdict, Watcher};
use crate::verb::{Changes, LiveSteps, Promises, Restarts, ScenarioFacts, SharedRun};
use crate::worker::WorkerLink;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Lines of librdkafka's log that are kept.
const CLIENT_LINES: usize = 2000;
/// Code of a run of which the result could not be written.
const UNWRITTEN: &str = "result-unwritten";

/// Provides environments to runs: starts them, or hands out one that already runs.
pub trait EnvironmentSource: Send {
    /// An environment that meets the needs.
    fn acquire<'a>(
        &'a mut self,
        needs: &'a Needs,
        note: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, Result<Arc<dyn Environment>, EnvironmentError>>;

    /// Another environment, by its name in `kscen.yaml`, for as long as the run has its own.
    fn acquire_other<'a>(
        &'a mut self,
        name: &'a str,
        note: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, Result<Arc<dyn Environment>, EnvironmentError>> {
        let _ = note;
        let message = format!("nothing is known here of an environment `{name}`");
        Box::pin(async move { Err(EnvironmentError::failed(message)) })
    }

    /// Whether that other environment is the run's own under another name, so that the run's faults are faults there.
    fn is_own(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// The run no longer needs it.
    fn release<'a>(&'a mut self, needs: &'a Needs) -> BoxFuture<'a, Result<(), EnvironmentError>>;

    /// The environment's name in `kscen.yaml`, where it has one of its own.
    fn name(&self) -> Option<String> {
        None
    }

    /// Where faults on this environment are journalled; `None` where they cannot outlive the program.
    fn journal(&self) -> Option<PathBuf>;
}

/// What a run is started with.
pub struct RunJob {
    /// The plan.
    pub plan: Plan,
    /// The run's folder; exists.
    pub folder: PathBuf,
    /// Everyone who watches.
    pub watchers: Vec<Box<dyn Watcher>>,
    /// Hears Ctrl-C.
    pub interrupt: Interrupt,
    /// Whether topics and the like stay.
    pub keep: bool,
    /// What the environment grants.
    pub granted: BTreeSet<Grant>,
    /// Whether things that kscen did not make may be deleted.
    pub allow_delete: bool,
    /// Ways to the processes in which producers and readers run; none where all are in this one.
    pub workers: Vec<Box<dyn WorkerLink>>,
    /// Whether a thread feels beside the run how busy the machine is. It has no place where time is not the machine's.
    pub feels_machine: bool,
}

/// Runs a plan and returns its record with the verdict. Never fails: what goes wrong is in the record.
pub async fn execute(job: RunJob, stage: &mut dyn EnvironmentSource) -> Record {
    let RunJob { plan, folder, watchers, interrupt, keep, granted, allow_delete, workers, feels_machine } = job;
    let clock = RunClock::start();
    let recorder = Recorder::start(&plan.bindings.run_id, clock, Arc::clone(&plan.redactor), watchers);
    recorder.emit(opening(&plan));

    let mut needs = plan.needs.clone();
    let (started, mut waiting) = (moment::now(), interrupt.clone());
    let acquired = tokio::select! {
        acquired = others::acquire(&plan, stage, &recorder) => Some(acquired),
        _ = waiting.at_least(1) => None,
    };
    match acquired {
        Some(Ok((environment, others))) => {
            let endpoints = environment.endpoints();
            recorder.hide(|redactor| hide_addresses(redactor, &endpoints));
            let info = described(environment.as_ref(), stage);
            recorder.emit(EventKind::EnvironmentReady { info, took: moment::since(started).as_secs_f64() });
            let (logs, client_logs) = LogSink::bounded(CLIENT_LINES);
            let journal = opened(stage);
            let crew = match journal.clone() {
                Ok(journal) => Crew::open(workers, clock, (&recorder, &logs), journal, interrupt.clone()).await,
                Err(failure) => Err(failure),
            };
            match journal.and_then(|journal| Ok((journal, crew?))) {
                Ok((journal, crew)) => {
                    let run = Arc::new(SharedRun {
                        endpoints,
                        scenario: facts(&plan),
                        clock,
                        recorder: recorder.clone(),
                        environment,
                        restarts: Restarts::default(),
                        others,
                        identity: RunIdentity::new(rand::random()),
                        live: LiveSteps::heeding(interrupt.soaks()),
                        undo: UndoStack::new(Arc::clone(&journal), clock, recorder.clone()),
                        owned: Owned::new(Arc::clone(&journal)),
                        changes: Changes::default(),
                        settlements: Settlements::default(),
                        promises: Promises::default(),
                        folder,
                        granted,
                        allow_delete,
                        client_logs: logs,
                        afar: crew.afar(),
                        admin: OnceLock::new(),
                        wire: OnceLock::new(),
                    });
                    perform(&run, &plan, interrupt, keep, feels_machine).await;
                    // What is left in force there is no scenario's but this one's.
                    needs.private |= run.undo.leaves_something();
                    crew.close(&recorder).await;
                    crate::delivery::write_accounts(&run);
                    excerpts::keep_client(&run, client_logs.take());
                    journal.close();
                }
                Err(failure) => recorder.emit(EventKind::RunFailed { failure }),
            }
            if let Err(error) = stage.release(&needs).await {
                recorder.emit(EventKind::Leftover { text: format!("the environment: {error}") });
            }
        }
        Some(Err(error)) => recorder.emit(EventKind::RunFailed {
            failure: failure("environment", error.to_string(), error.remedy().map(str::to_owned), error.log().to_vec()),
        }),
        None => recorder.emit(EventKind::Interrupted { code: interrupt.asked().code }),
    }
    conclude(recorder, clock)
}

/// What is known about the environment, under the name that the project gives it.
fn described(environment: &dyn Environment, stage: &dyn EnvironmentSource) -> Box<EnvironmentInfo> {
    let mut info = environment.info();
    info.name = stage.name().unwrap_or(info.name);
    Box::new(info)
}

/// What the steps may know of the plan that they belong to.
fn facts(plan: &Plan) -> ScenarioFacts {
    ScenarioFacts {
        run_id: plan.bindings.run_id.clone(),
        seed: plan.bindings.seed,
        scope: plan.scope.clone(),
        guarantee: plan.guarantee(),
        guarantee_at: plan.guarantee().map(|_| plan.origin.key_location("/guarantee")),
        former: plan.former.clone(),
    }
}

fn opening(plan: &Plan) -> EventKind {
    let mut steps = 0;
    plan.walk(&mut |_| steps += 1);
    EventKind::RunStarted {
        info: Box::new(RunInfo {
            id: plan.bindings.run_id.clone(),
            seed: plan.bindings.seed,
            name: plan.envelope.name.clone(),
            description: plan.envelope.description.clone(),
            file: plan.file.display().to_string(),
            tags: plan.envelope.tags.clone(),
            guarantee: plan.envelope.guarantee,
            checks: plan.envelope.checks,
            noise: plan.envelope.noise,
            report: plan.envelope.report.clone(),
            matrix: plan.cell.clone(),
            started: jiff::Timestamp::now().to_string(),
            duration: 0.0,
            kscen: env!("CARGO_PKG_VERSION").to_owned(),
            commit: commit::of(&plan.file),
            selfcheck: crate::project::last_selfcheck(),
        }),
        machine: machine::machine(),
        steps,
    }
}

pub(super) fn failure(code: &str, message: String, help: Option<String>, log: Vec<String>) -> Failure {
    Failure { code: code.to_owned(), message, help, at: None, log }
}

/// Runs the sections. What could not be undone or dropped stays in the journal.
///
/// Asked to end once, everything after the load goes on: faults are undone, `finally` runs, what was made is deleted.
/// Asked twice, whatever is being waited for is abandoned, and faults are undone.
async fn perform(run: &Arc<SharedRun>, plan: &Plan, interrupt: Interrupt, keep: bool, feels_machine: bool) {
    let pids = Pids::default();
    let pulse = feels_machine.then(|| sampler::feel(run, Arc::clone(&pids)));
    let sampler = tokio::spawn(sampler::sample(Arc::clone(run), pids));
    let slots = tokio::spawn(sampler::look_at_slots(Arc::clone(run)));
    let watchers = Watchers::start(run);
    let walker = Walker::new(Arc::clone(run), plan.cell.clone());
    let finally = Walker::new(Arc::clone(run), plan.cell.clone());
    let mut twice = interrupt.clone();
    let told = AtomicBool::new(false);
    let course = AssertUnwindSafe(course(run, plan, (&walker, &finally), interrupt.clone(), &told)).catch_unwind();
    let abandoned = tokio::select! {
        result = course => {
            if result.is_err() {
                let message = "kscen has a defect: it panicked between two steps".to_owned();
                run.recorder.emit(EventKind::RunFailed { failure: failure("panic", message, None, Vec::new()) });
            }
            false
        }
        _ = twice.at_least(2) => true,
    };
    walker.abandon();
    finally.abandon();
    // Who asks twice does not want to wait until a service is ready.
    let stuck = undo(run, true, !abandoned).await;
    sampler.abort();
    slots.abort();
    watchers.end(abandoned).await;
    drop(pulse);
    for text in &stuck {
        run.recorder.emit(EventKind::Leftover { text: format!("not undone: {text}") });
    }
    let tidied = tokio::select! {
        biased;
        _ = twice.at_least(2) => false,
        () = tidy(run, keep) => true,
    };
    if !(tidied || keep) {
        for text in cleanup::left(run) {
            run.recorder.emit(EventKind::Leftover { text });
        }
    }
    // During `finally` or later: the run was over, but whoever asked has to learn that it was heard.
    let asked = interrupt.asked();
    if asked.times > 0 && !told.load(Ordering::Relaxed) {
        run.recorder.emit(EventKind::Interrupted { code: asked.code });
    }
}

/// All sections with what happens between them, by one walker for `setup` and `steps` and one for `finally`. Asked to end once,
/// the first is halted, which is then `told`.
async fn course(
    run: &Arc<SharedRun>,
    plan: &Plan,
    (walker, finally): (&Walker, &Walker),
    mut interrupt: Interrupt,
    told: &AtomicBool,
) {
    let body = body(run, plan, walker);
    tokio::pin!(body);
    tokio::select! {
        () = &mut body => {}
        asked = interrupt.at_least(1) => {
            run.recorder.emit(EventKind::Interrupted { code: asked.code });
            told.store(true, Ordering::Relaxed);
            walker.halt();
            body.await;
        }
    }
    let _ = undo(run, true, true).await;
    finally.inherit(walker);
    finally.section(&plan.finally).await;
    finally.finish().await;
    if !told.load(Ordering::Relaxed) {
        // What `finally` sent and read is owed as well.
        finally.unless_halted(crate::delivery::implied_deliveries(run)).await;
        crate::delivery::judged_anything(run);
    }
}

/// Keeps the logs around faults, and deletes what the run made.
async fn tidy(run: &SharedRun, keep: bool) {
    let faults = run.snapshot().map(|record| record.faults).unwrap_or_default();
    excerpts::keep(run, &faults).await;
    if let Some(text) = cleanup::close_account(run).await {
        run.recorder.emit(EventKind::Leftover { text });
    }
    if keep {
        return run.owned.keep();
    }
    let left = others::clean(run).await;
    for text in cleanup::clean(run).await.into_iter().chain(left) {
        run.recorder.emit(EventKind::Leftover { text });
    }
}

/// `setup` and `steps`, up to the end of what runs in the background.
async fn body(run: &Arc<SharedRun>, plan: &Plan, walker: &Walker) {
    walker.unless_halted(run.restarts.begin(run.environment.as_ref())).await;
    if let Some(failure) = down::dead(run, plan).await {
        run.recorder.emit(EventKind::RunFailed { failure });
        walker.skip(&plan.setup);
        walker.skip(&plan.steps);
        return;
    }
    walker.unless_halted(super::conditions::note(run)).await;
    if walker.section(&plan.setup).await {
        walker.section(&plan.steps).await;
    } else {
        walker.skip(&plan.steps);
    }
    // What could not be undone now is tried once more at the end, and told then.
    let _ = undo(run, false, true).await;
    walker.finish().await;
    walker.unless_halted(crate::delivery::implied_deliveries(run)).await;
    walker.unless_halted(compare(run, plan)).await;
}

/// Holds the run against the baseline of its scenario.
async fn compare(run: &SharedRun, plan: &Plan) {
    let (Some(gate), Some(record)) = (&plan.gate, run.snapshot()) else { return };
    if let Some(text) = gate.foreign(&record) {
        run.recorder.warn(text);
    }
    for check in gate.checks(&record) {
        run.recorder.emit(EventKind::Check { record: Box::new(check) });
    }
}

async fn undo(run: &SharedRun, held_too: bool, until_ready: bool) -> Vec<String> {
    let patience = if until_ready { UNDO_PATIENCE } else { Duration::ZERO };
    run.undo.undo_all(held_too, patience).await
}

/// Judges the record, says so, and waits until everyone has heard it.
fn conclude(recorder: Recorder, clock: RunClock) -> Record {
    let duration = clock.now();
    let mut record = recorder.snapshot();
    if let Some(text) = recorder.untold()
        && record.as_ref().is_none_or(|record| record.failure.is_none())
    {
        let help = Some("the run itself went on to its end; free disk space and run it again".to_owned());
        recorder.emit(EventKind::RunFailed { failure: failure(UNWRITTEN, text, help, Vec::new()) });
        record = recorder.snapshot();
    }
    let quiet = record.as_ref().filter(|record| record.failure.is_none() && record.interrupted.is_none());
    let implied = quiet.map(judge::implied).unwrap_or_default();
    if !implied.is_empty() {
        implied.into_iter().for_each(|check| recorder.emit(EventKind::Check { record: Box::new(check) }));
        record = recorder.snapshot();
    }
    let verdict = record.map_or_else(
        || Verdict {
            outcome: Outcome::Error,
            passed: 0,
            failed: 0,
            unknown: 0,
            reasons: vec!["the run left no record".to_owned()],
        },
        |record| judge::verdict(&record),
    );
    recorder.emit(EventKind::RunEnded { verdict, duration });
    let mut record =
        recorder.clone().finish().expect("the run's first event made a record, and what is folded survives a panic");
    if let Some(text) = recorder.untold() {
        distrust(&mut record, text);
    }
    record
}

/// The last words could not be written: whoever looks for the result finds none, or an older one.
fn distrust(record: &mut Record, text: String) {
    if let Some(verdict) = &mut record.verdict
        && !verdict.reasons.contains(&text)
    {
        verdict.reasons.insert(0, text);
        if verdict.outcome != Outcome::Interrupted {
            verdict.outcome = Outcome::Error;
        }
    }
}
