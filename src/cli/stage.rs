//! Provides environments to runs, and shares one stack among scenarios with the same needs.

use crate::environment::docker::DockerStack;
use crate::environment::local::LocalStack;
use crate::environment::remote::RemoteCluster;
use crate::environment::{Environment, EnvironmentError, Needs};
use crate::execute::Stage;
use crate::project::{Kind, Project};
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::sync::Arc;

/// Starts what the project's environment is, when the first run needs it.
pub struct ProjectStage {
    project: Project,
    scratch: tempfile::TempDir,
    shared: Vec<(Needs, Arc<dyn Environment>)>,
    stacks: usize,
}

impl ProjectStage {
    /// A stage for one environment.
    ///
    /// # Errors
    /// Where no folder for data can be made.
    pub fn new(project: Project) -> std::io::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("kscen-").tempdir()?;
        Ok(Self { project, scratch, shared: Vec::new(), stacks: 0 })
    }

    /// Stops what was started.
    ///
    /// # Errors
    /// The first failure; the others are stopped all the same.
    pub async fn close(&mut self) -> Result<(), EnvironmentError> {
        let mut result = Ok(());
        for (_, environment) in self.shared.drain(..) {
            result = result.and(environment.shutdown().await);
        }
        result
    }

    async fn start(
        &mut self,
        needs: &Needs,
        note: &(dyn Fn(String) + Sync),
    ) -> Result<Arc<dyn Environment>, EnvironmentError> {
        let endpoints = self.project.endpoints();
        Ok(match &self.project.kind {
            Kind::Local(config) => {
                self.stacks += 1;
                let folder = self.scratch.path().join(format!("stack-{}", self.stacks));
                Arc::new(LocalStack::start(config, needs, &folder, note).await?)
            }
            Kind::Docker(config) => Arc::new(DockerStack::attach(&self.project.name, config, endpoints, needs).await?),
            Kind::Remote => Arc::new(RemoteCluster::attach(&self.project.name, endpoints, needs).await?),
        })
    }
}

impl Stage for ProjectStage {
    fn acquire<'a>(
        &'a mut self,
        needs: &'a Needs,
        note: &'a (dyn Fn(String) + Sync),
    ) -> BoxFuture<'a, Result<Arc<dyn Environment>, EnvironmentError>> {
        Box::pin(async move {
            if let Some((_, environment)) =
                self.shared.iter().find(|(known, _)| !needs.private && same_stack(known, needs))
            {
                return Ok(Arc::clone(environment));
            }
            // One stack at a time: two would disturb each other's figures.
            self.close().await?;
            let environment = self.start(needs, note).await?;
            self.shared.push((needs.clone(), Arc::clone(&environment)));
            Ok(environment)
        })
    }

    fn release<'a>(&'a mut self, needs: &'a Needs) -> BoxFuture<'a, Result<(), EnvironmentError>> {
        Box::pin(async move {
            let Some(index) = self.shared.iter().position(|(known, _)| needs.private && known == needs) else {
                return Ok(());
            };
            self.shared.remove(index).1.shutdown().await
        })
    }

    fn journal(&self) -> Option<PathBuf> {
        match self.project.kind {
            // Local services end with the program, and their faults with them.
            Kind::Local(_) | Kind::Remote => None,
            Kind::Docker(_) => crate::project::journal_path(&self.project).ok(),
        }
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
