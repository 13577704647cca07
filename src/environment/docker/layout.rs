//! Over which networks the nodes of a cluster reach each other, as far as their variables and the engine's names tell.

use super::container::Container;
use super::roles::ServiceRole;
use bollard::models::EndpointSettings;
use std::collections::{BTreeMap, BTreeSet};

/// How the inter-broker listener is called in messages.
const INTER_BROKER: &str = "its inter-broker listener";
const VOTERS: &str = "CONTROLLER_QUORUM_VOTERS";
const BOOTSTRAP: &str = "CONTROLLER_QUORUM_BOOTSTRAP_SERVERS";

/// A broker or controller with all its networks, those that it is cut off from at the moment included.
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) role: ServiceRole,
    pub(super) node_id: Option<i32>,
    pub(super) container: &'a Container,
    pub(super) endpoints: BTreeMap<String, EndpointSettings>,
}

/// A host by which other nodes come to one, and what says so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    host: String,
    setting: &'static str,
}

impl Node<'_> {
    /// Whether a host leads to it over a network.
    fn answers_to(&self, host: &str, network: &str) -> bool {
        // Only of a network that it is connected to the names are known that the engine gave it.
        let present = self.container.networks();
        let Some(endpoint) = present.get(network).copied().or_else(|| self.endpoints.get(network)) else {
            return false;
        };
        let fixed = endpoint.ipam_config.as_ref().and_then(|config| config.ipv4_address.as_deref());
        if [endpoint.ip_address.as_deref(), fixed].contains(&Some(host)) {
            return true;
        }
        let names = endpoint.aliases.iter().chain(&endpoint.dns_names).flatten().map(String::as_str);
        // The engine also answers to a name with that of the network behind it.
        names.chain([self.container.name()]).any(|name| {
            name == host || host.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) == Some(network)
        })
    }

    fn answers_anywhere(&self, host: &str) -> bool {
        self.endpoints.keys().any(|network| self.answers_to(host, network))
    }

    /// The hosts by which the other nodes come to it: brokers to its inter-broker listener, and whoever is no voter, or another one, to
    /// its controller.
    fn ways(&self, nodes: &[&Node<'_>]) -> Result<BTreeSet<Way>, String> {
        let mut ways = BTreeSet::new();
        if self.role == ServiceRole::Broker {
            let host = inter_broker_host(self.container)
                .ok_or_else(|| format!("the inter-broker listener of {} is not told by its variables", self.name))?;
            ways.insert(Way { host, setting: INTER_BROKER });
        }
        for teller in nodes {
            for entry in entries(teller.container, VOTERS) {
                let Some((id, host)) = entry.split_once('@').and_then(|(id, rest)| Some((id, host_of(rest)?))) else {
                    continue;
                };
                if id.parse().ok() == self.node_id && self.node_id.is_some() {
                    ways.insert(Way { host: host.to_owned(), setting: VOTERS });
                }
            }
            let hosts = entries(teller.container, BOOTSTRAP).filter_map(host_of);
            for host in hosts.filter(|host| self.answers_anywhere(host)) {
                ways.insert(Way { host: host.to_owned(), setting: BOOTSTRAP });
            }
        }
        let controllers: Vec<&str> = entries(self.container, "CONTROLLER_LISTENER_NAMES").collect();
        let advertised = entries(self.container, "ADVERTISED_LISTENERS").filter_map(listener);
        for (_, host) in advertised.filter(|(name, _)| controllers.contains(name)) {
            ways.insert(Way { host: host.to_owned(), setting: "its controller listener" });
        }
        // Its own loopback is no way to it.
        ways.retain(|way| way.host != "localhost" && !way.host.starts_with("127."));
        Ok(ways)
    }
}

/// The networks over which the other nodes and this one reach each other, and its others.
///
/// # Errors
/// Why they cannot be told apart, in words that fit behind "…: ".
pub(super) fn split(node: &Node<'_>, peers: &[Node<'_>]) -> Result<(Vec<String>, Vec<String>), String> {
    let nodes: Vec<&Node<'_>> = std::iter::once(node).chain(peers).collect();
    let ways = node.ways(&nodes)?;
    if let Some(way) = ways.iter().find(|way| !node.answers_anywhere(&way.host)) {
        return Err(format!("`{}` ({}) is its name on none of its networks", way.host, way.setting));
    }
    let is_inner = |network: &&String| ways.iter().any(|way| node.answers_to(&way.host, network));
    let (inner, outer): (Vec<&String>, Vec<&String>) = node.endpoints.keys().partition(is_inner);
    if inner.is_empty() {
        return Err("no name is known by which the others reach it".to_owned());
    }
    if outer.is_empty() {
        let reach = |way: &&Way| inner.iter().filter(|network| node.answers_to(&way.host, network)).count();
        let widest = ways.iter().max_by_key(reach);
        let words = widest.map(|way| format!("the others reach it as `{}` ({})", way.host, way.setting));
        let networks: Vec<&str> = inner.iter().map(|network| network.as_str()).collect();
        return Err(format!("{} over {}", words.unwrap_or_default(), networks.join(", ")));
    }
    for peer in peers {
        for way in peer.ways(&nodes)? {
            let beside = outer.iter().find(|network| peer.answers_to(&way.host, network));
            if let Some(network) = beside {
                return Err(format!(
                    "it reaches {} as `{}` ({}) over {network} as well",
                    peer.name, way.host, way.setting
                ));
            }
        }
    }
    let owned = |networks: Vec<&String>| networks.into_iter().cloned().collect();
    Ok((owned(inner), owned(outer)))
}

/// The network of `inner` over which a worker of Connect speaks to brokers, which is where its bootstrap servers are; any that it shares
/// where its variables do not tell them.
pub(super) fn shared_with<'a>(worker: &Container, inner: &'a [String], nodes: &[Node<'_>]) -> Option<&'a str> {
    let told = ["CONNECT_BOOTSTRAP_SERVERS", "BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP_SERVERS"];
    let told = told.iter().find_map(|name| worker.variable(name)).filter(|servers| !servers.is_empty());
    let leads = |network: &str| {
        let Some(servers) = told else { return true };
        let hosts = servers.split(',').filter_map(|entry| host_of(entry.trim().rsplit("://").next()?));
        hosts.into_iter().any(|host| nodes.iter().any(|node| node.answers_to(host, network)))
    };
    let connected = worker.networks();
    inner.iter().map(String::as_str).find(|network| connected.contains_key(network) && leads(network))
}

fn entries<'a>(container: &'a Container, setting: &str) -> impl Iterator<Item = &'a str> {
    let text = container.setting(setting).unwrap_or_default();
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// The host of `host:port`.
fn host_of(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(host, _)| host).filter(|host| !host.is_empty())
}

/// Name and host of `NAME://host:port`.
fn listener(entry: &str) -> Option<(&str, &str)> {
    let (name, address) = entry.split_once("://")?;
    Some((name, host_of(address)?))
}

/// Host of the listener that brokers use among themselves; where none is named, Kafka takes that of the protocol between brokers.
fn inter_broker_host(container: &Container) -> Option<String> {
    let named = container.setting("INTER_BROKER_LISTENER_NAME");
    let wanted = named.or_else(|| container.setting("SECURITY_INTER_BROKER_PROTOCOL")).unwrap_or("PLAINTEXT");
    let mut advertised = entries(container, "ADVERTISED_LISTENERS").filter_map(listener);
    advertised.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, host)| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A broker on an outer and an inner network; `{n}` in the variables is its number.
    fn broker(number: i32, variables: &[&str]) -> Container {
        let variables = variables.iter().map(|text| text.replace("{n}", &number.to_string()));
        let inspected = json!({
            "Id": "0123456789abcdef",
            "Name": format!("/p-kafka-{number}-1"),
            "Config": { "Env": variables.collect::<Vec<_>>() },
            "NetworkSettings": { "Networks": {
                "p_edge": { "Aliases": [format!("kafka-{number}")] },
                "p_inner": { "Aliases": [format!("kafka-{number}"), format!("kafka-{number}.int")] },
            } },
        });
        Container(serde_json::from_value(inspected).expect("an inspected container"))
    }

    fn node<'a>(name: &'a str, number: i32, container: &'a Container) -> Node<'a> {
        let networks = container.networks().into_iter();
        let endpoints = networks.map(|(name, endpoint)| (name.to_owned(), endpoint.clone())).collect();
        Node { name, role: ServiceRole::Broker, node_id: Some(number), container, endpoints }
    }

    fn split_by(variables: &[&str]) -> Result<(Vec<String>, Vec<String>), String> {
        let (one, two) = (broker(1, variables), broker(2, variables));
        split(&node("kafka-1", 1, &one), &[node("kafka-2", 2, &two)])
    }

    const NAMED: &str = "KAFKA_INTER_BROKER_LISTENER_NAME=INTERNAL";
    const INNER: &str = "KAFKA_ADVERTISED_LISTENERS=EXTERNAL://127.0.0.1:9092,INTERNAL://kafka-{n}.int:29092";

    #[test]
    fn brokers_meet_on_the_networks_where_their_listener_has_its_name() {
        let apart = Ok((vec!["p_inner".to_owned()], vec!["p_edge".to_owned()]));
        assert_eq!(split_by(&[NAMED, INNER]), apart);
        // The name of the service resolves everywhere: no network is the brokers' own.
        let everywhere = INNER.replace(".int", "");
        assert!(split_by(&[NAMED, &everywhere]).is_err_and(|why| why.contains("`kafka-1`") && why.contains("p_edge")));
        // Variables of another image, and Kafka's default where no listener is named.
        let other = [NAMED, INNER].map(|text| text.replace("KAFKA_", "KAFKA_CFG_"));
        assert_eq!(split_by(&[&other[0], &other[1]]), apart);
        let default = INNER.replace("INTERNAL", "PLAINTEXT");
        assert_eq!(split_by(&[&default]), apart);
        assert!(split_by(&[INNER]).is_err_and(|why| why.contains("not told by its variables")));
        let elsewhere = INNER.replace("kafka-{n}.int", "host.docker.internal");
        assert!(split_by(&[NAMED, &elsewhere]).is_err_and(|why| why.contains("none of its networks")));
    }

    #[test]
    fn controllers_that_are_reached_over_another_network_are_not_cut_off() {
        let voters =
            |host: &str| format!("KAFKA_CONTROLLER_QUORUM_VOTERS=1@{host}:9093,2@{}:9093", host.replace('1', "2"));
        let inner = split_by(&[NAMED, INNER, &voters("kafka-1.int")]);
        assert_eq!(inner, Ok((vec!["p_inner".to_owned()], vec!["p_edge".to_owned()])));
        let leaking = split_by(&[NAMED, INNER, &voters("kafka-1")]);
        assert!(leaking.is_err_and(|why| why.contains("`kafka-1` (CONTROLLER_QUORUM_VOTERS) over p_edge, p_inner")));
        // A broker that is no voter goes on to reach the one that is.
        let only = "KAFKA_CONTROLLER_QUORUM_VOTERS=2@kafka-2:9093";
        let leaking = split_by(&[NAMED, INNER, only]);
        assert!(leaking.is_err_and(|why| why.contains("it reaches kafka-2 as `kafka-2`") && why.contains("p_edge")));
    }

    #[test]
    fn connect_is_a_client_that_may_come_over_the_network_of_the_brokers() {
        let one = broker(1, &[NAMED, INNER]);
        let worker = |servers: &str, network: &str| {
            let inspected = json!({
                "Config": { "Env": [format!("BOOTSTRAP_SERVERS={servers}")] },
                "NetworkSettings": { "Networks": { network: {} } },
            });
            Container(serde_json::from_value(inspected).expect("an inspected container"))
        };
        let inner = ["p_inner".to_owned()];
        let nodes = [node("kafka-1", 1, &one)];
        assert_eq!(shared_with(&worker("kafka-1.int:29092", "p_inner"), &inner, &nodes), Some("p_inner"));
        assert_eq!(shared_with(&worker("kafka-1.int:29092", "p_edge"), &inner, &nodes), None);
        assert_eq!(shared_with(&worker("elsewhere:9092", "p_inner"), &inner, &nodes), None);
        assert_eq!(shared_with(&worker("", "p_inner"), &inner, &nodes), Some("p_inner"), "nobody tells");
    }
}
