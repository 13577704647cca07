//! Cutting a service off: disconnecting its container from networks, and connecting it again as it was.
//!
//! Docker has no means to delay, throttle, reset or cut one way only: `netem` is missing from many kernels, and rules
//! inside a container vanish when it restarts. Such faults are refused rather than approximated.

use super::container::Container;
use super::layout::{self, Node};
use super::recipe::{HealRecipe, Repair, endpoint_definition};
use super::roles::ServiceRole;
use super::stack::{DockerStack, StackContainer};
use super::watch::{self, ContainerEvent};
use crate::environment::{
    Direction, Effect, EnvironmentError, EnvironmentResult, Grip, Healed, NetworkFault, NetworkFaultKind, Peers,
};
use crate::moment::poll;
use bollard::models::{EndpointSettings, NetworkDisconnectRequest};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How long a broker that was started just now may take to answer before it is cut off.
const ANSWERS: Duration = Duration::from_secs(20);
/// Between two questions.
const AGAIN: Duration = Duration::from_millis(100);
const EVENT_PATIENCE: Duration = Duration::from_secs(5);

impl DockerStack {
    /// How to undo `fault`, to be written down before it is applied.
    ///
    /// # Errors
    /// The fault is not possible here, see [`Environment::disturb`](crate::environment::Environment::disturb).
    pub async fn recipe_for_network(&self, fault: &NetworkFault) -> EnvironmentResult<HealRecipe> {
        let member = self.member(&fault.service)?;
        let container = self.inspect(member).await?;
        self.networks_to_cut(member, &container, fault).await?;
        // All of its networks: which of them have to go shows when the first is gone.
        Ok(self.recipe(member, &container, Repair::Reconnect(self.endpoints_of(member, &container))))
    }

    /// The networks of a container, as it has to be connected to them: those that it is cut off from at the moment, too.
    fn endpoints_of(&self, member: &StackContainer, container: &Container) -> BTreeMap<String, EndpointSettings> {
        let mut endpoints = self.cuts.of(member.name());
        let present = container.networks();
        let defined = |(network, endpoint): (&&str, &&EndpointSettings)| {
            ((*network).to_owned(), endpoint_definition(container, endpoint))
        };
        endpoints.extend(present.iter().map(defined));
        endpoints
    }

    pub(super) async fn cut(&self, fault: &NetworkFault) -> EnvironmentResult<Effect> {
        let member = self.member(&fault.service)?;
        let before = self.inspect(member).await?;
        if let Some(observed) = futile(&before) {
            return Err(no_effect(member, observed));
        }
        let recipe = self.recipe_for_network(fault).await?;
        let CutPlan { mut networks, mut beside } = self.networks_to_cut(member, &before, fault).await?;
        self.answers(member, &before).await?;
        self.cuts.enter(fault, recipe.only(&networks));
        let mark = self.watch.mark();
        let requested = Instant::now();
        let mut last = None;
        let present = before.networks();
        for network in networks.iter().filter(|network| present.contains_key(network.as_str())) {
            last = self.disconnect(member, network, mark).await?.or(last);
        }
        let mut after = self.inspect(member).await?;
        // The engine moves published ports to a network that is left, where it can: clients would go on as before.
        if fault.between == Peers::Clients && has_ports(&after) {
            let left: Vec<String> = after.networks().keys().map(|network| (*network).to_owned()).collect();
            self.cuts.enter(fault, recipe);
            for network in &left {
                last = self.disconnect(member, network, mark).await?.or(last);
            }
            beside.push_str(&format!(
                "; this engine published its ports through {} then, so it is cut off from there, too: other brokers do not \
                 reach it either",
                left.join(", ")
            ));
            networks.extend(left);
            after = self.inspect(member).await?;
        }
        if let Some(left) = networks.iter().find(|network| after.networks().contains_key(network.as_str())) {
            return Err(no_effect(member, format!("it is still connected to {left}")));
        }
        Ok(effect(
            requested,
            last.as_ref(),
            format!("container {} is disconnected from {}{beside}", after.short_id(), networks.join(", ")),
        ))
    }

    /// Whether a service is still off the networks that it was cut off from.
    pub(super) async fn is_cut(&self, fault: &NetworkFault) -> EnvironmentResult<Grip> {
        let member = self.member(&fault.service)?;
        let Some(networks) = self.cuts.by(fault) else {
            return Ok(Grip::Lost("none of its networks is cut".to_owned()));
        };
        let container = self.inspect(member).await?;
        let connected = container.networks();
        let words = |network: &str, how: &str| format!("container {} is {how} {network}", container.short_id());
        Ok(match networks.keys().find(|network| connected.contains_key(network.as_str())) {
            Some(network) => Grip::Lost(words(network, "connected again to")),
            None => {
                let all: Vec<&str> = networks.keys().map(String::as_str).collect();
                Grip::Holds(words(&all.join(", "), "disconnected from"))
            }
        })
    }

    pub(super) async fn mend(&self, fault: &NetworkFault) -> EnvironmentResult<Healed> {
        let member = self.member(&fault.service)?;
        let requested = Instant::now();
        let Some(recipe) = self.cuts.repair(fault) else {
            let proof = "nothing was cut".to_owned();
            let effect = Effect { requested, effective: requested, down: None, proof, forced: false };
            return Ok(Healed { effect, changed: true });
        };
        // Where another fault needs its networks cut, there is nothing to connect, and nothing to see.
        let is_free = matches!(&recipe.repair, Repair::Reconnect(networks) if !networks.is_empty());
        let mark = self.watch.mark();
        let done = recipe.apply(&self.engine).await?;
        self.cuts.strike(fault);
        let id = self.inspect(member).await?.id().to_owned();
        let wanted = |seen: &ContainerEvent| seen.container == id && seen.action == "connect";
        let seen = if done.changed { self.watch.after(mark, EVENT_PATIENCE, wanted).await } else { None };
        Ok(Healed { effect: effect(requested, seen.as_ref(), done.words), changed: done.changed || !is_free })
    }

    /// Cuts again where a start connected the container by itself, as newer engines do.
    pub(super) async fn keep_cut(&self, member: &StackContainer) -> EnvironmentResult<()> {
        let networks = self.cuts.of(member.name());
        if networks.is_empty() {
            return Ok(());
        }
        let container = self.inspect(member).await?;
        let connected = container.networks();
        let mark = self.watch.mark();
        for network in networks.keys().filter(|network| connected.contains_key(network.as_str())) {
            self.disconnect(member, network, mark).await?;
        }
        Ok(())
    }

    async fn disconnect(
        &self,
        member: &StackContainer,
        network: &str,
        mark: usize,
    ) -> EnvironmentResult<Option<ContainerEvent>> {
        let id = member.id();
        let what = format!("disconnect {} from the network {network}", member.name());
        self.engine
            .ask(&what, |docker| {
                let request = NetworkDisconnectRequest { container: id.clone(), force: Some(false) };
                async move { docker.disconnect_network(network, request).await }
            })
            .await?;
        let wanted = |seen: &ContainerEvent| {
            seen.container == id
                && seen.action == "disconnect"
                && seen.network.as_deref().is_none_or(|name| name == network)
        };
        Ok(self.watch.after(mark, EVENT_PATIENCE, wanted).await)
    }

    /// Shows that a broker answers: what is silent anyway is cut off from nobody. While another fault has cut it off nobody can ask.
    async fn answers(&self, member: &StackContainer, container: &Container) -> EnvironmentResult<()> {
        if member.part.role != ServiceRole::Broker || !self.cuts.of(member.name()).is_empty() {
            return Ok(());
        }
        let Some(probe) = self.probe_of(member, container) else { return Ok(()) };
        let asked = poll(AGAIN, ANSWERS, || async {
            Ok::<_, EnvironmentError>(match probe.ask().await {
                Ok(()) => ControlFlow::Break(()),
                Err(reason) => ControlFlow::Continue(reason),
            })
        });
        match asked.await? {
            ControlFlow::Break(()) => Ok(()),
            ControlFlow::Continue(why) => {
                Err(no_effect(member, format!("it did not answer before the cut either: {why}")))
            }
        }
    }

    async fn networks_to_cut(
        &self,
        member: &StackContainer,
        container: &Container,
        fault: &NetworkFault,
    ) -> EnvironmentResult<CutPlan> {
        if fault.kind != NetworkFaultKind::Cut {
            return Err(unsupported(format!(
                "`fault: {}` is not possible on containers, `cut` is; run this scenario on a `local` environment",
                fault.kind.word()
            )));
        }
        if fault.direction != Direction::Both {
            return Err(unsupported("containers can only be cut off both ways, not one way".to_owned()));
        }
        let name = member.name();
        if container.networks().is_empty() {
            return Err(no_effect(member, "it is connected to no network; it may have been cut off before".to_owned()));
        }
        let networks: Vec<String> = self.endpoints_of(member, container).into_keys().collect();
        if networks.iter().any(|network| matches!(network.as_str(), "host" | "none")) {
            return Err(unsupported(format!("{name} uses the host's own network, which cannot be cut off")));
        }
        let nodes = self.members.iter().filter(|other| is_node(other)).count();
        let all = CutPlan { networks, beside: String::new() };
        match (fault.between, member.part.role) {
            (Peers::Clients, ServiceRole::Controller) => {
                Err(unsupported(format!("{name} is a controller, which has no connections with clients")))
            }
            (Peers::Brokers, _) if !is_node(member) => {
                Err(unsupported(format!("{name} is not a broker, so `between: brokers` does not apply to it")))
            }
            (Peers::Brokers, _) if nodes < 2 => {
                Err(unsupported(format!("{name} is the only broker, there are no others to cut it off from")))
            }
            // A controller of its own speaks to nobody but brokers and controllers.
            (Peers::Brokers, ServiceRole::Controller) => Ok(all),
            (Peers::Clients, _) if !is_node(member) || nodes < 2 => Ok(all),
            (between, _) => self.some_networks(member, container, between).await,
        }
    }

    /// Those networks of one of several brokers over which clients come, or the other nodes.
    async fn some_networks(
        &self,
        member: &StackContainer,
        container: &Container,
        between: Peers,
    ) -> EnvironmentResult<CutPlan> {
        let name = member.name();
        let mut others = Vec::new();
        for other in self.members.iter().filter(|other| is_node(other) && other.name() != name) {
            others.push((other, self.inspect(other).await?));
        }
        let node = self.node(member, container);
        let peers: Vec<Node<'_>> = others.iter().map(|(other, container)| self.node(other, container)).collect();
        let (inner, outer) = layout::split(&node, &peers).map_err(|why| {
            unsupported(format!(
                "the networks over which {name} is reached by clients and by other brokers cannot be told apart: {why}; give the \
                 brokers a network of their own, with an alias that exists only there, and let them know each other by that alias alone, \
                 as brokers and in the quorum of controllers"
            ))
        })?;
        let beside = match between {
            Peers::Clients => self.worker_beside(name, &inner, &[&[node], peers.as_slice()]).await?,
            Peers::Brokers => String::new(),
        };
        let networks = if between == Peers::Brokers { inner } else { outer };
        let present = container.networks();
        if !networks.iter().any(|network| present.contains_key(network.as_str())) {
            return Err(no_effect(member, format!("it is cut off from {} already", networks.join(", "))));
        }
        Ok(CutPlan { networks, beside })
    }

    /// Connect is a client as well: where it comes over the brokers' own network, it is not cut off.
    async fn worker_beside(&self, broker: &str, inner: &[String], nodes: &[&[Node<'_>]]) -> EnvironmentResult<String> {
        for worker in self.members.iter().filter(|other| other.part.role == ServiceRole::Connect) {
            let container = self.inspect(worker).await?;
            let shared = nodes.iter().find_map(|nodes| layout::shared_with(&container, inner, nodes));
            let Some(network) = shared else { continue };
            if self.uses_connect {
                return Err(unsupported(format!(
                    "{} reaches {broker} over {network}, the brokers' own network, so that a cut `between: clients` leaves it connected; \
                     give it the brokers' addresses on the clients' network",
                    worker.name()
                )));
            }
            return Ok(format!("; {} stays connected to it over {network}", worker.name()));
        }
        Ok(String::new())
    }

    fn node<'a>(&self, member: &'a StackContainer, container: &'a Container) -> Node<'a> {
        let endpoints = self.endpoints_of(member, container);
        Node { name: member.name(), role: member.part.role, node_id: member.node_id, container, endpoints }
    }
}

/// What a container is to be disconnected from.
struct CutPlan {
    networks: Vec<String>,
    /// What else is to be known of it, for the proof.
    beside: String,
}

fn is_node(member: &StackContainer) -> bool {
    matches!(member.part.role, ServiceRole::Broker | ServiceRole::Controller)
}

/// Why a cut would disturb nobody.
fn futile(container: &Container) -> Option<String> {
    if container.is_down() {
        return Some(format!("it is not running ({})", container.ending()));
    }
    container.is_paused().then(|| "it is paused, so disturbing its network changes nothing".to_owned())
}

/// Whether a port of it is published, and it is on a network through which that can lead.
fn has_ports(container: &Container) -> bool {
    let ports = container.0.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
    !container.networks().is_empty() && ports.into_iter().flatten().any(|(_, bindings)| bindings.is_some())
}

fn effect(requested: Instant, seen: Option<&ContainerEvent>, proof: String) -> Effect {
    let effective = seen.map_or_else(Instant::now, |seen| watch::instant(seen.at, requested));
    Effect { requested, effective, down: None, proof, forced: false }
}

fn unsupported(message: String) -> EnvironmentError {
    EnvironmentError::Unsupported { message }
}

fn no_effect(member: &StackContainer, observed: String) -> EnvironmentError {
    EnvironmentError::NoEffect { service: member.name().to_owned(), observed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_dead_or_frozen_cannot_be_cut_off() {
        let seen = |state: serde_json::Value| {
            let inspected = json!({ "State": state, "NetworkSettings": { "Networks": { "p_default": {} } } });
            futile(&Container(serde_json::from_value(inspected).expect("an inspected container")))
        };
        assert_eq!(seen(json!({ "Running": true, "Paused": false, "Status": "running" })), None);
        let paused = seen(json!({ "Running": true, "Paused": true, "Status": "paused" }));
        assert!(paused.is_some_and(|why| why.contains("paused")));
        let dead = seen(json!({ "Running": false, "Status": "exited", "ExitCode": 137 }));
        assert!(dead.is_some_and(|why| why.contains("not running") && why.contains("137")));
    }
}
