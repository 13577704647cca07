//! Creating topics, and changing their configuration setting by setting.

use super::cluster::WireCluster;
use super::frame::text;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::insist;
use super::wire_error::WireError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{CreateTopicsRequest, IncrementalAlterConfigsRequest, TopicName};
use std::collections::BTreeMap;

/// How long the controller may take, in ms.
const LIMIT: i32 = 30_000;
/// Kafka's numbers: a topic's configuration; setting a value; going back to the default.
const TOPIC: i8 = 2;
const SET: i8 = 0;
const UNSET: i8 = 1;

/// A topic that is to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it gets.
    pub partitions: i32,
    /// How many replicas each partition gets; `None` for the cluster's default.
    pub replication: Option<i16>,
    /// Settings that differ from the cluster's.
    pub configs: BTreeMap<String, String>,
}

/// Creates a topic. One that exists is a refusal with the code 36 (`TOPIC_ALREADY_EXISTS`). With `only_check` the controller
/// says whether it would create it, and does not.
///
/// ACL: CREATE on the Topic or on the Cluster.
///
/// # Errors
/// A refusal with the broker's words, or no broker answers.
pub async fn create(cluster: &WireCluster, topic: &NewTopic, only_check: bool) -> Result<(), WireError> {
    let configs = topic
        .configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value))));
    let asked = CreatableTopic::default()
        .with_name(TopicName(text(&topic.name)))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replication.unwrap_or(-1))
        .with_configs(configs.collect());
    let request =
        CreateTopicsRequest::default().with_topics(vec![asked]).with_timeout_ms(LIMIT).with_validate_only(only_check);
    let read = |answer: kafka_protocol::messages::CreateTopicsResponse| {
        for found in answer.topics {
            let subject = RightSubject::Topic(found.name.to_string());
            MissingRight::check(
                found.error_code,
                found.error_message.as_deref(),
                "create",
                Operation::Create,
                subject,
            )?;
        }
        Ok(())
    };
    insist(cluster.deadline(), || cluster.ask_controller(&request, cluster.deadline(), read)).await
}

/// Changes settings of a topic: `None` goes back to the cluster's default. Others stay as they are.
///
/// ACL: ALTER_CONFIGS on the Topic.
///
/// # Errors
/// A refusal with the broker's words, or no broker answers.
pub async fn configure(
    cluster: &WireCluster,
    topic: &str,
    settings: &BTreeMap<String, Option<String>>,
) -> Result<(), WireError> {
    let settings = settings.iter().map(|(name, value)| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(if value.is_some() { SET } else { UNSET })
            .with_value(value.as_deref().map(text))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(topic))
        .with_configs(settings.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let read = |answer: kafka_protocol::messages::IncrementalAlterConfigsResponse| {
        for found in answer.responses {
            let (message, subject) = (found.error_message.as_deref(), RightSubject::Topic(topic.to_owned()));
            let operation = Operation::AlterConfigs;
            MissingRight::check(found.error_code, message, "change the configuration of", operation, subject)?;
        }
        Ok(())
    };
    insist(cluster.deadline(), || cluster.ask_controller(&request, cluster.deadline(), read)).await
}
