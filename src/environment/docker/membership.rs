//! Whether what answers at the configured addresses is this project's: else the load goes to one stack, the faults to
//! another, and the verdict is about neither.

use super::container::Container;
use super::data::DataIdentity;
use crate::kafka::{BrokerView, ClusterView};
use std::net::{IpAddr, UdpSocket};

/// A broker of the project.
pub(super) struct Candidate<'a> {
    /// In scenarios.
    pub(super) name: &'a str,
    pub(super) node_id: Option<i32>,
    pub(super) container: &'a Container,
    /// What its data say of it, where they were found.
    pub(super) data: Option<&'a DataIdentity>,
}

impl Candidate<'_> {
    fn node_id(&self) -> Option<i32> {
        self.data.and_then(|data| data.node).or(self.node_id)
    }

    /// The cluster that it belongs to: by its data, which a variable that was changed later does not move, else by that variable.
    fn cluster(&self) -> Option<&str> {
        let of_data = self.data.and_then(|data| data.cluster.as_deref());
        of_data.or_else(|| CLUSTER_ID.iter().find_map(|name| self.container.variable(name)))
    }
}

/// Where an address leads, seen from this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// To a port of this machine at these addresses of it, or, where there are none, of the engine's.
    Here(Vec<IpAddr>, u16),
    /// To a port of another address: a container's own, where it is one.
    At(Vec<IpAddr>, u16),
    /// To a container of the engine that plays no such part here; in words.
    Stranger(String),
    /// Nobody knows.
    Nowhere,
}

/// Finds out where `host:port` leads; `engine` is the host of an engine that is reached by network.
pub(super) async fn place(host: &str, port: u16, engine: Option<&str>) -> Destination {
    if engine == Some(host) {
        return Destination::Here(Vec::new(), port);
    }
    let Ok(found) = tokio::net::lookup_host((host, port)).await else { return Destination::Nowhere };
    let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    // Only an address of this machine can be bound.
    let is_here = |ip: &IpAddr| ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((*ip, 0)).is_ok();
    match addresses.iter().any(is_here) {
        true => Destination::Here(addresses, port),
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
        Destination::Stranger(_) => Some(false),
        // It publishes nothing, and has all ports of the machine.
        Destination::Here(..) if container.is_on_host_network() => None,
        Destination::Here(addresses, port) => Some(container.publishes(addresses, *port)),
        Destination::At(addresses, _) => {
            let own = container.addresses();
            addresses.iter().any(|address| own.contains(address)).then_some(true)
        }
    }
}

/// The variables by which images are told the id of their cluster.
const CLUSTER_ID: [&str; 3] = ["CLUSTER_ID", "KAFKA_CLUSTER_ID", "KAFKA_KRAFT_CLUSTER_ID"];

/// Which of the project's brokers one of the cluster is: by where its address leads, else by its node id and its cluster.
///
/// # Errors
/// Why it is none of them, or why that cannot be told; fits behind "its …, ".
pub(super) fn identify(
    (broker, cluster): (&BrokerView, Option<&str>),
    place: &Destination,
    brokers: &[Candidate<'_>],
) -> Result<usize, String> {
    let answers: Vec<_> = brokers.iter().map(|candidate| leads_to(place, candidate.container)).collect();
    if let Some(index) = answers.iter().position(|answer| *answer == Some(true)) {
        let Candidate { name, .. } = brokers[index];
        return match brokers[index].node_id().filter(|id| *id != broker.id) {
            Some(id) => Err(format!("where {name} is, whose node id is {id}")),
            None => Ok(index),
        };
    }
    if !answers.is_empty() && answers.iter().all(|answer| *answer == Some(false)) {
        let whose = if let Destination::Stranger(words) = place { format!(": {words}") } else { String::new() };
        return Err(format!("which is none of this project's containers{whose}"));
    }
    let own = brokers.iter().position(|candidate| candidate.node_id() == Some(broker.id));
    match own {
        None if brokers.iter().all(|candidate| candidate.node_id().is_some()) => {
            Err("and no container of the project has that node id".to_owned())
        }
        Some(index) if cluster.is_some() && brokers[index].cluster() == cluster => Ok(index),
        _ => Err("and whether that is a container of the project cannot be told: it is no published port and no address of one, and \
                  no container tells by its data, or by CLUSTER_ID and KAFKA_NODE_ID, that it is that broker of that cluster"
            .to_owned()),
    }
}

/// Why the cluster that answers is not the project's; `None` where it is. `places` says where each broker of the cluster is
/// reached.
pub(super) fn foreign(cluster: &ClusterView, places: &[Destination], brokers: &[Candidate<'_>]) -> Option<String> {
    for candidate in brokers {
        if let (Some(told), Some(id)) = (candidate.cluster(), &cluster.id)
            && told != id
        {
            return Some(format!("it is the cluster {id}, and {} belongs to {told}", candidate.name));
        }
    }
    cluster.brokers.iter().zip(places).find_map(|(broker, place)| {
        let why = identify((broker, cluster.id.as_deref()), place, brokers).err()?;
        Some(format!("its broker {} is reached at {}:{}, {why}", broker.id, broker.host, broker.port))
    })
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
    use serde_json::json;

    fn container(port: u16, cluster: &str) -> Container {
        bound("127.0.0.1", port, &[&format!("CLUSTER_ID={cluster}")])
    }

    fn bound(ip: &str, port: u16, variables: &[&str]) -> Container {
        let described = json!({
            "Config": { "Env": variables },
            "HostConfig": { "PortBindings": { "9092/tcp": [{ "HostIp": ip, "HostPort": port.to_string() }] } },
            "NetworkSettings": { "Networks": { "shop_default": { "IPAddress": "172.18.0.2" } } }
        });
        Container(serde_json::from_value(described).expect("as the engine describes it"))
    }

    fn here(ip: &str, port: u16) -> Destination {
        Destination::Here(vec![ip.parse().expect("an address")], port)
    }

    fn cluster(id: &str, brokers: &[(i32, u16)]) -> (ClusterView, Vec<Destination>) {
        let view = |(id, port): &(i32, u16)| BrokerView { id: *id, host: "127.0.0.1".to_owned(), port: *port };
        let brokers: Vec<_> = brokers.iter().map(view).collect();
        let places = brokers.iter().map(|broker| here("127.0.0.1", broker.port)).collect();
        let cluster = ClusterView { id: Some(id.to_owned()), brokers, controller: None, topics: Default::default() };
        (cluster, places)
    }

    #[test]
    fn the_projects_own_cluster_is_known_by_ports_ids_and_number() {
        let (one, two) = (container(9092, "x"), container(9093, "x"));
        let candidate = |name, id, container| Candidate { name, node_id: Some(id), container, data: None };
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
        let candidates = [Candidate { name: "kafka-1", node_id: Some(1), container: &one, data: None }];
        let (cluster, _) = cluster("x", &[(7, 9092)]);
        assert!(foreign(&cluster, &[Destination::Nowhere], &candidates).is_some_and(|why| why.contains("node id")));
        let own = Destination::At(vec!["172.18.0.2".parse().expect("an address")], 9092);
        assert_eq!(leads_to(&own, &one), Some(true));
    }

    #[test]
    fn an_address_that_leads_to_no_container_needs_the_same_cluster_and_node() {
        let (cluster, _) = cluster("x", &[(1, 9092)]);
        let away = Destination::At(vec!["10.0.0.9".parse().expect("an address")], 9092);
        let why = |place: &Destination, node_id, variables: &[&str], data: Option<&DataIdentity>| {
            let container = bound("127.0.0.1", 9092, variables);
            let candidates = [Candidate { name: "kafka-1", node_id, container: &container, data }];
            foreign(&cluster, std::slice::from_ref(place), &candidates).unwrap_or_default()
        };
        let told = ["CLUSTER_ID=x"];
        assert_eq!(why(&away, Some(1), &told, None), "");
        assert!(why(&away, Some(1), &[], None).contains("cannot be told"), "any cluster has a node 1");
        assert!(why(&away, None, &told, None).contains("cannot be told"));
        let data = |cluster: &str, node| DataIdentity { cluster: Some(cluster.to_owned()), node: Some(node) };
        assert_eq!(why(&away, None, &[], Some(&data("x", 1))), "");
        // The variable was changed after the data had been made.
        assert_eq!(why(&away, Some(1), &["CLUSTER_ID=later"], Some(&data("x", 1))), "");
        assert!(why(&away, Some(1), &told, Some(&data("y", 1))).contains("belongs to y"));
        // The same variables and the same ids, in another project of this engine.
        let stranger = Destination::Stranger("the container b-kafka-1 has that address".to_owned());
        let other = why(&stranger, Some(1), &told, Some(&data("x", 1)));
        assert!(other.contains("none of this project's containers: the container b-kafka-1"), "{other}");
    }

    #[test]
    fn one_port_at_two_addresses_of_the_machine_leads_to_two_places() {
        let one = bound("127.0.0.1", 9092, &[]);
        assert_eq!(leads_to(&here("127.0.0.1", 9092), &one), Some(true));
        assert_eq!(leads_to(&here("127.0.0.2", 9092), &one), Some(false));
        assert_eq!(leads_to(&Destination::Here(Vec::new(), 9092), &one), Some(true), "the engine is elsewhere");
        for everywhere in ["", "0.0.0.0", "::"] {
            assert_eq!(leads_to(&here("192.168.1.5", 9092), &bound(everywhere, 9092, &[])), Some(true), "{everywhere}");
        }
        assert_eq!(leads_to(&here("127.0.0.1", 9093), &one), Some(false));
    }

    #[tokio::test]
    async fn addresses_lead_where_they_lead() {
        assert_eq!(place("127.0.0.1", 9092, None).await, here("127.0.0.1", 9092));
        assert_eq!(place("far.example", 9092, Some("far.example")).await, Destination::Here(Vec::new(), 9092));
        assert_eq!(split("[::1]:9092"), Some(("::1", 9092)));
        assert_eq!(split_url("http://localhost:8083/connectors"), Some(("localhost", 8083)));
        assert_eq!(split_url("https://connect.example"), Some(("connect.example", 443)));
        assert_eq!(split_url("postgres://user:pass@127.0.0.1/app?sslmode=disable"), Some(("127.0.0.1", 5432)));
    }
}
