//! Steps while they run, as other steps see them.

use crate::accounting::{Claims, ReaderAccount, SenderAccount};
use crate::faults::{Members, ProgramHandle};
use crate::ground::lock;
use crate::load::consume::ReaderCapture;
use crate::record::{Progress, StepRecord, StepStatus};
use crate::verb::soak::RunSoaks;
use crate::verb::{Scope, Soak, Soaks, StepError, StepOutcome};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How often a waiting step looks whether another has ended.
const GLANCE: Duration = Duration::from_millis(5);

/// What a running step shows.
pub trait LiveStep: Send + Sync {
    /// Figures for the terminal.
    fn progress(&self) -> Progress;
    /// Messages acknowledged or read, rows done.
    fn count(&self) -> u64;
    /// Share of the fixed schedule that is due, `0..=1`; `None` where there is no schedule.
    fn share(&self) -> Option<f64> {
        None
    }
    /// What it measured up to `now_us` of the run, as far as that can be told while it runs.
    fn so_far(&self, now_us: u64) -> StepOutcome {
        let _ = now_us;
        StepOutcome::default()
    }
    /// What is kept of it where it had to be given up, because it did not end when it was asked to. What has no outcome by then never
    /// has one.
    fn given_up(&self, now_us: u64) -> StepOutcome {
        self.so_far(now_us)
    }
}

/// A load.
pub trait LiveSender: LiveStep {
    /// What was sent, by producer, as far as outcomes are known.
    fn accounts(&self) -> Vec<SenderAccount>;
}

/// A reader.
pub trait LiveReader: LiveStep + Members {
    /// Whether it still reads.
    fn is_running(&self) -> bool;
    /// Reads to the end offsets as they are now. A reader that is over is drained where its account says so.
    ///
    /// # Errors
    /// Where the program has a defect.
    fn drain(&self, patience: Duration) -> BoxFuture<'_, Result<bool, StepError>>;
    /// What it has seen so far; `None` where that went down with its thread, or where its client hangs.
    fn account(&self) -> Option<ReaderAccount>;
    /// How many messages it was given so far, of whatever kind; `None` where that is not known.
    fn given(&self) -> Option<u64> {
        self.account().map(|account| account.read)
    }
    /// What it keeps of the messages themselves.
    fn capture(&self) -> Option<Arc<ReaderCapture>>;
    /// When it was prepared, in µs of the run.
    fn started_us(&self) -> u64;
}

/// A step that writes to the database.
pub trait LiveWriter: LiveStep {
    /// What it claims to have changed, so far.
    fn claims(&self) -> Claims;
}

/// A program under test.
pub trait LiveProgram: LiveStep + ProgramHandle {
    /// Whether a line of its output, since it was last started, contains the text.
    fn has_printed(&self, text: &str) -> bool;
}

/// A step that has something to show, by what it does with messages.
#[derive(Clone)]
pub enum Live {
    /// It sends.
    Sender(Arc<dyn LiveSender>),
    /// It reads.
    Reader(Arc<dyn LiveReader>),
    /// It writes to the database.
    Writer(Arc<dyn LiveWriter>),
    /// It is a program under test.
    Program(Arc<dyn LiveProgram>),
}

impl Deref for Live {
    type Target = dyn LiveStep;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Sender(sender) => sender.as_ref(),
            Self::Reader(reader) => reader.as_ref(),
            Self::Writer(writer) => writer.as_ref(),
            Self::Program(program) => program.as_ref(),
        }
    }
}

#[derive(Default)]
struct Entry {
    /// One for each attempt: what an earlier attempt wrote is still owed.
    attempts: Vec<Live>,
    record: Option<Box<StepRecord>>,
}

/// All steps that have something to show, by id.
#[derive(Default)]
pub struct LiveSteps {
    entries: Mutex<BTreeMap<String, Entry>>,
    soaks: Soaks,
    /// The same of this run alone.
    own_soaks: RunSoaks,
}

impl LiveSteps {
    /// No steps yet. Those that go on until somebody asks hear it by `soaks`.
    pub fn heeding(soaks: Soaks) -> Self {
        Self { entries: Mutex::default(), soaks, own_soaks: RunSoaks::default() }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        lock(&self.entries)
    }

    /// A step begins to go on until somebody asks it to end.
    pub fn soak(&self) -> Soak {
        self.own_soaks.begin(&self.soaks)
    }

    /// Asks the steps of this run that go on until somebody asks to end, in good order, because the rest of it is not run; or lets
    /// others go on that begin later.
    pub fn end_soaks(&self, ends: bool) {
        self.own_soaks.end(ends);
    }

    /// A step shows itself, once in each attempt.
    pub fn enter(&self, id: &str, step: Live) {
        self.entries().entry(id.to_owned()).or_default().attempts.push(step);
    }

    /// A step ended.
    pub fn end(&self, id: &str, record: StepRecord) {
        self.entries().entry(id.to_owned()).or_default().record = Some(Box::new(record));
    }

    /// What a step shows in its last attempt, also after its end.
    pub fn get(&self, id: &str) -> Option<Live> {
        self.entries().get(id)?.attempts.last().cloned()
    }

    /// What a step shows in each of its attempts, also after its end.
    pub fn attempts(&self, id: &str) -> Vec<Live> {
        self.entries().get(id).map(|entry| entry.attempts.clone()).unwrap_or_default()
    }

    /// What a reader shows, also after its end.
    pub fn reader(&self, id: &str) -> Option<Arc<dyn LiveReader>> {
        match self.get(id)? {
            Live::Reader(reader) => Some(reader),
            Live::Sender(_) | Live::Writer(_) | Live::Program(_) => None,
        }
    }

    /// What a program under test shows, also after its end.
    pub fn program(&self, id: &str) -> Option<Arc<dyn LiveProgram>> {
        match self.get(id)? {
            Live::Program(program) => Some(program),
            Live::Sender(_) | Live::Reader(_) | Live::Writer(_) => None,
        }
    }

    /// The ids of all readers that have begun.
    pub fn reader_ids(&self) -> Vec<String> {
        let entries = self.entries();
        let reads = |entry: &Entry| matches!(entry.attempts.last(), Some(Live::Reader(_)));
        entries.iter().filter(|(_, entry)| reads(entry)).map(|(id, _)| id.clone()).collect()
    }

    /// Every load that has begun, in each of its attempts.
    pub fn senders(&self) -> Vec<Arc<dyn LiveSender>> {
        let entries = self.entries();
        let all = entries.values().flat_map(|entry| &entry.attempts);
        all.filter_map(|live| match live {
            Live::Sender(sender) => Some(Arc::clone(sender)),
            Live::Reader(_) | Live::Writer(_) | Live::Program(_) => None,
        })
        .collect()
    }

    /// The record of a step that ended.
    pub fn record(&self, id: &str) -> Option<StepRecord> {
        self.entries().get(id)?.record.as_deref().cloned()
    }

    /// Whether a step shows something and has not ended.
    pub fn is_running(&self, id: &str) -> bool {
        self.entries().get(id).is_some_and(|entry| entry.record.is_none() && !entry.attempts.is_empty())
    }

    /// Waits while a step runs: nothing announces its end to others.
    pub async fn ended(&self, id: &str) {
        while self.is_running(id) {
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits for the end of a step, one that has not begun included.
    pub async fn ending(&self, id: &str) -> StepRecord {
        loop {
            if let Some(record) = self.record(id) {
                return record;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Records of all steps that ended.
    pub fn records(&self) -> Vec<StepRecord> {
        self.entries().values().filter_map(|entry| entry.record.as_deref().cloned()).collect()
    }

    /// Records of the steps that run, as they are at `now_us` of the run.
    pub fn running(&self, scope: &Scope, now_us: u64) -> Vec<StepRecord> {
        let running: Vec<(String, Live)> = self
            .entries()
            .iter()
            .filter(|(_, entry)| entry.record.is_none())
            .filter_map(|(id, entry)| Some((id.clone(), entry.attempts.last()?.clone())))
            .collect();
        let as_record = |(id, step): (String, Live)| StepRecord {
            verb: scope.step(&id).map(|step| step.verb.to_owned()).unwrap_or_default(),
            runs: matches!(step, Live::Program(_)),
            status: StepStatus::Running,
            ended: now_us as f64 / 1e6,
            ..step.so_far(now_us).as_step(&id)
        };
        running.into_iter().map(as_record).collect()
    }

    /// Steps that are running, with their figures.
    pub fn progress(&self) -> Vec<(String, Progress)> {
        self.entries()
            .iter()
            .filter(|(_, entry)| entry.record.is_none())
            .filter_map(|(id, entry)| Some((id.clone(), entry.attempts.last()?.progress())))
            .collect()
    }
}

/// Per second since the last look, if that was not just now.
pub fn rate_since(last: &Mutex<(Instant, u64, Option<f64>)>, count: u64) -> Option<f64> {
    let mut last = lock(last);
    let elapsed = last.0.elapsed().as_secs_f64();
    if elapsed >= 0.5 {
        let rate = count.saturating_sub(last.1) as f64 / elapsed;
        *last = (Instant::now(), count, Some(rate));
    }
    last.2
}
