//! What a scenario is compared with: a stored baseline, metric by metric.

use super::units::Share;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Gates the verdict on a stored baseline: what is worse than it by more than a margin fails, what cannot be told is unknown.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareClause {
    /// Stored results, relative to this file: a `result.json`, a run's folder or a folder of several runs. Runs of this scenario and
    /// cell of the matrix that passed count; several make the baseline's own noise part of the comparison.
    #[schemars(length(min = 1))]
    pub baseline: String,
    /// Metrics as `STEP.METRIC`, distributions with a statistic (`load.response_latency.p95`), each with its margin.
    #[schemars(extend("minProperties" = 1))]
    pub metrics: BTreeMap<String, MarginClause>,
}

/// How far a metric may lie from the baseline and still count as the same: a share of the baseline's median, `default` for the margin of
/// `kscen compare`, or a map of `share` and `absolute`, of which the larger counts.
#[derive(Clone, Debug, PartialEq)]
pub enum MarginClause {
    /// The margin that `kscen compare` uses.
    Default,
    /// Stated.
    Stated {
        /// Share of the baseline's median.
        share: Option<Share>,
        /// In the metric's unit, as written.
        absolute: Option<Value>,
    },
}

impl<'de> Deserialize<'de> for MarginClause {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            share: Option<Share>,
            absolute: Option<Value>,
        }
        match Value::deserialize(deserializer)? {
            Value::String(word) if word == "default" => Ok(Self::Default),
            long @ Value::Object(_) => {
                let Long { share, absolute } = serde_json::from_value(long).map_err(D::Error::custom)?;
                if share.is_none() && absolute.is_none() {
                    return Err(D::Error::custom("a margin needs `share` or `absolute`"));
                }
                Ok(Self::Stated { share, absolute })
            }
            short => {
                let share = serde_json::from_value(short).map_err(D::Error::custom)?;
                Ok(Self::Stated { share: Some(share), absolute: None })
            }
        }
    }
}

impl JsonSchema for MarginClause {
    fn schema_name() -> Cow<'static, str> {
        "MarginClause".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let share = generator.subschema_for::<Share>();
        json_schema!({
            "description": "How far the metric may lie from the baseline and still count as the same: a share of the baseline's \
                            median, `default` for the margin of `kscen compare`, or `share` and `absolute`, of which the larger counts.",
            "if": { "type": "object" },
            "then": {
                "properties": {
                    "share": { "description": "Share of the baseline's median.", "allOf": [share] },
                    "absolute": {
                        "description": "In the metric's unit, such as 5ms, 100/s or 10.",
                        "type": ["string", "integer"],
                        "minimum": 0
                    }
                },
                "additionalProperties": false,
                "minProperties": 1
            },
            "else": {
                "type": "string",
                "pattern": "^(?:default|(100(\\.0+)?|[0-9]{1,2}(\\.[0-9]+)?)%)$|\\$\\{",
                "patternErrorMessage": "write a share like 15%, `default`, or a map such as { share: 25%, absolute: 5ms }"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schema_and_parser_agree() {
        let schema = super::super::schema::generate::<CompareClause>();
        let validator = jsonschema::draft7::new(&schema).expect("a schema");
        let clause = |margin: Value| json!({ "baseline": "b", "metrics": { "load.ack_rate": margin } });
        let good = [json!("5%"), json!("default"), json!({ "share": "5%" }), json!({ "absolute": 3 })];
        for margin in good {
            assert!(validator.is_valid(&clause(margin.clone())), "{margin}");
            serde_json::from_value::<CompareClause>(clause(margin)).expect("the same");
        }
        for margin in [json!(5), json!("5"), json!("usual"), json!({}), json!({ "shore": "5%" }), json!(null)] {
            assert!(!validator.is_valid(&clause(margin.clone())), "{margin}");
            assert!(serde_json::from_value::<CompareClause>(clause(margin.clone())).is_err(), "{margin}");
        }
        assert!(!validator.is_valid(&json!({ "baseline": "b", "metrics": {} })));
    }
}
