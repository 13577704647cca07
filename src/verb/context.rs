//! What a running step may use.

use super::live::Live;
use super::shared_run::SharedRun;
use super::stop::{Stop, StopSignal};
use crate::kafka::Admin;
use crate::record::EventKind;
use crate::text::{Location, Origin};
use crate::verb::StepError;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// Given to [`crate::verb::Step::run`].
pub struct StepContext {
    /// What all steps share.
    pub run: Arc<SharedRun>,
    /// The step's id.
    pub id: String,
    /// Prefix of ids inside the same fragment.
    pub prefix: String,
    /// Where the body stands.
    pub origin: Origin,
    /// Whether the step runs beside the following ones.
    pub background: bool,
    /// When its time is up, where the scenario states one.
    pub deadline: Option<Instant>,
    /// Hears that the step is asked to end.
    pub stop: StopSignal,
    /// Tells the engine that the step is prepared.
    pub prepared: Option<oneshot::Sender<f64>>,
    /// When it was prepared, in seconds of the run.
    pub prepared_at: Option<f64>,
}

impl StepContext {
    /// Says that the step is prepared: the next one may begin.
    pub fn prepared(&mut self) {
        let at = self.run.clock.now();
        self.prepared_at = Some(at);
        self.run.recorder.emit(EventKind::StepPrepared { id: self.id.clone() });
        if let Some(sender) = self.prepared.take() {
            // Foreground steps have nobody who waits.
            let _ = sender.send(at);
        }
    }

    /// Shows the step to others.
    pub fn show(&self, step: Live) {
        self.run.live.enter(&self.id, step);
    }

    /// The full id of a step as named from here.
    pub fn full_id(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// The place of a value within the body.
    pub fn location(&self, pointer: &str) -> Location {
        self.origin.key_location(pointer)
    }

    /// The administrative client.
    ///
    /// # Errors
    /// Where it cannot be created from the environment's client properties.
    pub fn admin(&self) -> Result<Arc<Admin>, StepError> {
        self.run.admin()
    }

    /// Waits for `future`, or until the step has to end at once.
    ///
    /// # Errors
    /// [`crate::verb::ErrorKind::Interrupted`] where it has to end.
    pub async fn unless_stopped<T>(&mut self, future: impl Future<Output = T>) -> Result<T, StepError> {
        tokio::select! {
            value = future => Ok(value),
            _ = self.stop.at_least(Stop::Timeout) => Err(StepError::interrupted()),
        }
    }
}
