//! Whether what answers at the configured addresses is this project's: else the load goes to one stack, the faults to
//! another, and the verdict is about neither.

use super::container::Container;
use crate::kafka::ClusterView;
use std::net::{IpAddr, UdpSocket};

/// A broker of the project.
pub(super) struct Candidate<'a> {
    /// In scenarios.
    pub(super) name: &'a str,
    pub(super) node_id: Option<i32>,
    pub(super) container: &'a Container,
}

/// Where an address leads, seen from this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// To a port of this machine, or of the engine's.
    Here(u16),
    /// To a port of another address: a container's own, where it is one.
    At(Vec<IpAddr>, u16),
    /// Nobody knows.
    Nowhere,
}

/// Finds out where `host:port` leads; `engine` is the host of an engine that is reached by network.
pub(super) async fn place(host: &str, port: u16, engine: Option<&str>) -> Destination {
    if engine == Some(host) {
        return Destination::Here(port);
    }
    let Ok(found) = tokio::net::lookup_host((host, port)).await else { return Destination::Nowhere };
    let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    // Only an address of this machine can be bound.
    let is_here = |ip: &IpAddr| ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((*ip, 0)).is_ok();
    match addresses.iter().any(is_here) {
        true => Destination::Here(port),
        false if addresses.is_empty() => Destination::Nowhere,
        false => Destination::At(addresses, port),
    }
}

/// Host and port of `host:port`, also of `[::1]:9092`.
pub(super) fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.trim().rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}

/// Host and port of a URL, with the port that its scheme implies.
pub(super) fn split_url(url: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let address = authority.rsplit('@').next()?;
    let port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => 5432,
    };
    split(address).or_else(|| (!address.is_empty() && !address.contains(',')).then_some((address, port)))
}

/// Whether an address leads to a container; `None` where that cannot be told.
pub(super) fn leads_to(place: &Destination, container: &Container) -> Option<bool> {
    match place {
        Destination::Nowhere => None,
        // It publishes nothing, and has all ports of the machine.
        Destination::Here(_) if container.is_on_host_network() => None,
        Destination::Here(port) => Some(container.publishes(*port)),
        Destination::At(addresses, _) => {
            let own = container.addresses();
            addresses.iter().any(|address| own.contains(address)).then_some(true)
        }
    }
}

/// The variables by which images are told the id of their cluster.
const CLUSTER_ID: [&str; 3] = ["CLUSTER_ID", "KAFKA_CLUSTER_ID", "KAFKA_KRAFT_CLUSTER_ID"];

/// Why the cluster that answers is not the project's; `None` where nothing speaks against it. `places` says where each broker
/// of the cluster is reached.
pub(super) fn foreign(cluster: &ClusterView, places: &[Destination], brokers: &[Candidate<'_>]) -> Option<String> {
    for candidate in brokers {
        let told = CLUSTER_ID.iter().find_map(|name| candidate.container.variable(name));
        if let (Some(told), Some(id)) = (told, &cluster.id)
            && told != id
        {
            return Some(format!("it is the cluster {id}, and {} belongs to {told}", candidate.name));
        }
    }
    for (broker, place) in cluster.brokers.iter().zip(places) {
        let address = format!("broker {} is reached at {}:{}", broker.id, broker.host, broker.port);
        let answers: Vec<_> = brokers.iter().map(|candidate| leads_to(place, candidate.container)).collect();
        match answers.iter().position(|answer| *answer == Some(true)) {
            Some(index) => {
                let candidate = &brokers[index];
                if candidate.node_id.is_some_and(|id| id != broker.id) {
                    let id = candidate.node_id.unwrap_or_default();
                    return Some(format!("its {address}, where {} is, whose node id is {id}", candidate.name));
                }
            }
            None if !answers.is_empty() && answers.iter().all(|answer| *answer == Some(false)) => {
                return Some(format!("its {address}, which is none of this project's containers"));
            }
            None => {
                let known = brokers.iter().all(|candidate| candidate.node_id.is_some());
                if known && !brokers.iter().any(|candidate| candidate.node_id == Some(broker.id)) {
                    return Some(format!("its {address}, and no container of the project has that node id"));
                }
            }
        }
    }
    None
}

/// What is wrong with the number of brokers; `None` where it is right.
pub(super) fn miscounted(cluster: &ClusterView, brokers: &[Candidate<'_>]) -> Option<String> {
    let names = || brokers.iter().map(|candidate| candidate.name).collect::<Vec<_>>().join(", ");
    let ids = || cluster.brokers.iter().map(|broker| broker.id.to_string()).collect::<Vec<_>>().join(", ");
    (cluster.brokers.len() != brokers.len()).then(|| {
        format!(
            "the cluster has {} brokers ({}), the project {} ({})",
            cluster.brokers.len(),
            ids(),
            brokers.len(),
            names()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::BrokerView;
    use serde_json::json;

    fn container(port: u16, cluster: &str) -> Container {
        let described = json!({
            "Config": { "Env": [format!("CLUSTER_ID={cluster}")] },
            "HostConfig": { "PortBindings": { "9092/tcp": [{ "HostIp": "127.0.0.1", "HostPort": port.to_string() }] } },
            "NetworkSettings": { "Networks": { "shop_default": { "IPAddress": "172.18.0.2" } } }
        });
        Container(serde_json::from_value(described).expect("as the engine describes it"))
    }

    fn cluster(id: &str, brokers: &[(i32, u16)]) -> (ClusterView, Vec<Destination>) {
        let view = |(id, port): &(i32, u16)| BrokerView { id: *id, host: "127.0.0.1".to_owned(), port: *port };
        let brokers: Vec<_> = brokers.iter().map(view).collect();
        let places = brokers.iter().map(|broker| Destination::Here(broker.port)).collect();
        let cluster = ClusterView { id: Some(id.to_owned()), brokers, controller: None, topics: Default::default() };
        (cluster, places)
    }

    #[test]
    fn the_projects_own_cluster_is_known_by_ports_ids_and_number() {
        let (one, two) = (container(9092, "x"), container(9093, "x"));
        let candidate = |name, id, container| Candidate { name, node_id: Some(id), container };
        let both = [candidate("kafka-1", 1, &one), candidate("kafka-2", 2, &two)];
        let reason = |id: &str, brokers: &[(i32, u16)]| {
            let (cluster, places) = cluster(id, brokers);
            foreign(&cluster, &places, &both).or_else(|| miscounted(&cluster, &both)).unwrap_or_default()
        };
        assert_eq!(reason("x", &[(1, 9092), (2, 9093)]), "");
        assert!(reason("y", &[(1, 9092), (2, 9093)]).contains("the cluster y"));
        assert!(reason("x", &[(1, 9092), (2, 9999)]).contains("none of this project's containers"));
        assert!(reason("x", &[(2, 9092), (1, 9093)]).contains("whose node id is 1"));
        assert!(reason("x", &[(1, 9092)]).contains("1 brokers (1), the project 2"));
    }

    #[test]
    fn what_cannot_be_told_by_ports_is_told_by_node_ids() {
        let one = container(9092, "x");
        let candidates = [Candidate { name: "kafka-1", node_id: Some(1), container: &one }];
        let (cluster, _) = cluster("x", &[(7, 9092)]);
        assert!(foreign(&cluster, &[Destination::Nowhere], &candidates).is_some_and(|why| why.contains("node id")));
        let own = Destination::At(vec!["172.18.0.2".parse().expect("an address")], 9092);
        assert_eq!(leads_to(&own, &one), Some(true));
    }

    #[tokio::test]
    async fn addresses_lead_where_they_lead() {
        assert_eq!(place("127.0.0.1", 9092, None).await, Destination::Here(9092));
        assert_eq!(place("far.example", 9092, Some("far.example")).await, Destination::Here(9092));
        assert_eq!(split("[::1]:9092"), Some(("::1", 9092)));
        assert_eq!(split_url("http://localhost:8083/connectors"), Some(("localhost", 8083)));
        assert_eq!(split_url("https://connect.example"), Some(("connect.example", 443)));
        assert_eq!(split_url("postgres://user:pass@127.0.0.1/app?sslmode=disable"), Some(("127.0.0.1", 5432)));
    }
}
