//! The verb `include`.

use crate::environment::Grant;
use crate::verb::{Nesting, Step, StepContext, StepError, StepOutcome};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Brings in the steps of a fragment file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Include {
    file: String,
    #[serde(default)]
    #[allow(dead_code, reason = "read by the plan, which merges it with the fragment's defaults")]
    vars: Map<String, Value>,
}

impl JsonSchema for Include {
    fn schema_name() -> Cow<'static, str> {
        "Include".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Brings in the steps of a fragment file. Its ids are private; outside they are `ID.step`, with the id of this step.",
            "if": { "type": "object" },
            "then": {
                "type": "object",
                "properties": {
                    "file": { "description": "Path of the fragment, relative to this file.", "type": "string" },
                    "vars": { "description": "Values for the fragment's variables; only these and its defaults are visible inside.", "type": "object" }
                },
                "required": ["file"],
                "additionalProperties": false
            },
            "else": { "type": "string" }
        })
    }
}

impl Step for Include {
    const VERB: &'static str = "include";
    const MAY: &'static [Grant] = &[];
    const NESTING: Nesting = Nesting::Fragment;
    const REFUSABLE: bool = false;
    const EXAMPLE: &'static str = "include: { file: fragments/warm-up.yaml, vars: { topic: orders } }";
    const RETRY: bool = false;

    fn normalise(body: Value) -> Value {
        match body {
            Value::String(file) => json!({ "file": file }),
            other => other,
        }
    }

    fn describe(&self) -> String {
        format!("include {}", self.file)
    }

    /// The fragment's steps are walked before.
    async fn run(&self, _: &mut StepContext) -> Result<StepOutcome, StepError> {
        Ok(StepOutcome::default())
    }
}
