//! Steps while they run, as other steps see them.

use crate::environment::{Action, Effect};
use crate::record::{Progress, StepRecord};
use crate::step::StepError;
use futures_util::future::BoxFuture;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a running step shows.
pub trait LiveStep: Send + Sync {
    /// Figures for the terminal.
    fn progress(&self) -> Progress;
    /// Messages acknowledged or read, rows done.
    fn count(&self) -> u64;
    /// Share of the fixed schedule that is due, `0..=1`; `None` where there is no schedule.
    fn share(&self) -> Option<f64> {
        None
    }
    /// Acts on one member of a reader, or on all.
    fn act<'a>(&'a self, action: Action, member: Option<usize>) -> BoxFuture<'a, Result<Effect, StepError>> {
        let _ = member;
        Box::pin(
            async move { Err(StepError::broken("not-a-reader", format!("this step cannot be {}ed", action.verb()))) },
        )
    }
    /// The step's own type, for steps that know each other.
    fn as_any(&self) -> &dyn Any;
}

#[derive(Clone)]
enum Entry {
    Running(Arc<dyn LiveStep>),
    Ended(Box<StepRecord>, Option<Arc<dyn LiveStep>>),
}

/// All steps that have something to show, by id.
#[derive(Default)]
pub struct LiveSteps(Mutex<BTreeMap<String, Entry>>);

impl LiveSteps {
    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step shows itself.
    pub fn enter(&self, id: &str, step: Arc<dyn LiveStep>) {
        self.entries().insert(id.to_owned(), Entry::Running(step));
    }

    /// A step ended.
    pub fn end(&self, id: &str, record: StepRecord) {
        let mut entries = self.entries();
        let live = match entries.remove(id) {
            Some(Entry::Running(step)) => Some(step),
            Some(Entry::Ended(_, live)) => live,
            None => None,
        };
        entries.insert(id.to_owned(), Entry::Ended(Box::new(record), live));
    }

    /// What a step shows, also after its end.
    pub fn get(&self, id: &str) -> Option<Arc<dyn LiveStep>> {
        match self.entries().get(id)? {
            Entry::Running(step) => Some(Arc::clone(step)),
            Entry::Ended(_, step) => step.clone(),
        }
    }

    /// The record of a step that ended.
    pub fn record(&self, id: &str) -> Option<StepRecord> {
        match self.entries().get(id)? {
            Entry::Running(_) => None,
            Entry::Ended(record, _) => Some((**record).clone()),
        }
    }

    /// Records of all steps that ended.
    pub fn records(&self) -> Vec<StepRecord> {
        self.entries()
            .values()
            .filter_map(|entry| match entry {
                Entry::Running(_) => None,
                Entry::Ended(record, _) => Some((**record).clone()),
            })
            .collect()
    }

    /// Steps that are running, with their figures.
    pub fn progress(&self) -> Vec<(String, Progress)> {
        self.entries()
            .iter()
            .filter_map(|(id, entry)| match entry {
                Entry::Running(step) => Some((id.clone(), step.progress())),
                Entry::Ended(..) => None,
            })
            .collect()
    }
}
