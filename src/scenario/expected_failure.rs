//! How a step is to fail.

use crate::wire::error_names::{names, synonyms};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// What the failure of a step has to be; all that is given has to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpectedFailure {
    /// The error: a word, or a name as Kafka or its client gives it.
    pub error: Option<String>,
    /// The code of the failure, which stands in brackets behind `error`.
    pub code: Option<String>,
    /// A part of what is said.
    pub message: Option<String>,
}

/// Words for errors that have several names, according to who notices and when.
const WORDS: &[(&str, &[&str])] = &[
    (
        "denied",
        &[
            "TOPIC_AUTHORIZATION_FAILED",
            "GROUP_AUTHORIZATION_FAILED",
            "CLUSTER_AUTHORIZATION_FAILED",
            "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
            "DELEGATION_TOKEN_AUTHORIZATION_FAILED",
        ],
    ),
    ("fenced", &["PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH", "_FENCED", "FENCED_INSTANCE_ID"]),
    ("too-large", &["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]),
    ("no-topic", &["UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_ID", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION"]),
    ("topic-exists", &["TOPIC_ALREADY_EXISTS"]),
    ("timed-out", &["_MSG_TIMED_OUT", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "REQUEST_TIMED_OUT"]),
];

/// The fields of the long form.
const FIELDS: [&str; 3] = ["error", "code", "message"];

impl ExpectedFailure {
    /// The names of errors that can be given, words first.
    pub fn known() -> Vec<String> {
        WORDS.iter().map(|(word, _)| (*word).to_owned()).chain(names()).collect()
    }

    /// The name in `error` that no error has; none where it is known or not given.
    pub fn unknown(&self) -> Option<&str> {
        self.error.as_deref().filter(|error| spellings(error).is_empty())
    }

    /// Whether a failure with this code and these words is the expected one.
    pub fn is_met(&self, code: &str, message: &str) -> bool {
        self.code.as_deref().is_none_or(|wanted| wanted == code)
            && self.message.as_deref().is_none_or(|part| message.contains(part))
            && self.error.as_deref().is_none_or(|error| names_one_of(message, &spellings(error)))
    }
}

/// All names of the errors that a word or a name stands for.
fn spellings(error: &str) -> BTreeSet<String> {
    match WORDS.iter().find(|(word, _)| *word == error) {
        Some((_, names)) => names.iter().flat_map(|name| synonyms(name)).collect(),
        None => synonyms(error),
    }
}

/// Whether one of these names stands in a text, as a word of its own.
fn names_one_of(text: &str, names: &BTreeSet<String>) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.split(|character| !is_part(character)).any(|word| names.contains(word))
}

impl fmt::Display for ExpectedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.as_ref().map(|code| format!("code `{code}`"));
        let message = self.message.as_ref().map(|message| format!("\"{message}\""));
        let parts: Vec<String> = [self.error.clone(), code, message].into_iter().flatten().collect();
        f.write_str(&parts.join(" and "))
    }
}

impl<'de> Deserialize<'de> for ExpectedFailure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut expected = Self::default();
        match Value::deserialize(deserializer)? {
            Value::String(error) => expected.error = Some(error),
            Value::Object(fields) if !fields.is_empty() => {
                for (field, value) in fields {
                    let Value::String(text) = value else {
                        return Err(de::Error::custom(format!("`{field}` is a text")));
                    };
                    match field.as_str() {
                        "error" => expected.error = Some(text),
                        "code" => expected.code = Some(text),
                        "message" => expected.message = Some(text),
                        _ => return Err(de::Error::unknown_field(&field, &FIELDS)),
                    }
                }
            }
            _ => return Err(de::Error::custom("an error's name, or a map of `error`, `code` and `message`")),
        }
        Ok(expected)
    }
}

impl JsonSchema for ExpectedFailure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExpectedFailure".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        let error = format!(
            "{}, or a name that Kafka or its client has for the error, such as NOT_ENOUGH_REPLICAS.",
            words.join(", ")
        );
        json_schema!({
            "if": { "type": "string" },
            "then": { "description": error, "examples": words },
            "else": {
                "type": "object",
                "properties": {
                    "error": { "type": "string", "description": error, "examples": words },
                    "code": { "type": "string", "description": "The code of the failure, in brackets behind `error` where it is printed." },
                    "message": { "type": "string", "description": "A text that what is said about the failure contains." }
                },
                "additionalProperties": false,
                "minProperties": 1
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expected(value: Value) -> ExpectedFailure {
        serde_json::from_value(value).expect("an expected failure")
    }

    #[test]
    fn a_failure_is_met_under_every_name_that_it_has() {
        let large = expected(json!("too-large"));
        assert!(large.is_met("refused", "10 messages: MSG_SIZE_TOO_LARGE"));
        assert!(large.is_met("x", "failed to write: MESSAGE_TOO_LARGE (too large)"));
        assert!(!large.is_met("too-large", "the message was too large: MSG_SIZE"));
        assert!(expected(json!("MESSAGE_TOO_LARGE")).is_met("x", "MSG_SIZE_TOO_LARGE"));
        assert!(!expected(json!("denied")).is_met("x", "UNKNOWN_TOPIC_OR_PART"));
        assert!(!expected(json!("fenced")).is_met("fenced", "the load was fenced"), "the error itself is not named");
    }

    #[test]
    fn all_that_is_given_has_to_hold() {
        let both = expected(json!({ "code": "sql", "message": "violates" }));
        assert!(both.is_met("sql", "it violates a constraint"));
        assert!(!both.is_met("sql", "no such table") && !both.is_met("timeout", "it violates"));
        assert_eq!(both.to_string(), "code `sql` and \"violates\"");
    }

    #[test]
    fn a_name_that_no_error_has_is_told() {
        assert_eq!(expected(json!("fencd")).unknown(), Some("fencd"));
        assert_eq!(expected(json!({ "error": "denied" })).unknown(), None);
        assert_eq!(expected(json!({ "code": "anything" })).unknown(), None);
        for wrong in [json!({}), json!(3), json!({ "errors": "denied" }), json!({ "error": 3 })] {
            assert!(serde_json::from_value::<ExpectedFailure>(wrong.clone()).is_err(), "{wrong}");
        }
        for (word, names) in WORDS {
            names.iter().for_each(|name| assert!(!synonyms(name).is_empty(), "{word}: {name}"));
        }
    }
}
