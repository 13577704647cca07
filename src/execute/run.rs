//! What all steps of a run share.

use super::changes::Changes;
use super::live::LiveSteps;
use super::owned::Owned;
use super::recorder::Recorder;
use super::undo::UndoStack;
use crate::environment::{Endpoints, Environment};
use crate::kafka::{Admin, LogSink};
use crate::ledger::RunIdentity;
use crate::load::RunClock;
use crate::plan::{Live, Plan};
use crate::record::{Folder, Record};
use crate::scenario::Guarantee;
use crate::step::StepError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How long one administrative request may take.
const ADMIN_PATIENCE: Duration = Duration::from_secs(15);

/// What all steps of a run share.
pub struct Run {
    /// The plan.
    pub plan: Plan,
    /// The run's clock.
    pub clock: RunClock,
    /// Where events go.
    pub recorder: Recorder,
    /// Where the scenario runs.
    pub environment: Arc<dyn Environment>,
    /// Addresses, as they are while the run lasts.
    pub endpoints: Endpoints,
    /// Who sends and reads: numbers producers and tells this run's messages from others'.
    pub identity: Arc<RunIdentity>,
    /// Steps as others see them.
    pub live: LiveSteps,
    /// Faults in force.
    pub undo: UndoStack,
    /// What the run made.
    pub owned: Owned,
    /// What the database committed.
    pub changes: Changes,
    /// The run's folder: result, logs, events.
    pub folder: PathBuf,
    /// Whether things that kscen did not make may be deleted.
    pub allow_delete: bool,
    /// Where the lines of all clients' logs go.
    pub client_logs: LogSink,
    pub(super) folded: Arc<Mutex<Folder>>,
    pub(super) admin: OnceLock<Arc<Admin>>,
}

impl Run {
    /// The run's id.
    pub fn id(&self) -> &str {
        &self.plan.bindings.run_id
    }

    /// The record so far.
    pub fn snapshot(&self) -> Option<Record> {
        self.recorder.sync();
        self.folded.lock().unwrap_or_else(PoisonError::into_inner).record().cloned()
    }

    /// Properties that every client of the run needs.
    pub fn connection(&self) -> BTreeMap<String, String> {
        let mut properties = self.endpoints.client_config.clone();
        properties.insert("bootstrap.servers".to_owned(), self.endpoints.bootstrap.clone());
        properties
    }

    /// The administrative client, made when it is first needed.
    ///
    /// # Errors
    /// Where it cannot be created from the environment's client properties.
    pub fn admin(&self) -> Result<Arc<Admin>, StepError> {
        if let Some(admin) = self.admin.get() {
            return Ok(Arc::clone(admin));
        }
        let admin = Admin::new(&self.connection(), ADMIN_PATIENCE, self.client_logs.clone())
            .map_err(|error| StepError::broken("admin-client", error.to_string()))?;
        Ok(Arc::clone(self.admin.get_or_init(|| Arc::new(admin))))
    }

    /// The scenario's guarantee.
    pub fn guarantee(&self) -> Option<Guarantee> {
        self.plan.guarantee()
    }
}

/// What references to a running scenario stand for.
pub(super) struct LiveValues<'a>(pub &'a Run);

impl Live for LiveValues<'_> {
    fn metric(&self, step: &str, path: &[String]) -> Result<Value, String> {
        let record = self.0.live.record(step).ok_or_else(|| format!("`{step}` has not ended yet"))?;
        crate::judge::measure::for_reference(&record, path)
    }

    fn endpoints(&self) -> Endpoints {
        self.0.endpoints.clone()
    }
}
