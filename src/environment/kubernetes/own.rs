//! Whether the brokers that answer are those in the pods: else the load goes to one cluster, the faults to another, and the verdict is
//! about neither.

use super::member::PodMember;
use super::pod::SeenPod;
use crate::environment::{Endpoints, EnvironmentError, EnvironmentResult, ServiceId};
use crate::ground::plural;
use crate::wire::brokers::ClusterDescription;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// How long the resolution of one name may take.
const RESOLVED: Duration = Duration::from_secs(2);
/// The variables by which images are told the id of their cluster.
const CLUSTER_ID: [&str; 3] = ["CLUSTER_ID", "KAFKA_CLUSTER_ID", "KAFKA_KRAFT_CLUSTER_ID"];

/// What a pod says of the broker that it is.
pub(super) struct Claim {
    /// In scenarios: `kafka-1`.
    name: String,
    pod: String,
    /// The service that gives it a name of its own.
    subdomain: Option<String>,
    addresses: Vec<String>,
    node_id: Option<i32>,
    cluster: Option<String>,
}

impl Claim {
    /// What the present pod of a member says.
    pub(super) fn of(member: &PodMember, pod: &SeenPod) -> Self {
        Self {
            name: member.name.clone(),
            pod: pod.name().to_owned(),
            subdomain: pod.subdomain().map(str::to_owned),
            addresses: pod.addresses().into_iter().map(str::to_owned).collect(),
            node_id: node_id(pod),
            cluster: CLUSTER_ID.iter().find_map(|name| pod.variable(name)).map(str::to_owned),
        }
    }

    /// In scenarios.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the host of a broker is this pod's; `None` where that cannot be told. A name of Kubernetes's own is
    /// `POD.SERVICE.NAMESPACE`, with or without `.svc` and the cluster's domain.
    fn has(&self, host: &str, resolved: &[String], namespace: &str) -> Option<bool> {
        if self.addresses.iter().any(|own| own == host || resolved.contains(own)) {
            return Some(true);
        }
        if host.parse::<IpAddr>().is_ok() {
            return None;
        }
        if namespace_of(host).is_some_and(|told| told != namespace) {
            return Some(false);
        }
        let mut labels = host.split('.');
        if labels.next() != Some(self.pod.as_str()) {
            return None;
        }
        match (labels.next(), self.subdomain.as_deref()) {
            (None, _) => Some(true),
            (Some(service), Some(own)) if service == own => Some(labels.next().is_none_or(|told| told == namespace)),
            // A name that somebody gave it begins so as well.
            _ => None,
        }
    }
}

/// The node id that a pod's definition gives.
pub(super) fn node_id(pod: &SeenPod) -> Option<i32> {
    ["KAFKA_NODE_ID", "KAFKA_BROKER_ID", "KAFKA_CFG_NODE_ID", "KAFKA_CFG_BROKER_ID"]
        .iter()
        .find_map(|name| pod.variable(name)?.parse().ok())
}

/// The namespace in a name such as `connect.shop.svc` or `kafka-0.kafka.shop.svc.cluster.local`.
fn namespace_of(host: &str) -> Option<&str> {
    let labels: Vec<&str> = host.split('.').collect();
    let svc = labels.iter().position(|label| *label == "svc").filter(|place| (2..=3).contains(place))?;
    labels.get(svc - 1).copied()
}

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
        let id = one(cluster, resolved, claim, (namespace, careful))?;
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
    claim: &Claim,
    (namespace, careful): (&str, bool),
) -> Result<i32, String> {
    let Claim { name, pod, .. } = claim;
    let has = |id: &i32, host: &str| {
        let resolved = resolved.get(id).map(Vec::as_slice).unwrap_or_default();
        claim.has(host, resolved, namespace)
    };
    if let Some((id, _)) = cluster.brokers.iter().find(|(id, address)| has(id, &address.host) == Some(true)) {
        return Ok(*id);
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
    match &claim.cluster {
        Some(told) if *told != cluster.id => {
            Err(format!("it is the cluster {}, and {name} (pod {pod}) belongs to {told}", cluster.id))
        }
        None if careful => Err(format!(
            "whether broker {id} at {address} is {name} (pod {pod}) cannot be told: that is neither the pod's address nor its name, and \
             any cluster may have a broker {id}"
        )),
        _ => Ok(id),
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
    use crate::wire::address::BrokerAddress;

    fn claim(number: i32, node_id: Option<i32>) -> Claim {
        Claim {
            name: format!("kafka-{}", number + 1),
            pod: format!("kafka-{number}"),
            subdomain: Some("kafka".to_owned()),
            addresses: vec![format!("10.0.0.{number}")],
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
        let hosts = [
            "10.0.0.0",
            "kafka-0",
            "kafka-0.kafka",
            "kafka-0.kafka.shop",
            "kafka-0.kafka.shop.svc",
            "kafka-0.kafka.shop.svc.cluster.local",
        ];
        for host in hosts {
            assert_eq!(why(&[host], &[claim(0, None)]), "", "{host}");
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
    fn addresses_of_other_namespaces_are_known_by_their_names() {
        assert_eq!(host_of("postgres://user:pass@db.shop.svc:5432/app"), Some("db.shop.svc"));
        assert_eq!(namespace_of("db.shop.svc"), Some("shop"));
        assert_eq!(namespace_of("kafka-0.kafka.shop.svc.cluster.local"), Some("shop"));
        assert_eq!((namespace_of("connect.example.com"), namespace_of("svc.example")), (None, None));
    }
}
