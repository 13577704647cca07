//! What a running stack was started with, so that it can be told whether it suits another scenario.

use super::config::LocalConfig;
use crate::environment::{Capability, Controllers, EnvironmentInfo, Needs, ServiceInfo};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A stack to start, in a form that can be sent to a process of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) config: LocalConfig,
    brokers: u32,
    controllers: Option<Controllers>,
    broker_config: BTreeMap<String, String>,
    services: BTreeSet<String>,
    log_dir: Option<u64>,
    capabilities: BTreeSet<Capability>,
}

impl Wanted {
    /// The configuration must name a version that the needs accept; see [`super::version::resolve`].
    pub(super) fn new(config: LocalConfig, needs: &Needs) -> Self {
        Self {
            config,
            brokers: needs.brokers,
            controllers: needs.controllers,
            broker_config: needs.broker_config.clone(),
            services: needs.services.clone(),
            log_dir: needs.log_dir,
            capabilities: needs.capabilities.clone(),
        }
    }

    /// The needs again; their version range has become part of the configuration.
    pub(super) fn needs(&self) -> Needs {
        Needs {
            brokers: self.brokers,
            controllers: self.controllers,
            kafka: None,
            broker_config: self.broker_config.clone(),
            services: self.services.clone(),
            log_dir: self.log_dir,
            capabilities: self.capabilities.clone(),
            private: false,
        }
    }

    /// Why a stack started with this does not suit a scenario; `None` where it does.
    pub(super) fn unmet(&self, info: &EnvironmentInfo, services: &[ServiceInfo], needs: &Needs) -> Option<String> {
        if needs.private {
            return Some("the scenario needs a stack of its own".to_owned());
        }
        if needs.brokers > info.brokers {
            return Some(format!("the scenario needs {} brokers, there are {}", needs.brokers, info.brokers));
        }
        let version = info.kafka_version.as_deref().unwrap_or_default();
        if needs.kafka.as_ref().is_some_and(|range| !range.admits(version)) {
            return Some(format!("the scenario does not accept Kafka {version}"));
        }
        if needs.controllers.is_some_and(|wanted| wanted != self.controllers.unwrap_or_default()) {
            return Some("the controllers run elsewhere than the scenario needs them".to_owned());
        }
        if let Some(missing) = needs.services.iter().find(|name| services.iter().all(|service| service.name != **name))
        {
            return Some(format!("there is no service `{missing}`"));
        }
        if needs.log_dir.is_some() && needs.log_dir != self.log_dir {
            return Some("the log directories have not the size that the scenario needs".to_owned());
        }
        for (name, value) in &needs.broker_config {
            if info.facts.get(&format!("broker {name}")) != Some(value) {
                return Some(format!("the brokers do not run with {name}={value}"));
            }
        }
        let is_network =
            |capability: &Capability| matches!(capability, Capability::NetworkCut | Capability::NetworkShape);
        if needs.capabilities.iter().any(is_network) && !self.capabilities.iter().any(is_network) {
            return Some("it was started without network faults".to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::EnvironmentKind;

    #[test]
    fn a_stack_suits_what_it_offers_and_nothing_else() {
        let wanted = Wanted::new(LocalConfig::default(), &Needs::kafka().service("connect"));
        let info = EnvironmentInfo {
            name: "local".into(),
            kind: EnvironmentKind::Local,
            kafka_version: Some("3.6.1".into()),
            brokers: 1,
            facts: BTreeMap::from([("broker a".into(), "1".into())]),
        };
        let service = |name: &str| ServiceInfo { name: name.into(), node_id: None, controllable: true };
        let services = [service("kafka-1"), service("connect")];
        let unmet = |needs: Needs| wanted.unmet(&info, &services, &needs);
        assert_eq!(unmet(Needs::kafka().service("connect")), None);
        assert_eq!(unmet(Needs { kafka: "3.6".parse().ok(), ..Needs::kafka() }), None);
        let setting = |value: &str| BTreeMap::from([("a".to_owned(), value.to_owned())]);
        assert_eq!(unmet(Needs { broker_config: setting("1"), ..Needs::kafka() }), None);
        for needs in [
            Needs { brokers: 3, ..Needs::kafka() },
            Needs { kafka: ">=4".parse().ok(), ..Needs::kafka() },
            Needs { controllers: Some(Controllers::Dedicated), ..Needs::kafka() },
            Needs { broker_config: setting("2"), ..Needs::kafka() },
            Needs { log_dir: Some(1), ..Needs::kafka() },
            Needs { private: true, ..Needs::kafka() },
            Needs::kafka().service("postgres"),
            Needs::kafka().with(Capability::NetworkCut),
        ] {
            assert!(unmet(needs.clone()).is_some(), "{needs:?}");
        }
        let json = serde_json::to_string(&wanted).expect("plain data");
        assert_eq!(serde_json::from_str::<Wanted>(&json).expect("the same"), wanted);
    }
}
