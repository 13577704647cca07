//! Topics and their records.

use super::Admin;
use crate::kafka::{KafkaFailure, OffsetReader};
use rdkafka::admin::{NewTopic, TopicReplication, TopicResult};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The ends of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartitionOffsets {
    /// The first offset that exists.
    pub start: i64,
    /// The offset behind the last message, open transactions included (high watermark).
    pub end: i64,
    /// The offset up to which `read_committed` readers may read (last stable offset).
    pub stable: i64,
}

impl Admin {
    /// Creates a topic. The leaders may not be known everywhere yet: see
    /// [`await_leaders`](Self::await_leaders).
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication: i32,
        config: &BTreeMap<String, String>,
    ) -> Result<(), KafkaFailure> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let answer = self.heard(self.client.create_topics([&topic], &self.options()).await);
        one(format!("create topic `{name}`"), answer)
    }

    /// Deletes a topic.
    pub async fn delete_topic(&self, name: &str) -> Result<(), KafkaFailure> {
        let answer = self.heard(self.client.delete_topics(&[name], &self.options()).await);
        one(format!("delete topic `{name}`"), answer)
    }

    /// Deletes the records of a topic before an offset, by partition; -1 deletes all that exist now.
    /// Returns the first offset that is left.
    pub async fn delete_records(
        &self,
        topic: &str,
        before: &BTreeMap<i32, i64>,
    ) -> Result<BTreeMap<i32, i64>, KafkaFailure> {
        let failed = |error| KafkaFailure::request(format!("delete records of `{topic}`"), &error);
        let mut list = TopicPartitionList::with_capacity(before.len());
        for (partition, offset) in before {
            let offset = if *offset < 0 { Offset::End } else { Offset::Offset(*offset) };
            list.add_partition_offset(topic, *partition, offset).map_err(failed)?;
        }
        let answer = self.heard(self.client.delete_records(&list, &self.options()).await).map_err(failed)?;
        let mut left = BTreeMap::new();
        for element in answer.elements() {
            element.error().map_err(failed)?;
            left.insert(element.partition(), element.offset().to_raw().unwrap_or(-1));
        }
        Ok(left)
    }

    /// The ends of every partition of a topic.
    pub async fn offsets(&self, topic: &str) -> Result<BTreeMap<i32, PartitionOffsets>, KafkaFailure> {
        let topic = topic.to_owned();
        self.blocking(move |own| {
            let all = OffsetReader::new(&own.connection, false, own.logs.clone())?;
            let stable = OffsetReader::new(&own.connection, true, own.logs.clone())?;
            let partitions = all.partitions(&topic, own.timeout)?;
            let starts = all.starts(&topic, &partitions, own.timeout)?;
            let stable = stable.ends(&topic, &partitions, own.timeout)?;
            let ends = all.ends(&topic, &partitions, own.timeout)?;
            let ends = partitions.into_iter().map(|partition| {
                let of = |offsets: &BTreeMap<i32, i64>| offsets.get(&partition).copied().unwrap_or(-1);
                (partition, PartitionOffsets { start: of(&starts), end: of(&ends), stable: of(&stable) })
            });
            Ok(ends.collect())
        })
        .await
    }
}

pub(super) fn one(action: String, answer: Result<Vec<TopicResult>, KafkaError>) -> Result<(), KafkaFailure> {
    let results = answer.map_err(|error| KafkaFailure::request(action.clone(), &error))?;
    if results.is_empty() {
        let detail = "the answer does not name what was asked for".into();
        return Err(KafkaFailure::Request { action, code: "_BAD_MSG".into(), detail });
    }
    for result in results {
        result.map_err(|(_, code)| KafkaFailure::request(action.clone(), &KafkaError::AdminOp(code)))?;
    }
    Ok(())
}
