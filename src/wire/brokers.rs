//! The cluster as a whole: its id, its brokers, and what the principal may do with it.

use super::address::BrokerAddress;
use super::cluster::WireCluster;
use super::refusal::{Authorised, MissingRight, Operation, RightSubject};
use super::wire_error::WireError;
use kafka_protocol::messages::{DescribeClusterRequest, MetadataRequest};
use std::collections::BTreeMap;

/// A cluster as one of its brokers sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Its id.
    pub id: String,
    /// The broker that stands for the controller: in KRaft any of them.
    pub controller: Option<i32>,
    /// Where the brokers that are not fenced listen, by node id.
    pub brokers: BTreeMap<i32, BrokerAddress>,
    /// What the principal may do with the cluster; `None` where it may not even describe it, or the broker does not tell.
    pub authorised: Option<Authorised>,
}

/// Where the brokers that are not fenced tell clients to come, by node id.
///
/// ACL: none.
///
/// # Errors
/// No broker answers.
pub(super) async fn addresses(cluster: &WireCluster) -> Result<BTreeMap<i32, BrokerAddress>, WireError> {
    let request = MetadataRequest::default().with_topics(Some(Vec::new())).with_allow_auto_topic_creation(false);
    let metadata = cluster.metadata(&request, cluster.deadline()).await?;
    let brokers = metadata.brokers.into_iter().filter_map(|broker| {
        let port = u16::try_from(broker.port).ok()?;
        Some((broker.node_id.0, BrokerAddress { host: broker.host.to_string(), port }))
    });
    Ok(brokers.collect())
}

/// Describes the cluster.
///
/// ACL: none; DESCRIBE on the Cluster for `authorised`.
///
/// # Errors
/// No broker answers, or none of 2.8 or newer.
pub async fn describe(cluster: &WireCluster) -> Result<ClusterDescription, WireError> {
    let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    let read = |answer: kafka_protocol::messages::DescribeClusterResponse| {
        let message = answer.error_message.as_deref();
        MissingRight::check(answer.error_code, message, "describe", Operation::Describe, RightSubject::Cluster)?;
        Ok(answer)
    };
    let answer = cluster.ask_any(&request, cluster.deadline(), read).await?;
    let brokers = answer.brokers.into_iter().filter_map(|broker| {
        let port = u16::try_from(broker.port).ok()?;
        Some((broker.broker_id.0, BrokerAddress { host: broker.host.to_string(), port }))
    });
    Ok(ClusterDescription {
        id: answer.cluster_id.to_string(),
        controller: Some(answer.controller_id.0).filter(|id| *id >= 0),
        brokers: brokers.collect(),
        authorised: Authorised::read(answer.cluster_authorized_operations),
    })
}
