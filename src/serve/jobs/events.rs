//! What happens in a job, for those who follow it.

use super::job::Job;
use super::outcome::JobProgress;
use serde_json::Value;
use std::collections::VecDeque;
use tokio::sync::broadcast;

/// So many events of a job that is not over are kept for those who come back.
const KEPT: usize = 1000;
/// So many of one that is over.
const KEPT_AFTERWARDS: usize = 20;
/// So many may be on their way to a slow follower.
const UNDERWAY: usize = 64;
/// The name of the event that a job is in another state; its data is the job.
const STATE: &str = "state";
/// The name of the event that a job has come farther; its data is the progress.
const PROGRESS: &str = "progress";
/// The name of the event that others were not given to a slow follower.
const SKIPPED: &str = "skipped";

/// Something that happened in a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEvent {
    /// Its number, by which a follower comes back; later ones are greater. Progress has none: it is told while it is new.
    pub id: Option<u64>,
    /// What kind of event it is.
    pub name: String,
    /// What it says.
    pub data: Value,
}

/// The events of a job.
pub(super) struct EventLog {
    /// The greatest number that was given.
    last: u64,
    /// Events up to this number are not kept.
    lost: u64,
    kept: VecDeque<JobEvent>,
    live: Option<broadcast::Sender<JobEvent>>,
}

/// Follows a job.
#[derive(Debug)]
pub struct Subscription {
    backlog: VecDeque<JobEvent>,
    live: Option<broadcast::Receiver<JobEvent>>,
}

impl EventLog {
    /// One without events. Numbers begin at the time, in microseconds since the epoch: after a restart they go on above those before.
    pub(super) fn new(now: u64) -> Self {
        Self { last: now, lost: now, kept: VecDeque::new(), live: None }
    }

    /// The job is in another state. Where that is its last one, followers hear nothing more.
    pub(super) fn state(&mut self, job: &Job) {
        // A job is texts, numbers and maps, which can always be written.
        self.add(STATE, serde_json::to_value(job).unwrap_or_default());
        if job.state.is_final() {
            self.live = None;
            self.shorten(KEPT_AFTERWARDS);
        }
    }

    /// The work tells something.
    pub(super) fn add(&mut self, name: &str, data: Value) {
        self.last += 1;
        let event = JobEvent { id: Some(self.last), name: name.to_owned(), data };
        self.send(&event);
        self.kept.push_back(event);
        self.shorten(KEPT);
    }

    /// The job has come farther.
    pub(super) fn progress(&mut self, progress: JobProgress) {
        if self.live.is_some() {
            let data = serde_json::to_value(progress).unwrap_or_default();
            self.send(&JobEvent { id: None, name: PROGRESS.to_owned(), data });
        }
    }

    fn send(&self, event: &JobEvent) {
        if let Some(live) = &self.live {
            // Where nobody follows, nobody is told.
            let _ = live.send(event.clone());
        }
    }

    fn shorten(&mut self, most: usize) {
        while self.kept.len() > most {
            if let Some(gone) = self.kept.pop_front() {
                self.lost = gone.id.unwrap_or(self.lost);
            }
        }
    }

    /// Follows the job: from after this event on; from how the job is now where none is named. An event of a service before this one
    /// stands for all of this one.
    pub(super) fn follow(&mut self, job: &Job, after: Option<u64>) -> Subscription {
        let later = |event: &&JobEvent| after.is_some_and(|after| after <= self.last && event.id > Some(after));
        let mut backlog: VecDeque<JobEvent> = self.kept.iter().filter(later).cloned().collect();
        let follows = after.is_some_and(|after| (self.lost..=self.last).contains(&after));
        if !follows && !backlog.iter().any(|event| event.name == STATE) {
            let data = serde_json::to_value(job).unwrap_or_default();
            backlog.push_back(JobEvent { id: Some(self.last), name: STATE.to_owned(), data });
        }
        let live = match job.state.is_final() {
            true => None,
            false => Some(self.live.get_or_insert_with(|| broadcast::channel(UNDERWAY).0).subscribe()),
        };
        Subscription { backlog, live }
    }
}

impl Subscription {
    /// The next event; `None` once the job is over.
    pub async fn next(&mut self) -> Option<JobEvent> {
        if let Some(event) = self.backlog.pop_front() {
            return Some(event);
        }
        match self.live.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(count)) => {
                Some(JobEvent { id: None, name: SKIPPED.to_owned(), data: serde_json::json!({ "events": count }) })
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
