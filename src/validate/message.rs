//! Schema errors as messages with a code and a remedy.

use crate::diagnostic::{Problem, did_you_mean};
use crate::scenario::Modifiers;
use crate::step::REGISTRY;
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

/// A key that nothing knows.
pub fn unknown_key(key: &str, pointer: &str, node: Option<&Value>) -> Problem {
    let known: Vec<&str> = node
        .and_then(|node| node.get("properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    if is_step(&known) {
        let problem = Problem::new("unknown-verb", format!("`{key}` is neither a verb nor a modifier"));
        return match did_you_mean(key, known.iter().copied()) {
            Some(similar) => problem.help(format!("did you mean `{similar}`?")),
            None => problem.help("`kscen steps` lists the verbs"),
        };
    }
    let owner = pointer.rsplit('/').next().filter(|owner| !owner.is_empty() && owner.parse::<usize>().is_err());
    let message = match owner {
        Some(owner) => format!("`{owner}` has no key `{key}`"),
        None => format!("there is no key `{key}` here"),
    };
    let problem = Problem::new("unknown-key", message);
    match did_you_mean(key, known.iter().copied()) {
        Some(similar) => problem.help(format!("did you mean `{similar}`?")),
        None if known.is_empty() => problem,
        None => problem.help(format!("its keys are {}", known.join(", "))),
    }
}

fn is_step(known: &[&str]) -> bool {
    Modifiers::KEYS.iter().all(|key| known.contains(key)) && REGISTRY.iter().all(|entry| known.contains(&entry.verb))
}

/// Any other error.
pub fn of(error: &ValidationError<'_>, node: Option<&Value>) -> Problem {
    let value = error.instance();
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let problem = Problem::new("missing-key", format!("`{name}` is missing"));
            match described(node, name) {
                Some(text) => problem.help(format!("`{name}`: {text}")),
                None => problem,
            }
        }
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => article(&one.to_string()),
                TypeKind::Multiple(many) => {
                    many.iter().map(|one| article(&one.to_string())).collect::<Vec<_>>().join(" or ")
                }
            };
            let given = shown(value);
            // A unit's own remedy says more than a type: "10 what? write 10s".
            match (advice(node), value.as_ref()) {
                (Some(advice), Value::Number(number)) => {
                    Problem::new("missing-unit", format!("{number} what? {advice}"))
                }
                (Some(advice), _) => Problem::new("wrong-type", format!("{given} does not fit here: {advice}")),
                (None, _) => Problem::new("wrong-type", format!("expected {wanted}, found {given}")),
            }
        }
        ValidationErrorKind::Pattern { pattern } => {
            let message = match advice(node) {
                Some(advice) => format!("{} is not understood: {advice}", shown(value)),
                None => format!("{} does not match `{pattern}`", shown(value)),
            };
            Problem::new("bad-value", message)
        }
        ValidationErrorKind::Enum { options } => {
            let words: Vec<String> = options.as_array().into_iter().flatten().map(plain).collect();
            let problem = Problem::new("unknown-word", format!("{} is not one of {}", shown(value), words.join(", ")));
            match value.as_str().and_then(|word| did_you_mean(word, words.iter().map(String::as_str))) {
                Some(similar) => problem.help(format!("did you mean `{similar}`?")),
                None => problem,
            }
        }
        ValidationErrorKind::Constant { expected_value } => {
            Problem::new("bad-value", format!("expected {}, found {}", shown(expected_value), shown(value)))
        }
        ValidationErrorKind::Minimum { limit } => {
            Problem::new("too-small", format!("{} is less than {limit}", shown(value)))
        }
        ValidationErrorKind::Maximum { limit } => {
            Problem::new("too-large", format!("{} is more than {limit}", shown(value)))
        }
        ValidationErrorKind::MinLength { .. } => Problem::new("empty-text", "the text is empty"),
        ValidationErrorKind::MinItems { .. } => Problem::new("empty-list", "the list is empty"),
        ValidationErrorKind::MinProperties { .. } => {
            Problem::new("empty-map", "there is nothing in here").help(keys_help(node))
        }
        ValidationErrorKind::MaxProperties { .. } => {
            Problem::new("too-many-keys", "only one of these keys can be given").help(keys_help(node))
        }
        _ => Problem::new("bad-value", error.to_string()),
    }
}

fn keys_help(node: Option<&Value>) -> String {
    let keys: Vec<&str> = node
        .and_then(|node| node.get("properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    format!("its keys are {}", keys.join(", "))
}

fn advice(node: Option<&Value>) -> Option<&str> {
    node?.get("patternErrorMessage")?.as_str()
}

fn described<'a>(node: Option<&'a Value>, name: &str) -> Option<&'a str> {
    node?.get("properties")?.get(name)?.get("description")?.as_str()?.lines().next()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn article(kind: &str) -> String {
    match kind {
        "array" => "a list".to_owned(),
        "object" => "a map".to_owned(),
        "string" => "a text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" => "a whole number".to_owned(),
        "number" => "a number".to_owned(),
        other => other.to_owned(),
    }
}

/// A value as a person would point at it: short.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        Value::String(text) if text.chars().count() > 40 => {
            format!("`{}…`", text.chars().take(40).collect::<String>())
        }
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}
