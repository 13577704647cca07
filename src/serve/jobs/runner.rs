//! Does what waits, a few jobs at a time.

use super::job::Job;
use super::kind::JobState;
use super::outcome::{JobProblem, JobProgress};
use super::table::{Begun, Jobs};
use crate::ground::lock;
use crate::serve::aside::aside;
use crate::serve::audit::{Audit, AuditEntry};
use crate::serve::metrics::Metrics;
use crate::serve::work::{StopWhy, WorkContext, WorkEnd, WorkError, WorkNews, WorkOutcome, WorkRun, WorkStop};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// So many jobs that are over are kept.
const KEPT: usize = 10_000;
/// What cannot be written is tried again so often.
const AGAIN: Duration = Duration::from_secs(1);
/// A job whose cluster does not answer, or whose archive another program writes, tries again so often, …
const PAUSE: Duration = Duration::from_secs(5);
/// … and for so long.
const PATIENCE: Duration = Duration::from_secs(300);
/// Progress is told so often.
const TOLD: Duration = Duration::from_millis(500);

/// Does jobs.
#[derive(Clone)]
pub struct Runner {
    /// The jobs.
    pub jobs: Jobs,
    /// What they need.
    pub context: WorkContext,
    /// Where they are counted.
    pub metrics: Metrics,
    /// Where their ends are written down.
    pub audit: Audit,
}

impl Runner {
    /// Does what waits, so many at a time, until the jobs are [closed](Jobs::close) and those at work have stopped.
    pub async fn run(self, at_once: usize) {
        let mut running = JoinSet::new();
        loop {
            let next = if running.len() < at_once.max(1) { self.jobs.waiting() } else { None };
            if let Some(job) = next {
                if let Some(begun) = self.begin(job).await {
                    let runner = self.clone();
                    running.spawn(async move { runner.work(begun).await });
                }
                continue;
            }
            if self.jobs.is_closed() {
                while running.join_next().await.is_some() {}
                return;
            }
            tokio::select! {
                () = self.jobs.wake() => {}
                Some(_) = running.join_next() => {}
            }
        }
    }

    /// Begins a job. Nothing where it does not wait any more, or that cannot be kept yet.
    async fn begin(&self, job: Job) -> Option<Begun> {
        let (jobs, context) = (self.jobs.clone(), self.context.clone());
        let begun = aside(move || {
            // What cannot be looked at now fails with its reason when it is used.
            let basis = if jobs.has_basis(&job.id) { None } else { job.request.basis(&context).ok().flatten() };
            jobs.begin(&job.id, basis)
        });
        match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                self.metrics.state_failed();
                self.audit.write(&AuditEntry::of_service("a job cannot begin", &error.to_string()));
                tokio::time::sleep(AGAIN).await;
                None
            }
        }
    }

    async fn work(self, begun: Begun) {
        let id = begun.job.id.clone();
        let started = Instant::now();
        let ended = self.attempts(begun).await;
        let redactor = self.context.redactor();
        let hide = |text: &str| redactor.text(text).into_owned();
        let mut waits = true;
        loop {
            let (jobs, at, end) = (self.jobs.clone(), id.clone(), hidden(&ended, &hide));
            match aside(move || jobs.change(&at, |job| end.apply(job))).await {
                Ok(()) => break,
                // What was written last is how the next service finds it: at work, to be gone on with.
                Err(_) if self.jobs.is_closed() => return,
                Err(error) => {
                    if std::mem::take(&mut waits) {
                        let detail = format!("job {id}: {error}");
                        self.audit.write(&AuditEntry::of_service("the end of a job cannot be kept", &detail));
                    }
                    self.metrics.state_failed();
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        if let Some(job) = self.jobs.get(&id).filter(|job| job.state.is_final()) {
            self.metrics.job(&job, started.elapsed());
            self.audit.write(&AuditEntry::of_job(&job));
        }
        self.tidy().await;
    }

    /// Does it, again where a cluster that does not answer may answer soon.
    async fn attempts(&self, begun: Begun) -> Ended {
        let Begun { job, basis, stop } = begun;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let run = WorkRun {
                id: job.id.clone(),
                cluster: job.cluster.clone(),
                basis: basis.clone(),
                context: self.context.clone(),
                stop: stop.clone(),
                news: self.news(&job.id),
            };
            let request = job.request.clone();
            let done = tokio::spawn(async move { request.run(&run).await }).await;
            match done {
                Ok(Ok(end)) if end.outcome == WorkOutcome::Stopped => return Ended::stopped(&stop),
                Ok(Ok(end)) => return Ended::Done(end),
                Ok(Err(_)) if stop.why().is_some() => return Ended::stopped(&stop),
                Ok(Err(error)) if error.passing && Instant::now() < deadline => {
                    let reason = self.context.redactor().text(&error.problem.reason).into_owned();
                    let data = serde_json::json!({ "reason": reason });
                    self.jobs.tell(&job.id, "again", data, Some(&format!("tried again: {reason}")));
                    tokio::select! {
                        () = stop.asked() => return Ended::stopped(&stop),
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
                Ok(Err(error)) => return Ended::Failed(error),
                Err(_) => {
                    let remedy = "look at the service's own output, and report it with what stands there".to_owned();
                    let reason = "the job has ended with an error in kscen itself".to_owned();
                    return Ended::Failed(WorkError::new(reason, Some(remedy)));
                }
            }
        }
    }

    /// What the work tells, without secrets, and progress not too often.
    fn news(&self, id: &str) -> Arc<dyn Fn(WorkNews) + Send + Sync> {
        let (jobs, id, redactor) = (self.jobs.clone(), id.to_owned(), self.context.redactor().clone());
        let told: Mutex<Option<Instant>> = Mutex::new(None);
        Arc::new(move |news| match news {
            WorkNews::Progress(progress) => {
                let mut told = lock(&told);
                let due = told.is_none_or(|told| told.elapsed() >= TOLD);
                if due {
                    *told = Some(Instant::now());
                }
                jobs.progress(&id, progress, due);
            }
            WorkNews::Event { name, data, message } => {
                let data = serde_json::from_str(&redactor.text(&data.to_string())).unwrap_or_default();
                jobs.tell(&id, &name, data, message.map(|message| redactor.text(&message).into_owned()).as_deref());
            }
            WorkNews::Verifying => {
                // Where that cannot be kept, it is still at work for who looks.
                let _ = jobs.change(&id, |job| job.state = JobState::Verifying);
            }
        })
    }

    /// Forgets old jobs, with the folders that they had.
    async fn tidy(&self) {
        let (jobs, context) = (self.jobs.clone(), self.context.clone());
        aside(move || jobs.prune(KEPT).iter().for_each(|id| context.forget(id))).await;
        self.jobs.awake();
    }
}

/// How a job has ended.
enum Ended {
    Done(WorkEnd),
    Failed(WorkError),
    Stopped(StopWhy),
}

impl Ended {
    fn stopped(stop: &WorkStop) -> Self {
        Self::Stopped(stop.why().unwrap_or(StopWhy::Ending))
    }

    fn apply(self, job: &mut Job) {
        job.ended = Some(jiff::Timestamp::now().as_millisecond());
        match self {
            Self::Done(end) => {
                job.state = match &end.outcome {
                    WorkOutcome::Done => JobState::Succeeded,
                    WorkOutcome::Partial => JobState::Partial,
                    WorkOutcome::Wrong(_) | WorkOutcome::Stopped => JobState::Failed,
                };
                if let WorkOutcome::Wrong(problem) = end.outcome {
                    job.problem = Some(problem);
                }
                // Not every kind counts bytes at its end.
                let bytes = if end.progress.bytes > 0 { end.progress.bytes } else { job.progress.bytes };
                job.progress = JobProgress { bytes, total: job.progress.total, ..end.progress };
                end.messages.iter().for_each(|message| job.tell(message));
                job.result = Some(end.result);
            }
            Self::Failed(error) => {
                job.state = JobState::Failed;
                job.problem = Some(error.problem);
            }
            Self::Stopped(StopWhy::Cancelled) => job.state = JobState::Cancelled,
            Self::Stopped(StopWhy::Ending) => {
                job.state = JobState::Interrupted;
                job.ended = None;
            }
        }
    }
}

/// An end without secrets.
fn hidden(ended: &Ended, hide: &impl Fn(&str) -> String) -> Ended {
    let problem = |problem: &JobProblem| JobProblem {
        reason: hide(&problem.reason),
        remedy: problem.remedy.as_deref().map(hide),
    };
    match ended {
        Ended::Done(end) => Ended::Done(WorkEnd {
            outcome: match &end.outcome {
                WorkOutcome::Wrong(wrong) => WorkOutcome::Wrong(problem(wrong)),
                other => other.clone(),
            },
            progress: end.progress,
            messages: end.messages.iter().map(|message| hide(message)).collect(),
            result: serde_json::from_str(&hide(&end.result.to_string())).unwrap_or_default(),
        }),
        Ended::Failed(error) => Ended::Failed(WorkError { problem: problem(&error.problem), passing: error.passing }),
        Ended::Stopped(why) => Ended::Stopped(*why),
    }
}
