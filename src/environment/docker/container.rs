//! One container as the engine described it at one moment.

use super::engine::parse_time;
use crate::environment::Lifecycle;
use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, EndpointSettings, HealthStatusEnum,
    RestartPolicyNameEnum,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

/// How an end at the memory limit is told: OOM is the word of Docker and of the kernel.
pub(super) const OUT_OF_MEMORY: &str = "out of memory (OOM): the kernel killed it at its memory limit";

/// An inspected container. Every field of the engine's answer is optional; here they are not.
#[derive(Clone, Debug)]
pub(super) struct Container(pub(super) ContainerInspectResponse);

impl Container {
    pub(super) fn id(&self) -> &str {
        self.0.id.as_deref().unwrap_or_default()
    }

    /// The twelve digits that `docker ps` shows.
    pub(super) fn short_id(&self) -> String {
        short(self.id())
    }

    /// Without the slash that the engine puts in front.
    pub(super) fn name(&self) -> &str {
        self.0.name.as_deref().unwrap_or_default().trim_start_matches('/')
    }

    fn state(&self) -> Option<&ContainerState> {
        self.0.state.as_ref()
    }

    pub(super) fn status(&self) -> ContainerStateStatusEnum {
        self.state().and_then(|state| state.status).unwrap_or(ContainerStateStatusEnum::EMPTY)
    }

    /// What it is doing; `asked` tells whether somebody asked the engine to end it, which the engine does not remember.
    pub(super) fn lifecycle(&self, asked: bool) -> Lifecycle {
        let state = self.state();
        if state.and_then(|state| state.paused) == Some(true) {
            return Lifecycle::Paused;
        }
        let restarting = state.and_then(|state| state.restarting) == Some(true);
        match state.and_then(|state| state.running) {
            Some(true) if !restarting => Lifecycle::Running,
            _ if asked => Lifecycle::Stopped,
            _ => Lifecycle::Exited,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.lifecycle(false) == Lifecycle::Running
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lifecycle(false) == Lifecycle::Paused
    }

    /// Neither running nor paused.
    pub(super) fn is_down(&self) -> bool {
        self.lifecycle(false) == Lifecycle::Exited
    }

    /// Exit code of its last life, 128 + signal for a killed one; `None` while it runs or was never started.
    pub(super) fn exit_code(&self) -> Option<i32> {
        self.finished_at()?;
        let code = self.state()?.exit_code?;
        self.is_down().then(|| i32::try_from(code).ok()).flatten()
    }

    pub(super) fn started_at(&self) -> Option<SystemTime> {
        self.state()?.started_at.as_deref().and_then(parse_time)
    }

    pub(super) fn finished_at(&self) -> Option<SystemTime> {
        self.state()?.finished_at.as_deref().and_then(parse_time)
    }

    /// Whether its last life ended for want of memory.
    pub(super) fn was_out_of_memory(&self) -> bool {
        self.state().and_then(|state| state.oom_killed) == Some(true)
    }

    /// How it ended, in words.
    pub(super) fn ending(&self) -> String {
        let state = self.state();
        let code = state.and_then(|state| state.exit_code).unwrap_or_default();
        let mut words = match code {
            137 => "exit code 137 (SIGKILL)".to_owned(),
            143 => "exit code 143 (SIGTERM)".to_owned(),
            code @ 129..=192 => format!("exit code {code} (signal {})", code - 128),
            code => format!("exit code {code}"),
        };
        if self.was_out_of_memory() {
            words.push_str(", ");
            words.push_str(OUT_OF_MEMORY);
        }
        if let Some(error) = state.and_then(|state| state.error.as_deref()).filter(|error| !error.is_empty()) {
            words.push_str(", ");
            words.push_str(error);
        }
        words
    }

    /// Result of its health check; `None` where it has none.
    pub(super) fn health(&self) -> Option<HealthStatusEnum> {
        let status = self.state()?.health.as_ref()?.status?;
        (!matches!(status, HealthStatusEnum::NONE | HealthStatusEnum::EMPTY)).then_some(status)
    }

    /// What the last health probe printed.
    pub(super) fn health_output(&self) -> Option<&str> {
        let probes = self.state()?.health.as_ref()?.log.as_ref()?;
        probes.last()?.output.as_deref().map(str::trim).filter(|output| !output.is_empty())
    }

    /// The restart policy, where it has one that restarts.
    pub(super) fn restart_policy(&self) -> Option<String> {
        let name = self.0.host_config.as_ref()?.restart_policy.as_ref()?.name?;
        (!matches!(name, RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO)).then(|| name.to_string())
    }

    /// A variable of its environment, image defaults included.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let variables = self.0.config.as_ref()?.env.as_ref()?;
        variables.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// A setting of Kafka's that its variables give, with the usual prefix or with Bitnami's.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        let given = |prefix: &str| self.variable(&format!("{prefix}{name}")).filter(|value| !value.is_empty());
        given("KAFKA_").or_else(|| given("KAFKA_CFG_"))
    }

    /// What its variables give as the node's id, as written.
    pub(super) fn node_ids(&self) -> impl Iterator<Item = &str> {
        ["NODE_ID", "BROKER_ID"].into_iter().filter_map(|name| self.setting(name))
    }

    /// The networks it is connected to.
    pub(super) fn networks(&self) -> BTreeMap<&str, &EndpointSettings> {
        let networks = self.0.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        networks.into_iter().flatten().map(|(name, endpoint)| (name.as_str(), endpoint)).collect()
    }

    /// Published TCP ports as defined, also while they are not open: (port inside, address outside, port outside).
    fn bindings(&self) -> Vec<(u16, &str, &str)> {
        let bindings = self.0.host_config.as_ref().and_then(|config| config.port_bindings.as_ref());
        let open = self.0.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
        let mut found = Vec::new();
        for (inside, outside) in bindings.into_iter().chain(open).flatten() {
            let Some(inside) = inside.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else { continue };
            for binding in outside.iter().flatten() {
                let port = binding.host_port.as_deref().filter(|port| !port.is_empty() && *port != "0");
                found.extend(port.map(|port| (inside, binding.host_ip.as_deref().unwrap_or_default(), port)));
            }
        }
        found
    }

    /// The same, as a client of this machine reaches them: (port inside, address outside).
    pub(super) fn published(&self) -> Vec<(u16, String)> {
        let mut published = Vec::new();
        for (inside, host, port) in self.bindings() {
            let host = Some(host).filter(|host| !host.is_empty() && *host != "0.0.0.0" && !host.contains(':'));
            let address = (inside, format!("{}:{port}", host.unwrap_or("127.0.0.1")));
            if !published.contains(&address) {
                published.push(address);
            }
        }
        published.sort();
        published
    }

    /// Whether a port of the machine leads to it, at one of these addresses of the machine; at any where there are none.
    pub(super) fn publishes(&self, addresses: &[IpAddr], port: u16) -> bool {
        self.bindings().into_iter().any(|(_, host, own)| {
            let bound: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
            let at_all = addresses.is_empty() || bound.is_none_or(|bound| bound.is_unspecified());
            own.parse() == Ok(port) && (at_all || bound.is_some_and(|bound| addresses.contains(&bound)))
        })
    }

    /// Whether it has the machine's network, and with it all ports.
    pub(super) fn is_on_host_network(&self) -> bool {
        let mode = self.0.host_config.as_ref().and_then(|config| config.network_mode.as_deref());
        mode == Some("host")
    }

    /// Its own addresses.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let own =
            |endpoint: &&EndpointSettings| endpoint.ip_address.as_deref().and_then(|address| address.parse().ok());
        self.networks().values().filter_map(own).collect()
    }

    /// A label of it.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.0.config.as_ref()?.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// Where a client of this machine reaches the port `inside`.
    pub(super) fn address_of(&self, inside: u16) -> Option<String> {
        self.published().into_iter().find(|(port, _)| *port == inside).map(|(_, address)| address)
    }
}

/// The first twelve digits of an id.
pub(super) fn short(id: &str) -> String {
    id.chars().take(12).collect()
}
