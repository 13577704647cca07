//! The cluster as its metadata describes it.

use super::Admin;
use crate::kafka::{KafkaFailure, controller_id, revive};
use rdkafka::consumer::Consumer;
use rdkafka::metadata::MetadataTopic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrokerView {
    /// Its node id.
    pub id: i32,
    /// The host of its advertised listener.
    pub host: String,
    /// The port of its advertised listener.
    pub port: u16,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartitionView {
    /// Its number.
    pub id: i32,
    /// The broker that leads it; absent when it is offline.
    pub leader: Option<i32>,
    /// The brokers that hold a replica.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub isr: Vec<i32>,
}

/// A topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopicView {
    /// Its partitions, ascending.
    pub partitions: Vec<PartitionView>,
}

/// The cluster as one broker described it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterView {
    /// The cluster's id.
    pub id: Option<String>,
    /// Brokers that are registered, ascending.
    pub brokers: Vec<BrokerView>,
    /// The broker that metadata names as controller: in KRaft a broker, not the quorum's leader.
    pub controller: Option<i32>,
    /// All topics, internal ones included.
    pub topics: BTreeMap<String, TopicView>,
}

impl ClusterView {
    /// Partitions without a leader.
    pub fn offline_partitions(&self) -> usize {
        self.partitions().filter(|partition| partition.leader.is_none()).count()
    }

    /// Partitions of which a replica is not in sync.
    pub fn under_replicated(&self) -> usize {
        self.partitions().filter(|partition| partition.isr.len() < partition.replicas.len()).count()
    }

    fn partitions(&self) -> impl Iterator<Item = &PartitionView> {
        self.topics.values().flat_map(|topic| &topic.partitions)
    }
}

impl From<&MetadataTopic> for TopicView {
    fn from(topic: &MetadataTopic) -> Self {
        let mut partitions: Vec<_> = topic
            .partitions()
            .iter()
            .map(|partition| PartitionView {
                id: partition.id(),
                leader: Some(partition.leader()).filter(|leader| *leader >= 0),
                replicas: partition.replicas().to_vec(),
                isr: partition.isr().to_vec(),
            })
            .collect();
        partitions.sort_by_key(|partition| partition.id);
        Self { partitions }
    }
}

impl Admin {
    /// Asks a broker for its picture of the cluster.
    pub async fn cluster(&self) -> Result<ClusterView, KafkaFailure> {
        self.blocking(|own| {
            let client = own.client.inner();
            let metadata = own
                .heard(client.fetch_metadata(None, own.timeout))
                .map_err(|error| KafkaFailure::request("fetch the cluster's metadata", &error))?;
            let mut brokers: Vec<_> = metadata
                .brokers()
                .iter()
                .map(|broker| BrokerView {
                    id: broker.id(),
                    host: broker.host().to_owned(),
                    port: broker.port() as u16,
                })
                .collect();
            brokers.sort_by_key(|broker| broker.id);
            Ok(ClusterView {
                id: client.fetch_cluster_id(own.timeout),
                brokers,
                controller: controller_id(client, own.timeout),
                topics: metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.into())).collect(),
            })
        })
        .await
    }

    /// A topic's partitions; `None` if there is no such topic.
    pub async fn topic(&self, name: &str) -> Result<Option<TopicView>, KafkaFailure> {
        let name = name.to_owned();
        self.blocking(move |own| {
            let metadata = own
                .asker
                .fetch_metadata(Some(&name), own.timeout)
                .inspect_err(|_| revive(own.asker.client()))
                .map_err(|error| KafkaFailure::request(format!("describe topic `{name}`"), &error))?;
            let topic = metadata.topics().iter().find(|topic| topic.name() == name);
            match topic.and_then(MetadataTopic::error) {
                None => Ok(topic.filter(|topic| !topic.partitions().is_empty()).map(TopicView::from)),
                Some(rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(None),
                Some(code) => Err(KafkaFailure::code(format!("describe topic `{name}`"), code)),
            }
        })
        .await
    }

    /// Waits until every broker knows a leader for each partition of a topic: the creation of a topic
    /// is answered before all brokers have heard of it.
    pub async fn await_leaders(&self, topic: &str, limit: Duration) -> Result<(), KafkaFailure> {
        let deadline = Instant::now() + limit;
        let brokers = self.cluster().await?.brokers;
        for broker in brokers {
            let (topic, address) = (topic.to_owned(), format!("{}:{}", broker.host, broker.port));
            self.blocking(move |own| own.await_leaders_at(&topic, &address, deadline)).await?;
        }
        Ok(())
    }

    fn await_leaders_at(&self, topic: &str, address: &str, deadline: Instant) -> Result<(), KafkaFailure> {
        loop {
            // A new client asks the one broker it knows; an old one would ask any.
            let asker = self.asker(&[("bootstrap.servers", address)])?;
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let metadata = asker.fetch_metadata(Some(topic), left.min(self.timeout));
            let complete = metadata.as_ref().is_ok_and(|metadata| {
                let topic = metadata.topics().iter().find(|found| found.name() == topic);
                topic.is_some_and(|topic| {
                    !topic.partitions().is_empty() && topic.partitions().iter().all(|partition| partition.leader() >= 0)
                })
            });
            match (complete, Instant::now() < deadline) {
                (true, _) => return Ok(()),
                // Nothing announces a change of metadata; a short pause between questions.
                (false, true) => std::thread::sleep(Duration::from_millis(50)),
                (false, false) => {
                    return Err(KafkaFailure::Request {
                        action: format!("find a leader for every partition of `{topic}` at {address}"),
                        code: "LEADER_NOT_AVAILABLE".into(),
                        detail: "the broker did not learn of them in time".into(),
                    });
                }
            }
        }
    }
}
