//! `key:` of `produce`.

use crate::accounting::KeySpec;
use crate::scenario::units::Count;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// How keys are chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Key(pub KeySpec);

impl Key {
    /// Whether it makes keys that are not the payload's.
    pub fn is_given(&self) -> bool {
        self.0 != KeySpec::Payload
    }
}

const EXPECTED: &str =
    "none, payload, or one of { constant: TEXT }, { round_robin: N }, { uniform: N }, { zipfian: N }";

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let refused = || de::Error::custom(format!("expected {EXPECTED}"));
        let spec = match &value {
            Value::String(word) if word == "none" => KeySpec::None,
            Value::String(word) if word == "payload" => KeySpec::Payload,
            Value::Object(map) if map.len() == 1 => {
                let (name, value) = map.iter().next().ok_or_else(refused)?;
                let count = || -> Result<u64, D::Error> {
                    let count: Count = serde_json::from_value(value.clone()).map_err(de::Error::custom)?;
                    if count.0 == 0 { Err(de::Error::custom("there has to be at least one key")) } else { Ok(count.0) }
                };
                match (name.as_str(), value) {
                    ("constant", Value::String(text)) => KeySpec::Constant(text.clone()),
                    ("round_robin", _) => KeySpec::RoundRobin(count()?),
                    ("uniform", _) => KeySpec::Uniform(count()?),
                    // The classic law, as in YCSB's default.
                    ("zipfian", _) => KeySpec::Zipfian { keys: count()?, exponent: 0.99 },
                    _ => return Err(refused()),
                }
            }
            _ => return Err(refused()),
        };
        Ok(Self(spec))
    }
}

impl JsonSchema for Key {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let count = generator.subschema_for::<Count>();
        json_schema!({
            "if": { "type": "string" },
            "then": { "enum": ["none", "payload"] },
            "else": {
                "type": "object",
                "properties": {
                    "constant": { "type": "string", "description": "Always this key." },
                    "round_robin": { "description": "So many keys, one after the other.", "allOf": [count] },
                    "uniform": { "description": "So many keys, each as likely.", "allOf": [count] },
                    "zipfian": { "description": "So many keys, some much more likely than others (exponent 0.99).", "allOf": [count] }
                },
                "additionalProperties": false,
                "minProperties": 1,
                "maxProperties": 1
            }
        })
    }
}
