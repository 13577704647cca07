//! A reader while it runs, and its account afterwards.

use super::Capture;
use crate::environment::{Action, Effect};
use crate::execute::LiveStep;
use crate::ledger::ReaderAccount;
use crate::load::ConsumeJob;
use crate::load::consume::{ConsumeReport, LiveConsume};
use crate::record::Progress;
use crate::step::StepError;
use crate::step::produce::rate_since;
use futures_util::future::BoxFuture;
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

enum State {
    Running(Box<ConsumeJob>),
    Over(Box<ReaderAccount>),
    Lost,
}

/// A reader as other steps see it.
pub struct Reader {
    live: Arc<LiveConsume>,
    state: Arc<Mutex<State>>,
    total: Option<u64>,
    capture: Option<Arc<Capture>>,
    last: Mutex<(Instant, u64, Option<f64>)>,
}

impl Reader {
    /// A reader that runs, with the number of messages that it ends after.
    pub fn new(job: ConsumeJob, total: Option<u64>, capture: Option<Arc<Capture>>) -> Self {
        Self {
            live: job.live(),
            state: Arc::new(Mutex::new(State::Running(Box::new(job)))),
            total,
            capture,
            last: Mutex::new((Instant::now(), 0, None)),
        }
    }

    /// Does something with the running job, on a thread that may block.
    async fn with_job<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut ConsumeJob) -> R + Send + 'static,
    ) -> Result<R, StepError> {
        let state = Arc::clone(&self.state);
        tokio::task::spawn_blocking(move || {
            match &mut *state.lock().unwrap_or_else(PoisonError::into_inner) {
                State::Running(job) => Some(act(job)),
                State::Over(_) | State::Lost => None,
            }
        })
        .await
        .map_err(|error| StepError::broken("defect", error.to_string()))?
        .ok_or_else(|| StepError::broken("not-running", "the reader has ended"))
    }

    /// Whether it still reads.
    pub fn is_running(&self) -> bool {
        matches!(&*self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Running(_))
    }

    /// What it keeps of the messages themselves.
    pub fn capture(&self) -> Option<&Arc<Capture>> {
        self.capture.as_ref()
    }

    /// Starts members that were stopped or killed.
    ///
    /// # Errors
    /// Where the group cannot be joined again.
    pub async fn revive(&self) -> Result<(), StepError> {
        self.with_job(|job| job.start(None))
            .await?
            .map_err(|error| StepError::broken("restart-reader", error.to_string()))
    }

    /// Reads to the end offsets as they are now. A reader that is over is drained where its account says so.
    ///
    /// # Errors
    /// Where the program has a defect.
    pub async fn drain(&self, patience: Duration) -> Result<bool, StepError> {
        let deadline = Instant::now() + patience;
        match self.with_job(move |job| job.drain(deadline)).await {
            Ok(drained) => Ok(drained),
            Err(error) if error.code == "not-running" => Ok(self.account(ReaderAccount::is_drained).unwrap_or(false)),
            Err(error) => Err(error),
        }
    }

    /// Looks at the account, as it is now.
    pub fn account<R>(&self, look: impl FnOnce(&ReaderAccount) -> R) -> Option<R> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Running(job) => Some(job.account(look)),
            State::Over(account) => Some(look(account)),
            State::Lost => None,
        }
    }

    /// Ends the reader.
    ///
    /// # Errors
    /// Where it has ended before.
    pub async fn join(&self) -> Result<ConsumeReport, StepError> {
        let state = Arc::clone(&self.state);
        tokio::task::spawn_blocking(move || {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut *state, State::Lost) {
                State::Running(job) => {
                    let (report, account) = job.join();
                    *state = State::Over(Box::new(account));
                    Some(report)
                }
                other => {
                    *state = other;
                    None
                }
            }
        })
        .await
        .map_err(|error| StepError::broken("defect", error.to_string()))?
        .ok_or_else(|| StepError::broken("not-running", "the reader has ended"))
    }
}

impl LiveStep for Reader {
    fn progress(&self) -> Progress {
        let done = self.live.read();
        let lag = self.live.lag();
        let backlog = (!lag.is_empty()).then(|| u64::try_from(lag.values().sum::<i64>()).unwrap_or(0));
        Progress {
            done,
            total: self.total,
            what: "read".to_owned(),
            rate: rate_since(&self.last, done),
            p99: self.live.p99_us().map(|us| us as f64 / 1e6),
            backlog,
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

    fn act<'a>(&'a self, action: Action, member: Option<usize>) -> BoxFuture<'a, Result<Effect, StepError>> {
        Box::pin(async move {
            let requested = Instant::now();
            let mut down = None;
            match action {
                Action::Stop => self.with_job(move |job| job.stop(member)).await?,
                Action::Kill => self.with_job(move |job| job.kill(member)).await?,
                Action::Start => self.start(member).await?,
                Action::Restart => {
                    self.with_job(move |job| job.stop(member)).await?;
                    down = Some(Instant::now());
                    self.start(member).await?;
                }
                Action::Pause | Action::Resume | Action::Wipe => {
                    return Err(StepError::broken(
                        "not-for-readers",
                        format!("`{action}` does not apply to a reader; use stop, kill, start or restart"),
                    ));
                }
            }
            let alive = self.live.alive();
            Ok(Effect { requested, effective: Instant::now(), down, proof: format!("{alive} members run") })
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Reader {
    async fn start(&self, member: Option<usize>) -> Result<(), StepError> {
        self.with_job(move |job| job.start(member))
            .await?
            .map_err(|error| StepError::broken("restart-reader", error.to_string()))
    }
}
