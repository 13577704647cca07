//! Offsets of partitions: where their logs begin and end, and where they were at a time.

use super::cluster::WireCluster;
use super::frame::text;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::{Led, ask_leaders, rounds};
use super::wire_error::WireError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, ListOffsetsResponse, TopicName};
use std::collections::BTreeMap;

/// The largest offset that is believed: a partition with a million records a second gets there in 285 years.
const LARGEST: i64 = 1 << 53;

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The first that exists.
    Start,
    /// The one behind the last message that the reader may see: see [`IsolationLevel`].
    End,
    /// That of the first message with this time stamp or a later one, in ms since the epoch.
    Time(i64),
    /// That of the message with the largest time stamp.
    MaxTime,
}

impl At {
    fn timestamp(self) -> i64 {
        match self {
            Self::End => -1,
            Self::Start => -2,
            Self::MaxTime => -3,
            Self::Time(time) => time.max(0),
        }
    }
}

/// What a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// Everything that is replicated: the end is the high watermark.
    Uncommitted,
    /// Nothing behind the first message of an open transaction: the end is the last stable offset.
    Committed,
}

/// An offset that a leader gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The offset.
    pub offset: i64,
    /// The leader epoch of the message there, where the broker knows it. A log that was cut back and written again has another
    /// epoch at the same offset.
    pub leader_epoch: Option<i32>,
    /// The message's time stamp in ms since the epoch, where a time was asked for.
    pub timestamp: Option<i64>,
}

/// Asks the leaders of partitions for an offset. `None` where no message has such a time stamp.
///
/// The question names the leader epoch that metadata gave, so that a broker that was leader once does not answer.
///
/// ACL: DESCRIBE on the Topic.
pub async fn list(
    cluster: &WireCluster,
    topic: &str,
    partitions: &[i32],
    at: At,
    isolation: IsolationLevel,
) -> BTreeMap<i32, Result<Option<Offset>, WireError>> {
    let deadline = cluster.deadline();
    let build = |led: &[Led]| request(topic, led, at, isolation);
    let read = |answer| read(topic, answer);
    rounds(partitions.iter().copied(), deadline, |open| async move {
        ask_leaders(cluster, topic, &open, deadline, build, read).await
    })
    .await
}

fn request(topic: &str, led: &[Led], at: At, isolation: IsolationLevel) -> ListOffsetsRequest {
    let partitions = led.iter().map(|led| {
        ListOffsetsPartition::default()
            .with_partition_index(led.partition)
            .with_current_leader_epoch(led.epoch)
            .with_timestamp(at.timestamp())
    });
    let topic = ListOffsetsTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions.collect());
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(i8::from(isolation == IsolationLevel::Committed))
        .with_topics(vec![topic])
}

fn read(topic: &str, answer: ListOffsetsResponse) -> BTreeMap<i32, Result<Option<Offset>, WireError>> {
    let of_topic = answer.topics.into_iter().filter(|found| &**found.name == topic);
    let answers = of_topic.flat_map(|found| found.partitions).map(|partition| {
        let subject = RightSubject::Partition(topic.to_owned(), partition.partition_index);
        let checked =
            MissingRight::check(partition.error_code, None, "list the offsets of", Operation::Describe, subject);
        let offset = Offset {
            offset: partition.offset,
            leader_epoch: Some(partition.leader_epoch).filter(|epoch| *epoch >= 0),
            timestamp: Some(partition.timestamp).filter(|time| *time >= 0),
        };
        // What a broker says is reckoned with: it may be anything.
        let strange = || WireError::Nobody {
            wanted: format!("the offset of {topic}/{}", partition.partition_index),
            reason: format!("the broker says {}, which no partition has", offset.offset),
            passes: false,
        };
        let found = match checked.map_err(WireError::from) {
            Ok(()) if offset.offset > LARGEST => Err(strange()),
            checked => checked.map(|()| (offset.offset >= 0).then_some(offset)),
        };
        (partition.partition_index, found)
    });
    answers.collect()
}
