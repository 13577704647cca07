//! What a pod says of the broker that it is, and what the address of a broker says of that.

use super::member::PodMember;
use super::pod::SeenPod;
use std::net::IpAddr;

/// The variables by which images are told the id of their cluster.
const CLUSTER_ID: [&str; 3] = ["CLUSTER_ID", "KAFKA_CLUSTER_ID", "KAFKA_KRAFT_CLUSTER_ID"];

/// What a pod says of the broker that it is.
pub(super) struct Claim {
    /// In scenarios: `kafka-1`.
    pub(super) name: String,
    pub(super) pod: String,
    /// The service that gives it a name of its own.
    pub(super) subdomain: Option<String>,
    pub(super) addresses: Vec<String>,
    /// Those that its container opens, where its definition says so.
    pub(super) ports: Vec<u16>,
    pub(super) node_id: Option<i32>,
    pub(super) cluster: Option<String>,
}

impl Claim {
    /// What the present pod of a member says.
    pub(super) fn of(member: &PodMember, pod: &SeenPod) -> Self {
        Self {
            name: member.name.clone(),
            pod: pod.name().to_owned(),
            subdomain: pod.subdomain().map(str::to_owned),
            addresses: pod.addresses().into_iter().map(str::to_owned).collect(),
            ports: pod.ports(),
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
    pub(super) fn has(&self, host: &str, resolved: &[String], namespace: &str) -> Option<bool> {
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

    /// Whether that a broker has this host says whose it is: names without a namespace are the same in each.
    pub(super) fn is_proved_by(&self, host: &str, resolved: &[String]) -> bool {
        let by_address = self.addresses.iter().any(|own| own == host || resolved.contains(own));
        by_address || host.split('.').count() > 2
    }
}

/// The node id that a pod's definition gives.
pub(super) fn node_id(pod: &SeenPod) -> Option<i32> {
    ["KAFKA_NODE_ID", "KAFKA_BROKER_ID", "KAFKA_CFG_NODE_ID", "KAFKA_CFG_BROKER_ID"]
        .iter()
        .find_map(|name| pod.variable(name)?.parse().ok())
        // Less than zero asks for one to be chosen.
        .filter(|id| *id >= 0)
}

/// Why what stands in the data of a broker is of another one; `None` where it is of that broker, or nothing was found. `answer` is that of
/// the shell: `meta cluster.id=… node.id=…`.
pub(super) fn denied(answer: &str, (cluster, node): (&str, i32)) -> Option<String> {
    let figure = |name: &str| answer.split(' ').filter_map(|pair| pair.split_once('=')).find(|(own, _)| *own == name);
    if let Some((_, told)) = figure("cluster.id").filter(|(_, told)| *told != cluster) {
        return Some(format!("its data are of the cluster {told}, and it is the cluster {cluster} that answers"));
    }
    let (_, told) = figure("node.id").or_else(|| figure("broker.id"))?;
    (told.parse() != Ok(node)).then(|| format!("its data are of broker {told}, and it would be broker {node}"))
}

/// The namespace in a name such as `connect.shop.svc` or `kafka-0.kafka.shop.svc.cluster.local`.
pub(super) fn namespace_of(host: &str) -> Option<&str> {
    let labels: Vec<&str> = host.split('.').collect();
    let svc = labels.iter().position(|label| *label == "svc").filter(|place| (2..=3).contains(place))?;
    labels.get(svc - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_of_other_namespaces_are_known_by_their_names() {
        assert_eq!(namespace_of("db.shop.svc"), Some("shop"));
        assert_eq!(namespace_of("kafka-0.kafka.shop.svc.cluster.local"), Some("shop"));
        assert_eq!((namespace_of("connect.example.com"), namespace_of("svc.example")), (None, None));
    }

    #[test]
    fn what_stands_in_the_data_of_a_broker_outweighs_its_address() {
        assert_eq!(denied("meta cluster.id=x node.id=1", ("x", 1)), None);
        assert_eq!(denied("meta", ("x", 1)), None, "nothing was found");
        assert!(denied("meta cluster.id=y node.id=1", ("x", 1)).is_some_and(|why| why.contains("of the cluster y")));
        assert!(denied("meta cluster.id=x broker.id=2", ("x", 1)).is_some_and(|why| why.contains("of broker 2")));
    }

    #[test]
    fn a_node_id_is_what_a_definition_says_in_full() {
        let of = |value: &str| {
            let env = json!([{ "name": "KAFKA_NODE_ID", "value": value }]);
            node_id(&pod(json!({ "containers": [{ "name": "kafka", "env": env }] }), json!({})))
        };
        assert_eq!((of("3"), of("-1"), of("$(ORDINAL)"), of("three")), (Some(3), None, None, None));
    }
}
