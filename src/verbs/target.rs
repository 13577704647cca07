//! What a fault acts on.

use crate::environment::ServiceId;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::fmt;

/// A service by name or by the role it plays when the step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceTarget {
    /// By name: `kafka-2`, `connect`, `postgres`.
    Named(ServiceId),
    /// `kafka`: the only broker.
    OnlyBroker,
    /// A name that no service has.
    Unknown(String),
    /// The leader of a partition.
    LeaderOf {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
    },
    /// A replica of a partition that does not lead it.
    FollowerOf {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Which one, from 1, in the order of the assignment.
        number: usize,
    },
    /// The active KRaft controller.
    Controller,
    /// The coordinator of a consumer group.
    CoordinatorOf(String),
    /// Any broker, chosen by the run's seed.
    AnyBroker,
}

impl fmt::Display for ServiceTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(id) => id.fmt(f),
            Self::OnlyBroker => f.write_str(ServiceId::ONLY_BROKER),
            Self::Unknown(name) => f.write_str(name),
            Self::LeaderOf { topic, partition } => write!(f, "the leader of {topic}/{partition}"),
            Self::FollowerOf { topic, partition, number } => write!(f, "follower {number} of {topic}/{partition}"),
            Self::Controller => f.write_str("the active controller"),
            Self::CoordinatorOf(group) => write!(f, "the coordinator of group {group}"),
            Self::AnyBroker => f.write_str("any broker"),
        }
    }
}

impl<'de> Deserialize<'de> for ServiceTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(name) if name == ServiceId::ONLY_BROKER => Ok(Self::OnlyBroker),
            // Told in the check, at its place and with a suggestion.
            Value::String(name) => Ok(name.parse().map_or(Self::Unknown(name), Self::Named)),
            Value::Object(role) if role.len() == 1 => {
                let (key, value) = role.into_iter().next().expect("it has one entry");
                Self::from_role(&key, &value).map_err(de::Error::custom)
            }
            _ => Err(de::Error::custom(EXPECTED)),
        }
    }
}

const EXPECTED: &str = "a service name, or one of { leader_of: TOPIC/PARTITION }, { follower_of: TOPIC/PARTITION/1 }, \
                        { controller: true }, \
                        { coordinator_of: GROUP }, { any: broker }";

impl ServiceTarget {
    fn from_role(key: &str, value: &Value) -> Result<Self, String> {
        match (key, value) {
            ("leader_of", Value::String(text)) => {
                let (topic, partition) = text
                    .rsplit_once('/')
                    .ok_or_else(|| format!("`{text}` names no partition; write TOPIC/PARTITION"))?;
                let partition = partition.parse().map_err(|_| format!("`{partition}` is not a partition number"))?;
                Ok(Self::LeaderOf { topic: topic.to_owned(), partition })
            }
            ("follower_of", Value::String(text)) => {
                let mut parts = text.split('/');
                let named = (parts.next(), parts.next(), parts.next(), parts.next());
                let (Some(topic), Some(partition), number, None) = named else {
                    return Err(format!("`{text}` names no partition; write TOPIC/PARTITION/1"));
                };
                let partition = partition.parse().map_err(|_| format!("`{partition}` is not a partition number"))?;
                let number = number.unwrap_or("1");
                match number.parse() {
                    Ok(number @ 1..) => Ok(Self::FollowerOf { topic: topic.to_owned(), partition, number }),
                    _ => Err(format!("`{number}` is not the number of a follower; they count from 1")),
                }
            }
            ("controller", Value::Bool(true)) => Ok(Self::Controller),
            ("coordinator_of", Value::String(group)) => Ok(Self::CoordinatorOf(group.clone())),
            ("any", Value::String(word)) if word == "broker" => Ok(Self::AnyBroker),
            _ => Err(format!("expected {EXPECTED}")),
        }
    }
}

impl JsonSchema for ServiceTarget {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ServiceTarget".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A service by name (`kafka`, `kafka-2`, `connect`, `postgres`) or by role: { leader_of: TOPIC/PARTITION }, { follower_of: TOPIC/PARTITION/1 }, { controller: true }, { coordinator_of: GROUP }, { any: broker }.",
            "type": ["string", "object"],
            "properties": {
                "leader_of": { "type": "string", "description": "the leader of a partition, as TOPIC/PARTITION" },
                "follower_of": { "type": "string", "description": "a replica of a partition that does not lead it, as TOPIC/PARTITION/1 for the first in the order of the assignment" },
                "controller": { "const": true, "description": "the active KRaft controller" },
                "coordinator_of": { "type": "string", "description": "the coordinator of a consumer group" },
                "any": { "enum": ["broker"], "description": "any broker, chosen by the run's seed" }
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1
        })
    }
}
