//! How to repair what a fault broke, as data: written down before the fault, usable by another process after it.

use super::address::EngineAddress;
use super::container::Container;
use super::engine::{Engine, status};
use super::freezer;
use super::project;
use super::recreate::{self, Recreation};
use super::watch;
use crate::environment::{EnvironmentError, EnvironmentResult};
use bollard::models::{EndpointSettings, NetworkConnectRequest};
use bollard::query_parameters::{StartContainerOptions, WaitContainerOptions};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// What brings one service back, whatever state it is found in. Made before the fault by
/// [`DockerStack::recipe_for_action`](super::DockerStack::recipe_for_action) or
/// [`DockerStack::recipe_for_network`](super::DockerStack::recipe_for_network).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealRecipe {
    /// Address of the engine.
    pub(super) engine: String,
    /// Compose project.
    pub(super) project: String,
    /// Compose service.
    pub(super) service: String,
    /// Container name, which survives its re-creation.
    pub(super) container: String,
    /// The container that was disturbed; a journal of an earlier version does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) repair: Repair,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Repair {
    /// Not paused. Whether it runs is not this fault's matter.
    Resume,
    /// Running and not paused.
    Run,
    /// Connected to these networks as before.
    Reconnect(BTreeMap<String, EndpointSettings>),
    /// Made again from its definition, where it is gone, and running.
    Recreate(Box<Recreation>),
}

/// Between two looks at a container. The engine finishes a request whose sender was killed, so what looks healthy may
/// still be about to be paused, disconnected or removed.
const SETTLE: Duration = Duration::from_millis(500);
/// A container that needs repair again each time has another problem than the fault.
const LOOKS: usize = 6;
/// How far back a request to end the container is looked for: longer than any usual grace period.
const GRACE_PERIODS: Duration = Duration::from_secs(90);

/// Repairs what the fault of this recipe broke, and looks again until nothing is left to do. Does nothing where nothing
/// is broken, so it may be repeated. Returns what was done, in words; takes half a second at least.
///
/// # Errors
/// No engine at the recorded address, or the engine's refusal.
pub async fn heal_from(recipe: &HealRecipe) -> EnvironmentResult<String> {
    let engine = Engine::connect(EngineAddress::recorded(&recipe.engine)).await?;
    freezer::unstick(&engine, recipe.id.as_deref().unwrap_or(&recipe.container)).await?;
    recipe.await_pending_end(&engine).await?;
    let mut done = recipe.apply(&engine).await?;
    for _ in 0..LOOKS {
        tokio::time::sleep(SETTLE).await;
        let again = recipe.apply(&engine).await?;
        if !again.changed {
            return Ok(done.words);
        }
        done = again;
    }
    Err(EnvironmentError::NoEffect {
        service: recipe.service.clone(),
        observed: format!("its container {} does not stay healthy: {} and again", recipe.container, done.words),
    })
}

/// What a repair did.
#[derive(Clone, Debug)]
pub(super) struct RecipeRepair {
    pub(super) changed: bool,
    pub(super) words: String,
}

impl RecipeRepair {
    fn changed(words: String) -> Self {
        Self { changed: true, words }
    }

    fn unchanged(words: String) -> Self {
        Self { changed: false, words }
    }
}

impl HealRecipe {
    /// The same for some of the networks alone.
    pub(super) fn only(&self, networks: &[String]) -> Self {
        let mut recipe = self.clone();
        if let Repair::Reconnect(endpoints) = &mut recipe.repair {
            endpoints.retain(|network, _| networks.contains(network));
        }
        recipe
    }

    /// Repairs once.
    pub(super) async fn apply(&self, engine: &Engine) -> EnvironmentResult<RecipeRepair> {
        if let Repair::Recreate(recreation) = &self.repair
            && self.find(engine).await?.is_none()
        {
            recreate::create(engine, &recreate::completed(engine, recreation).await?).await?;
        }
        let Some(container) = self.find(engine).await? else {
            return Ok(RecipeRepair::unchanged(format!(
                "nothing to undo: the container {} no longer exists",
                self.container
            )));
        };
        match &self.repair {
            Repair::Resume => resume(engine, &container).await,
            Repair::Run => run(engine, &container).await,
            Repair::Reconnect(networks) => reconnect(engine, &container, networks).await,
            Repair::Recreate(recreation) => {
                reconnect(engine, &container, &recreation.networks).await?;
                let done = run(engine, &container).await?;
                recreate::tidy(engine, recreation).await?;
                Ok(done)
            }
        }
    }

    /// A container that was asked to stop may take its whole grace period to do so; only then can it be started.
    async fn await_pending_end(&self, engine: &Engine) -> EnvironmentResult<()> {
        if matches!(self.repair, Repair::Reconnect(_) | Repair::Resume) {
            return Ok(());
        }
        let Some(container) = self.find(engine).await? else { return Ok(()) };
        if container.is_down() || !watch::is_ending(engine, container.id(), GRACE_PERIODS).await {
            return Ok(());
        }
        let id = container.id();
        // A killed container's code comes as an error; all that matters is that it ended.
        let mut ended = engine.docker.wait_container(id, None::<WaitContainerOptions>);
        let _ = tokio::time::timeout(GRACE_PERIODS, ended.next()).await;
        Ok(())
    }

    /// The very container that was disturbed, by its id and the labels of its project, whatever it is called now; `None` where that is
    /// gone. One that was made again for the same service was neither paused nor stopped by this fault, but it has the same networks to be
    /// connected to, and it is what a wipe makes.
    async fn find(&self, engine: &Engine) -> EnvironmentResult<Option<Container>> {
        if let Some(id) = &self.id {
            let found =
                project::inspect(engine, id).await?.filter(|found| found.id() == id && self.is_of_service(found));
            if found.is_some() || matches!(self.repair, Repair::Run | Repair::Resume) {
                return Ok(found);
            }
        }
        let by_name = project::inspect(engine, &self.container).await?.filter(|found| self.is_of_service(found));
        match by_name {
            Some(container) => Ok(Some(container)),
            None if !project::services(engine, &self.project).await?.contains_key(&self.service) => Ok(None),
            None => {
                let id = project::only_container(engine, &self.project, &self.service).await?;
                project::inspect(engine, &id).await
            }
        }
    }

    /// Whether a container plays the service of this recipe, and not only has the name of one that did.
    fn is_of_service(&self, container: &Container) -> bool {
        container.label(project::PROJECT) == Some(self.project.as_str())
            && container.label(project::SERVICE) == Some(self.service.as_str())
    }
}

async fn resume(engine: &Engine, container: &Container) -> EnvironmentResult<RecipeRepair> {
    let (id, name) = (container.id(), container.name());
    if !container.is_paused() {
        return Ok(RecipeRepair::unchanged(format!("{name} was not paused")));
    }
    let what = format!("resume {name}");
    engine.ask(&what, |docker| async move { docker.unpause_container(id).await }).await?;
    Ok(RecipeRepair::changed(format!("resumed {name}")))
}

async fn run(engine: &Engine, container: &Container) -> EnvironmentResult<RecipeRepair> {
    let (id, name) = (container.id(), container.name());
    if container.is_paused() {
        return resume(engine, container).await;
    }
    if container.is_down() {
        let what = format!("start {name}");
        engine
            .ask(&what, |docker| async move { docker.start_container(id, None::<StartContainerOptions>).await })
            .await?;
        return Ok(RecipeRepair::changed(format!("started {name}")));
    }
    Ok(RecipeRepair::unchanged(format!("{name} was running")))
}

/// Connects the container to those of `networks` that it is not connected to.
pub(super) async fn reconnect(
    engine: &Engine,
    container: &Container,
    networks: &BTreeMap<String, EndpointSettings>,
) -> EnvironmentResult<RecipeRepair> {
    let name = container.name();
    let connected = container.networks();
    let mut restored = Vec::new();
    for (network, endpoint) in networks.iter().filter(|(network, _)| !connected.contains_key(network.as_str())) {
        let request =
            NetworkConnectRequest { container: container.id().to_owned(), endpoint_config: Some(endpoint.clone()) };
        let answer = engine
            .try_ask(|docker| {
                let request = request.clone();
                async move { docker.connect_network(network, request).await }
            })
            .await;
        match answer {
            Ok(()) => restored.push(network.clone()),
            // Somebody else was quicker.
            Err(error) if status(&error) == Some(403) && super::engine::words(&error).contains("already exists") => {}
            Err(error) => return Err(engine.explain(&format!("connect {name} to the network {network}"), &error)),
        }
    }
    Ok(match restored.as_slice() {
        [] => RecipeRepair::unchanged(format!("{name} was connected")),
        restored => RecipeRepair::changed(format!("connected {name} to {}", join(restored.iter()))),
    })
}

/// What has to be given to the engine for a container to be on a network as it is now. Addresses that it has made and the alias made
/// of the container's id are the engine's own choice and left to it.
pub(super) fn endpoint_definition(container: &Container, endpoint: &EndpointSettings) -> EndpointSettings {
    let own = container.short_id();
    let aliases =
        endpoint.aliases.as_ref().map(|aliases| aliases.iter().filter(|alias| **alias != own).cloned().collect());
    EndpointSettings {
        aliases,
        ipam_config: endpoint.ipam_config.clone(),
        links: endpoint.links.clone(),
        driver_opts: endpoint.driver_opts.clone(),
        gw_priority: endpoint.gw_priority.filter(|priority| *priority != 0),
        mac_address: own_mac(endpoint),
        ..Default::default()
    }
}

/// The MAC address of an endpoint. One that the engine has made of the IP address is left to it: another container may get that address
/// meanwhile, and both with it.
fn own_mac(endpoint: &EndpointSettings) -> Option<String> {
    let mac = endpoint.mac_address.as_deref().filter(|mac| !mac.is_empty())?;
    let ip: Option<Ipv4Addr> = endpoint.ip_address.as_deref().and_then(|ip| ip.parse().ok());
    let made = ip.map(|ip| {
        let [a, b, c, d] = ip.octets();
        format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    });
    let is_made = made.is_some_and(|made| made.eq_ignore_ascii_case(mac));
    (!is_made).then(|| mac.to_owned())
}

fn join<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_keeps_the_mac_address_that_was_given_to_it() {
        let kept = |mac: &str, ip: &str| {
            let endpoint = json!({ "MacAddress": mac, "IPAddress": ip, "Aliases": ["kafka"] });
            let endpoint: EndpointSettings = serde_json::from_value(endpoint).expect("an endpoint");
            let container =
                Container(serde_json::from_value(json!({ "Id": "0123456789abcdef" })).expect("a container"));
            endpoint_definition(&container, &endpoint).mac_address
        };
        assert_eq!(kept("02:42:ac:1f:4d:aa", "172.31.77.11").as_deref(), Some("02:42:ac:1f:4d:aa"));
        assert_eq!(kept("02:42:ac:1f:4d:0b", "172.31.77.11"), None, "the engine made it of the address");
        assert_eq!(kept("", ""), None);
    }
}
