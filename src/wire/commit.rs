//! Committing offsets for a group that has no members.

use super::cluster::WireCluster;
use super::frame::text;
use super::groups::coordinator_once;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::insist;
use super::wire_error::WireError;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, TopicName};
use std::collections::BTreeMap;
use std::time::Instant;

/// Commits the offsets that a group reads next in a topic, without a leader epoch: one of another cluster would make readers
/// wait for an epoch that is not reached for long. A group with members refuses.
///
/// ACL: READ on the Group and on the Topic.
///
/// # Errors
/// The first refusal, or the coordinator does not answer.
pub async fn offsets(
    cluster: &WireCluster,
    group: &str,
    topic: &str,
    offsets: &BTreeMap<i32, (i64, Option<String>)>,
) -> Result<(), WireError> {
    let deadline = cluster.deadline();
    insist(deadline, || once(cluster, group, topic, offsets, deadline)).await
}

async fn once(
    cluster: &WireCluster,
    group: &str,
    topic: &str,
    offsets: &BTreeMap<i32, (i64, Option<String>)>,
    deadline: Instant,
) -> Result<(), WireError> {
    let broker = coordinator_once(cluster, group, deadline).await?;
    let partitions = offsets.iter().map(|(partition, (offset, metadata))| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(*offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text(metadata.as_deref().unwrap_or_default())))
    });
    let topics =
        OffsetCommitRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions.collect());
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topics]);
    let answer = cluster.ask_broker(broker, &request, deadline).await?;
    for found in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        let subject = RightSubject::Group(group.to_owned());
        MissingRight::check(found.error_code, None, "commit offsets of", Operation::Read, subject)?;
    }
    Ok(())
}
