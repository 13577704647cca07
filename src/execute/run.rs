//! What all steps of a run share.

use super::clock::RunClock;
use super::live::LiveSteps;
use super::owned::Owned;
use super::recorder::Recorder;
use super::undo::UndoStack;
use crate::environment::{Endpoints, Environment};
use crate::kafka::Admin;
use crate::ledger::RunIdentity;
use crate::plan::{Live, Plan};
use crate::scenario::Guarantee;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

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
    /// The run's folder: result, logs, events.
    pub folder: PathBuf,
    /// Whether things that kscen did not make may be deleted.
    pub allow_delete: bool,
    pub(super) admin: OnceLock<Arc<Admin>>,
}

impl Run {
    /// The run's id.
    pub fn id(&self) -> &str {
        &self.plan.bindings.run_id
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
