//! The jobs in memory, and what stands in the way of a new one.

use super::asked::{IdempotencyKey, JobAsked, SubmitError};
use super::events::EventLog;
use super::file::{JobFile, StoredKey};
use super::job::Job;
use super::kind::JobState;
use crate::serve::work::WorkStopper;
use std::collections::{BTreeMap, BTreeSet};

/// How long a key is known, in ms.
pub(super) const KEYS_LAST: i64 = 24 * 60 * 60 * 1000;

/// All of them.
#[derive(Default)]
pub(super) struct JobTable {
    pub(super) jobs: BTreeMap<String, Entry>,
    /// The jobs of the keys that are known.
    pub(super) keys: BTreeMap<String, String>,
    /// Archives that are being deleted.
    pub(super) held: BTreeSet<String>,
    /// Whether the service is about to end.
    pub(super) closed: bool,
}

/// One of them.
pub(super) struct Entry {
    pub(super) file: JobFile,
    pub(super) log: EventLog,
    /// Asks it to stop, while it is at work.
    pub(super) stopper: Option<WorkStopper>,
}

impl Entry {
    /// Whether nothing more becomes of it.
    pub(super) fn is_over(&self) -> bool {
        self.file.job.state.is_final()
    }

    /// Whether it may begin.
    pub(super) fn waits(&self) -> bool {
        self.stopper.is_none() && matches!(self.file.job.state, JobState::Queued | JobState::Interrupted)
    }
}

impl JobTable {
    /// Enters a job that is on disk.
    pub(super) fn enter(&mut self, file: JobFile) {
        if let Some(key) = &file.key {
            self.keys.insert(key.key.clone(), file.job.id.clone());
        }
        let log = EventLog::new(u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0));
        self.jobs.insert(file.job.id.clone(), Entry { file, log, stopper: None });
    }

    /// The job of the same request, where it was sent before.
    pub(super) fn repeated(&self, key: Option<&IdempotencyKey>) -> Result<Option<Job>, SubmitError> {
        let Some(key) = key else { return Ok(None) };
        let Some(entry) = self.keys.get(&key.key).and_then(|id| self.jobs.get(id)) else { return Ok(None) };
        let job = &entry.file.job;
        if now() - job.submitted > KEYS_LAST {
            return Ok(None);
        }
        match &entry.file.key {
            Some(stored) if stored.body == key.body => Ok(Some(job.clone())),
            _ => Err(SubmitError::OtherBody(job.id.clone())),
        }
    }

    /// A document of a new job, where nothing stands in its way.
    pub(super) fn admit(&self, asked: JobAsked, queue: usize) -> Result<JobFile, SubmitError> {
        if self.closed {
            return Err(SubmitError::Closed);
        }
        let waiting = self.jobs.values().filter(|entry| entry.waits()).count();
        if waiting >= queue {
            return Err(SubmitError::Full(waiting));
        }
        let submitted = now();
        let id = self.next_id(submitted);
        let mut request = asked.request;
        request.name(&id, submitted);
        if let Some(archive) = request.archive().filter(|archive| self.held.contains(*archive)) {
            return Err(SubmitError::Held(archive.to_owned()));
        }
        let claims = request.claims(&asked.cluster);
        for other in self.jobs.values().filter(|entry| !entry.is_over()).map(|entry| &entry.file.job) {
            let theirs = other.request.claims(&other.cluster);
            if let Some(claim) = claims.iter().find(|claim| theirs.contains(claim)) {
                return Err(SubmitError::Claimed { job: other.id.clone(), claim: claim.clone() });
            }
        }
        let job = Job { by: asked.by, schedule: asked.schedule, ..Job::new(id, asked.cluster, request, submitted) };
        let key = asked.key.map(|key| StoredKey { key: key.key, body: key.body });
        Ok(JobFile { job, key, basis: None, cancelled: false })
    }

    /// An id above all others: the time, and something random.
    fn next_id(&self, now: i64) -> String {
        let last = self.jobs.keys().next_back().and_then(|id| i64::from_str_radix(id.get(..12)?, 16).ok());
        let time = last.map_or(now, |last| now.max(last + 1));
        format!("{time:012x}{:08x}", rand::random::<u32>())
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
