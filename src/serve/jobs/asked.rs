//! What is asked of the jobs, and why it may be refused.

use super::claim::JobClaim;
use super::job::Job;
use super::kind::{JobKind, JobState};
use crate::backup::StoreError;
use crate::serve::tokens::hex;
use crate::serve::work::JobRequest;
use openssl::sha::Sha256;

/// A job that is asked for. Its cluster, names and rights were looked at.
#[derive(Clone, Debug)]
pub struct JobAsked {
    /// The cluster.
    pub cluster: String,
    /// What is to be done.
    pub request: JobRequest,
    /// The name of the token that asks.
    pub by: Option<String>,
    /// The schedule that asks.
    pub schedule: Option<String>,
    /// By what the same request is known again.
    pub key: Option<IdempotencyKey>,
}

/// By what a request is known again that was sent twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The SHA-256 of the key, and who sent it.
    pub(super) key: String,
    /// The SHA-256 of what was asked for.
    pub(super) body: String,
}

impl IdempotencyKey {
    /// Of a key, which is each caller's own, and the request's path and body.
    pub fn new(caller: Option<&str>, key: &str, path: &str, body: &[u8]) -> Self {
        let sum = |parts: [&[u8]; 2]| {
            let mut sum = Sha256::new();
            for part in parts {
                // With their lengths, so that no two pairs are one text.
                sum.update(&(part.len() as u64).to_be_bytes());
                sum.update(part);
            }
            hex(&sum.finish())
        };
        Self { key: sum([caller.unwrap_or_default().as_bytes(), key.as_bytes()]), body: sum([path.as_bytes(), body]) }
    }
}

/// What came of asking.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The job.
    pub job: Job,
    /// Whether it was there already: the same request was sent before.
    pub repeated: bool,
}

/// Why a job is not taken.
#[derive(Debug)]
pub enum SubmitError {
    /// So many wait already.
    Full(usize),
    /// Another job writes the same.
    Claimed {
        /// That job.
        job: String,
        /// What it writes.
        claim: JobClaim,
    },
    /// The archive is being deleted.
    Held(String),
    /// The key was sent before, with another request.
    OtherBody(String),
    /// The service is about to end.
    Closed,
    /// It cannot be kept.
    Store(StoreError),
}

/// Why a job is not cancelled.
#[derive(Debug)]
pub enum CancelError {
    /// There is none.
    Unknown,
    /// It is over.
    Over(Box<Job>),
    /// That cannot be kept.
    Store(StoreError),
}

/// Which jobs are listed.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Of this kind.
    pub kind: Option<JobKind>,
    /// In this state.
    pub state: Option<JobState>,
    /// Of this cluster.
    pub cluster: Option<String>,
    /// Of this archive.
    pub archive: Option<String>,
    /// Of this schedule.
    pub schedule: Option<String>,
    /// Those before this one.
    pub before: Option<String>,
    /// At most so many; all where it is 0.
    pub limit: usize,
}

impl JobFilter {
    /// Whether a job is one of them.
    pub(super) fn takes(&self, job: &Job) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        self.kind.is_none_or(|kind| kind == job.kind)
            && self.state.is_none_or(|state| state == job.state)
            && same(&self.cluster, Some(&job.cluster))
            && same(&self.archive, job.archive.as_deref())
            && same(&self.schedule, job.schedule.as_deref())
    }
}

/// Some jobs, the newest first.
#[derive(Clone, Debug)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// What `before` has to be for those that follow; nothing where none do.
    pub next: Option<String>,
}
