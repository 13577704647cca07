//! Configuration of topics and brokers.

use super::Admin;
use crate::kafka::KafkaFailure;
use rdkafka::admin::{ConfigSource as NativeSource, ResourceSpecifier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on the broker while it runs.
    DynamicBroker,
    /// Set in the broker's properties file.
    StaticBroker,
    /// The software's default.
    Default,
    /// The broker did not say.
    Unknown,
}

/// A configuration value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigValue {
    /// The value; absent where it is sensitive or not set.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
}

impl Admin {
    /// The effective configuration of a broker.
    pub async fn broker_config(&self, id: i32) -> Result<BTreeMap<String, ConfigValue>, KafkaFailure> {
        self.config(format!("describe the configuration of broker {id}"), ResourceSpecifier::Broker(id)).await
    }

    async fn config(
        &self,
        action: String,
        resource: ResourceSpecifier<'_>,
    ) -> Result<BTreeMap<String, ConfigValue>, KafkaFailure> {
        let answer = self.heard(self.client.describe_configs([&resource], &self.options()).await);
        let answers = answer.map_err(|error| KafkaFailure::request(action.clone(), &error))?;
        let mut values = BTreeMap::new();
        for answer in answers {
            let described = answer
                .map_err(|code| KafkaFailure::request(action.clone(), &rdkafka::error::KafkaError::AdminOp(code)))?;
            for entry in described.entries {
                let source = match entry.source {
                    NativeSource::DynamicTopic => ConfigSource::Topic,
                    NativeSource::DynamicBroker | NativeSource::DynamicDefaultBroker => ConfigSource::DynamicBroker,
                    NativeSource::StaticBroker => ConfigSource::StaticBroker,
                    NativeSource::Default => ConfigSource::Default,
                    NativeSource::Unknown => ConfigSource::Unknown,
                };
                let value = entry.value.filter(|_| !entry.is_sensitive);
                values.insert(entry.name, ConfigValue { value, source });
            }
        }
        if values.is_empty() {
            // Every resource has properties: an empty answer is one that was kept back.
            let (kind, name) = match resource {
                ResourceSpecifier::Topic(name) => ("Topic", name.to_owned()),
                ResourceSpecifier::Broker(_) => ("Cluster", "kafka-cluster".to_owned()),
                other => ("resource", format!("{other:?}")),
            };
            return Err(KafkaFailure::Request {
                action,
                code: "CONFIGURATION_NOT_SHOWN".into(),
                detail: format!(
                    "the cluster shows no property: the principal needs DESCRIBE_CONFIGS on {kind} `{name}`"
                ),
            });
        }
        Ok(values)
    }
}
