//! Producers that write to partitions, and their open transactions.

use super::cluster::WireCluster;
use super::frame::text;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::{Led, ask_leaders, rounds};
use super::wire_error::WireError;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, TopicName};
use std::collections::BTreeMap;

/// A producer that a partition's leader remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i32,
    /// The sequence number of its last message, if it has sent one.
    pub last_sequence: Option<i32>,
    /// The time stamp of its last message in ms since the epoch, if it has sent one.
    pub last_timestamp: Option<i64>,
    /// Where its open transaction begins in this partition, if it has one: readers of committed messages see nothing from
    /// there on.
    pub open_since: Option<i64>,
}

/// Describes the producers of partitions, idempotent and transactional ones.
///
/// ACL: READ on the Topic.
pub async fn describe(
    cluster: &WireCluster,
    topic: &str,
    partitions: &[i32],
) -> BTreeMap<i32, Result<Vec<Producer>, WireError>> {
    let deadline = cluster.deadline();
    let build = |led: &[Led]| {
        let partitions = led.iter().map(|led| led.partition).collect();
        let topic = TopicRequest::default().with_name(TopicName(text(topic))).with_partition_indexes(partitions);
        DescribeProducersRequest::default().with_topics(vec![topic])
    };
    let read = |answer| read(topic, answer);
    rounds(partitions.iter().copied(), deadline, |open| async move {
        ask_leaders(cluster, topic, &open, deadline, build, read).await
    })
    .await
}

fn read(topic: &str, answer: DescribeProducersResponse) -> BTreeMap<i32, Result<Vec<Producer>, WireError>> {
    let of_topic = answer.topics.into_iter().filter(|found| &**found.name == topic);
    let answers = of_topic.flat_map(|found| found.partitions).map(|partition| {
        let subject = RightSubject::Partition(topic.to_owned(), partition.partition_index);
        let message = partition.error_message.as_deref();
        let checked =
            MissingRight::check(partition.error_code, message, "describe the producers of", Operation::Read, subject);
        let producers = partition.active_producers.iter().map(|producer| Producer {
            id: producer.producer_id.0,
            epoch: producer.producer_epoch,
            last_sequence: Some(producer.last_sequence).filter(|sequence| *sequence >= 0),
            last_timestamp: Some(producer.last_timestamp).filter(|time| *time >= 0),
            open_since: Some(producer.current_txn_start_offset).filter(|offset| *offset >= 0),
        });
        (partition.partition_index, checked.map(|()| producers.collect()).map_err(WireError::from))
    });
    answers.collect()
}
