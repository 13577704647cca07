//! Which service of an environment is meant.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A service by the part it plays. Its text, such as `kafka-2`, is its full name everywhere: in scenarios, plans and results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceId {
    /// A broker, `kafka-N`, from 1.
    Broker(u32),
    /// A controller of its own, `controller-N`, from 1.
    Controller(u32),
    /// Kafka Connect.
    Connect,
    /// PostgreSQL.
    Postgres,
    /// Kafka UI.
    KafkaUi,
}

/// The services that there is one of.
const SINGLE: [(&str, ServiceId); 3] =
    [("connect", ServiceId::Connect), ("postgres", ServiceId::Postgres), ("kafka-ui", ServiceId::KafkaUi)];

impl ServiceId {
    /// The full names, for messages.
    pub const NAMES: &'static str = "kafka-1 …, controller-1 …, connect, postgres and kafka-ui";
    /// How a scenario may call the only broker of a cluster.
    pub const ONLY_BROKER: &'static str = "kafka";

    /// Whether a scenario means this service by that word.
    pub fn is_meant_by(self, word: &str) -> bool {
        word.parse() == Ok(self) || (word == Self::ONLY_BROKER && self == Self::Broker(1))
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(number) => write!(f, "kafka-{number}"),
            Self::Controller(number) => write!(f, "controller-{number}"),
            Self::Connect => f.write_str("connect"),
            Self::Postgres => f.write_str("postgres"),
            Self::KafkaUi => f.write_str("kafka-ui"),
        }
    }
}

impl FromStr for ServiceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, id)) = SINGLE.iter().find(|(name, _)| *name == text) {
            return Ok(*id);
        }
        let number = |prefix: &str| {
            let digits = text.strip_prefix(prefix)?;
            // `kafka-01` would be another name for `kafka-1`.
            digits.parse::<u16>().ok().filter(|number| *number > 0 && number.to_string() == digits).map(u32::from)
        };
        number("kafka-")
            .map(Self::Broker)
            .or_else(|| number("controller-").map(Self::Controller))
            .ok_or_else(|| format!("there is no service `{text}`; services are {}", Self::NAMES))
    }
}

impl Serialize for ServiceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ServiceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for ServiceId {
    fn schema_name() -> Cow<'static, str> {
        "ServiceId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "The full name of a service, such as `kafka-1`." })
    }
}

#[cfg(test)]
mod tests {
    use super::ServiceId;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for name in ["kafka-1", "kafka-12", "controller-1", "connect", "postgres", "kafka-ui"] {
            assert_eq!(name.parse::<ServiceId>().expect(name).to_string(), name);
        }
        assert!(ServiceId::Broker(1).is_meant_by("kafka") && ServiceId::Broker(1).is_meant_by("kafka-1"));
        assert!(!ServiceId::Broker(2).is_meant_by("kafka") && !ServiceId::Connect.is_meant_by("connect-1"));
        for wrong in ["kafka", "kafka-0", "kafka-01", "kafka-", "kafka-x", "controller", "zookeeper", "kafka-70000", ""]
        {
            assert!(wrong.parse::<ServiceId>().is_err(), "{wrong}");
        }
    }
}
