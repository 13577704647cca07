//! What a running stack was started with, so that it can be told whether it suits another scenario.

use super::config::LocalConfig;
use crate::environment::{
    Capability, Controllers, Endpoints, EnvironmentInfo, Needs, Offer, Release, ServiceId, ServiceInfo, unsuited,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A stack to start, in a form that can be sent to a process of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WantedStack {
    /// The configuration, with the version that the needs accept.
    pub(super) config: LocalConfig,
    /// The configuration as the project states it.
    stated: LocalConfig,
    /// The folder of the project's `kscen.yaml`, where it has one.
    root: Option<PathBuf>,
    brokers: u32,
    controllers: Option<Controllers>,
    broker_config: BTreeMap<String, String>,
    services: BTreeSet<ServiceId>,
    log_dir: Option<u64>,
    #[serde(default)]
    archive_dir: Option<u64>,
    #[serde(default)]
    kafkas_jvm: bool,
    capabilities: BTreeSet<Capability>,
}

impl WantedStack {
    /// The configuration must name a version that the needs accept; see [`super::version::resolve`].
    pub(super) fn new(config: LocalConfig, stated: &LocalConfig, root: Option<PathBuf>, needs: &Needs) -> Self {
        Self {
            config,
            stated: super::version::stated(stated),
            root,
            brokers: needs.brokers,
            controllers: needs.controllers,
            broker_config: needs.broker_config.clone(),
            services: needs.services.clone(),
            log_dir: needs.log_dir,
            archive_dir: needs.archive_dir,
            kafkas_jvm: needs.kafkas_jvm,
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
            archive_dir: self.archive_dir,
            kafkas_jvm: self.kafkas_jvm,
            capabilities: self.capabilities.clone(),
            actions: Default::default(),
            only_broker: false,
            private: false,
        }
    }

    /// Why a stack started with this does not suit a scenario of that project; `None` where it does.
    pub(super) fn unmet(
        &self,
        (info, services): (&EnvironmentInfo, &[ServiceInfo]),
        (config, root): (&LocalConfig, Option<&PathBuf>),
        needs: &Needs,
    ) -> Option<String> {
        if self.root.as_ref() != root {
            let owner = self.root.as_ref().map_or_else(|| "no project".to_owned(), |root| root.display().to_string());
            return Some(format!("it belongs to another project ({owner})"));
        }
        let changed = differences(&self.stated, &super::version::stated(config));
        if !changed.is_empty() {
            return Some(format!(
                "it was started with other settings than kscen.yaml has now ({})",
                changed.join(", ")
            ));
        }
        unsuited(&self.needs(), info, services, needs)
    }
}

/// What a stack offers that kscen started itself: its version, properties and places of controllers are known from that.
pub(super) fn offered(
    info: &EnvironmentInfo,
    services: &[ServiceInfo],
    endpoints: &Endpoints,
    (log_dir, archive_dir): (Option<u64>, Option<u64>),
) -> Offer {
    let ids = || services.iter().filter_map(|service| service.name.parse::<ServiceId>().ok());
    let dedicated = ids().any(|id| matches!(id, ServiceId::Controller(_)));
    let facts = info.facts.iter().filter_map(|(name, value)| Some((name.strip_prefix("broker ")?, value)));
    let properties: BTreeMap<String, String> = facts.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    let brokers = ids().filter(|id| matches!(id, ServiceId::Broker(_)));
    Offer {
        kafka: info
            .kafka_version
            .as_deref()
            .map(|version| BTreeSet::from([Release::read(version)]))
            .ok_or_else(|| "its jars do not name it".to_owned()),
        controllers: Ok(if dedicated { Controllers::Dedicated } else { Controllers::Combined }),
        broker_config: Ok(brokers.map(|id| (id.to_string(), properties.clone())).collect()),
        log_dir,
        archive_dir,
        ..Offer::unknown(info.brokers, endpoints, "")
    }
}

/// The keys whose values differ.
fn differences(one: &LocalConfig, other: &LocalConfig) -> Vec<String> {
    let [one, other] = [one, other].map(|config| serde_json::to_value(config).unwrap_or_default());
    let keys =
        |value: &Value| value.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect::<BTreeSet<_>>();
    let all = keys(&one).union(&keys(&other)).cloned().collect::<Vec<_>>();
    all.into_iter().filter(|key| one.get(key) != other.get(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::config::Timeouts;
    use super::*;
    use crate::environment::EnvironmentKind;

    #[test]
    fn a_stack_suits_what_it_offers_and_nothing_else() {
        let config = LocalConfig::default();
        let started_for = Needs::kafka().service(ServiceId::Connect);
        let wanted = WantedStack::new(config.clone(), &config, Some("/a".into()), &started_for);
        let info = EnvironmentInfo {
            name: "local".into(),
            kind: EnvironmentKind::of::<LocalConfig>(),
            kafka_version: Some("3.6.1".into()),
            brokers: 1,
            facts: BTreeMap::from([("broker a".into(), "1".into())]),
        };
        let service = |name: &str| ServiceInfo { name: name.into(), node_id: None, controllable: true };
        let services = [service("kafka-1"), service("connect")];
        let root = PathBuf::from("/a");
        let unmet = |needs: Needs| wanted.unmet((&info, &services), (&config, Some(&root)), &needs);
        assert_eq!(unmet(Needs::kafka().service(ServiceId::Connect)), None);
        assert_eq!(unmet(Needs { kafka: "3.6".parse().ok(), ..Needs::kafka() }), None);
        let setting = |value: &str| BTreeMap::from([("a".to_owned(), value.to_owned())]);
        assert_eq!(unmet(Needs { broker_config: setting("1"), ..Needs::kafka() }), None);
        for needs in [
            Needs { brokers: 3, ..Needs::kafka() },
            Needs { kafka: ">=4".parse().ok(), ..Needs::kafka() },
            Needs { controllers: Some(Controllers::Dedicated), ..Needs::kafka() },
            Needs { broker_config: setting("2"), ..Needs::kafka() },
            Needs { log_dir: Some(1), ..Needs::kafka() },
            Needs { archive_dir: Some(1), ..Needs::kafka() },
            Needs { kafkas_jvm: true, ..Needs::kafka() },
            Needs { private: true, ..Needs::kafka() },
            Needs::kafka().service(ServiceId::Postgres),
            Needs::kafka().with(Capability::NetworkCut),
        ] {
            assert!(unmet(needs.clone()).is_some(), "{needs:?}");
        }
        let json = serde_json::to_string(&wanted).expect("plain data");
        assert_eq!(serde_json::from_str::<WantedStack>(&json).expect("the same"), wanted);
    }

    #[test]
    fn a_stack_belongs_to_its_project_and_to_its_settings() {
        let fast = LocalConfig { timeouts: Timeouts::Fast, ..LocalConfig::default() };
        let wanted = WantedStack::new(fast.clone(), &fast, Some("/a".into()), &Needs::kafka());
        let info = EnvironmentInfo {
            name: "local".into(),
            kind: EnvironmentKind::of::<LocalConfig>(),
            kafka_version: Some("3.6.1".into()),
            brokers: 1,
            facts: BTreeMap::new(),
        };
        let (own, other) = (PathBuf::from("/a"), PathBuf::from("/b"));
        let unmet = |config: &LocalConfig, root| wanted.unmet((&info, &[]), (config, root), &Needs::kafka());
        assert_eq!(unmet(&fast, Some(&own)), None);
        assert!(unmet(&fast, Some(&other)).is_some_and(|why| why.contains("/a")));
        assert!(unmet(&fast, None).is_some());
        assert!(unmet(&LocalConfig::default(), Some(&own)).is_some_and(|why| why.contains("timeouts")));
    }

    #[test]
    fn what_was_started_for_one_scenario_serves_another_only_as_it_is() {
        let info = |brokers| EnvironmentInfo {
            name: "local".into(),
            kind: EnvironmentKind::of::<LocalConfig>(),
            kafka_version: Some("4.3.1".into()),
            brokers,
            facts: BTreeMap::from([("broker a".into(), "1".into())]),
        };
        let serves =
            |known: Needs, brokers, needs: Needs| super::unsuited(&known, &info(brokers), &[], &needs).is_none();
        let set = || Needs { broker_config: BTreeMap::from([("a".to_owned(), "1".to_owned())]), ..Needs::kafka() };
        let newer = || Needs { kafka: ">=4".parse().ok(), ..Needs::kafka() };
        assert!(serves(Needs::kafka(), 3, Needs::kafka()) && serves(set(), 1, set()) && serves(newer(), 1, newer()));
        assert!(!serves(set(), 1, Needs::kafka()), "its settings would be in the figures");
        assert!(!serves(newer(), 1, Needs::kafka()), "its version, too");
        assert!(!serves(Needs::kafka(), 3, Needs { only_broker: true, ..Needs::kafka() }));
        assert!(!serves(Needs { private: true, ..Needs::kafka() }, 1, Needs::kafka()));
    }
}
