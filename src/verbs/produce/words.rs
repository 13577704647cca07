//! The words of `produce`: stages, transactions, compression, acknowledgements.

use crate::load::produce::Acks;
use crate::scenario::units::{Count, Length, Rate, Share};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// A part of a schedule.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageClause {
    /// Messages per second; with `to`, at the start of a ramp.
    pub rate: Rate,
    /// Messages per second at the end of a ramp.
    #[serde(default)]
    pub to: Option<Rate>,
    /// How long it lasts.
    #[serde(rename = "for")]
    pub length: Length,
    /// Whether its messages are left out of latencies; they count for integrity all the same.
    #[serde(default)]
    pub warmup: bool,
}

/// What ends a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SendUntil {
    /// Somebody asks: Ctrl-C or SIGTERM, once.
    Stopped,
}

/// Sends in transactions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transactional {
    /// Messages in each transaction.
    pub per: Count,
    /// Share of transactions that are aborted on purpose.
    #[serde(default)]
    pub abort: Option<Share>,
    /// `transactional.id`; made from run and step where absent.
    #[serde(default)]
    pub id: Option<String>,
}

/// `compression.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// `0`, `1` or `all`, quoted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcksWord(pub Acks);

impl<'de> Deserialize<'de> for AcksWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match word.as_str() {
            "0" => Ok(Self(Acks::None)),
            "1" => Ok(Self(Acks::Leader)),
            "all" | "-1" => Ok(Self(Acks::All)),
            other => Err(de::Error::custom(format!("`acks` is 0, 1 or all, not `{other}`"))),
        }
    }
}

impl JsonSchema for AcksWord {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Acks".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["all", 1, 0, "1", "0", -1, "-1"] })
    }
}
