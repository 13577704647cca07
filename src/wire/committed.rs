//! How far groups have read, by what they committed.

use super::cluster::WireCluster;
use super::frame::text;
use super::groups::coordinator_once;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::{insist, missing};
use super::wire_error::WireError;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, TopicName};
use std::collections::BTreeMap;
use std::time::Instant;

const ACTION: &str = "read the committed offsets of";

/// What a group committed for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset of the message that is read next.
    pub offset: i64,
    /// The leader epoch of the message before, where the reader gave it.
    pub leader_epoch: Option<i32>,
}

impl CommittedOffset {
    /// As Kafka tells it: an epoch below zero is none.
    fn new(offset: i64, epoch: i32) -> Self {
        Self { offset, leader_epoch: Some(epoch).filter(|epoch| *epoch >= 0) }
    }
}

/// Asks the coordinator for what a group committed in these topics; `None` for all.
async fn fetch(
    cluster: &WireCluster,
    broker: i32,
    group: &str,
    topics: Option<Vec<OffsetFetchRequestTopics>>,
    deadline: Instant,
) -> Result<OffsetFetchResponseGroup, WireError> {
    let of_group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(topics);
    let request = OffsetFetchRequest::default().with_groups(vec![of_group]).with_require_stable(true);
    let answer = cluster.ask_broker(broker, &request, deadline).await?;
    let subject = || RightSubject::Group(group.to_owned());
    let mut found = answer.groups.into_iter().filter(|found| &**found.group_id == group);
    let found = found.next().ok_or_else(|| missing::<OffsetFetchRequest>(cluster, broker, subject()))?;
    MissingRight::check(found.error_code, None, ACTION, Operation::Describe, subject())?;
    Ok(found)
}

/// What a group committed for partitions of a topic; `None` where it has committed nothing. An open transaction that will commit
/// offsets is waited for. A group that does not exist has committed nothing. Kafka 3.0 and newer.
///
/// ACL: DESCRIBE on the Group and on the Topic.
///
/// # Errors
/// A refusal of the group, or nobody answers; those of partitions are in the answer.
pub async fn of(
    cluster: &WireCluster,
    group: &str,
    topic: &str,
    partitions: &[i32],
) -> Result<BTreeMap<i32, Result<Option<CommittedOffset>, WireError>>, WireError> {
    let deadline = cluster.deadline();
    insist(deadline, || once(cluster, group, topic, partitions, deadline)).await
}

async fn once(
    cluster: &WireCluster,
    group: &str,
    topic: &str,
    partitions: &[i32],
    deadline: Instant,
) -> Result<BTreeMap<i32, Result<Option<CommittedOffset>, WireError>>, WireError> {
    let broker = coordinator_once(cluster, group, deadline).await?;
    let asked = OffsetFetchRequestTopics::default()
        .with_name(TopicName(text(topic)))
        .with_partition_indexes(partitions.to_vec());
    let found = fetch(cluster, broker, group, Some(vec![asked]), deadline).await?;
    let mut answers = read(topic, found)?;
    for partition in partitions {
        let subject = RightSubject::Partition(topic.to_owned(), *partition);
        let missing = || Err(missing::<OffsetFetchRequest>(cluster, broker, subject));
        answers.entry(*partition).or_insert_with(missing);
    }
    Ok(answers)
}

/// A committed offset with the text that the reader committed with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotated {
    /// The offset.
    pub committed: CommittedOffset,
    /// The text, where there is one.
    pub metadata: Option<String>,
}

/// Everything that a group committed, by topic and partition. An open transaction that will commit offsets is waited for. A group
/// that does not exist has committed nothing. Kafka leaves out, in silence, topics that the principal may not see.
///
/// ACL: DESCRIBE on the Group and on the Topics.
///
/// # Errors
/// A refusal of the group or of one of its partitions, or nobody answers.
pub async fn all(cluster: &WireCluster, group: &str) -> Result<BTreeMap<String, BTreeMap<i32, Annotated>>, WireError> {
    let deadline = cluster.deadline();
    insist(deadline, || all_once(cluster, group, deadline)).await
}

async fn all_once(
    cluster: &WireCluster,
    group: &str,
    deadline: Instant,
) -> Result<BTreeMap<String, BTreeMap<i32, Annotated>>, WireError> {
    let broker = coordinator_once(cluster, group, deadline).await?;
    let found = fetch(cluster, broker, group, None, deadline).await?;
    let mut topics: BTreeMap<String, BTreeMap<i32, Annotated>> = BTreeMap::new();
    for topic in found.topics {
        for partition in topic.partitions {
            let subject = RightSubject::Partition(topic.name.to_string(), partition.partition_index);
            MissingRight::check(partition.error_code, None, ACTION, Operation::Describe, subject)?;
            if partition.committed_offset < 0 {
                continue;
            }
            let committed = CommittedOffset::new(partition.committed_offset, partition.committed_leader_epoch);
            let metadata = partition.metadata.map(|text| text.to_string()).filter(|text| !text.is_empty());
            let of_topic = topics.entry(topic.name.to_string()).or_default();
            of_topic.insert(partition.partition_index, Annotated { committed, metadata });
        }
    }
    Ok(topics)
}

/// # Errors
/// What passes with time, for the whole: an open transaction, above all.
fn read(
    topic: &str,
    found: OffsetFetchResponseGroup,
) -> Result<BTreeMap<i32, Result<Option<CommittedOffset>, WireError>>, WireError> {
    let mut answers = BTreeMap::new();
    let of_topic = found.topics.into_iter().filter(|found| &**found.name == topic);
    for partition in of_topic.flat_map(|found| found.partitions) {
        let subject = RightSubject::Partition(topic.to_owned(), partition.partition_index);
        let committed = CommittedOffset::new(partition.committed_offset, partition.committed_leader_epoch);
        let answer = match MissingRight::check(partition.error_code, None, ACTION, Operation::Describe, subject) {
            Ok(()) => Ok((committed.offset >= 0).then_some(committed)),
            Err(refusal) if refusal.is_passing() => return Err(refusal.into()),
            Err(refusal) => Err(refusal.into()),
        };
        answers.insert(partition.partition_index, answer);
    }
    Ok(answers)
}
