//! A job as the API shows it.

use super::kind::{JobKind, JobState};
use super::outcome::{JobProblem, JobProgress};
use crate::serve::work::JobRequest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many messages of a job are kept.
const MOST_MESSAGES: usize = 100;

/// A job. Times are in ms since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// What tells it from others. Later jobs have greater ones.
    pub id: String,
    /// What kind of work it is.
    pub kind: JobKind,
    /// How far it is.
    pub state: JobState,
    /// The cluster: an environment of `kscen.yaml`.
    pub cluster: String,
    /// The archive, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// What was asked for, with what was left open filled in.
    pub request: JobRequest,
    /// The name of the token that asked for it; nothing where the service has no tokens, or a schedule asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The schedule that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// When it was asked for.
    pub submitted: i64,
    /// When it was begun for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<i64>,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
    /// How often it was begun: more than once where the service ended meanwhile.
    pub attempts: u32,
    /// How far this attempt is.
    pub progress: JobProgress,
    /// What the user should know: what is missing, what differs, what was noted. The first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<JobProblem>,
    /// What has come of it: depends on its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}

impl Job {
    /// A new one, which waits.
    pub(super) fn new(id: String, cluster: String, request: JobRequest, submitted: i64) -> Self {
        Self {
            id,
            kind: request.kind(),
            state: JobState::Queued,
            cluster,
            archive: request.archive().map(str::to_owned),
            request,
            by: None,
            schedule: None,
            submitted,
            started: None,
            ended: None,
            attempts: 0,
            progress: JobProgress::default(),
            messages: Vec::new(),
            problem: None,
            result: None,
        }
    }

    /// Adds a message, unless it is there already or there are enough.
    pub(super) fn tell(&mut self, message: &str) {
        if self.messages.len() < MOST_MESSAGES && !self.messages.iter().any(|known| known == message) {
            self.messages.push(message.to_owned());
        }
    }
}
