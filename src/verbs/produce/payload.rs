//! `payload:` of `produce`.

use super::records::PayloadRecords;
use super::size::Size;
use crate::ground::input::InputError;
use crate::load::PayloadSpec;
use crate::load::payload::cdc::{CdcSpec, Table};
use crate::load::payload::{IdentityPlace, MOST_LINES};
use crate::scenario::units::{Bytes, Count, Share};
use crate::text::{Origin, Problem};
use crate::verb::{CheckContext, StepError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What values are.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Random bytes, of which a share repeats.
    Random(Share),
    /// Always this text, untouched.
    Fixed(String),
    /// A text with placeholders such as `{{sequence}}`.
    Template(String),
    /// The lines of a file, over and over; the path is relative to the scenario.
    File(PathBuf),
    /// Records as they are, with keys, headers and time stamps.
    Records(Box<PayloadRecords>),
    /// Change events as Debezium writes them.
    Cdc(Cdc),
}

/// Change events of one table, as Debezium's PostgreSQL connector writes them: consistent, seeded, with the row's key.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cdc {
    /// The table.
    pub table: Table,
    /// So many events are reads of a snapshot (`op: r`) before changes are streamed; `all` streams nothing.
    #[serde(default)]
    #[schemars(schema_with = "snapshot_schema")]
    pub snapshot: Option<Value>,
    /// Share of inserts among streamed changes; 25 % by default.
    #[serde(default)]
    pub inserts: Option<Share>,
    /// Share of updates; 70 % by default.
    #[serde(default)]
    pub updates: Option<Share>,
    /// Share of deletes, each followed by a tombstone; 5 % by default.
    #[serde(default)]
    pub deletes: Option<Share>,
    /// Smallest event; 1000B by default.
    #[serde(default)]
    pub min: Option<Bytes>,
    /// Largest event; 10KB by default.
    #[serde(default)]
    pub max: Option<Bytes>,
}

fn snapshot_schema(generator: &mut SchemaGenerator) -> Schema {
    let count = generator.subschema_for::<Count>();
    json_schema!({ "if": { "const": "all" }, "then": true, "else": count })
}

impl Cdc {
    fn snapshot_rows(&self) -> Result<u64, String> {
        match &self.snapshot {
            None => Ok(0),
            Some(Value::String(word)) if word == "all" => Ok(u64::MAX),
            Some(count) => {
                serde_json::from_value::<Count>(count.clone()).map(|count| count.0).map_err(|error| error.to_string())
            }
        }
    }

    fn spec(&self) -> Result<CdcSpec, String> {
        let usual = CdcSpec::streaming(self.table);
        let bytes = |bytes: Option<Bytes>, usual: usize| {
            bytes.map_or(Ok(usual), |bytes| usize::try_from(bytes.0)).map_err(|error| error.to_string())
        };
        let shares = [self.inserts, self.updates, self.deletes];
        let mix = if shares.iter().all(Option::is_none) {
            usual.mix
        } else {
            shares.map(|share| share.map_or(0.0, |share| share.0))
        };
        Ok(CdcSpec {
            table: self.table,
            snapshot_rows: self.snapshot_rows()?,
            mix,
            size: (bytes(self.min, usual.size.0)?, bytes(self.max, usual.size.1)?),
        })
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::Random(Share(0.0))
    }
}

const EXPECTED: &str = "random, or one of { compressible: SHARE }, { fixed: TEXT }, { template: TEXT }, { file: PATH }, { records: … }, \
     { cdc: TABLE }";

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let refused = || de::Error::custom(format!("expected {EXPECTED}"));
        match &value {
            Value::String(word) if word == "random" => Ok(Self::default()),
            Value::Object(map) if map.len() == 1 => {
                let (name, value) = map.iter().next().ok_or_else(refused)?;
                match (name.as_str(), value) {
                    ("compressible", _) => {
                        serde_json::from_value(value.clone()).map(Self::Random).map_err(de::Error::custom)
                    }
                    ("fixed", Value::String(text)) => Ok(Self::Fixed(text.clone())),
                    ("template", Value::String(text)) => Ok(Self::Template(text.clone())),
                    ("file", Value::String(path)) => Ok(Self::File(path.into())),
                    ("records", value) => {
                        serde_json::from_value(value.clone()).map(Self::Records).map_err(de::Error::custom)
                    }
                    ("cdc", value) => {
                        let clause = if value.is_string() { json!({ "table": value }) } else { value.clone() };
                        serde_json::from_value(clause).map(Self::Cdc).map_err(de::Error::custom)
                    }
                    _ => Err(refused()),
                }
            }
            _ => Err(refused()),
        }
    }
}

impl JsonSchema for Payload {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Payload".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let share = generator.subschema_for::<Share>();
        let table = generator.subschema_for::<Table>();
        let cdc = generator.subschema_for::<Cdc>();
        let records = generator.subschema_for::<PayloadRecords>();
        json_schema!({
            "if": { "type": "string" },
            "then": { "enum": ["random"] },
            "else": {
                "type": "object",
                "properties": {
                    "compressible": { "description": "Random bytes of which this share repeats and compresses away.", "allOf": [share] },
                    "fixed": { "type": "string", "description": "Always this text, untouched." },
                    "template": { "type": "string", "description": "A text with placeholders: {{sequence}}, {{index}}, {{producer}}, {{time_ms}}, {{random}}, {{uuid}}. {{{{ stands for two braces." },
                    "file": { "type": "string", "description": "The lines of a file, over and over; relative to the scenario." },
                    "records": { "description": "Records with their keys, headers and time stamps, from a file or from a topic, sent as they are.", "allOf": [records] },
                    "cdc": {
                        "description": "Change events as Debezium's PostgreSQL connector writes them, of videos, users or comments, 1 to 10 KB.",
                        "if": { "type": "string" }, "then": table, "else": cdc
                    }
                },
                "additionalProperties": false,
                "minProperties": 1,
                "maxProperties": 1
            }
        })
    }
}

/// What a message has to have room for where it is random: its identity.
const LEAST: u64 = 40;
/// Kafka's default `message.max.bytes`, many times over.
const MOST: u64 = 256 * 1024 * 1024;

impl Payload {
    /// Whether its messages have keys of their own.
    pub fn has_keys(&self) -> bool {
        match self {
            Self::Records(records) => records.has_keys(),
            // Those of change events may be replaced.
            Self::Random(_) | Self::Fixed(_) | Self::Template(_) | Self::File(_) | Self::Cdc(_) => false,
        }
    }

    /// Why messages cannot carry their identity there; `None` where they can.
    pub fn refuses(&self, place: IdentityPlace) -> Option<&'static str> {
        match (self, place) {
            (Self::Cdc(_), place) if place != IdentityPlace::Field => {
                Some("change events carry their identity in a field")
            }
            (Self::Random(_), IdentityPlace::Field) => Some("random bytes are no JSON object, and have no fields"),
            (Self::Fixed(text) | Self::Template(text), IdentityPlace::Field) if !text.trim_start().starts_with('{') => {
                Some("this text is no JSON object, and has no fields")
            }
            _ => None,
        }
    }

    /// Refuses files that cannot be read, and sizes that do not fit.
    pub fn check(&self, size: Option<Size>, place: Option<IdentityPlace>, cx: &mut CheckContext<'_>) {
        match self {
            Self::Cdc(cdc) => {
                if let Err(error) = cdc.spec().and_then(|spec| spec.check().map_err(|error| error.to_string())) {
                    cx.report("/payload/cdc", Problem::new("bad-payload", error));
                }
            }
            Self::Records(records) => records.check(cx),
            Self::File(path) => {
                if let Err(error) = cx.origin.document.fence.open(&cx.origin.path(path), MOST_LINES) {
                    match &error {
                        // A step before this one may make it.
                        InputError::Io(missing) if missing.kind() == std::io::ErrorKind::NotFound => {}
                        _ => {
                            cx.report("/payload/file", Problem::new("bad-payload", cx.origin.unreadable(path, &error)));
                        }
                    }
                }
            }
            Self::Random(_) | Self::Fixed(_) | Self::Template(_) => {}
        }
        let Some(size) = size else { return };
        if !matches!(self, Self::Random(_)) {
            cx.report("/size", Problem::new("does-not-apply", "the payload itself decides its size"));
            return;
        }
        if let Err(error) = size.sizes() {
            cx.report("/size", Problem::new("bad-value", error));
        }
        let (least, most) = size.bounds();
        if least < LEAST && place.is_none_or(|place| place == IdentityPlace::Prefix) {
            cx.report(
                "/size",
                Problem::new("out-of-range", format!("a message needs {LEAST} bytes for its identity"))
                    .help("with `identity: header` any size is possible"),
            );
        }
        if most > MOST {
            cx.report("/size", Problem::new("out-of-range", "a message has at most 256 MiB"));
        }
    }

    /// As the load wants it.
    ///
    /// # Errors
    /// A size that this machine cannot address.
    pub fn spec(&self, size: Size, origin: &Origin) -> Result<PayloadSpec, StepError> {
        Ok(match self {
            Self::Random(share) => PayloadSpec::Random {
                size: size.sizes().map_err(|error| StepError::broken("size", error).at("/size"))?,
                compressibility: share.0,
            },
            Self::Fixed(text) => PayloadSpec::Fixed(text.clone().into_bytes()),
            Self::Template(text) => PayloadSpec::Template(text.clone()),
            Self::File(path) => {
                let file = origin.path(path);
                let inside = origin.document.fence.admits(&file);
                inside.map_err(|error| StepError::broken("payload-file", origin.unreadable(path, &error)))?;
                PayloadSpec::Lines(file)
            }
            Self::Records(records) => PayloadSpec::Records(records.spec(origin)?),
            Self::Cdc(cdc) => PayloadSpec::Cdc(cdc.spec().map_err(|error| StepError::broken("bad-payload", error))?),
        })
    }
}
