//! The workers of a run, and its journal.

use super::engine::{EnvironmentSource, failure};
use crate::environment::{EnvironmentResult, Recipe};
use crate::faults::journal::Journal;
use crate::faults::{Journalled, Undo};
use crate::kafka::LogSink;
use crate::load::afar::Afar;
use crate::record::{EventKind, Failure, Recorder, RunClock};
use crate::worker::{Ensemble, WorkerError, WorkerLink};
use std::sync::Arc;

/// The workers of a run, if it has any.
pub(super) struct Crew {
    ensemble: Option<Arc<Ensemble>>,
    /// What its links leave in the world where this process is killed, as it stands in the journal.
    journalled: Vec<u64>,
    journal: Arc<Journal>,
}

impl Crew {
    /// Starts a worker at the end of each link.
    ///
    /// # Errors
    /// Why the run has no workers, although it should.
    pub(super) async fn open(
        links: Vec<Box<dyn WorkerLink>>,
        clock: RunClock,
        (recorder, logs): (&Recorder, &LogSink),
        journal: Arc<Journal>,
    ) -> Result<Self, Failure> {
        let mut crew = Self { ensemble: None, journalled: Vec::new(), journal };
        if links.is_empty() {
            return Ok(crew);
        }
        for (what, recipe) in links.iter().filter_map(|link| link.remains()) {
            match announce(&crew.journal, &what, recipe) {
                Ok(number) => crew.journalled.push(number),
                Err(message) => return Err(failure("workers", format!("{what}: {message}"), None, Vec::new())),
            }
        }
        let (recorder, logs) = (recorder.clone(), logs.clone());
        let opened = tokio::task::spawn_blocking(move || Ensemble::open(links, clock, Some(recorder), logs)).await;
        let failed =
            |message: String, help: Option<&str>| Err(failure("workers", message, help.map(str::to_owned), Vec::new()));
        match opened {
            Ok(Ok(ensemble)) => {
                crew.ensemble = Some(Arc::new(ensemble));
                Ok(crew)
            }
            Ok(Err(error @ WorkerError::Silent(..))) => {
                failed(error.to_string(), Some("`kscen` has to be there, and to start without asking anything"))
            }
            Ok(Err(error)) => failed(error.to_string(), None),
            Err(error) => failed(error.to_string(), None),
        }
    }

    /// Who runs what does not run here.
    pub(super) fn afar(&self) -> Option<Arc<dyn Afar>> {
        self.ensemble.as_ref().map(|ensemble| ensemble.afar())
    }

    /// Ends them all, and tells what each did.
    pub(super) async fn close(self, recorder: &Recorder) {
        let Some(ensemble) = self.ensemble else { return };
        let closed = tokio::task::spawn_blocking(move || ensemble.close()).await;
        for record in closed.unwrap_or_default() {
            recorder.emit(EventKind::Worker { record: Box::new(record) });
        }
        // What the links had made went with them.
        self.journalled.iter().for_each(|number| self.journal.strike(*number));
    }
}

/// Writes down what removes what is about to be made.
fn announce(journal: &Journal, what: &str, recipe: EnvironmentResult<Recipe>) -> Result<u64, String> {
    let recipe = recipe.map_err(|error| error.to_string())?;
    let entry = Journalled { fault: what.to_owned(), undo: Undo::Remove, recipe: Some(Box::new(recipe)) };
    journal.announce(&entry).map_err(|error| format!("the undo journal cannot be written: {error}"))
}

/// Where faults on the environment are journalled.
pub(super) fn opened(stage: &dyn EnvironmentSource) -> Result<Arc<Journal>, Failure> {
    let journal = stage.journal().map_or_else(|| Ok(Journal::none()), |path| Journal::open(&path));
    journal.map(Arc::new).map_err(|error| {
        let message = format!("the undo journal cannot be written: {error}");
        failure("journal", message, None, Vec::new())
    })
}
