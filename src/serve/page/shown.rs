//! What the service has to show at a moment, and its parts rendered.

use super::templates;
use super::view::{Shown, parts};
use crate::serve::archives::ArchiveEntry;
use crate::serve::aside::aside;
use crate::serve::jobs::{Job, JobFilter, JobState};
use crate::serve::schedule::ScheduleStatus;
use crate::serve::service::Service;
use crate::serve::tokens::Caller;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// So many jobs are on a page.
const JOBS: usize = 50;

/// What the service has to show.
pub struct Gathered {
    /// Some jobs, the newest first.
    pub jobs: Vec<Job>,
    /// The job that older ones are before, where there are such.
    pub older: Option<String>,
    /// All archives, or why they cannot be listed.
    pub archives: Result<Vec<ArchiveEntry>, String>,
    /// When that was, in ms since the epoch.
    pub now: i64,
    waiting: usize,
    running: usize,
    schedules: Vec<ScheduleStatus>,
    troubles: Vec<String>,
}

impl Gathered {
    /// What there is now; of the jobs, those before this one.
    pub async fn now(service: &Service, before: Option<String>) -> Self {
        let archives = service.archives().clone();
        let archives = aside(move || archives.list()).await.map_err(|problem| problem.detail);
        let counts = service.jobs().counts();
        let of = |states: &[JobState]| {
            counts.iter().filter(|((_, state), _)| states.contains(state)).map(|(_, count)| *count as usize).sum()
        };
        let page = service.jobs().list(&JobFilter { before, limit: JOBS, ..JobFilter::default() });
        let now = Timestamp::now();
        Self {
            jobs: page.jobs,
            older: page.next,
            archives,
            now: now.as_millisecond(),
            waiting: of(&[JobState::Queued, JobState::Interrupted]),
            running: of(&[JobState::Running, JobState::Verifying]),
            schedules: service.schedules().list(now),
            troubles: service.schedules().troubles(),
        }
    }

    /// The parts of the page that change, rendered, by their names.
    ///
    /// # Errors
    /// A template that cannot be rendered.
    pub fn parts(&self, caller: &Caller) -> Result<BTreeMap<&'static str, String>, String> {
        let shown = Shown {
            jobs: &self.jobs,
            waiting: self.waiting,
            running: self.running,
            archives: self.archives.as_deref().map_err(String::as_str),
            schedules: &self.schedules,
            troubles: &self.troubles,
            caller,
            now: self.now,
        };
        parts(&shown).into_iter().map(|(name, view)| Ok((name, templates::render(name, &view)?))).collect()
    }
}
