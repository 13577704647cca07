//! Provides environments to runs, and shares one stack among scenarios with the same needs.

use super::repair::{self, repair};
use super::scratch::Scratch;
use crate::environment::docker::DockerStack;
use crate::environment::local::{Attached, LocalStack};
use crate::environment::mock::MockStack;
use crate::environment::remote::RemoteCluster;
use crate::environment::{Environment, EnvironmentError, EnvironmentResult, Needs};
use crate::execute::Stage;
use crate::project::{Kind, Project, RunLock, journal_path};
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::sync::Arc;

type Note<'a> = &'a (dyn Fn(String) + Sync);

/// Starts what the project's environment is, when the first run needs it.
pub struct ProjectStage {
    project: Project,
    scratch: Scratch,
    shared: Option<Shared>,
    lock: Option<RunLock>,
    stacks: usize,
}

/// An environment that serves one scenario after the other.
struct Shared {
    needs: Needs,
    environment: Arc<dyn Environment>,
    journal: Option<PathBuf>,
}

impl ProjectStage {
    /// A stage for one environment.
    ///
    /// # Errors
    /// Where no folder for data can be made.
    pub fn new(project: Project) -> std::io::Result<Self> {
        Ok(Self { project, scratch: Scratch::new()?, shared: None, lock: None, stacks: 0 })
    }

    /// Stops what was started.
    ///
    /// # Errors
    /// What could not be stopped or removed.
    pub async fn close(&mut self) -> EnvironmentResult<()> {
        match self.shared.take() {
            Some(shared) => shared.environment.shutdown().await,
            None => Ok(()),
        }
    }

    async fn start(&mut self, needs: &Needs, note: Note<'_>) -> EnvironmentResult<Shared> {
        let project = self.project.clone();
        let endpoints = project.endpoints();
        let environment: Arc<dyn Environment> = match &project.kind {
            Kind::Local(config) => {
                if let Some(kept) = self.kept(needs, note).await? {
                    return Ok(kept);
                }
                self.stacks += 1;
                let folder = self.scratch.path().join(format!("stack-{}", self.stacks));
                let environment = Arc::new(LocalStack::start(config, needs, &folder, note).await?);
                // Its services end with this program, and their faults with them.
                return Ok(Shared { needs: needs.clone(), environment, journal: None });
            }
            Kind::Docker(config) => {
                self.alone(note, None).await?;
                Arc::new(DockerStack::attach(&project.name, config, endpoints, needs).await?)
            }
            Kind::Mock(config) => {
                let environment = Arc::new(MockStack::start(&project.name, config)?);
                return Ok(Shared { needs: needs.clone(), environment, journal: None });
            }
            Kind::Remote => {
                self.alone(note, None).await?;
                Arc::new(RemoteCluster::attach(&project.name, endpoints, needs).await?)
            }
        };
        let journal = journal_path(&project).map_err(repair::unusable)?;
        Ok(Shared { needs: needs.clone(), environment, journal: Some(journal) })
    }

    /// The stack that `kscen up` keeps running, where there is one that suits.
    async fn kept(&mut self, needs: &Needs, note: Note<'_>) -> EnvironmentResult<Option<Shared>> {
        if needs.private {
            return Ok(None);
        }
        let Some(attached) = Attached::find(&self.project.name).await? else { return Ok(None) };
        if let Some(reason) = attached.unmet(needs) {
            note(format!("the stack that `kscen up` keeps does not suit: {reason}; starting another"));
            return Ok(None);
        }
        self.alone(note, Some(&attached)).await?;
        note(format!("using the stack that `kscen up` keeps (supervisor {})", attached.supervisor()));
        let journal = journal_path(&self.project).map_err(repair::unusable)?;
        Ok(Some(Shared { needs: needs.clone(), environment: Arc::new(attached), journal: Some(journal) }))
    }

    /// Makes this the only run on the environment, and undoes what an earlier one left in force.
    async fn alone(&mut self, note: Note<'_>, environment: Option<&Attached>) -> EnvironmentResult<()> {
        if self.lock.is_none() {
            self.lock = Some(RunLock::take(&self.project).map_err(|busy| repair::busy(&self.project.name, &busy))?);
        }
        let environment = environment.map(|attached| attached as &dyn Environment);
        repair(&self.project, environment, &note).await.map(|_| ())
    }
}

impl Stage for ProjectStage {
    fn acquire<'a>(
        &'a mut self,
        needs: &'a Needs,
        note: Note<'a>,
    ) -> BoxFuture<'a, Result<Arc<dyn Environment>, EnvironmentError>> {
        Box::pin(async move {
            if let Some(shared) = &self.shared
                && !needs.private
                && same_stack(&shared.needs, needs)
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

    fn release<'a>(&'a mut self, needs: &'a Needs) -> BoxFuture<'a, Result<(), EnvironmentError>> {
        Box::pin(async move { if needs.private { self.close().await } else { Ok(()) } })
    }

    fn journal(&self) -> Option<PathBuf> {
        self.shared.as_ref()?.journal.clone()
    }
}

/// Whether a stack started for `known` also serves `needs`. The capabilities that shape the stack are the network ones.
fn same_stack(known: &Needs, needs: &Needs) -> bool {
    use crate::environment::Capability::{NetworkCut, NetworkShape};
    let network =
        |needs: &Needs| [NetworkCut, NetworkShape].iter().any(|capability| needs.capabilities.contains(capability));
    !known.private
        && known.brokers >= needs.brokers
        && known.controllers == needs.controllers
        && known.kafka == needs.kafka
        && known.broker_config == needs.broker_config
        && known.services.is_superset(&needs.services)
        && known.log_dir == needs.log_dir
        && (network(known) || !network(needs))
}
