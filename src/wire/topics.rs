//! Topics: ids, partitions, leaders and their epochs.

use super::cluster::WireCluster;
use super::frame::text;
use super::refusal::{Authorised, MissingRight, Operation, RightSubject};
use super::routing::rounds;
use super::wire_error::WireError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

const ACTION: &str = "describe";

/// A topic's id: it tells a topic from another one that had its name before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId([u8; 16]);

impl TopicId {
    /// From its 16 bytes, as they are on the wire.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// `None` for the id of no topic, which brokers before 2.8 give.
    pub(super) fn read(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

/// As Kafka writes it: base64 for URLs, without padding.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = openssl::base64::encode_block(&self.0).replace('+', "-").replace('/', "_");
        f.write_str(text.trim_end_matches('='))
    }
}

/// A topic as a broker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTopic {
    /// Its name.
    pub name: String,
    /// Its id, where the broker has ids.
    pub id: Option<TopicId>,
    /// Whether it is one of Kafka's own.
    pub internal: bool,
    /// Its partitions, ascending.
    pub partitions: Vec<DescribedPartition>,
    /// What the principal may do with it, where the broker tells.
    pub authorised: Option<Authorised>,
}

/// A partition as a broker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedPartition {
    /// Its number.
    pub index: i32,
    /// The broker that leads it, if one does now.
    pub leader: Option<i32>,
    /// How often its leader has changed, where the broker tells: it grows with each election.
    pub leader_epoch: Option<i32>,
    /// All replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those that are in sync.
    pub in_sync: Vec<i32>,
    /// Those on brokers that are down.
    pub offline: Vec<i32>,
    /// What the broker says is wrong with it.
    pub trouble: Option<MissingRight>,
}

/// Describes topics by name; asking does not create them. A topic that does not exist is a refusal that
/// [is absent](MissingRight::is_absent), one that may not be seen a refusal that [is denied](MissingRight::is_denied).
///
/// ACL: DESCRIBE on each Topic.
///
/// # Errors
/// No broker answers.
pub async fn describe(
    cluster: &WireCluster,
    names: &[&str],
) -> Result<BTreeMap<String, Result<DescribedTopic, MissingRight>>, WireError> {
    let deadline = cluster.deadline();
    let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let answers = rounds(names, deadline, |open| async move {
        let names: Vec<&str> = open.iter().map(String::as_str).collect();
        match once(cluster, &names, deadline).await {
            Ok(found) => found.into_iter().map(|(name, topic)| (name, topic.map_err(WireError::from))).collect(),
            Err(error) => open.iter().map(|name| (name.clone(), Err(error.clone()))).collect(),
        }
    });
    let mut topics = BTreeMap::new();
    for (name, answer) in answers.await {
        match answer {
            Ok(topic) => topics.insert(name, Ok(topic)),
            Err(WireError::Refused(refusal)) => topics.insert(name, Err(refusal)),
            Err(error) => return Err(error),
        };
    }
    Ok(topics)
}

/// Every topic that the principal may see: Kafka keeps silent about the others, so that "not among them" is not "does not
/// exist".
///
/// ACL: DESCRIBE on each Topic.
///
/// # Errors
/// No broker answers.
pub async fn list(cluster: &WireCluster) -> Result<BTreeMap<String, Result<DescribedTopic, MissingRight>>, WireError> {
    let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
    read(cluster.metadata(&request, cluster.deadline()).await?)
}

/// How long a broker may take to say whether it knows a topic.
const GLANCE: Duration = Duration::from_secs(1);

/// The brokers that know a topic of this name: a deletion is told as done before each of them has heard of it. Those that do not answer,
/// or do not let the principal see it, are left out.
///
/// ACL: DESCRIBE on the Topic.
///
/// # Errors
/// No broker answers.
pub async fn brokers_that_know(cluster: &WireCluster, name: &str) -> Result<Vec<i32>, WireError> {
    let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
    let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    let mut found = Vec::new();
    for broker in cluster.metadata(&request, cluster.deadline()).await?.brokers {
        let answer = cluster.ask_broker(broker.node_id.0, &request, Instant::now() + GLANCE).await;
        let Some(topic) = answer.and_then(read).ok().and_then(|mut topics| topics.remove(name)) else { continue };
        if !topic.is_err_and(|refusal| refusal.is_absent() || refusal.is_denied()) {
            found.push(broker.node_id.0);
        }
    }
    Ok(found)
}

/// [`describe`], once: what passes is not waited for.
pub(super) async fn once(
    cluster: &WireCluster,
    names: &[&str],
    deadline: Instant,
) -> Result<BTreeMap<String, Result<DescribedTopic, MissingRight>>, WireError> {
    let names = names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(TopicName(text(name)))));
    let request = MetadataRequest::default()
        .with_topics(Some(names.collect()))
        .with_allow_auto_topic_creation(false)
        .with_include_topic_authorized_operations(true);
    read(cluster.metadata(&request, deadline).await?)
}

fn read(answer: MetadataResponse) -> Result<BTreeMap<String, Result<DescribedTopic, MissingRight>>, WireError> {
    MissingRight::check(answer.error_code, None, ACTION, Operation::Describe, RightSubject::Cluster)?;
    let topics = answer.topics.into_iter().filter_map(|topic| {
        let name = topic.name.as_ref()?.to_string();
        Some((name.clone(), read_topic(name, topic)))
    });
    Ok(topics.collect())
}

fn read_topic(name: String, topic: MetadataResponseTopic) -> Result<DescribedTopic, MissingRight> {
    MissingRight::check(topic.error_code, None, ACTION, Operation::Describe, RightSubject::Topic(name.clone()))?;
    let mut partitions: Vec<_> =
        topic.partitions.into_iter().map(|partition| read_partition(&name, partition)).collect();
    partitions.sort_by_key(|partition| partition.index);
    Ok(DescribedTopic {
        id: TopicId::read(topic.topic_id.into_bytes()),
        internal: topic.is_internal,
        partitions,
        authorised: Authorised::read(topic.topic_authorized_operations),
        name,
    })
}

fn read_partition(topic: &str, partition: MetadataResponsePartition) -> DescribedPartition {
    let index = partition.partition_index;
    let ids = |nodes: Vec<kafka_protocol::messages::BrokerId>| nodes.into_iter().map(|node| node.0).collect();
    let subject = RightSubject::Partition(topic.to_owned(), index);
    DescribedPartition {
        index,
        leader: Some(partition.leader_id.0).filter(|leader| *leader >= 0),
        leader_epoch: Some(partition.leader_epoch).filter(|epoch| *epoch >= 0),
        replicas: ids(partition.replica_nodes),
        in_sync: ids(partition.isr_nodes),
        offline: ids(partition.offline_replicas),
        trouble: MissingRight::check(partition.error_code, None, ACTION, Operation::Describe, subject).err(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_reads_as_kafka_prints_it() {
        let bytes = [0xfb, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(TopicId::read(bytes).expect("an id").to_string(), "-_8AAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId::read([0; 16]), None);
    }
}
