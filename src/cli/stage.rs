//! Provides environments to runs, and shares one stack among scenarios with the same needs.

use super::repair::{self, repair};
use crate::environment::{Environment, EnvironmentError, EnvironmentResult, Grant, Host, Needs, unsuited};
use crate::execute::EnvironmentSource;
use crate::ground::scratch::{self, Scratch};
use crate::project::{Busy, Project, RunLock, is_same, journal_path};
use crate::text::Problem;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at a busy environment.
const AGAIN: Duration = Duration::from_millis(300);

type Note<'a> = &'a (dyn Fn(String) + Sync);

/// Starts what the project's environment is, when the first run needs it.
pub struct ProjectStage {
    project: Project,
    scratch: Scratch,
    shared: Option<Shared>,
    /// Other environments that the run at work reaches, by their names.
    others: BTreeMap<String, Box<Self>>,
    lock: Option<Arc<RunLock>>,
    /// Whether the lock is that of another environment of the same run, which is this one under another name.
    is_guest: bool,
    stacks: usize,
    /// Whether a busy environment is waited for.
    wait: bool,
}

/// An environment that serves one scenario after the other.
struct Shared {
    needs: Needs,
    environment: Arc<dyn Environment>,
    journal: Option<PathBuf>,
}

impl ProjectStage {
    /// A stage for one environment. What killed runs have left in folders and processes of this user is removed first.
    ///
    /// # Errors
    /// Where no folder for data can be made.
    pub fn new(project: Project) -> std::io::Result<Self> {
        scratch::sweep();
        let scratch = Scratch::new()?;
        let (shared, others) = (None, BTreeMap::new());
        Ok(Self { project, scratch, shared, others, lock: None, is_guest: false, stacks: 0, wait: false })
    }

    /// Waits for an environment that another run has.
    #[must_use]
    pub fn waiting(mut self, wait: bool) -> Self {
        self.wait = wait;
        self
    }

    /// A stage for another environment of the project. Where one of this run is the same, under another name, they share its lock.
    fn other(&self, name: &str) -> EnvironmentResult<Self> {
        let failed = |problems: Vec<Problem>| {
            let words: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
            EnvironmentError::failed(words.join("; "))
        };
        let project = self.project.sibling(name).map_err(failed)?;
        let known = std::iter::once(self).chain(self.others.values().map(Box::as_ref));
        let mut same = known.filter(|stage| is_same(&stage.project, &project));
        let lock = same.find_map(|stage| stage.lock.clone());
        let mut other = Self::new(project).map_err(EnvironmentError::because)?.waiting(self.wait);
        other.is_guest = lock.is_some();
        other.lock = lock;
        Ok(other)
    }

    /// Its project.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// What may be done on its environments.
    pub fn granted(&self) -> BTreeSet<Grant> {
        self.project.granted()
    }

    /// Stops what was started.
    ///
    /// # Errors
    /// What could not be stopped or removed.
    pub async fn close(&mut self) -> EnvironmentResult<()> {
        let others = self.close_others().await;
        let own = match self.shared.take() {
            Some(shared) => shared.environment.shutdown().await,
            None => Ok(()),
        };
        own.and(others)
    }

    /// Stops what was started beside it.
    fn close_others(&mut self) -> BoxFuture<'_, EnvironmentResult<()>> {
        Box::pin(async move {
            let mut closed = Ok(());
            for (_, mut other) in std::mem::take(&mut self.others) {
                closed = closed.and(other.close().await);
            }
            closed
        })
    }

    async fn start(&mut self, needs: &Needs, note: Note<'_>) -> EnvironmentResult<Shared> {
        let (kind, site) = (Arc::clone(&self.project.kind), self.project.site());
        let mut host = StageHost { stage: self, note, is_alone: false };
        let environment = kind.attach(&site, needs, &mut host).await?;
        let journal = if host.is_alone { Some(journal_path(&self.project).map_err(repair::unusable)?) } else { None };
        Ok(Shared { needs: needs.clone(), environment, journal })
    }
}

impl Shared {
    fn serves(&self, needs: &Needs) -> bool {
        unsuited(&self.needs, &self.environment.info(), &self.environment.services(), needs).is_none()
    }

    /// Whether what is done by a scenario was held against it when it was attached to: rights, and that it is the right one.
    fn was_asked_for(&self, needs: &Needs) -> bool {
        let known = &self.needs;
        known.actions.is_superset(&needs.actions)
            && known.capabilities.is_superset(&needs.capabilities)
            && known.services.is_superset(&needs.services)
    }
}

/// What a kind of environment is given by the stage.
struct StageHost<'a> {
    stage: &'a mut ProjectStage,
    note: Note<'a>,
    /// Whether the environment outlives the program, so that faults on it are journalled.
    is_alone: bool,
}

impl Host for StageHost<'_> {
    fn note(&self, text: String) {
        (self.note)(text);
    }

    fn folder(&mut self) -> PathBuf {
        self.stage.stacks += 1;
        self.stage.scratch.path().join(format!("stack-{}", self.stage.stacks))
    }

    fn alone<'a>(&'a mut self, environment: Option<&'a dyn Environment>) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async move {
            let project = &self.stage.project;
            if self.stage.lock.is_none() {
                self.stage.lock = Some(Arc::new(lock(project, self.stage.wait, self.note).await?));
            }
            self.is_alone = true;
            // What was in force there has been undone, and what is, this run has done.
            if self.stage.is_guest {
                return Ok(());
            }
            repair(project, environment, &self.note).await.map(drop)
        })
    }
}

/// Takes the lock of an environment, where wanted when it is free.
async fn lock(project: &Project, wait: bool, note: Note<'_>) -> EnvironmentResult<RunLock> {
    let mut told = false;
    loop {
        match RunLock::take(project) {
            Ok(lock) => return Ok(lock),
            Err(busy @ Busy::Taken(_)) if wait => {
                if !std::mem::replace(&mut told, true) {
                    note(format!("waiting: {}", repair::busy(&project.name, &busy)));
                }
                tokio::time::sleep(AGAIN).await;
            }
            Err(busy) => return Err(repair::busy(&project.name, &busy)),
        }
    }
}

impl EnvironmentSource for ProjectStage {
    fn acquire<'a>(
        &'a mut self,
        needs: &'a Needs,
        note: Note<'a>,
    ) -> BoxFuture<'a, Result<Arc<dyn Environment>, EnvironmentError>> {
        Box::pin(async move {
            if let Some(shared) = &self.shared
                && shared.serves(needs)
                && (!self.project.kind.is_addressed() || shared.was_asked_for(needs))
            {
                return Ok(Arc::clone(&shared.environment));
            }
            // One stack at a time: two would disturb each other's figures.
            self.close().await?;
            let shared = self.start(needs, note).await?;
            let environment = Arc::clone(&shared.environment);
            self.shared = Some(shared);
            Ok(environment)
        })
    }

    fn acquire_other<'a>(
        &'a mut self,
        name: &'a str,
        note: Note<'a>,
    ) -> BoxFuture<'a, Result<Arc<dyn Environment>, EnvironmentError>> {
        Box::pin(async move {
            let known = self.others.remove(name);
            let other = known.map_or_else(|| self.other(name).map(Box::new), Ok)?;
            let other = self.others.entry(name.to_owned()).or_insert(other);
            other.acquire(&Needs::kafka(), note).await
        })
    }

    fn is_own(&self, name: &str) -> bool {
        self.others.get(name).is_some_and(|other| is_same(&self.project, &other.project))
    }

    fn release<'a>(&'a mut self, needs: &'a Needs) -> BoxFuture<'a, Result<(), EnvironmentError>> {
        Box::pin(async move { if needs.private { self.close().await } else { self.close_others().await } })
    }

    fn name(&self) -> Option<String> {
        Some(self.project.name.clone())
    }

    fn journal(&self) -> Option<PathBuf> {
        self.shared.as_ref()?.journal.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Action;
    use crate::environment::fake::FakeStack;

    #[test]
    fn what_was_attached_for_less_serves_no_faults() {
        let attached = |needs: &Needs| Shared {
            needs: needs.clone(),
            environment: FakeStack::brokers(1) as Arc<dyn Environment>,
            journal: None,
        };
        let faults = Needs { actions: BTreeSet::from([Action::Kill]), ..Needs::kafka() };
        assert!(attached(&faults).was_asked_for(&Needs::kafka()));
        assert!(!attached(&Needs::kafka()).was_asked_for(&faults), "nobody has looked whether it is the right one");
    }
}
