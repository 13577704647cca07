//! Runs one plan from its first event to its verdict.

use super::changes::Changes;
use super::interrupt::Interrupt;
use super::journal::Journal;
use super::live::LiveSteps;
use super::owned::Owned;
use super::recorder::{Recorder, Watcher};
use super::run::Run;
use super::undo::{PATIENCE as UNDO_PATIENCE, UndoStack};
use super::walk::Walker;
use super::{cleanup, excerpts, machine, sampler};
use crate::environment::{Environment, EnvironmentError, Needs};
use crate::judge;
use crate::kafka::LogSink;
use crate::ledger::RunIdentity;
use crate::load::RunClock;
use crate::plan::Plan;
use crate::record::{EventKind, Failure, Folder, Record, RunInfo, Verdict};
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Lines of librdkafka's log that are kept.
const CLIENT_LINES: usize = 2000;

/// Provides environments to runs: starts them, or hands out one that already runs.
pub trait Stage: Send {
    /// An environment that meets the needs.
    fn acquire<'a>(
        &'a mut self,
        needs: &'a Needs,
        note: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, Result<Arc<dyn Environment>, EnvironmentError>>;

    /// The run no longer needs it.
    fn release<'a>(&'a mut self, needs: &'a Needs) -> BoxFuture<'a, Result<(), EnvironmentError>>;

    /// Where faults on this environment are journalled; `None` where they cannot outlive the program.
    fn journal(&self) -> Option<PathBuf>;
}

/// What a run is started with.
pub struct Job {
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
    /// Whether things that kscen did not make may be deleted.
    pub allow_delete: bool,
}

/// Keeps what the judge needs, while watchers see the same events.
struct Tee(Arc<Mutex<Folder>>);

impl Watcher for Tee {
    fn event(&mut self, event: &crate::record::Event, _: Option<&Record>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(event);
    }
}

/// Runs a plan and returns its record with the verdict. Never fails: what goes wrong is in the record.
pub async fn execute(job: Job, stage: &mut dyn Stage) -> Record {
    let Job { plan, folder, mut watchers, interrupt, keep, allow_delete } = job;
    let clock = RunClock::start();
    let folded = Arc::new(Mutex::new(Folder::default()));
    watchers.insert(0, Box::new(Tee(Arc::clone(&folded))));
    let recorder = Recorder::start(&plan.bindings.run_id, clock, watchers);
    recorder.emit(opening(&plan));

    let needs = plan.needs.clone();
    let started = Instant::now();
    let mut waiting = interrupt.clone();
    let acquired = tokio::select! {
        acquired = async {
            let note = |text: String| recorder.note(text);
            stage.acquire(&needs, &note).await
        } => Some(acquired),
        _ = waiting.at_least(1) => None,
    };
    match acquired {
        Some(Ok(environment)) => {
            let info = Box::new(environment.info());
            recorder.emit(EventKind::EnvironmentReady { info, took: started.elapsed().as_secs_f64() });
            let journal = stage.journal().map_or_else(|| Ok(Journal::none()), |path| Journal::open(&path));
            let (logs, client_logs) = LogSink::bounded(CLIENT_LINES);
            match journal {
                Ok(journal) => {
                    let journal = Arc::new(journal);
                    let run = Arc::new(Run {
                        endpoints: environment.endpoints(),
                        plan,
                        clock,
                        recorder: recorder.clone(),
                        environment,
                        identity: RunIdentity::new(rand::random()),
                        live: LiveSteps::default(),
                        undo: UndoStack::new(Arc::clone(&journal)),
                        owned: Owned::new(Arc::clone(&journal)),
                        changes: Changes::default(),
                        folder,
                        allow_delete,
                        client_logs: logs,
                        folded: Arc::clone(&folded),
                        admin: OnceLock::new(),
                    });
                    perform(&run, interrupt, keep, &folded).await;
                    excerpts::keep_client(&run, client_logs.take());
                    journal.close();
                }
                Err(error) => recorder.emit(EventKind::RunFailed {
                    failure: failure(
                        "journal",
                        format!("the undo journal cannot be written: {error}"),
                        None,
                        Vec::new(),
                    ),
                }),
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
    conclude(recorder, clock, &folded)
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
            matrix: plan.cell.clone(),
            started: jiff::Timestamp::now().to_string(),
            duration: 0.0,
            kscen: env!("CARGO_PKG_VERSION").to_owned(),
            selfcheck: crate::selfcheck::last(),
        }),
        machine: machine::machine(),
        steps,
    }
}

fn failure(code: &str, message: String, help: Option<String>, log: Vec<String>) -> Failure {
    Failure { code: code.to_owned(), message, help, at: None, log }
}

/// Runs the sections. What could not be undone or dropped stays in the journal.
///
/// Asked to end once, everything after the load goes on: faults are undone, `finally` runs, what was made is deleted.
/// Asked twice, whatever is being waited for is abandoned, and faults are undone.
async fn perform(run: &Arc<Run>, interrupt: Interrupt, keep: bool, folded: &Mutex<Folder>) {
    let sampler = tokio::spawn(sampler::sample(Arc::clone(run)));
    let walker = Walker::new(Arc::clone(run));
    let finally = Walker::new(Arc::clone(run));
    let mut once = interrupt.clone();
    let mut twice = interrupt.clone();
    let told = AtomicBool::new(false);
    let course = async {
        let body = body(run, &walker);
        tokio::pin!(body);
        tokio::select! {
            () = &mut body => {}
            asked = once.at_least(1) => {
                run.recorder.emit(EventKind::Interrupted { code: asked.code });
                told.store(true, Ordering::Relaxed);
                walker.halt();
                body.await;
            }
        }
        let _ = undo(run, true, true).await;
        finally.inherit(&walker);
        finally.list(&run.plan.finally).await;
        finally.finish().await;
    };
    let abandoned = tokio::select! {
        () = course => false,
        _ = twice.at_least(2) => true,
    };
    walker.abandon();
    finally.abandon();
    // Who asks twice does not want to wait until a service is ready.
    let stuck = undo(run, true, !abandoned).await;
    sampler.abort();
    for text in &stuck {
        run.recorder.emit(EventKind::Leftover { text: format!("not undone: {text}") });
    }
    if !abandoned {
        let tidy = async {
            let faults = record(folded).map(|record| record.faults).unwrap_or_default();
            excerpts::keep(run, &faults).await;
            if let Some(text) = cleanup::close_account(run).await {
                run.recorder.emit(EventKind::Leftover { text });
            }
            if keep {
                run.owned.keep();
            } else {
                for text in cleanup::clean(run).await {
                    run.recorder.emit(EventKind::Leftover { text });
                }
            }
        };
        tokio::select! {
            () = tidy => {}
            _ = twice.at_least(2) => {}
        }
    }
    // During `finally` or later: the run was over, but whoever asked has to learn that it was heard.
    let asked = interrupt.asked();
    if asked.times > 0 && !told.load(Ordering::Relaxed) {
        run.recorder.emit(EventKind::Interrupted { code: asked.code });
    }
}

/// `setup` and `steps`, up to the end of what runs in the background.
async fn body(run: &Arc<Run>, walker: &Walker) {
    walker.unless_halted(super::conditions::note(run)).await;
    if walker.list(&run.plan.setup).await {
        walker.list(&run.plan.steps).await;
    } else {
        walker.skip(&run.plan.steps);
    }
    // What could not be undone now is tried once more at the end, and told then.
    let _ = undo(run, false, true).await;
    walker.finish().await;
    walker.unless_halted(crate::step::expect::implied_deliveries(run)).await;
    walker.unless_halted(compare(run)).await;
}

/// Holds the run against the baseline of its scenario.
async fn compare(run: &Run) {
    let (Some(gate), Some(record)) = (&run.plan.gate, run.snapshot()) else { return };
    if let Some(text) = gate.foreign(&record) {
        run.recorder.warn(text);
    }
    for check in gate.checks(&record) {
        run.recorder.emit(EventKind::Check { record: Box::new(check) });
    }
}

async fn undo(run: &Run, held_too: bool, until_ready: bool) -> Vec<String> {
    let patience = if until_ready { UNDO_PATIENCE } else { Duration::ZERO };
    run.undo.undo_all(run.environment.as_ref(), run.clock, &run.recorder, held_too, patience).await
}

fn record(folded: &Mutex<Folder>) -> Option<Record> {
    folded.lock().unwrap_or_else(PoisonError::into_inner).record().cloned()
}

/// Judges the record, says so, and waits until everyone has heard it.
fn conclude(recorder: Recorder, clock: RunClock, folded: &Mutex<Folder>) -> Record {
    let duration = clock.now();
    recorder.sync();
    let verdict = record(folded).map_or_else(
        || Verdict {
            outcome: crate::record::Outcome::Error,
            passed: 0,
            failed: 0,
            unknown: 0,
            reasons: vec!["the run left no record".to_owned()],
        },
        |record| judge::verdict(&record),
    );
    recorder.emit(EventKind::RunEnded { verdict, duration });
    recorder.finish().expect("the run's first event made a record, and the recorder's thread does not panic")
}
