//! The workers of a run, and its journal.

use super::engine::{EnvironmentSource, failure};
use crate::faults::journal::Journal;
use crate::kafka::LogSink;
use crate::load::afar::Afar;
use crate::record::{EventKind, Failure, Recorder, RunClock};
use crate::worker::{Ensemble, WorkerError, WorkerLink};
use std::sync::Arc;

/// The workers of a run, if it has any.
pub(super) struct Crew(Option<Arc<Ensemble>>);

impl Crew {
    /// Starts a worker at the end of each link.
    ///
    /// # Errors
    /// Why the run has no workers, although it should.
    pub(super) async fn open(
        links: Vec<Box<dyn WorkerLink>>,
        clock: RunClock,
        recorder: &Recorder,
        logs: &LogSink,
    ) -> Result<Self, Failure> {
        if links.is_empty() {
            return Ok(Self(None));
        }
        let (recorder, logs) = (recorder.clone(), logs.clone());
        let opened = tokio::task::spawn_blocking(move || Ensemble::open(links, clock, Some(recorder), logs)).await;
        let failed =
            |message: String, help: Option<&str>| Err(failure("workers", message, help.map(str::to_owned), Vec::new()));
        match opened {
            Ok(Ok(ensemble)) => Ok(Self(Some(Arc::new(ensemble)))),
            Ok(Err(error @ WorkerError::Silent(..))) => {
                failed(error.to_string(), Some("`kscen` has to be there, and to start without asking anything"))
            }
            Ok(Err(error)) => failed(error.to_string(), None),
            Err(error) => failed(error.to_string(), None),
        }
    }

    /// Who runs what does not run here.
    pub(super) fn afar(&self) -> Option<Arc<dyn Afar>> {
        self.0.as_ref().map(|ensemble| ensemble.afar())
    }

    /// Ends them all, and tells what each did.
    pub(super) async fn close(self, recorder: &Recorder) {
        let Some(ensemble) = self.0 else { return };
        let closed = tokio::task::spawn_blocking(move || ensemble.close()).await;
        for record in closed.unwrap_or_default() {
            recorder.emit(EventKind::Worker { record: Box::new(record) });
        }
    }
}

/// Where faults on the environment are journalled.
pub(super) fn opened(stage: &dyn EnvironmentSource) -> Result<Arc<Journal>, Failure> {
    let journal = stage.journal().map_or_else(|| Ok(Journal::none()), |path| Journal::open(&path));
    journal.map(Arc::new).map_err(|error| {
        let message = format!("the undo journal cannot be written: {error}");
        failure("journal", message, None, Vec::new())
    })
}
