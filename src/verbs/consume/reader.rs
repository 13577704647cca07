//! A reader while it runs, and its account afterwards.

use crate::accounting::ReaderAccount;
use crate::faults::{Answer, FaultError, Members};
use crate::ground::lock;
use crate::load::ConsumeJob;
use crate::load::consume::{END_LIMIT, LiveConsume, Onlooker, ReaderCapture};
use crate::record::{ConsumeReport, Progress};
use crate::verb::{LiveReader, LiveStep, StepError, StepOutcome, rate_since};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

/// How long the cluster may take to say where a log ends.
const NOTE: Duration = Duration::from_secs(5);
/// How long a drain keeps others from the reader.
const TURN: Duration = Duration::from_millis(500);
/// How long a member may take to stop polling: it may wait for the answer to a commit.
const HALT: Duration = Duration::from_secs(30);
/// Between two looks at members that come back.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the reader may keep others waiting: they may come while some members are ended, and end the rest.
const BUSY: Duration = Duration::from_secs(2 * END_LIMIT.as_secs() + 60);
/// The same for who comes after one that has waited for so long.
const STILL_BUSY: Duration = Duration::from_secs(1);
/// Between two tries to look at it.
const GLANCE: Duration = Duration::from_millis(1);

enum State {
    Running(Box<ConsumeJob>),
    Over(Box<ReaderAccount>),
    Lost,
}

/// A reader as other steps see it.
pub struct Reader {
    live: Arc<LiveConsume>,
    onlooker: Onlooker,
    members: usize,
    state: Arc<Mutex<State>>,
    total: Option<u64>,
    capture: Option<Arc<ReaderCapture>>,
    last: Mutex<(Instant, u64, Option<f64>)>,
    /// How long it may keep others waiting, and whether it has done so for longer.
    busy: Duration,
    hangs: AtomicBool,
}

impl Reader {
    /// A reader that runs, with the number of messages that it ends after.
    pub fn new(job: ConsumeJob, total: Option<u64>, capture: Option<Arc<ReaderCapture>>) -> Self {
        Self {
            live: job.live(),
            onlooker: job.onlooker(),
            members: job.members(),
            state: Arc::new(Mutex::new(State::Running(Box::new(job)))),
            total,
            capture,
            last: Mutex::new((Instant::now(), 0, None)),
            busy: BUSY,
            hangs: AtomicBool::new(false),
        }
    }

    /// How long it is waited for.
    fn patience(&self) -> Duration {
        if self.hangs.load(Ordering::Acquire) { self.busy.min(STILL_BUSY) } else { self.busy }
    }

    /// How it stands; `None` where somebody is at it for too long, because its client does not answer.
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        let deadline = Instant::now() + self.patience();
        loop {
            let state = match self.state.try_lock() {
                Ok(state) => Some(state),
                Err(TryLockError::Poisoned(state)) => Some(state.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(GLANCE);
                    continue;
                }
                Err(TryLockError::WouldBlock) => None,
            };
            self.hangs.store(state.is_none(), Ordering::Release);
            return state;
        }
    }

    /// Does something with it on a thread that may block. A thread that does not come back is left alone.
    async fn with_state<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut State) -> Option<R> + Send + 'static,
    ) -> Result<R, StepError> {
        let (state, patience) = (Arc::clone(&self.state), self.patience());
        let acting = tokio::task::spawn_blocking(move || act(&mut lock(&state)));
        let acted = tokio::time::timeout(patience, acting).await;
        self.hangs.store(acted.is_err(), Ordering::Release);
        let waited = patience.as_secs();
        acted
            .map_err(|_| StepError::broken("reader-hangs", format!("the reader has not answered for {waited} s")))?
            .map_err(|error| StepError::broken("defect", error.to_string()).because(error))?
            .ok_or_else(|| StepError::broken("not-running", "the reader has ended"))
    }

    /// Does something with the running job; not later than whoever asked for it waits.
    async fn with_job<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut ConsumeJob) -> R + Send + 'static,
    ) -> Result<R, StepError> {
        let deadline = Instant::now() + self.patience();
        self.with_state(move |state| match state {
            State::Running(job) if Instant::now() < deadline => Some(act(job)),
            State::Running(_) | State::Over(_) | State::Lost => None,
        })
        .await
    }

    /// Starts members that were stopped or killed.
    ///
    /// # Errors
    /// Where the group cannot be joined again.
    pub async fn revive(&self) -> Result<(), StepError> {
        let all: BTreeSet<usize> = (0..self.members).collect();
        let _ = self.halt_all(&self.live.halted().into_keys().collect(), false).await;
        self.with_job(move |job| job.start_members(&all).map(drop))
            .await?
            .map_err(|error| StepError::broken("restart-reader", error.to_string()).because(error))
    }

    /// Makes members hang, or go on; false where one does not do so in time.
    async fn halt_all(&self, members: &BTreeSet<usize>, halt: bool) -> bool {
        let (live, members) = (Arc::clone(&self.live), members.clone());
        let deadline = Instant::now() + HALT;
        tokio::task::spawn_blocking(move || live.halt(&members, halt, deadline)).await.unwrap_or(false)
    }

    /// Says whether the reader, as far as it has come, has read the log to its end.
    ///
    /// # Errors
    /// Where it has ended before.
    pub async fn note_end(&self) -> Result<(), StepError> {
        self.with_job(|job| job.note_end(NOTE)).await
    }

    /// Reads to the end of the log as it is now; whether it came there, and no open transaction holds more back.
    ///
    /// # Errors
    /// Where the program has a defect.
    pub async fn drain_whole(&self, patience: Duration) -> Result<bool, StepError> {
        Ok(self.drain(patience).await? && self.is_whole())
    }

    /// Whether no open transaction holds back the end of the log, as it was when that was asked for.
    pub fn is_whole(&self) -> bool {
        self.state().is_some_and(|state| match &*state {
            State::Running(job) => job.account(|account| account.held_back().is_empty()),
            State::Over(account) => account.held_back().is_empty(),
            State::Lost => false,
        })
    }

    /// Ends the reader.
    ///
    /// # Errors
    /// Where it has ended before.
    pub async fn join(&self) -> Result<ConsumeReport, StepError> {
        self.with_state(|state| match std::mem::replace(state, State::Lost) {
            State::Running(job) => {
                let (report, account) = job.join();
                *state = State::Over(Box::new(account));
                Some(report)
            }
            other => {
                *state = other;
                None
            }
        })
        .await
    }
}

impl LiveStep for Reader {
    fn progress(&self) -> Progress {
        let done = self.live.read();
        let live = Box::new(self.onlooker.figures());
        Progress {
            done,
            total: self.total,
            what: "read".to_owned(),
            rate: rate_since(&self.last, done),
            p99: self.live.p99_us().map(|us| us as f64 / 1e6),
            backlog: live.lag,
            live,
            ..Progress::default()
        }
    }

    fn count(&self) -> u64 {
        self.live.read()
    }

    fn share(&self) -> Option<f64> {
        // Shares of counts are for display and thresholds; the counts themselves stay exact.
        self.total.filter(|total| *total > 0).map(|total| self.live.read() as f64 / total as f64)
    }

    fn so_far(&self, now_us: u64) -> StepOutcome {
        let mut report = Box::new(self.onlooker.so_far(now_us));
        report.changes = self.capture.as_ref().and_then(|capture| capture.flow()).map(Box::new);
        StepOutcome { consumed: Some(report), ..StepOutcome::default() }
    }
}

impl LiveReader for Reader {
    fn is_running(&self) -> bool {
        self.state().is_none_or(|state| matches!(&*state, State::Running(_)))
    }

    fn drain(&self, patience: Duration) -> BoxFuture<'_, Result<bool, StepError>> {
        Box::pin(async move {
            let deadline = Instant::now() + patience;
            loop {
                // Others may act on the reader between two turns: bring back members, without which there is no end.
                let turn = deadline.min(Instant::now() + TURN);
                match self.with_job(move |job| job.drain_on(turn)).await {
                    Ok((drained, over)) if over || Instant::now() >= deadline => return Ok(drained),
                    Ok(_) => tokio::time::sleep(LOOK_EVERY).await,
                    Err(error) if error.code == "not-running" => {
                        return Ok(self.account().is_some_and(|account| account.is_drained()));
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }

    fn account(&self) -> Option<ReaderAccount> {
        match &*self.state()? {
            State::Running(job) => Some(job.account_now()),
            State::Over(account) => Some((**account).clone()),
            State::Lost => None,
        }
    }

    fn given(&self) -> Option<u64> {
        match &*self.state()? {
            State::Running(job) => Some(job.account(|account| account.read)),
            State::Over(account) => Some(account.read),
            State::Lost => None,
        }
    }

    fn capture(&self) -> Option<Arc<ReaderCapture>> {
        self.capture.clone()
    }

    fn started_us(&self) -> u64 {
        self.onlooker.start_us()
    }
}

impl Members for Reader {
    fn count(&self) -> usize {
        self.members
    }

    fn running(&self) -> BTreeSet<usize> {
        self.live.running()
    }

    fn halted(&self) -> BTreeMap<usize, u64> {
        self.live.halted()
    }

    fn halt<'a>(&'a self, members: &'a BTreeSet<usize>, halt: bool) -> Answer<'a, ()> {
        Box::pin(async move {
            if self.halt_all(members, halt).await {
                return Ok(());
            }
            let what = if halt { "stop polling" } else { "poll again" };
            Err(not_back(format!("its members did not {what} within {} s", HALT.as_secs())))
        })
    }

    fn end<'a>(&'a self, members: &'a BTreeSet<usize>, crash: bool) -> Answer<'a, ()> {
        let members = members.clone();
        let end =
            move |job: &mut ConsumeJob| if crash { job.kill_members(&members) } else { job.stop_members(&members) };
        Box::pin(async move { self.with_job(end).await.map_err(refused) })
    }

    fn start<'a>(&'a self, members: &'a BTreeSet<usize>) -> Answer<'a, ()> {
        let members = members.clone();
        let start = move |job: &mut ConsumeJob| job.start_members(&members);
        Box::pin(async move {
            let started = self.with_job(start).await.map_err(refused)?;
            started.map(drop).map_err(|error| not_back(error.to_string()))
        })
    }

    fn reading<'a>(&'a self, members: &'a BTreeSet<usize>, patience: Duration) -> Answer<'a, Instant> {
        Box::pin(async move {
            let deadline = Instant::now() + patience;
            loop {
                let wanted = members.clone();
                let look = move |job: &mut ConsumeJob| job.reading_since(&wanted).map(|us| job.instant(us));
                if let Some(since) = self.with_job(look).await.map_err(refused)? {
                    return Ok(since);
                }
                if Instant::now() >= deadline {
                    let waited = patience.as_secs();
                    return Err(not_back(format!("its members are not assigned and reading after {waited} s")));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
    }
}

fn refused(error: StepError) -> FaultError {
    FaultError::Reader { code: error.code, message: error.message, cause: error.cause }
}

fn not_back(message: String) -> FaultError {
    FaultError::Reader { code: "restart-reader", message, cause: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::RunIdentity;
    use crate::load::consume::rehearsal::RehearsedReader;
    use crate::record::RunClock;
    use std::sync::mpsc::channel;

    fn reader(busy: Duration) -> Reader {
        let rehearsed = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), None, 1);
        Reader { busy, ..Reader::new(rehearsed.job(Vec::new()), None, None) }
    }

    #[tokio::test]
    async fn who_asks_a_reader_that_does_not_answer_learns_that_nothing_is_known() {
        let reader = reader(Duration::from_millis(50));
        let (free, kept) = channel::<()>();
        let (says, taken) = channel();
        let state = Arc::clone(&reader.state);
        let keeper = std::thread::spawn(move || {
            let _state = lock(&state);
            let _ = says.send(());
            let _ = kept.recv();
        });
        taken.recv().expect("it is kept");
        let error = reader.revive().await.expect_err("somebody is at it");
        assert_eq!((error.code, error.message.as_str()), ("reader-hangs", "the reader has not answered for 0 s"));
        assert!(reader.account().is_none() && reader.given().is_none(), "it is not known");
        assert!(reader.is_running(), "it is not known to have ended");
        assert_eq!(reader.drain(Duration::ZERO).await.expect_err("nobody answers").code, "reader-hangs");
        drop(free);
        keeper.join().expect("it lets go");
        assert!(reader.account().is_some(), "once it answers, it is known");
    }

    #[tokio::test]
    async fn who_came_to_an_open_transaction_has_not_read_all() {
        for (high, whole) in [(5, true), (9, false)] {
            let rehearsed = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), None, 1);
            rehearsed.account(|account| {
                (0..5).for_each(|offset| account.glance(0, offset, 0, None));
                account.drain_to_stable(&BTreeMap::from([(0, 5)]), &BTreeMap::from([(0, high)]));
            });
            let reader = Reader::new(rehearsed.job(Vec::new()), None, None);
            assert_eq!(reader.is_whole(), whole);
            reader.join().await.expect("it runs");
            assert!(reader.drain(Duration::ZERO).await.expect("it is over"), "the last stable offset");
            assert_eq!(reader.drain_whole(Duration::ZERO).await.expect("it is over"), whole);
        }
    }

    #[tokio::test]
    async fn members_that_are_down_are_waited_for_as_long_as_there_is_time() {
        let (reader, patience) = (reader(BUSY), TURN + Duration::from_millis(300));
        let began = Instant::now();
        assert!(!reader.drain(patience).await.expect("it runs"), "nobody reads");
        assert!(began.elapsed() >= patience, "somebody may bring them back meanwhile");
    }

    #[tokio::test]
    async fn a_reader_that_answers_is_joined_as_ever() {
        let reader = reader(BUSY);
        reader.revive().await.expect("nothing to start");
        assert!(reader.is_running());
        let report = reader.join().await.expect("it runs");
        assert!(report.fatal.is_none() && !reader.is_running());
        assert!(reader.account().is_some_and(|account| !account.unaccounted));
        assert_eq!(reader.join().await.map(drop).expect_err("it is over").code, "not-running");
    }
}
