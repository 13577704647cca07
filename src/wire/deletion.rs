//! Deleting the records at the front of partitions.

use super::cluster::WireCluster;
use super::frame::text;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::{Led, ask_leaders, rounds};
use super::wire_error::WireError;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};
use std::collections::BTreeMap;

/// How long a leader waits for its followers, in ms.
const LIMIT: i32 = 30_000;

/// Deletes everything before these offsets, and tells where the partitions begin then.
///
/// ACL: DELETE on the Topic.
pub async fn before(
    cluster: &WireCluster,
    topic: &str,
    offsets: &BTreeMap<i32, i64>,
) -> BTreeMap<i32, Result<i64, WireError>> {
    let deadline = cluster.deadline();
    let build = |led: &[Led]| {
        let partitions = led.iter().map(|led| {
            let offset = offsets.get(&led.partition).copied().unwrap_or(0);
            DeleteRecordsPartition::default().with_partition_index(led.partition).with_offset(offset)
        });
        let topic =
            DeleteRecordsTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions.collect());
        DeleteRecordsRequest::default().with_timeout_ms(LIMIT).with_topics(vec![topic])
    };
    let read = |answer| read(topic, answer);
    rounds(offsets.keys().copied(), deadline, |open| async move {
        ask_leaders(cluster, topic, &open, deadline, build, read).await
    })
    .await
}

fn read(topic: &str, answer: DeleteRecordsResponse) -> BTreeMap<i32, Result<i64, WireError>> {
    let of_topic = answer.topics.into_iter().filter(|found| &**found.name == topic);
    let answers = of_topic.flat_map(|found| found.partitions).map(|found| {
        let subject = RightSubject::Partition(topic.to_owned(), found.partition_index);
        let checked = MissingRight::check(found.error_code, None, "delete records of", Operation::Delete, subject);
        (found.partition_index, checked.map(|()| found.low_watermark).map_err(WireError::from))
    });
    answers.collect()
}
