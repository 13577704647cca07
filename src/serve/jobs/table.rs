//! The jobs: in memory for those who look, and on disk before anybody is told.

use super::asked::{CancelError, IdempotencyKey, JobAsked, JobFilter, JobPage, SubmitError, Submitted};
use super::entries::{Entry, JobTable, KEYS_LAST};
use super::events::Subscription;
use super::file::JobFile;
use super::job::Job;
use super::kind::{JobKind, JobState};
use super::outcome::JobProgress;
use crate::backup::StoreError;
use crate::ground::lock;
use crate::serve::aside::aside;
use crate::serve::state::{ServeState, SetAside};
use crate::serve::work::{StopWhy, WorkStop, WorkStopper};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, watch};

/// The jobs. Cheap to clone.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    state: ServeState,
    /// So many may wait.
    queue: usize,
    /// Held while something is written: changes come one after the other.
    turn: Mutex<()>,
    /// Never held while something is written.
    table: Mutex<JobTable>,
    changes: watch::Sender<u64>,
    waiting: Notify,
}

/// A job that has just begun.
pub(super) struct Begun {
    pub(super) job: Job,
    pub(super) basis: Option<Value>,
    pub(super) stop: WorkStop,
}

/// An archive that no job may take as long as this is held.
pub struct HeldArchive {
    jobs: Jobs,
    name: String,
}

impl Drop for HeldArchive {
    fn drop(&mut self) {
        lock(&self.jobs.0.table).held.remove(&self.name);
    }
}

impl Jobs {
    /// The jobs that are kept, of which those that were at work wait to go on. With the documents that were damaged.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn read(state: ServeState, queue: usize) -> Result<(Self, Vec<SetAside>), StoreError> {
        let (files, damaged) = JobFile::read_all(&state)?;
        let mut table = JobTable::default();
        for mut file in files {
            if matches!(file.job.state, JobState::Running | JobState::Verifying) {
                file.job.state = JobState::Interrupted;
            }
            if file.cancelled && !file.job.state.is_final() {
                file.job.state = JobState::Cancelled;
                file.job.ended = Some(now());
                file.write(&state)?;
            }
            table.enter(file);
        }
        let inner = Inner {
            state,
            queue,
            turn: Mutex::default(),
            table: Mutex::new(table),
            changes: watch::channel(0).0,
            waiting: Notify::new(),
        };
        Ok((Self(Arc::new(inner)), damaged))
    }

    /// Some of the jobs, the newest first.
    pub fn list(&self, filter: &JobFilter) -> JobPage {
        let table = lock(&self.0.table);
        let before = |id: &String| filter.before.as_ref().is_none_or(|before| id < before);
        let found = table.jobs.iter().rev().filter(|(id, _)| before(id)).map(|(_, entry)| &entry.file.job);
        let mut found = found.filter(|job| filter.takes(job));
        let most = if filter.limit == 0 { usize::MAX } else { filter.limit };
        let jobs: Vec<Job> = found.by_ref().take(most).cloned().collect();
        let next = found.next().and(jobs.last()).map(|job| job.id.clone());
        JobPage { jobs, next }
    }

    /// A job.
    pub fn get(&self, id: &str) -> Option<Job> {
        lock(&self.0.table).jobs.get(id).map(|entry| entry.file.job.clone())
    }

    /// How many there are of each kind in each state.
    pub fn counts(&self) -> BTreeMap<(JobKind, JobState), u64> {
        let mut counts = BTreeMap::new();
        for entry in lock(&self.0.table).jobs.values() {
            *counts.entry((entry.file.job.kind, entry.file.job.state)).or_default() += 1;
        }
        counts
    }

    /// The job of a request that was sent before.
    ///
    /// # Errors
    /// The key was sent before, with another request.
    pub fn known(&self, key: Option<&IdempotencyKey>) -> Result<Option<Submitted>, SubmitError> {
        let known = lock(&self.0.table).repeated(key)?;
        Ok(known.map(|job| Submitted { job, repeated: true }))
    }

    /// How many are not over.
    pub fn unfinished(&self) -> usize {
        lock(&self.0.table).jobs.values().filter(|entry| !entry.is_over()).count()
    }

    /// Takes a job: when this returns, it is kept, whatever ends the service.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(&self, asked: JobAsked) -> Result<Submitted, SubmitError> {
        let jobs = self.clone();
        aside(move || jobs.submit_now(asked)).await
    }

    pub(super) fn submit_now(&self, asked: JobAsked) -> Result<Submitted, SubmitError> {
        let _turn = lock(&self.0.turn);
        let file = {
            let table = lock(&self.0.table);
            if let Some(job) = table.repeated(asked.key.as_ref())? {
                return Ok(Submitted { job, repeated: true });
            }
            table.admit(asked, self.0.queue)?
        };
        file.write(&self.0.state).map_err(SubmitError::Store)?;
        let job = file.job.clone();
        lock(&self.0.table).enter(file);
        self.changed();
        self.0.waiting.notify_one();
        Ok(Submitted { job, repeated: false })
    }

    /// Cancels a job: one that waits at once; one that is at work is asked to stop, and that is kept.
    ///
    /// # Errors
    /// See [`CancelError`].
    pub async fn cancel(&self, id: &str) -> Result<Job, CancelError> {
        let (jobs, id) = (self.clone(), id.to_owned());
        aside(move || jobs.cancel_now(&id)).await
    }

    pub(super) fn cancel_now(&self, id: &str) -> Result<Job, CancelError> {
        let _turn = lock(&self.0.turn);
        let (mut file, stopper) = {
            let table = lock(&self.0.table);
            let entry = table.jobs.get(id).ok_or(CancelError::Unknown)?;
            (entry.file.clone(), entry.stopper.clone())
        };
        match file.job.state {
            JobState::Cancelled => return Ok(file.job),
            state if state.is_final() => return Err(CancelError::Over(Box::new(file.job))),
            _ => {}
        }
        file.cancelled = true;
        if stopper.is_none() {
            file.job.state = JobState::Cancelled;
            file.job.ended = Some(now());
        }
        file.write(&self.0.state).map_err(CancelError::Store)?;
        let job = file.job.clone();
        self.replace(file);
        if let Some(stopper) = stopper {
            stopper.stop(StopWhy::Cancelled);
        }
        Ok(job)
    }

    /// Follows a job, from after this event on where it is known. `None` where there is no such job.
    pub fn subscribe(&self, id: &str, after: Option<u64>) -> Option<Subscription> {
        let mut table = lock(&self.0.table);
        let entry = table.jobs.get_mut(id)?;
        Some(entry.log.follow(&entry.file.job, after))
    }

    /// Counts up whenever a job changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Waits until a job is over. `None` where there is no such job.
    pub async fn ended(&self, id: &str) -> Option<Job> {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            let job = self.get(id)?;
            if job.state.is_final() || changes.changed().await.is_err() {
                return Some(job);
            }
        }
    }

    /// Keeps jobs from taking an archive, which is about to be deleted.
    ///
    /// # Errors
    /// The job that has it.
    pub fn hold(&self, archive: &str) -> Result<HeldArchive, Option<String>> {
        let mut table = lock(&self.0.table);
        let has = |entry: &&Entry| entry.file.job.archive.as_deref() == Some(archive) && !entry.is_over();
        if let Some(entry) = table.jobs.values().find(has) {
            return Err(Some(entry.file.job.id.clone()));
        }
        if !table.held.insert(archive.to_owned()) {
            return Err(None);
        }
        Ok(HeldArchive { jobs: self.clone(), name: archive.to_owned() })
    }

    /// Takes no jobs any more, begins none, and asks those at work to stop.
    pub fn close(&self) {
        let mut table = lock(&self.0.table);
        table.closed = true;
        for stopper in table.jobs.values().filter_map(|entry| entry.stopper.as_ref()) {
            stopper.stop(StopWhy::Ending);
        }
        drop(table);
        self.0.waiting.notify_one();
    }

    /// Whether it does.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.0.table).closed
    }

    /// Waits until something may be there to begin.
    pub(super) async fn wake(&self) {
        self.0.waiting.notified().await;
    }

    /// Something may be there to begin.
    pub(super) fn awake(&self) {
        self.0.waiting.notify_one();
    }

    /// The first that waits.
    pub(super) fn waiting(&self) -> Option<Job> {
        let table = lock(&self.0.table);
        let waits = |entry: &&Entry| entry.waits() && !table.closed;
        table.jobs.values().find(waits).map(|entry| entry.file.job.clone())
    }

    /// Begins a job that waits: from when this returns, it is known to have begun. Nothing where it waits no more.
    ///
    /// # Errors
    /// It cannot be kept, and has not begun.
    pub(super) fn begin(&self, id: &str, basis: Option<Value>) -> Result<Option<Begun>, StoreError> {
        let _turn = lock(&self.0.turn);
        let mut file = match lock(&self.0.table).jobs.get(id) {
            Some(entry) if entry.waits() => entry.file.clone(),
            _ => return Ok(None),
        };
        file.job.state = JobState::Running;
        file.job.started.get_or_insert(now());
        file.job.attempts += 1;
        file.job.progress = JobProgress::default();
        if file.basis.is_none() {
            file.basis = basis;
        }
        file.write(&self.0.state)?;
        let (stopper, stop) = WorkStopper::new();
        let begun = Begun { job: file.job.clone(), basis: file.basis.clone(), stop };
        let mut table = lock(&self.0.table);
        if table.closed {
            stopper.stop(StopWhy::Ending);
        }
        if let Some(entry) = table.jobs.get_mut(id) {
            entry.stopper = Some(stopper);
        }
        drop(table);
        self.replace(file);
        Ok(Some(begun))
    }

    /// The basis of a job's first attempt, where it had one.
    pub(super) fn has_basis(&self, id: &str) -> bool {
        lock(&self.0.table).jobs.get(id).is_some_and(|entry| entry.file.basis.is_some())
    }

    /// Changes a job that has begun, on disk first. Where it is no more at work, it waits or is over.
    ///
    /// # Errors
    /// It cannot be kept, and stays as it was.
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut Job)) -> Result<(), StoreError> {
        let _turn = lock(&self.0.turn);
        let Some(mut file) = lock(&self.0.table).jobs.get(id).map(|entry| entry.file.clone()) else { return Ok(()) };
        change(&mut file.job);
        file.write(&self.0.state)?;
        self.replace(file);
        Ok(())
    }

    /// A job has come farther. That is kept with the next change, and told where it is time to.
    pub(super) fn progress(&self, id: &str, progress: JobProgress, told: bool) {
        if let Some(entry) = lock(&self.0.table).jobs.get_mut(id) {
            entry.file.job.progress = progress;
            if told {
                entry.log.progress(progress);
            }
        }
        if told {
            self.changed();
        }
    }

    /// A job tells something. The message is kept with the next change.
    pub(super) fn tell(&self, id: &str, name: &str, data: Value, message: Option<&str>) {
        if let Some(entry) = lock(&self.0.table).jobs.get_mut(id) {
            if let Some(message) = message {
                entry.file.job.tell(message);
            }
            entry.log.add(name, data);
        }
        self.changed();
    }

    /// Forgets the oldest jobs that are over, so that this many are left; none of the last day. Answers which are forgotten.
    pub(super) fn prune(&self, most: usize) -> Vec<String> {
        let _turn = lock(&self.0.turn);
        let old: Vec<String> = {
            let table = lock(&self.0.table);
            let day = |job: &Job| job.ended.is_some_and(|ended| now() - ended > KEYS_LAST);
            let over = table.jobs.values().filter(|entry| entry.is_over());
            let excess = over.clone().count().saturating_sub(most);
            over.take(excess).map(|entry| &entry.file.job).filter(|job| day(job)).map(|job| job.id.clone()).collect()
        };
        let gone: Vec<String> = old.into_iter().filter(|id| JobFile::remove(id, &self.0.state).is_ok()).collect();
        let mut table = lock(&self.0.table);
        for id in &gone {
            // After a day a key may stand for a later job.
            if let Some(key) = table.jobs.remove(id).and_then(|entry| entry.file.key)
                && table.keys.get(&key.key) == Some(id)
            {
                table.keys.remove(&key.key);
            }
        }
        gone
    }

    fn replace(&self, file: JobFile) {
        let mut table = lock(&self.0.table);
        if let Some(entry) = table.jobs.get_mut(&file.job.id) {
            // What was told meanwhile is not lost.
            let told = std::mem::take(&mut entry.file.job.messages);
            let other = entry.file.job.state != file.job.state;
            entry.file = file;
            told.iter().for_each(|message| entry.file.job.tell(message));
            if !matches!(entry.file.job.state, JobState::Running | JobState::Verifying) {
                entry.stopper = None;
            }
            if other {
                entry.log.state(&entry.file.job);
            }
        }
        drop(table);
        self.changed();
    }

    fn changed(&self) {
        self.0.changes.send_modify(|count| *count += 1);
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
