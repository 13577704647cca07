//! Where leader epochs end: a log that was cut back and written again shows it here.

use super::cluster::WireCluster;
use super::frame::text;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::{Led, ask_leaders, rounds};
use super::wire_error::WireError;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{BrokerId, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName};
use std::collections::BTreeMap;

/// How far an epoch reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch that the leader knows and that is not above the one that was asked for.
    pub epoch: i32,
    /// The offset behind its last record.
    pub offset: i64,
}

/// Where the leader epochs end that were read last in partitions; `None` where the leader knows no epoch that is as old.
///
/// ACL: DESCRIBE on the Topic.
pub async fn ends(
    cluster: &WireCluster,
    topic: &str,
    epochs: &BTreeMap<i32, i32>,
) -> BTreeMap<i32, Result<Option<EpochEnd>, WireError>> {
    let deadline = cluster.deadline();
    let build = |led: &[Led]| request(topic, epochs, led);
    let read = |answer| read(topic, answer);
    rounds(epochs.keys().copied(), deadline, |open| async move {
        ask_leaders(cluster, topic, &open, deadline, build, read).await
    })
    .await
}

fn request(topic: &str, epochs: &BTreeMap<i32, i32>, led: &[Led]) -> OffsetForLeaderEpochRequest {
    let partitions = led.iter().map(|led| {
        OffsetForLeaderPartition::default()
            .with_partition(led.partition)
            .with_current_leader_epoch(led.epoch)
            .with_leader_epoch(epochs.get(&led.partition).copied().unwrap_or(-1))
    });
    let topic =
        OffsetForLeaderTopic::default().with_topic(TopicName(text(topic))).with_partitions(partitions.collect());
    OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic])
}

fn read(topic: &str, answer: OffsetForLeaderEpochResponse) -> BTreeMap<i32, Result<Option<EpochEnd>, WireError>> {
    let of_topic = answer.topics.into_iter().filter(|found| &**found.topic == topic);
    let answers = of_topic.flat_map(|found| found.partitions).map(|found| {
        let subject = RightSubject::Partition(topic.to_owned(), found.partition);
        let checked =
            MissingRight::check(found.error_code, None, "ask the leader epochs of", Operation::Describe, subject);
        let end = EpochEnd { epoch: found.leader_epoch, offset: found.end_offset };
        let known = (end.epoch >= 0 && end.offset >= 0).then_some(end);
        (found.partition, checked.map(|()| known).map_err(WireError::from))
    });
    answers.collect()
}
