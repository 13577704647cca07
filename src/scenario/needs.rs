//! What a scenario says it needs of its environment.

use super::units::{Bytes, Count};
use crate::environment::{Controllers, Needs, ServiceId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Services beside Kafka that a scenario can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceNeed {
    /// Kafka Connect with the Debezium PostgreSQL connector.
    Connect,
    /// PostgreSQL with logical decoding.
    Postgres,
    /// Kafka UI.
    KafkaUi,
}

/// With which flags the brokers' virtual machines run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JvmNeed {
    /// Those of Kafka's own scripts: G1, 1 GiB of heap, the optimizing compiler.
    Kafka,
}

/// What the scenario wants of its environment beyond what its verbs imply. `local` starts a matching stack. Any other environment
/// is looked at before the first step, and refused where it lacks something, or does not tell whether it has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeedsClause {
    /// Least number of brokers.
    #[serde(default)]
    pub brokers: Option<Count>,
    /// Whether controllers run in the brokers' processes or in their own.
    #[serde(default)]
    pub controllers: Option<Controllers>,
    /// Range of Kafka versions, such as `>=3.6` or `>=3.6, <4`.
    #[serde(default)]
    pub kafka: Option<String>,
    /// Services beside Kafka.
    #[serde(default)]
    pub services: Vec<ServiceNeed>,
    /// Broker properties that must be in force. A stack with properties of its own is not shared with other scenarios.
    #[serde(default)]
    pub broker_config: BTreeMap<String, Value>,
    /// Size limit of each broker's log directory.
    #[serde(default)]
    pub log_dir: Option<Bytes>,
    /// Size limit of the folder in which the run's archives lie. It is then no folder below the results, and gone after the run; `run` steps
    /// find it in KSCEN_ARCHIVE_DIR.
    #[serde(default)]
    pub archive_dir: Option<Bytes>,
    /// `kafka`: brokers that kscen starts run with the flags of Kafka's own scripts, as what is measured has to; others run as they are.
    #[serde(default)]
    pub jvm: Option<JvmNeed>,
}

impl NeedsClause {
    /// As needs of a plan.
    ///
    /// # Errors
    /// Names the field whose value cannot be understood, and why.
    pub fn resolve(&self) -> Result<Needs, (&'static str, String)> {
        let mut needs = Needs {
            brokers: self.brokers.map_or(0, |count| u32::try_from(count.0).unwrap_or(u32::MAX)),
            controllers: self.controllers,
            log_dir: self.log_dir.map(|bytes| bytes.0),
            archive_dir: self.archive_dir.map(|bytes| bytes.0),
            private: self.log_dir.is_some() || self.archive_dir.is_some(),
            kafkas_jvm: self.jvm == Some(JvmNeed::Kafka),
            ..Needs::default()
        };
        if let Some(range) = &self.kafka {
            needs.kafka = Some(range.parse().map_err(|error| ("kafka", error))?);
        }
        needs.services.extend(self.services.iter().map(|service| match service {
            ServiceNeed::Connect => ServiceId::Connect,
            ServiceNeed::Postgres => ServiceId::Postgres,
            ServiceNeed::KafkaUi => ServiceId::KafkaUi,
        }));
        for (key, value) in &self.broker_config {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => return Err(("broker_config", format!("`{key}` needs a single value"))),
            };
            needs.broker_config.insert(key.clone(), text);
        }
        Ok(needs)
    }
}
