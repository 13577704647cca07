//! What became of a rehearsal.

use crate::cli::Exit;
use crate::environment::Environment;
use crate::environment::fake::FakeStack;
use crate::faults::journal::open_faults;
use crate::faults::{FaultError, undo_journalled};
use crate::record::{Event, EventKind, FaultRecord, Outcome, Record, StepRecord, StepStatus, Watcher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Keeps every event.
pub(super) struct Heard(pub(super) Arc<Mutex<Vec<Event>>>);

impl Watcher for Heard {
    fn event(&mut self, event: &Event, _: Option<&Record>) -> std::io::Result<()> {
        self.0.lock().expect("no watcher panics").push(event.clone());
        Ok(())
    }
}

/// What became of a rehearsal.
pub(crate) struct Performance {
    /// `None` where the program was killed.
    pub(super) record: Option<Record>,
    pub(crate) events: Vec<Event>,
    pub(crate) environment: Arc<FakeStack>,
    /// Each time the environment was let go, whether that was for good.
    pub(crate) released: Vec<bool>,
    pub(super) journal: Option<PathBuf>,
    pub(super) folder: TempDir,
}

impl Performance {
    /// The record of a run that was not killed.
    pub(crate) fn record(&self) -> &Record {
        self.record.as_ref().expect("the run came to its end")
    }

    /// Whether the program was killed.
    pub(crate) fn was_killed(&self) -> bool {
        self.record.is_none()
    }

    /// The verdict.
    pub(crate) fn outcome(&self) -> Outcome {
        self.record().verdict.as_ref().expect("a run that is over has a verdict").outcome
    }

    /// The exit code that `kscen run` would have.
    pub(crate) fn exit(&self) -> u8 {
        Exit::of(self.record()).code()
    }

    /// The reasons of the verdict.
    pub(crate) fn reasons(&self) -> &[String] {
        &self.record().verdict.as_ref().expect("a run that is over has a verdict").reasons
    }

    /// The last record of that step.
    pub(crate) fn step(&self, id: &str) -> &StepRecord {
        let mut steps = self.record().steps.iter().rev();
        steps.find(|step| step.id == id).unwrap_or_else(|| panic!("`{id}` has no record: {:?}", self.lines()))
    }

    /// How that step ended.
    pub(crate) fn status(&self, id: &str) -> StepStatus {
        self.step(id).status
    }

    /// The only fault of that step.
    pub(crate) fn fault(&self, step: &str) -> &FaultRecord {
        let faults: Vec<_> = self.record().faults.iter().filter(|fault| fault.step == step).collect();
        assert_eq!(faults.len(), 1, "{:?}", self.record().faults);
        faults[0]
    }

    /// Steps that started, ended or were skipped, with the second of the run.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.events.iter().filter_map(|event| Some(format!("{:.1} {}", event.at, words(&event.kind)?))).collect()
    }

    /// When that step said that it is prepared, in seconds of the run.
    pub(crate) fn prepared(&self, step: &str) -> Option<f64> {
        let is_it = |event: &&Event| matches!(&event.kind, EventKind::StepPrepared { id } if id == step);
        self.events.iter().find(is_it).map(|event| (event.at * 10.0).round() / 10.0)
    }

    /// What was done to the environment, with the second of the run.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.environment.calls()
    }

    /// What was noted.
    pub(crate) fn notes(&self) -> Vec<String> {
        let note = |event: &Event| match &event.kind {
            EventKind::Note { text } | EventKind::Warning { text } => Some(text.clone()),
            _ => None,
        };
        self.events.iter().filter_map(note).collect()
    }

    /// What the journal says is in force, in words.
    pub(crate) fn journalled(&self) -> Vec<String> {
        let Some(path) = &self.journal else { return Vec::new() };
        open_faults(path).expect("the journal is readable").into_iter().map(|entry| entry.fault).collect()
    }

    /// Undoes what the journal says is in force, as another process does; fault and result in words.
    pub(crate) fn repair(&self) -> Vec<(String, Result<String, FaultError>)> {
        let path = self.journal.as_ref().expect("the run had a journal");
        let open = open_faults(path).expect("the journal is readable");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime can be made");
        let endpoints = self.environment.endpoints();
        let results = runtime.block_on(undo_journalled(&open, Some(self.environment.as_ref()), &endpoints));
        results.into_iter().map(|(entry, result)| (entry.fault.clone(), result)).collect()
    }

    /// The text of a file in the run's folder.
    pub(crate) fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join(name)).ok()
    }
}

fn words(event: &EventKind) -> Option<String> {
    Some(match event {
        EventKind::StepStarted { id, .. } => format!("{id} starts"),
        EventKind::StepEnded { record } => format!("{} {}", record.id, record.status.word()),
        EventKind::Interrupted { .. } => "interrupted".to_owned(),
        EventKind::RunEnded { .. } => "over".to_owned(),
        _ => return None,
    })
}
