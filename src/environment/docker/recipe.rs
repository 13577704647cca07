//! How to repair what a fault broke, as data: written down before the fault, usable by another process after it.

use super::address::EngineAddress;
use super::container::{Container, short};
use super::engine::{Engine, status};
use super::project;
use super::recreate::{self, Recreation};
use crate::environment::EnvironmentResult;
use bollard::models::{EndpointSettings, NetworkConnectRequest};
use bollard::query_parameters::StartContainerOptions;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    pub(super) repair: Repair,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Repair {
    /// Running and not paused.
    Run,
    /// Connected to these networks as before.
    Reconnect(BTreeMap<String, EndpointSettings>),
    /// Made again from its definition, where it is gone, and running.
    Recreate(Box<Recreation>),
}

/// Repairs what the fault of this recipe broke. Does nothing where nothing is broken, so it may be repeated.
/// Returns what was done, in words.
///
/// # Errors
/// No engine at the recorded address, or the engine's refusal.
pub async fn heal_from(recipe: &HealRecipe) -> EnvironmentResult<String> {
    let engine = Engine::connect(EngineAddress::recorded(&recipe.engine)).await?;
    recipe.apply(&engine).await
}

impl HealRecipe {
    /// What it repairs, in words, for `kscen undo` to announce.
    pub fn describe(&self) -> String {
        let container = &self.container;
        match &self.repair {
            Repair::Run => format!("resume or start the container {container}"),
            Repair::Reconnect(networks) => {
                format!("connect the container {container} to {}", join(networks.keys()))
            }
            Repair::Recreate(_) => format!("make the container {container} again and start it"),
        }
    }

    /// [`heal_from`] on an engine that is connected already.
    pub(super) async fn apply(&self, engine: &Engine) -> EnvironmentResult<String> {
        match &self.repair {
            Repair::Run => run(engine, &self.find(engine).await?).await,
            Repair::Reconnect(networks) => reconnect(engine, &self.find(engine).await?, networks).await,
            Repair::Recreate(recreation) => {
                if project::inspect(engine, &self.container).await?.is_none() {
                    recreate::create(engine, recreation).await?;
                }
                let container = self.find(engine).await?;
                reconnect(engine, &container, &recreation.networks).await?;
                run(engine, &container).await
            }
        }
    }

    /// The container by its name, else whatever plays its service now.
    async fn find(&self, engine: &Engine) -> EnvironmentResult<Container> {
        if let Some(container) = project::inspect(engine, &self.container).await? {
            return Ok(container);
        }
        let id = project::only_container(engine, &self.project, &self.service).await?;
        match project::inspect(engine, &id).await? {
            Some(container) => Ok(container),
            None => Err(crate::environment::EnvironmentError::failed(format!("the container {} vanished", short(&id)))),
        }
    }
}

async fn run(engine: &Engine, container: &Container) -> EnvironmentResult<String> {
    let (id, name) = (container.id(), container.name());
    if container.is_paused() {
        let what = format!("resume {name}");
        engine.ask(&what, |docker| async move { docker.unpause_container(id).await }).await?;
        return Ok(format!("resumed {name}"));
    }
    if container.is_down() {
        let what = format!("start {name}");
        engine
            .ask(&what, |docker| async move { docker.start_container(id, None::<StartContainerOptions>).await })
            .await?;
        return Ok(format!("started {name}"));
    }
    Ok(format!("{name} was running"))
}

/// Connects the container to those of `networks` that it is not connected to.
pub(super) async fn reconnect(
    engine: &Engine,
    container: &Container,
    networks: &BTreeMap<String, EndpointSettings>,
) -> EnvironmentResult<String> {
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
        [] => format!("{name} was connected"),
        restored => format!("connected {name} to {}", join(restored.iter())),
    })
}

/// What has to be given to the engine for a container to be on a network as it is now. Addresses and the alias made
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
        ..Default::default()
    }
}

fn join<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}
