//! The top level of a scenario file and of a fragment.

use super::baseline_notes::ReportClause;
use super::checks::Checks;
use super::guarantee::Guarantee;
use super::needs::NeedsClause;
use super::noise::Noise;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A scenario: what is prepared, done and expected, and what always happens in the end.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "kscen scenario", rename = "Scenario")]
pub struct Envelope {
    /// What this scenario shows, as a sentence.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Why it exists, what it does and how to read its result.
    #[serde(default)]
    pub description: Option<String>,
    /// Words to select scenarios by: `kscen run scenarios --tag delivery`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Which anomalies fail a delivery where no class is named.
    #[serde(default)]
    pub guarantee: Option<Guarantee>,
    /// `none` says that nothing is checked, and that this is meant. Without it, a run in which nothing was checked is unknown.
    #[serde(default)]
    pub checks: Option<Checks>,
    /// What becomes of bounds on performance that are not met while the machine was not available.
    #[serde(default)]
    pub noise: Noise,
    /// What the environment must offer beyond what the verbs imply.
    #[serde(default)]
    pub needs: Option<NeedsClause>,
    /// Named values, used as `${name}`. They may refer to each other.
    #[serde(default)]
    pub vars: Map<String, Value>,
    /// Names of secrets, taken from `KSCEN_SECRET_NAME` and redacted everywhere; used as `${secrets.NAME}`.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Lists of values; the scenario runs once for each combination, used as `${matrix.name}`.
    #[serde(default)]
    #[schemars(schema_with = "matrix_schema")]
    pub matrix: Map<String, Value>,
    /// A stored baseline that the run is compared with.
    // Decoded for each cell, once references are resolved.
    #[serde(default)]
    #[schemars(with = "Option<super::CompareClause>")]
    pub compare: Option<Value>,
    /// What the baseline reports say about this scenario.
    #[serde(default)]
    pub report: Option<ReportClause>,
    /// Steps that prepare; a failure ends the run.
    #[serde(default)]
    #[schemars(with = "Vec<super::schema::StepSchema>")]
    pub setup: Vec<Value>,
    /// The scenario itself.
    #[schemars(with = "Vec<super::schema::StepSchema>", length(min = 1))]
    pub steps: Vec<Value>,
    /// Steps that run whatever happened before.
    #[serde(default)]
    #[schemars(with = "Vec<super::schema::StepSchema>")]
    pub finally: Vec<Value>,
}

/// A fragment: steps that scenarios `include`, with the variables they pass.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "kscen fragment", rename = "Fragment")]
#[expect(dead_code, reason = "decoded for its refusals; the steps are read from the document, with their places")]
pub struct Fragment {
    /// What the fragment does.
    #[serde(default)]
    pub description: Option<String>,
    /// Variables with their defaults; only these are visible inside, and only these may be passed.
    /// A variable without a value has to be passed.
    #[serde(default)]
    pub vars: Map<String, Value>,
    /// The steps. Their ids are private; outside they are `INCLUDE_ID.step`.
    #[schemars(with = "Vec<super::schema::StepSchema>", length(min = 1))]
    pub steps: Vec<Value>,
}

fn matrix_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "array", "minItems": 1 }
    })
}
