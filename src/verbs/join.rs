//! The verb `join`.

use crate::environment::Grant;
use crate::record::StepStatus;
use crate::text::Problem;
use crate::verb::{CheckContext, Facts, Step, StepContext, StepError, StepOutcome, Work};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Waits until background steps have ended.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    steps: Vec<String>,
}

impl JsonSchema for Join {
    fn schema_name() -> Cow<'static, str> {
        "Join".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Waits until a background step, or each of a list, has ended.",
            "type": ["string", "array"],
            "items": { "type": "string" },
            "minItems": 1
        })
    }
}

impl Step for Join {
    const VERB: &'static str = "join";
    const MAY: &'static [Grant] = &[];
    const WORK: Work = Work::Joins;
    const REFUSABLE: bool = false;
    const EXAMPLE: &'static str = "join: load";
    const RETRY: bool = false;

    fn normalise(body: Value) -> Value {
        match body {
            Value::String(step) => json!({ "steps": [step] }),
            Value::Array(steps) => json!({ "steps": steps }),
            other => other,
        }
    }

    fn facts(&self) -> Facts {
        Facts { follows: self.steps.first().cloned(), ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        for (index, step) in self.steps.iter().enumerate() {
            let pointer = if self.steps.len() == 1 { String::new() } else { format!("/{index}") };
            let Some(target) = cx.background_step(&pointer, step, &[]) else { continue };
            if target.facts.as_ref().is_some_and(|facts| !facts.ends) {
                cx.report(
                    &pointer,
                    Problem::new("never-ends", format!("`{step}` does not end by itself"))
                        .help("give it an `until`, or leave it to the end of `steps`"),
                );
            }
        }
    }

    fn describe(&self) -> String {
        format!("join {}", self.steps.join(", "))
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        for step in &self.steps {
            let id = cx.full_id(step);
            let run = cx.run.clone();
            let record = cx.unless_stopped(run.live.ending(&id)).await?;
            if matches!(record.status, StepStatus::Failed | StepStatus::Error) {
                let why = record.failure.map(|failure| failure.message).unwrap_or_default();
                return Err(StepError::check("joined-failed", format!("`{step}` failed: {why}")));
            }
        }
        Ok(StepOutcome::default())
    }
}
