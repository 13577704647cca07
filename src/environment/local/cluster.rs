//! A KRaft cluster on one machine: its nodes and their settings.

use super::config::{LocalConfig, Timeouts};
use super::ports::Port;
use super::properties::KafkaProperties;
use crate::environment::{Controllers, EnvironmentError, EnvironmentResult, ServiceId};
use std::collections::BTreeMap;

/// Node ids of dedicated controllers start here.
const FIRST_CONTROLLER: i32 = 101;

/// Properties that belong to a node's identity and place; a scenario cannot have its own.
const OWN: [&str; 12] = [
    "process.roles",
    "node.id",
    "broker.id",
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "inter.broker.listener.name",
    "controller.listener.names",
    "controller.quorum.voters",
    "controller.quorum.bootstrap.servers",
    "log.dir",
    "log.dirs",
];

/// A broker, a controller, or both.
#[derive(Debug)]
pub(super) struct KafkaNode {
    /// Full service name.
    pub(super) name: String,
    /// Kafka's node id.
    pub(super) id: i32,
    /// Where clients connect; brokers only.
    pub(super) clients: Option<Endpoint>,
    /// Where other brokers connect, where that is not where clients do; brokers only.
    pub(super) brokers: Option<Endpoint>,
    /// Where the quorum connects; controllers only.
    pub(super) quorum: Option<Endpoint>,
}

/// A listener: the port it binds, and the one it tells others.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Bound by the process itself.
    pub(super) port: Port,
    /// A proxy in front of it, for network faults.
    pub(super) proxy: Option<Port>,
}

impl Endpoint {
    fn reserve(behind_proxy: bool) -> EnvironmentResult<Self> {
        let proxy = if behind_proxy { Some(Port::reserve()?) } else { None };
        Ok(Self { port: Port::reserve()?, proxy })
    }

    /// The address others are told.
    pub(super) fn advertised(&self) -> String {
        self.proxy.as_ref().unwrap_or(&self.port).address()
    }
}

/// The nodes of a cluster and what they have in common.
#[derive(Debug)]
pub(super) struct LocalCluster {
    /// 16 random bytes in Kafka's notation; proves that an answer comes from this cluster.
    pub(super) id: String,
    /// In start order: dedicated controllers first.
    pub(super) nodes: Vec<KafkaNode>,
    /// Settings that differ from Kafka's defaults, the same for all nodes.
    pub(super) settings: KafkaProperties,
}

impl LocalCluster {
    /// Plans a cluster: ids, ports, settings.
    ///
    /// # Errors
    /// No ports are free, or the user's properties collide with kscen's own.
    pub(super) fn plan(
        config: &LocalConfig,
        brokers: u32,
        controllers: Controllers,
        extra: &BTreeMap<String, String>,
        proxied: bool,
    ) -> EnvironmentResult<Self> {
        // Two voters would need both for a majority, so a cluster of two has one.
        let voters = if brokers >= 3 { 3 } else { 1 };
        let mut nodes = Vec::new();
        if controllers == Controllers::Dedicated {
            for (index, id) in (1..=voters).zip(FIRST_CONTROLLER..) {
                let quorum = Some(Endpoint::reserve(proxied)?);
                nodes.push(KafkaNode {
                    name: ServiceId::Controller(index).to_string(),
                    id,
                    clients: None,
                    brokers: None,
                    quorum,
                });
            }
        }
        for (index, id) in (1..=brokers).zip(1..) {
            let votes = controllers == Controllers::Combined && index <= voters;
            nodes.push(KafkaNode {
                name: ServiceId::Broker(index).to_string(),
                id,
                clients: Some(Endpoint::reserve(proxied)?),
                brokers: if proxied { Some(Endpoint::reserve(true)?) } else { None },
                quorum: if votes { Some(Endpoint::reserve(proxied)?) } else { None },
            });
        }
        let settings = settings(config.timeouts, brokers, &[&config.config, extra])?;
        Ok(Self { id: random_id(), nodes, settings })
    }

    /// The nodes that are brokers.
    pub(super) fn brokers(&self) -> impl Iterator<Item = &KafkaNode> {
        self.nodes.iter().filter(|node| node.clients.is_some())
    }

    /// `bootstrap.servers` for clients.
    pub(super) fn bootstrap(&self) -> String {
        let addresses: Vec<String> =
            self.brokers().filter_map(|node| node.clients.as_ref()).map(Endpoint::advertised).collect();
        addresses.join(",")
    }

    /// All properties of a node whose data is in `data`.
    pub(super) fn properties(&self, node: &KafkaNode, data: &std::path::Path) -> KafkaProperties {
        let mut properties = self.settings.clone();
        let voters: Vec<String> = self
            .nodes
            .iter()
            .filter_map(|node| Some(format!("{}@{}", node.id, node.quorum.as_ref()?.advertised())))
            .collect();
        let listeners = [("PLAINTEXT", &node.clients), ("BROKERS", &node.brokers), ("CONTROLLER", &node.quorum)];
        let listeners: Vec<(&str, &Endpoint)> =
            listeners.into_iter().filter_map(|(name, endpoint)| Some((name, endpoint.as_ref()?))).collect();
        let bound: Vec<String> =
            listeners.iter().map(|(name, endpoint)| format!("{name}://{}", endpoint.port.address())).collect();
        // Controllers are found by the voters, not by advertised listeners, and Kafka refuses both.
        let advertised: Vec<String> = listeners
            .iter()
            .filter(|(name, _)| *name != "CONTROLLER")
            .map(|(name, endpoint)| format!("{name}://{}", endpoint.advertised()))
            .collect();
        let roles = match (&node.clients, &node.quorum) {
            (Some(_), Some(_)) => "broker,controller",
            (Some(_), None) => "broker",
            _ => "controller",
        };
        properties
            .set("process.roles", roles)
            .set("node.id", node.id)
            .set("controller.quorum.voters", voters.join(","))
            .set("listeners", bound.join(","))
            .set("controller.listener.names", "CONTROLLER")
            .set("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT")
            .set("log.dirs", data.display());
        if !advertised.is_empty() {
            let between = if node.brokers.is_some() { "BROKERS" } else { "PLAINTEXT" };
            properties.set("advertised.listeners", advertised.join(",")).set("inter.broker.listener.name", between);
        }
        properties
    }
}

/// What differs from Kafka's defaults: internal topics fit for one machine, less memory; and short timeouts where
/// asked for. `overrides` come on top, the last one strongest.
fn settings(
    timeouts: Timeouts,
    brokers: u32,
    overrides: &[&BTreeMap<String, String>],
) -> EnvironmentResult<KafkaProperties> {
    let replicas = brokers.clamp(1, 3);
    let mut settings = KafkaProperties::default();
    settings
        .set("offsets.topic.replication.factor", replicas)
        .set("offsets.topic.num.partitions", 4)
        .set("transaction.state.log.replication.factor", replicas)
        .set("transaction.state.log.min.isr", replicas.min(2))
        .set("transaction.state.log.num.partitions", 4)
        // As in the server.properties that Kafka ships for one machine.
        .set("group.initial.rebalance.delay.ms", 0)
        // The cleaner's buffer of 128 MiB is most of an idle broker's memory.
        .set("log.cleaner.dedupe.buffer.size", 2 << 20);
    if timeouts == Timeouts::Fast {
        settings
            .set("broker.session.timeout.ms", 1000)
            .set("broker.heartbeat.interval.ms", 250)
            .set("controller.quorum.fetch.timeout.ms", 1000)
            .set("controller.quorum.election.timeout.ms", 500)
            .set("group.min.session.timeout.ms", 1000);
    }
    for properties in overrides {
        if let Some(name) = properties.keys().find(|name| OWN.contains(&name.as_str())) {
            return Err(EnvironmentError::Unsupported {
                message: format!("the broker property `{name}` is kscen's own on a local stack and cannot be set"),
            });
        }
        settings.extend(properties);
    }
    Ok(settings)
}

/// 16 random bytes as Kafka writes ids: base64 with the URL alphabet, without padding, not starting with a dash.
pub(super) fn random_id() -> String {
    loop {
        let id = base64url(&rand::random::<[u8; 16]>());
        if !id.starts_with('-') {
            return id;
        }
    }
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(bits >> (18 - 6 * index) & 63) as usize]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn ids_are_in_kafkas_notation() {
        assert_eq!(base64url(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw");
        assert_eq!(base64url(&[0xff; 16]), "_____________________w");
        assert_eq!(random_id().len(), 22);
    }

    #[test]
    fn a_single_node_is_broker_and_controller() {
        let plan = |extra: &BTreeMap<_, _>| {
            LocalCluster::plan(&LocalConfig::default(), 1, Controllers::Combined, extra, false)
        };
        let extra = BTreeMap::from([("num.io.threads".to_owned(), "2".to_owned())]);
        let cluster = plan(&extra).expect("a plan");
        let properties = cluster.properties(&cluster.nodes[0], Path::new("/data"));
        assert_eq!(properties.get("process.roles"), Some("broker,controller"));
        assert_eq!(properties.get("num.io.threads"), Some("2"));
        assert_eq!(properties.get("broker.session.timeout.ms"), None);
        assert_eq!(properties.get("offsets.topic.replication.factor"), Some("1"));
        assert_eq!(
            properties.get("advertised.listeners"),
            Some(format!("PLAINTEXT://{}", cluster.bootstrap()).as_str())
        );
        assert!(plan(&BTreeMap::from([("listeners".to_owned(), "x".to_owned())])).is_err());
    }

    #[test]
    fn dedicated_controllers_and_proxies_separate_the_listeners() {
        let config = LocalConfig { timeouts: Timeouts::Fast, ..LocalConfig::default() };
        let cluster = LocalCluster::plan(&config, 3, Controllers::Dedicated, &BTreeMap::new(), true).expect("a plan");
        let names: Vec<&str> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["controller-1", "controller-2", "controller-3", "kafka-1", "kafka-2", "kafka-3"]);
        let controller = cluster.properties(&cluster.nodes[0], Path::new("/data"));
        assert_eq!(controller.get("advertised.listeners"), None);
        let broker = cluster.properties(&cluster.nodes[3], Path::new("/data"));
        assert_eq!(broker.get("process.roles"), Some("broker"));
        assert_eq!(broker.get("inter.broker.listener.name"), Some("BROKERS"));
        assert_eq!(broker.get("broker.session.timeout.ms"), Some("1000"));
        let bound = broker.get("listeners").expect("listeners");
        assert!(!bound.contains(&cluster.bootstrap().split(',').next().expect("one").to_owned()));
    }
}
