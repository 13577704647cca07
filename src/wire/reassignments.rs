//! Moving the replicas of partitions to other brokers.

use super::cluster::WireCluster;
use super::frame::text;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::{insist, missing, rounds};
use super::wire_error::WireError;
use kafka_protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, ListPartitionReassignmentsRequest, TopicName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// How long the controller may take, in ms.
const LIMIT: i32 = 30_000;

/// A move that is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    /// All replicas meanwhile: the old ones and the new ones.
    pub replicas: Vec<i32>,
    /// The brokers that get a replica.
    pub adding: Vec<i32>,
    /// The brokers that lose theirs.
    pub removing: Vec<i32>,
}

/// Starts to move partitions of a topic to these brokers, the preferred leader first; `None` cancels a move that is going on,
/// after which the replicas are those from before it. The brokers then copy the data at their own pace: see [`list`].
///
/// A move to the brokers that a partition is on already is over at once. A cancellation where nothing moves is a refusal that
/// [is absent](MissingRight::is_absent).
///
/// ACL: ALTER on the Cluster.
pub async fn alter(
    cluster: &WireCluster,
    topic: &str,
    moves: &BTreeMap<i32, Option<Vec<i32>>>,
) -> BTreeMap<i32, Result<(), WireError>> {
    let deadline = cluster.deadline();
    rounds(moves.keys().copied(), deadline, |open| async move {
        match alter_once(cluster, topic, moves, &open, deadline).await {
            Ok(answers) => answers,
            Err(error) => open.into_iter().map(|partition| (partition, Err(error.clone()))).collect(),
        }
    })
    .await
}

async fn alter_once(
    cluster: &WireCluster,
    topic: &str,
    moves: &BTreeMap<i32, Option<Vec<i32>>>,
    open: &BTreeSet<i32>,
    deadline: Instant,
) -> Result<BTreeMap<i32, Result<(), WireError>>, WireError> {
    const ACTION: &str = "move the replicas of";
    let partitions = moves.iter().filter(|(partition, _)| open.contains(partition)).map(|(partition, replicas)| {
        let replicas = replicas.as_ref().map(|all| all.iter().map(|broker| BrokerId(*broker)).collect());
        ReassignablePartition::default().with_partition_index(*partition).with_replicas(replicas)
    });
    let of_topic = ReassignableTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions.collect());
    let request = AlterPartitionReassignmentsRequest::default().with_timeout_ms(LIMIT).with_topics(vec![of_topic]);
    let answer = cluster
        .ask_controller(&request, deadline, |answer| {
            let (message, subject) = (answer.error_message.as_deref(), RightSubject::Topic(topic.to_owned()));
            MissingRight::check(answer.error_code, message, ACTION, Operation::Alter, subject)?;
            Ok(answer)
        })
        .await?;
    let mut answers = BTreeMap::new();
    for partition in
        answer.responses.into_iter().filter(|found| &**found.name == topic).flat_map(|found| found.partitions)
    {
        let subject = RightSubject::Partition(topic.to_owned(), partition.partition_index);
        let message = partition.error_message.as_deref();
        let checked = MissingRight::check(partition.error_code, message, ACTION, Operation::Alter, subject);
        answers.insert(partition.partition_index, checked.map_err(WireError::from));
    }
    for partition in open {
        let subject = RightSubject::Partition(topic.to_owned(), *partition);
        let missing = || Err(missing::<AlterPartitionReassignmentsRequest>(cluster, -1, subject));
        answers.entry(*partition).or_insert_with(missing);
    }
    Ok(answers)
}

/// The moves of these partitions that are going on, by partition.
///
/// ACL: DESCRIBE on the Cluster.
///
/// # Errors
/// A refusal, or nobody answers.
pub async fn list(
    cluster: &WireCluster,
    topic: &str,
    partitions: &[i32],
) -> Result<BTreeMap<i32, Reassignment>, WireError> {
    let deadline = cluster.deadline();
    insist(deadline, || list_once(cluster, topic, partitions, deadline)).await
}

async fn list_once(
    cluster: &WireCluster,
    topic: &str,
    partitions: &[i32],
    deadline: Instant,
) -> Result<BTreeMap<i32, Reassignment>, WireError> {
    let asked = ListPartitionReassignmentsTopics::default()
        .with_name(TopicName(text(topic)))
        .with_partition_indexes(partitions.to_vec());
    let request = ListPartitionReassignmentsRequest::default().with_timeout_ms(LIMIT).with_topics(Some(vec![asked]));
    let answer = cluster
        .ask_controller(&request, deadline, |answer| {
            let (message, subject) = (answer.error_message.as_deref(), RightSubject::Topic(topic.to_owned()));
            MissingRight::check(answer.error_code, message, "list the moves of", Operation::Describe, subject)?;
            Ok(answer)
        })
        .await?;
    let ids = |brokers: Vec<BrokerId>| brokers.into_iter().map(|broker| broker.0).collect();
    let found = answer.topics.into_iter().filter(|found| &**found.name == topic).flat_map(|found| found.partitions);
    let moves = found.map(|partition| {
        let reassignment = Reassignment {
            replicas: ids(partition.replicas),
            adding: ids(partition.adding_replicas),
            removing: ids(partition.removing_replicas),
        };
        (partition.partition_index, reassignment)
    });
    Ok(moves.collect())
}
