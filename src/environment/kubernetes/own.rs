//! Whether the brokers that answer are those in the pods: else the load goes to one cluster, the faults to another, and the verdict is
//! about neither.

use super::claim::{Claim, namespace_of};
use super::member::PodMember;
use crate::environment::{Endpoints, EnvironmentError, EnvironmentResult, ServiceId};
use crate::ground::plural;
use crate::wire::address::BrokerAddress;
use crate::wire::brokers::ClusterDescription;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the resolution of one name may take.
const RESOLVED: Duration = Duration::from_secs(2);

/// Refuses one pod that is to be two services: what is done to one of them would be done to the other, unseen.
///
/// # Errors
/// Which pod and which services.
pub(super) fn refuse_twice(members: &[PodMember]) -> EnvironmentResult<()> {
    let mut seen: BTreeMap<String, (&str, String)> = BTreeMap::new();
    for member in members {
        let Some(pod) = member.book().pod else { continue };
        let found = (member.name.as_str(), pod.name().to_owned());
        if let Some((first, pod)) = seen.insert(pod.uid().to_owned(), found) {
            return Err(EnvironmentError::Prerequisite {
                message: format!("pod {pod} would be both {first} and {}: one pod cannot be two services", member.name),
                remedy: "narrow the selectors in `kubernetes: { services: … }`; a node that is broker and controller is found as `kafka` \
                         alone"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

/// Refuses addresses of Connect and PostgreSQL that name another namespace than that of the pods.
///
/// # Errors
/// Which address.
pub(super) fn refuse_strangers(endpoints: &Endpoints, members: &[PodMember], namespace: &str) -> EnvironmentResult<()> {
    let urls = [(ServiceId::Connect, &endpoints.connect), (ServiceId::Postgres, &endpoints.postgres)];
    for (id, url) in urls {
        let Some(host) = url.as_deref().and_then(host_of).filter(|_| members.iter().any(|own| own.id == id)) else {
            continue;
        };
        if let Some(told) = namespace_of(host).filter(|told| *told != namespace) {
            return Err(EnvironmentError::Prerequisite {
                message: format!(
                    "{id} is reached at {host}, in the namespace `{told}`, and its pod is in `{namespace}`"
                ),
                remedy: REMEDY.to_owned(),
            });
        }
    }
    Ok(())
}

/// The host of a URL.
fn host_of(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?']).next()?;
    let address = authority.rsplit('@').next()?;
    Some(address.rsplit_once(':').map_or(address, |(host, _)| host))
}

const REMEDY: &str = "give the addresses of what runs in these pods, or the context, the namespace and the labels of what is reached there; \
                      a broker is known by its pod's address or name in its advertised address, or by KAFKA_NODE_ID and CLUSTER_ID in its \
                      definition";

/// The addresses that the names of brokers stand for, by node id.
pub(super) async fn resolved(cluster: &ClusterDescription) -> BTreeMap<i32, Vec<String>> {
    let mut found = BTreeMap::new();
    for (id, address) in &cluster.brokers {
        let asked = tokio::net::lookup_host((address.host.as_str(), address.port));
        if let Ok(Ok(ips)) = tokio::time::timeout(RESOLVED, asked).await {
            found.insert(*id, ips.map(|ip| ip.ip().to_string()).collect());
        }
    }
    found
}

/// Which broker of the cluster each pod is, in their order. `careful` is whether anything is done to them: then each has to be known for
/// sure.
///
/// # Errors
/// Why they are not the same, or why that cannot be told.
pub(super) fn assign(
    cluster: &ClusterDescription,
    resolved: &BTreeMap<i32, Vec<String>>,
    claims: &[Claim],
    (namespace, careful): (&str, bool),
) -> Result<Vec<i32>, String> {
    let mut ids: Vec<i32> = Vec::new();
    for claim in claims {
        if let Some(other) = claim.cluster.as_ref().filter(|other| **other != cluster.id) {
            let Claim { name, pod, .. } = claim;
            return Err(format!("it is the cluster {}, and {name} (pod {pod}) belongs to {other}", cluster.id));
        }
        // What all of them say is in their common definition, and each makes its own of it.
        let alone = claims.iter().filter(|other| other.node_id == claim.node_id).count() == 1;
        let id = one(cluster, resolved, (claim, alone), (namespace, careful))?;
        if let Some(first) = ids.iter().position(|known| *known == id) {
            return Err(format!("{} and {} would both be broker {id}", claims[first].name, claim.name));
        }
        ids.push(id);
    }
    if cluster.brokers.len() == claims.len() {
        return Ok(ids);
    }
    let pods: Vec<&str> = claims.iter().map(|claim| claim.pod.as_str()).collect();
    Err(format!(
        "the cluster has {} ({}), and the labels find {} ({})",
        plural(cluster.brokers.len(), "broker"),
        told(cluster),
        plural(claims.len(), "pod"),
        pods.join(", ")
    ))
}

fn one(
    cluster: &ClusterDescription,
    resolved: &BTreeMap<i32, Vec<String>>,
    (claim, alone): (&Claim, bool),
    (namespace, careful): (&str, bool),
) -> Result<i32, String> {
    let Claim { name, pod, .. } = claim;
    let has = |id: &i32, host: &str| {
        let resolved = resolved.get(id).map(Vec::as_slice).unwrap_or_default();
        claim.has(host, resolved, namespace)
    };
    let named = cluster.brokers.iter().filter(|(id, address)| has(id, &address.host) == Some(true));
    let named: Vec<(i32, &BrokerAddress)> = named.map(|(id, address)| (*id, address)).collect();
    if !named.is_empty() {
        let (id, address) = by_name(claim, claim.node_id.filter(|_| alone), &named)?;
        let resolved = resolved.get(&id).map(Vec::as_slice).unwrap_or_default();
        if careful && claim.cluster.is_none() && !claim.is_proved_by(&address.host, resolved) {
            return Err(format!(
                "whether broker {id} at {address} is {name} (pod {pod}) cannot be told: its name says no namespace, and any may have a \
                 pod of that name"
            ));
        }
        return Ok(id);
    }
    let Some(id) = claim.node_id else {
        return Err(format!(
            "which broker of the cluster is {name} (pod {pod}) is not known: the brokers are {}",
            told(cluster)
        ));
    };
    let Some(address) = cluster.brokers.get(&id) else {
        return Err(format!(
            "{name} (pod {pod}) has the node id {id}, which no broker of the cluster has: they are {}",
            told(cluster)
        ));
    };
    if has(&id, &address.host) == Some(false) {
        return Err(format!(
            "broker {id} is reached at {address}, which is not in the namespace `{namespace}` of {name} (pod {pod})"
        ));
    }
    if careful && claim.cluster.is_none() {
        return Err(format!(
            "whether broker {id} at {address} is {name} (pod {pod}) cannot be told: that is neither the pod's address nor its name, and \
             any cluster may have a broker {id}"
        ));
    }
    Ok(id)
}

/// Which of the brokers that have a pod's address or name it is: several of them may be on its node's network.
fn by_name<'a>(
    claim: &Claim,
    node_id: Option<i32>,
    named: &[(i32, &'a BrokerAddress)],
) -> Result<(i32, &'a BrokerAddress), String> {
    let Claim { name, pod, .. } = claim;
    let listed: Vec<String> = named.iter().map(|(id, address)| format!("{id} at {address}")).collect();
    let listed = listed.join(", ");
    if let Some(told) = node_id {
        let own = named.iter().find(|(id, _)| *id == told);
        return own.copied().ok_or_else(|| {
            format!("{name} (pod {pod}) has the node id {told} in its definition, and its address is that of broker {listed}")
        });
    }
    let mut own = named.iter().filter(|(_, address)| named.len() == 1 || claim.ports.contains(&address.port));
    match (own.next(), own.next()) {
        (Some(own), None) => Ok(*own),
        _ => Err(format!(
            "which broker is {name} (pod {pod}) cannot be told: several have its address ({listed}), and neither KAFKA_NODE_ID nor a port \
             in its definition tells them apart"
        )),
    }
}

fn told(cluster: &ClusterDescription) -> String {
    let told: Vec<String> = cluster.brokers.iter().map(|(id, address)| format!("{id} at {address}")).collect();
    told.join(", ")
}

/// The error for brokers that are not those in the pods.
pub(super) fn foreign(why: &str, bootstrap: &str, namespace: &str) -> EnvironmentError {
    EnvironmentError::Prerequisite {
        message: format!("the cluster at {bootstrap} is not that of the pods in the namespace `{namespace}`: {why}"),
        remedy: REMEDY.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(number: i32, node_id: Option<i32>) -> Claim {
        Claim {
            name: format!("kafka-{}", number + 1),
            pod: format!("kafka-{number}"),
            subdomain: Some("kafka".to_owned()),
            addresses: vec![format!("10.0.0.{number}")],
            ports: Vec::new(),
            node_id,
            cluster: None,
        }
    }

    fn cluster(hosts: &[&str]) -> ClusterDescription {
        let brokers = (0..).zip(hosts).map(|(id, host)| (id, BrokerAddress { host: (*host).to_owned(), port: 9092 }));
        ClusterDescription { id: "x".to_owned(), controller: None, brokers: brokers.collect(), authorised: None }
    }

    fn why(hosts: &[&str], claims: &[Claim]) -> String {
        assign(&cluster(hosts), &BTreeMap::new(), claims, ("shop", true)).err().unwrap_or_default()
    }

    #[test]
    fn pods_are_the_brokers_that_advertise_their_addresses_or_their_names() {
        let hosts =
            ["10.0.0.0", "kafka-0.kafka.shop", "kafka-0.kafka.shop.svc", "kafka-0.kafka.shop.svc.cluster.local"];
        for host in hosts {
            assert_eq!(why(&[host], &[claim(0, None)]), "", "{host}");
        }
        for host in ["kafka-0", "kafka-0.kafka"] {
            let bare = why(&[host], &[claim(0, None)]);
            assert!(bare.contains("says no namespace"), "{host}: {bare}");
            let of_x = Claim { cluster: Some("x".to_owned()), ..claim(0, None) };
            assert_eq!(why(&[host], &[of_x]), "", "{host}");
            let resolved = BTreeMap::from([(0, vec!["10.0.0.0".to_owned()])]);
            let found = assign(&cluster(&[host]), &resolved, &[claim(0, None)], ("shop", true));
            assert_eq!(found, Ok(vec![0]), "it stands for the pod's address");
            let loose = assign(&cluster(&[host]), &BTreeMap::new(), &[claim(0, None)], ("shop", false));
            assert_eq!(loose, Ok(vec![0]), "nothing is done to it");
        }
        let outside = BTreeMap::from([(0, vec!["10.0.0.0".to_owned()])]);
        let named = assign(&cluster(&["b0.example"]), &outside, &[claim(0, None)], ("shop", true));
        assert_eq!(named, Ok(vec![0]), "it stands for the pod's address");
    }

    #[test]
    fn brokers_of_another_namespace_or_cluster_are_not_those_in_the_pods() {
        for host in ["kafka-0.kafka.staging", "kafka-0.kafka.staging.svc", "kafka-0.other.staging.svc.cluster.local"] {
            let why = why(&[host], &[claim(0, Some(0))]);
            assert!(why.contains("not in the namespace `shop`"), "{host}: {why}");
        }
        let outside = ["b0.example"];
        assert!(why(&outside, &[claim(0, Some(7))]).contains("no broker of the cluster has"));
        assert!(why(&outside, &[claim(0, Some(0))]).contains("cannot be told"));
        let loose = assign(&cluster(&outside), &BTreeMap::new(), &[claim(0, Some(0))], ("shop", false));
        assert_eq!(loose, Ok(vec![0]), "nothing is done to it");
        let of = |id: &str| Claim { cluster: Some(id.to_owned()), ..claim(0, Some(0)) };
        assert_eq!(why(&outside, &[of("x")]), "");
        assert!(why(&outside, &[of("y")]).contains("belongs to y"));
        assert!(why(&outside, &[claim(0, None)]).contains("is not known"));
        // A name that fits does not outweigh what the definition says.
        let full = ["kafka-0.kafka.shop.svc.cluster.local"];
        assert_eq!(why(&full, &[of("x")]), "");
        assert!(why(&full, &[of("y")]).contains("belongs to y"));
        assert!(why(&full, &[claim(0, Some(7))]).contains("has the node id 7"));
        let both = ["kafka-0.kafka.shop", "kafka-1.kafka.shop"];
        assert_eq!(why(&both, &[claim(0, Some(1)), claim(1, Some(1))]), "", "it stands in their common template");
    }

    #[test]
    fn each_broker_is_one_pod_and_each_pod_one_broker() {
        let hosts = ["kafka-0.kafka.shop", "kafka-1.kafka.shop"];
        assert_eq!(why(&hosts, &[claim(0, None), claim(1, None)]), "");
        let fewer = why(&hosts, &[claim(0, None)]);
        assert!(fewer.contains("2 brokers") && fewer.contains("1 pod (kafka-0)"), "{fewer}");
        let of_x = |number| Claim { cluster: Some("x".to_owned()), ..claim(number, Some(0)) };
        let twice = why(&["b0.example"], &[of_x(0), of_x(1)]);
        assert!(twice.contains("kafka-1 and kafka-2 would both be broker 0"), "{twice}");
    }

    #[test]
    fn brokers_with_one_address_are_told_apart_by_their_ids_or_ports() {
        let mut two = cluster(&["10.0.0.9", "10.0.0.9"]);
        two.brokers.get_mut(&1).expect("the second").port = 9192;
        let on_node = |number: i32, node_id, ports: &[u16]| Claim {
            addresses: vec!["10.0.0.9".to_owned()],
            ports: ports.to_vec(),
            ..claim(number, node_id)
        };
        let found = |claims: &[Claim]| assign(&two, &BTreeMap::new(), claims, ("shop", true));
        assert_eq!(found(&[on_node(0, Some(1), &[]), on_node(1, Some(0), &[])]), Ok(vec![1, 0]));
        assert_eq!(found(&[on_node(0, None, &[9092, 9093]), on_node(1, None, &[9192])]), Ok(vec![0, 1]));
        let unclear = found(&[on_node(0, None, &[]), on_node(1, None, &[])]);
        assert!(unclear.is_err_and(|why| why.contains("cannot be told")));
    }

    #[test]
    fn the_host_of_an_address_is_read() {
        assert_eq!(host_of("postgres://user:pass@db.shop.svc:5432/app"), Some("db.shop.svc"));
    }
}
