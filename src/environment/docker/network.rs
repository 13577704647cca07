//! Cutting a service off: disconnecting its container from networks, and connecting it again as it was.
//!
//! Docker has no means to delay, throttle, reset or cut one way only: `netem` is missing from many kernels, and rules
//! inside a container vanish when it restarts. Such faults are refused rather than approximated.

use super::container::Container;
use super::recipe::{HealRecipe, Repair, endpoint_definition};
use super::roles::ServiceRole;
use super::stack::{DockerStack, StackContainer};
use super::watch::{self, ContainerEvent};
use crate::environment::{
    Direction, Effect, EnvironmentError, EnvironmentResult, Grip, Healed, NetworkFault, NetworkFaultKind, Peers,
};
use bollard::models::{EndpointSettings, NetworkDisconnectRequest};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const EVENT_PATIENCE: Duration = Duration::from_secs(5);

impl DockerStack {
    /// How to undo `fault`, to be written down before it is applied.
    ///
    /// # Errors
    /// The fault is not possible here, see [`Environment::disturb`](crate::environment::Environment::disturb).
    pub async fn recipe_for_network(&self, fault: &NetworkFault) -> EnvironmentResult<HealRecipe> {
        let member = self.member(&fault.service)?;
        let container = self.inspect(member).await?;
        self.networks_to_cut(member, &container, fault)?;
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
        let recipe = self.recipe_for_network(fault).await?;
        let before = self.inspect(member).await?;
        let mut networks = self.networks_to_cut(member, &before, fault)?;
        self.cuts.enter(fault, recipe.only(&networks));
        let mark = self.watch.mark();
        let requested = Instant::now();
        let mut last = None;
        let present = before.networks();
        for network in networks.iter().filter(|network| present.contains_key(network.as_str())) {
            last = self.disconnect(member, network, mark).await?.or(last);
        }
        let mut after = self.inspect(member).await?;
        let mut beside = String::new();
        // The engine moves published ports to a network that is left, where it can: clients would go on as before.
        if fault.between == Peers::Clients && has_ports(&after) {
            let left: Vec<String> = after.networks().keys().map(|network| (*network).to_owned()).collect();
            self.cuts.enter(fault, recipe);
            for network in &left {
                last = self.disconnect(member, network, mark).await?.or(last);
            }
            beside = format!(
                "; this engine published its ports through {} then, so it is cut off from there, too: other brokers do not \
                 reach it either",
                left.join(", ")
            );
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

    fn networks_to_cut(
        &self,
        member: &StackContainer,
        container: &Container,
        fault: &NetworkFault,
    ) -> EnvironmentResult<Vec<String>> {
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
        let endpoints = self.endpoints_of(member, container);
        let networks: Vec<String> = endpoints.keys().cloned().collect();
        if networks.iter().any(|network| matches!(network.as_str(), "host" | "none")) {
            return Err(unsupported(format!("{name} uses the host's own network, which cannot be cut off")));
        }
        let peers = self
            .members
            .iter()
            .filter(|other| matches!(other.part.role, ServiceRole::Broker | ServiceRole::Controller))
            .count();
        let is_node = matches!(member.part.role, ServiceRole::Broker | ServiceRole::Controller);
        match fault.between {
            Peers::Brokers if !is_node => {
                Err(unsupported(format!("{name} is not a broker, so `between: brokers` does not apply to it")))
            }
            Peers::Brokers if peers < 2 => {
                Err(unsupported(format!("{name} is the only broker, there are no others to cut it off from")))
            }
            Peers::Clients if !is_node || peers < 2 => Ok(networks),
            between => {
                let (inner, outer) = split(container, &endpoints);
                if inner.is_empty() || outer.is_empty() {
                    return Err(unsupported(format!(
                        "{name} reaches clients and other brokers over the same networks; give the brokers a network of their \
                         own, with an alias that exists only there, and advertise that alias to them"
                    )));
                }
                let wanted = if between == Peers::Brokers { inner } else { outer };
                let present = container.networks();
                if !wanted.iter().any(|network| present.contains_key(network.as_str())) {
                    let words = format!("it is cut off from {} already", wanted.join(", "));
                    return Err(no_effect(member, words));
                }
                Ok(wanted)
            }
        }
    }
}

/// Whether a port of it is published, and it is on a network through which that can lead.
fn has_ports(container: &Container) -> bool {
    let ports = container.0.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
    !container.networks().is_empty() && ports.into_iter().flatten().any(|(_, bindings)| bindings.is_some())
}

/// The networks over which brokers reach this one, by the name it advertises to them, and the others. `endpoints` are all of its
/// networks, those that it is not connected to at the moment included.
fn split(container: &Container, endpoints: &BTreeMap<String, EndpointSettings>) -> (Vec<String>, Vec<String>) {
    let host = inter_broker_host(container);
    let present = container.networks();
    endpoints.keys().cloned().partition(|network| {
        let Some(host) = host.as_deref() else { return true };
        // Only of a network that it is connected to the names are known that the engine gave it.
        let Some(endpoint) = present.get(network.as_str()).copied().or_else(|| endpoints.get(network)) else {
            return true;
        };
        let mut names = endpoint.aliases.iter().chain(&endpoint.dns_names).flatten();
        names.any(|name| name == host) || container.name() == host
    })
}

/// Host of the listener that brokers use among themselves.
fn inter_broker_host(container: &Container) -> Option<String> {
    let listener = container.variable("KAFKA_INTER_BROKER_LISTENER_NAME")?;
    let advertised = container.variable("KAFKA_ADVERTISED_LISTENERS")?;
    advertised.split(',').find_map(|entry| {
        let (name, address) = entry.trim().split_once("://")?;
        let (host, _) = address.rsplit_once(':')?;
        name.eq_ignore_ascii_case(listener).then(|| host.to_owned())
    })
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
    use super::super::container::Container;
    use super::split;

    fn broker(inner_host: &str) -> Container {
        let inspected = serde_json::json!({
            "Id": "0123456789abcdef",
            "Name": "/p-kafka-1-1",
            "Config": { "Env": [
                "KAFKA_INTER_BROKER_LISTENER_NAME=INTERNAL",
                format!("KAFKA_ADVERTISED_LISTENERS=EXTERNAL://127.0.0.1:9092,INTERNAL://{inner_host}:29092"),
            ] },
            "NetworkSettings": { "Networks": {
                "p_edge": { "Aliases": ["kafka-1", "0123456789ab"] },
                "p_inner": { "Aliases": ["kafka-1", "kafka-1.int", "0123456789ab"] },
            } },
        });
        Container(serde_json::from_value(inspected).expect("an inspected container"))
    }

    #[test]
    fn brokers_meet_on_the_networks_where_their_listener_has_its_name() {
        let split = |host| {
            let container = broker(host);
            let networks = container.networks().into_iter();
            split(&container, &networks.map(|(name, endpoint)| (name.to_owned(), endpoint.clone())).collect())
        };
        assert_eq!(split("kafka-1.int"), (vec!["p_inner".to_owned()], vec!["p_edge".to_owned()]));
        // The name of the service resolves everywhere: no network is the brokers' own.
        assert!(split("kafka-1").1.is_empty());
    }
}
