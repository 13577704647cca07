//! Which node plays which role now: leader, follower, controller, coordinator.

use super::cluster::{WireCluster, never, nobody};
use super::frame::text;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::insist;
use super::topics::{self, DescribedPartition};
use super::wire_error::WireError;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_quorum_response::PartitionData as QuorumPartition;
use kafka_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse, TopicName};
use std::collections::BTreeSet;

/// The topic of the controllers' own log.
const QUORUM: &str = "__cluster_metadata";

/// The node that leads a partition.
///
/// ACL: DESCRIBE on the Topic.
///
/// # Errors
/// A topic or partition that does not exist or has no leader.
pub async fn leader(cluster: &WireCluster, topic: &str, partition: i32) -> Result<i32, WireError> {
    Ok(led(cluster, topic, partition).await?.0)
}

/// The node that has the n-th replica, from 1 and in the order of the assignment, that does not lead.
///
/// ACL: DESCRIBE on the Topic.
///
/// # Errors
/// A topic or partition that does not exist or has no leader, or not so many replicas.
pub async fn follower(cluster: &WireCluster, topic: &str, partition: i32, number: usize) -> Result<i32, WireError> {
    let (leader, found) = led(cluster, topic, partition).await?;
    let mut followers = found.replicas.iter().filter(|node| **node != leader);
    followers.nth(number.saturating_sub(1)).copied().ok_or_else(|| {
        let reason = format!("it has {} replicas", found.replicas.len());
        never(&format!("follower {number} of {topic}/{partition}"), &reason)
    })
}

/// A partition with its leader.
async fn led(cluster: &WireCluster, topic: &str, partition: i32) -> Result<(i32, DescribedPartition), WireError> {
    let deadline = cluster.deadline();
    insist(deadline, || async move {
        let wanted = format!("the leader of {topic}/{partition}");
        let found = topics::once(cluster, &[topic], deadline).await?.remove(topic);
        let topic = found.ok_or_else(|| nobody(&wanted, "no broker knows the topic"))??;
        let found = topic.partitions.into_iter().find(|found| found.index == partition);
        let found = found.ok_or_else(|| never(&wanted, "the topic has no such partition"))?;
        let leader = found.leader.ok_or_else(|| nobody(&wanted, "it has none now"))?;
        Ok((leader, found))
    })
    .await
}

/// The node that leads the quorum of controllers.
///
/// ACL: DESCRIBE on the Cluster.
///
/// # Errors
/// No broker that can tell, or no leader.
pub async fn quorum_leader(cluster: &WireCluster) -> Result<i32, WireError> {
    quorum(cluster, |partition| match partition.leader_id.0 {
        -1 => Err(nobody("the active controller", "there is none now")),
        id => Ok(id),
    })
    .await
}

/// The nodes that vote in the quorum of controllers.
///
/// ACL: DESCRIBE on the Cluster.
///
/// # Errors
/// No broker that can tell.
pub async fn voters(cluster: &WireCluster) -> Result<BTreeSet<i32>, WireError> {
    quorum(cluster, |partition| Ok(partition.current_voters.iter().map(|voter| voter.replica_id.0).collect())).await
}

/// What `read` finds in the state of the quorum.
async fn quorum<T>(
    cluster: &WireCluster,
    read: impl Fn(&QuorumPartition) -> Result<T, WireError> + Copy,
) -> Result<T, WireError> {
    let deadline = cluster.deadline();
    insist(deadline, || async move {
        let partition = PartitionData::default().with_partition_index(0);
        let topic = TopicData::default().with_topic_name(TopicName(text(QUORUM))).with_partitions(vec![partition]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        cluster.ask_any(&request, deadline, |answer| read(&read_quorum(answer)?)).await
    })
    .await
}

fn read_quorum(answer: DescribeQuorumResponse) -> Result<QuorumPartition, WireError> {
    const ACTION: &str = "find the active controller of";
    let check = |code, message| MissingRight::check(code, message, ACTION, Operation::Describe, RightSubject::Cluster);
    check(answer.error_code, answer.error_message.as_deref())?;
    let partition = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let Some(partition) = partition else { return Err(nobody("the active controller", "the answer names none")) };
    check(partition.error_code, partition.error_message.as_deref())?;
    Ok(partition)
}
