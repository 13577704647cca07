//! Containers as a kind of environment.

use super::engine::Engine;
use super::{DockerConfig, DockerStack, HealRecipe, heal_from};
use crate::environment::{
    Action, Capability, Environment, EnvironmentResult, FaultKind, Grant, Host, Kind, Needs, Recipe, Refusal, Site,
};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;

impl Kind for DockerConfig {
    const NAME: &'static str = "docker";
    const ABOUT: &'static str = "Containers of a compose project, found by label.";
    const ADDRESSED: bool = true;
    const GRANTS: &'static [Grant] = &Grant::ALL;
    const BETWEEN_RUNS: &'static str = "use `docker compose`, or `kscen … --env local`";

    fn refusals(&self, site: &Site, needs: &Needs) -> Vec<Refusal> {
        let shaped = needs.capabilities.contains(&Capability::NetworkShape).then(|| Refusal {
            code: "cannot-shape-network",
            message: format!("`{}` is docker, which can cut a service off both ways, but not delay, throttle or reset its connections, nor cut one direction", site.name),
            help: Some("run it with --env local".to_owned()),
        });
        shaped.into_iter().chain(site.without_address(needs)).chain(site.without_limit(Self::NAME, needs)).collect()
    }

    fn lacks(&self, _: &Site, _: Grant) -> Option<Refusal> {
        None
    }

    fn falsifies(&self, _: &Site) -> Option<Refusal> {
        None
    }

    /// Containers are those of one engine and project, whoever names them from wherever.
    fn identity(&self, _: &Site) -> String {
        let engine = Engine::here().map(|address| address.canonical()).unwrap_or_default();
        format!("project {} on {engine}", self.project)
    }

    fn means(fault: FaultKind) -> Option<&'static str> {
        Some(match fault {
            FaultKind::Act(Action::Pause) => "docker pause: the freezer stops all its processes",
            FaultKind::Act(Action::Resume) => "docker unpause",
            FaultKind::Act(Action::Stop) => "docker stop",
            FaultKind::Act(Action::Start) => "docker start",
            FaultKind::Act(Action::Restart) => "docker restart",
            FaultKind::Act(Action::Kill) => "docker kill: SIGKILL",
            FaultKind::Act(Action::Wipe) => {
                "docker kill, then a new container with new volumes from the same definition"
            }
            FaultKind::Cut => "docker network disconnect",
            FaultKind::Shape => return None,
        })
    }

    fn attach<'a>(
        &'a self,
        site: &'a Site,
        needs: &'a Needs,
        host: &'a mut dyn Host,
    ) -> BoxFuture<'a, EnvironmentResult<Arc<dyn Environment>>> {
        Box::pin(async move {
            // Containers that an earlier run paused or stopped would be refused.
            host.alone(None).await?;
            let stack = DockerStack::attach(&site.name, self, site.endpoints.clone(), needs).await?;
            stack.confirm(needs).await?;
            Ok(Arc::new(stack) as Arc<dyn Environment>)
        })
    }

    fn heal(recipe: Value) -> BoxFuture<'static, EnvironmentResult<String>> {
        Box::pin(async move { heal_from(&Recipe::read::<HealRecipe>(recipe)?).await })
    }
}
