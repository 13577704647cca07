//! What work has at hand.

use super::stop::WorkStop;
use crate::backup::Recipient;
use crate::serve::archives::Archives;
use crate::serve::clusters::Clusters;
use crate::serve::jobs::JobProgress;
use crate::text::Redactor;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What all work shares. Cheap to clone.
#[derive(Clone)]
pub struct WorkContext(Arc<Shared>);

struct Shared {
    archives: Archives,
    clusters: Clusters,
    recipients: Vec<Recipient>,
    restores: PathBuf,
    staging: PathBuf,
    redactor: Redactor,
}

impl WorkContext {
    /// With these. Restores keep their checkpoints, and migrations what they stage, below `state`.
    pub fn new(
        (archives, clusters): (Archives, Clusters),
        recipients: Vec<Recipient>,
        state: &Path,
        redactor: Redactor,
    ) -> Self {
        let (restores, staging) = (state.join("restores"), state.join("migrations"));
        Self(Arc::new(Shared { archives, clusters, recipients, restores, staging, redactor }))
    }

    /// The archives.
    pub fn archives(&self) -> &Archives {
        &self.0.archives
    }

    /// The clusters.
    pub fn clusters(&self) -> &Clusters {
        &self.0.clusters
    }

    /// To whom archives are encrypted.
    pub fn recipients(&self) -> &[Recipient] {
        &self.0.recipients
    }

    /// Hides what nobody may see.
    pub fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    /// The folder for the checkpoints of a restore, by its job.
    pub fn restore_folder(&self, job: &str) -> PathBuf {
        self.0.restores.join(job)
    }

    /// The folder below which migrations and moves of queues are staged.
    pub fn staging(&self) -> &Path {
        &self.0.staging
    }

    /// Forgets what was kept of a job.
    pub fn forget(&self, job: &str) {
        // A folder that stays takes room, and harms nothing.
        let _ = std::fs::remove_dir_all(self.restore_folder(job));
    }
}

/// One attempt to do work. Cheap to clone.
#[derive(Clone)]
pub struct WorkRun {
    /// The job.
    pub id: String,
    /// The cluster.
    pub cluster: String,
    /// How things were before the first attempt.
    pub basis: Option<Value>,
    /// What is at hand.
    pub context: WorkContext,
    /// Asks it to stop.
    pub stop: WorkStop,
    /// Is told what happens.
    pub news: Arc<dyn Fn(WorkNews) + Send + Sync>,
}

/// Something that happens at work.
#[derive(Clone, Debug)]
pub enum WorkNews {
    /// It has come farther.
    Progress(JobProgress),
    /// An event, with words where the user should know of it afterwards.
    Event {
        /// What kind of event it is.
        name: String,
        /// What it says.
        data: Value,
        /// The words.
        message: Option<String>,
    },
    /// From now on what was written is checked.
    Verifying,
}

/// Tells an event as the library tells it: an object that names itself in `event`. Folders of this machine are left out.
pub fn tell(news: &(dyn Fn(WorkNews) + Send + Sync), mut event: Value, message: Option<String>) {
    let name = event.get("event").and_then(Value::as_str).unwrap_or("event").to_owned();
    if let Some(fields) = event.as_object_mut() {
        match name.as_str() {
            "resumed" => _ = fields.remove("state"),
            "begun" => _ = fields.remove("staging"),
            _ => {}
        }
    }
    news(WorkNews::Event { name, data: event, message });
}
