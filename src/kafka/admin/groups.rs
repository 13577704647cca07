//! Consumer groups.

use super::Admin;
use super::topics::one;
use crate::kafka::KafkaFailure;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupMember {
    /// The id that the coordinator gave it.
    pub id: String,
    /// Its `client.id`.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
}

/// A consumer group as its coordinator describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupDescription {
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty` or `Dead`.
    pub state: String,
    /// The assignment strategy in use.
    pub protocol: String,
    /// Its members.
    pub members: Vec<GroupMember>,
}

/// How far a group is behind on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartitionLag {
    /// The committed offset: the next one to read. Absent where nothing was committed.
    pub committed: Option<i64>,
    /// The first offset that exists.
    pub start: i64,
    /// The offset behind the last message.
    pub end: i64,
    /// Messages between the two; absent where nothing was committed.
    pub lag: Option<i64>,
}

impl Admin {
    /// Describes a group; one that does not exist is `Dead` and without members.
    pub async fn group(&self, name: &str) -> Result<GroupDescription, KafkaFailure> {
        let name = name.to_owned();
        self.blocking(move |own| {
            let answer = own.heard(own.client.inner().fetch_group_list(Some(&name), own.timeout));
            let list = answer.map_err(|error| KafkaFailure::request(format!("describe group `{name}`"), &error))?;
            let dead = GroupDescription { state: "Dead".into(), protocol: String::new(), members: Vec::new() };
            Ok(list.groups().iter().find(|group| group.name() == name).map_or(dead, |group| GroupDescription {
                state: group.state().to_owned(),
                protocol: group.protocol().to_owned(),
                members: group
                    .members()
                    .iter()
                    .map(|member| GroupMember {
                        id: member.id().to_owned(),
                        client_id: member.client_id().to_owned(),
                        host: member.client_host().to_owned(),
                    })
                    .collect(),
            }))
        })
        .await
    }

    /// Deletes a group that has no members.
    pub async fn delete_group(&self, name: &str) -> Result<(), KafkaFailure> {
        let answer = self.heard(self.client.delete_groups(&[name], &self.options()).await);
        one(format!("delete group `{name}`"), answer)
    }

    /// Committed offsets and lag of a group on a topic, by partition.
    pub async fn lag(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, PartitionLag>, KafkaFailure> {
        let ends = self.offsets(topic).await?;
        let (group, topic) = (group.to_owned(), topic.to_owned());
        let partitions: Vec<i32> = ends.keys().copied().collect();
        let committed = self
            .blocking(move |own| {
                let asker = own.asker(&[("group.id", &group), ("enable.auto.commit", "false")])?;
                committed(&asker, &topic, &partitions, own.timeout)
                    .map_err(|error| KafkaFailure::request(format!("read the offsets of group `{group}`"), &error))
            })
            .await?;
        let lag = ends.into_iter().map(|(partition, ends)| {
            let committed = committed.get(&partition).copied();
            let lag = committed.map(|committed| (ends.end - committed).max(0));
            (partition, PartitionLag { committed, start: ends.start, end: ends.end, lag })
        });
        Ok(lag.collect())
    }

    /// Waits until the group's coordinator answers. On a fresh broker its internal topic is created
    /// by this; a first join would otherwise wait for seconds.
    pub async fn warm_coordinator(&self, group: &str, limit: Duration) -> Result<(), KafkaFailure> {
        let group = group.to_owned();
        self.blocking(move |own| {
            let deadline = Instant::now() + limit;
            let asker = own.asker(&[("group.id", &group), ("enable.auto.commit", "false")])?;
            loop {
                // Which partition is asked for does not matter: the coordinator has to answer.
                match committed(&asker, "kscen", &[0], Duration::from_millis(500)) {
                    Ok(_) => return Ok(()),
                    Err(error) if Instant::now() >= deadline => {
                        return Err(KafkaFailure::request(format!("find the coordinator of group `{group}`"), &error));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        })
        .await
    }
}

fn committed(
    asker: &BaseConsumer<crate::kafka::ClientState>,
    topic: &str,
    partitions: &[i32],
    timeout: Duration,
) -> Result<BTreeMap<i32, i64>, rdkafka::error::KafkaError> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    partitions.iter().for_each(|partition| _ = list.add_partition(topic, *partition));
    let answer = asker.committed_offsets(list, timeout)?;
    let mut offsets = BTreeMap::new();
    for element in answer.elements() {
        element.error()?;
        if let Some(offset) = element.offset().to_raw().filter(|offset| *offset >= 0) {
            offsets.insert(element.partition(), offset);
        }
    }
    Ok(offsets)
}
