//! What can be said of any step beside its verb.

use super::expected_failure::ExpectedFailure;
use super::units::{Count, Length};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// What to do when a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// End `steps`; `finally` runs.
    Stop,
    /// Remember the failure and go on.
    Continue,
}

/// Repeats a step that failed.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How many times more.
    pub times: Count,
    /// Pause between two attempts.
    #[serde(default)]
    pub every: Option<Length>,
}

/// The modifiers of a step.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Modifiers {
    /// Name by which other steps refer to this one, unique in the file.
    #[serde(default)]
    pub id: Option<String>,
    /// Text shown instead of the step's own description.
    #[serde(default)]
    pub name: Option<String>,
    /// Expression; the step is skipped where it is false. Knows `failed`, `always`, `environment`, `vars`, `matrix`, `steps`.
    #[serde(default, rename = "if")]
    pub condition: Option<String>,
    /// The step fails when it takes longer.
    #[serde(default)]
    pub timeout: Option<Length>,
    /// Repeats the step when it fails.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Runs beside the following steps; it has started once it is prepared.
    #[serde(default)]
    pub background: bool,
    /// Runs the step once for each item of a list; `${item}` and `${index}` name it.
    #[serde(default)]
    pub for_each: Option<Items>,
    /// What to do when the step fails: `expect` continues by default, every other verb stops.
    #[serde(default)]
    pub on_failure: Option<OnFailure>,
    /// The step has to fail, and with this error; a load, by having no message acknowledged. It counts as a check.
    #[serde(default)]
    pub expect_failure: Option<ExpectedFailure>,
}

/// A list, or a text that is one reference to a list, such as `${vars.topics}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Items(pub Value);

impl JsonSchema for Items {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Items".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["array", "string"],
            "pattern": "^\\$\\{[^}]+\\}$",
            "patternErrorMessage": "a list, or one reference to a list such as ${topics}"
        })
    }
}

impl Modifiers {
    /// The keys of a step that are modifiers.
    pub const KEYS: &'static [&'static str] =
        &["id", "name", "if", "timeout", "retry", "background", "for_each", "on_failure", "expect_failure"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_exactly_the_fields() {
        let schema = schemars::schema_for!(Modifiers);
        let fields: Vec<_> =
            schema.get("properties").and_then(Value::as_object).expect("an object schema").keys().cloned().collect();
        let mut keys = Modifiers::KEYS.to_vec();
        let mut fields: Vec<_> = fields.iter().map(String::as_str).collect();
        keys.sort_unstable();
        fields.sort_unstable();
        assert_eq!(keys, fields);
    }
}
