//! Configurations of topics and brokers.

use super::cluster::WireCluster;
use super::frame::text;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::{missing, rounds};
use super::wire_error::WireError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use std::collections::BTreeMap;
use std::time::Instant;

/// Kafka's numbers of the types of resources.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// A value of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The value; `None` where it is sensitive or not set.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: SettingSource,
    /// Whether the broker hides the value.
    pub sensitive: bool,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// Set on the topic.
    Topic,
    /// Set on the broker, or on all brokers, while they run.
    DynamicBroker,
    /// Set in the broker's properties file.
    StaticBroker,
    /// The software's default.
    Default,
    /// Another source, by Kafka's number.
    Other(i8),
}

impl SettingSource {
    fn read(number: i8) -> Self {
        match number {
            1 => Self::Topic,
            2 | 3 => Self::DynamicBroker,
            4 => Self::StaticBroker,
            5 => Self::Default,
            other => Self::Other(other),
        }
    }
}

/// The effective configuration of a topic.
///
/// ACL: DESCRIBE_CONFIGS on the Topic.
///
/// # Errors
/// A refusal that [is denied](Refusal::is_denied) or [is absent](Refusal::is_absent), or no broker answers.
pub async fn of_topic(cluster: &WireCluster, topic: &str) -> Result<BTreeMap<String, Config>, WireError> {
    insist(cluster, RightSubject::Topic(topic.to_owned())).await
}

/// The effective configuration of a broker, from itself.
///
/// ACL: DESCRIBE_CONFIGS on the Cluster.
///
/// # Errors
/// See [`of_topic`].
pub async fn of_broker(cluster: &WireCluster, id: i32) -> Result<BTreeMap<String, Config>, WireError> {
    insist(cluster, RightSubject::Broker(id)).await
}

async fn insist(cluster: &WireCluster, subject: RightSubject) -> Result<BTreeMap<String, Config>, WireError> {
    let deadline = cluster.deadline();
    let answers = rounds([subject], deadline, |open| async move {
        let mut answers = BTreeMap::new();
        for subject in open {
            let answer = once(cluster, subject.clone(), deadline).await;
            answers.insert(subject, answer);
        }
        answers
    });
    answers.await.into_values().next().unwrap_or_else(|| Ok(BTreeMap::new()))
}

async fn once(
    cluster: &WireCluster,
    subject: RightSubject,
    deadline: Instant,
) -> Result<BTreeMap<String, Config>, WireError> {
    let (kind, name, broker) = match &subject {
        RightSubject::Broker(id) => (BROKER, id.to_string(), Some(*id)),
        RightSubject::Topic(name) => (TOPIC, name.clone(), None),
        other => (TOPIC, other.to_string(), None),
    };
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(&name))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let read = |answer| read(cluster, &subject, kind, &name, broker, answer);
    match broker {
        Some(id) => cluster.ask_broker(id, &request, deadline).await.and_then(read),
        None => cluster.ask_any(&request, deadline, read).await,
    }
}

fn read(
    cluster: &WireCluster,
    subject: &RightSubject,
    kind: i8,
    name: &str,
    broker: Option<i32>,
    answer: DescribeConfigsResponse,
) -> Result<BTreeMap<String, Config>, WireError> {
    let mut results = answer.results.into_iter();
    let Some(result) = results.find(|result| result.resource_type == kind && &*result.resource_name == name) else {
        return Err(missing::<DescribeConfigsRequest>(cluster, broker.unwrap_or(-1), subject.clone()));
    };
    let message = result.error_message.as_deref();
    let operation = Operation::DescribeConfigs;
    MissingRight::check(result.error_code, message, "describe the configuration of", operation, subject.clone())?;
    let configs = result.configs.into_iter().map(|config| {
        let value = config.value.map(|value| value.to_string());
        let source = SettingSource::read(config.config_source);
        (config.name.to_string(), Config { value, source, sensitive: config.is_sensitive })
    });
    Ok(configs.collect())
}
