//! The words of `consume`.

use crate::load::consume::CommitMode as LoadCommit;
use crate::scenario::units::{Count, Length};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// Where a reader starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// At the first message that exists.
    #[default]
    Start,
    /// Behind the last message.
    End,
    /// At the group's committed offset.
    Committed,
}

/// When a reader ends.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadUntil {
    /// After so many different messages; must be reached. Where steps of the scenario write the topic, only their messages count.
    #[serde(default)]
    pub count: Option<Count>,
    /// After so long without a message.
    #[serde(default)]
    pub idle: Option<Length>,
    /// At the end offsets as they are when the reader starts.
    #[serde(default)]
    pub drained: bool,
}

/// How messages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decode {
    /// Debezium's change events, in JSON.
    Debezium,
}

/// How partitions move in a rebalance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rebalance {
    /// Every member gives up everything first (`range`).
    #[default]
    Eager,
    /// Only partitions that move stop (`cooperative-sticky`).
    Cooperative,
}

/// `isolation.level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// All messages.
    #[default]
    ReadUncommitted,
    /// Only messages of committed transactions.
    ReadCommitted,
}

/// When offsets are committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commit(pub(super) LoadCommit);

impl<'de> Deserialize<'de> for Commit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(Self(match &value {
            Value::String(word) if word == "after" => LoadCommit::After,
            Value::String(word) if word == "auto" => LoadCommit::Auto,
            Value::String(word) if word == "none" => LoadCommit::None,
            Value::Object(map) if map.len() == 1 && map.contains_key("every") => {
                let count: Count = serde_json::from_value(map["every"].clone()).map_err(de::Error::custom)?;
                LoadCommit::Every(count.0.max(1))
            }
            _ => return Err(de::Error::custom("expected after, auto, none or { every: N }")),
        }))
    }
}

impl JsonSchema for Commit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Commit".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let count = generator.subschema_for::<Count>();
        json_schema!({
            "if": { "type": "string" },
            "then": { "enum": ["after", "auto", "none"] },
            "else": {
                "type": "object",
                "properties": { "every": { "description": "After each n-th message, and of the rest when none has come for a second.", "allOf": [count] } },
                "required": ["every"],
                "additionalProperties": false
            }
        })
    }
}
