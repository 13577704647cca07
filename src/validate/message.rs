//! Schema errors as messages with a code and a remedy.

use super::unit;
use crate::scenario::Modifiers;
use crate::text::{Problem, did_you_mean};
use crate::verb::Registry;
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Map, Value};

/// Where a schema error is.
pub struct Spot<'a> {
    /// JSON pointer of the value.
    pub pointer: &'a str,
    /// The part of the schema that it does not satisfy.
    pub node: Option<&'a Value>,
    /// The keys of the map that the value stands in.
    pub outer: Option<&'a Map<String, Value>>,
    /// The name of the definition that this part is in.
    pub definition: Option<&'a str>,
    /// Whether a map would have been checked otherwise: the long form of a short one.
    pub or_map: bool,
    /// The verbs of the language.
    pub verbs: Registry,
}

impl Spot<'_> {
    /// The key of the value; none for the root and for items of lists.
    fn key(&self) -> Option<&str> {
        self.pointer.rsplit('/').next().filter(|key| !key.is_empty() && key.parse::<usize>().is_err())
    }

    /// The value in words: `` `rate` ``, or the kind of thing that it is.
    fn name(&self) -> String {
        match self.key() {
            Some(key) => format!("`{}`", key.replace("~1", "/").replace("~0", "~")),
            None if self.pointer.is_empty() => "the file".to_owned(),
            None if self.is_step() => "a step".to_owned(),
            None => "this item".to_owned(),
        }
    }

    fn properties(&self) -> Option<&Map<String, Value>> {
        self.node?.get("properties")?.as_object()
    }

    fn keys(&self) -> Vec<&str> {
        self.properties().map(|properties| properties.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    fn is_step(&self) -> bool {
        self.properties().is_some_and(|known| {
            Modifiers::KEYS.iter().all(|key| known.contains_key(*key))
                && self.verbs.iter().all(|entry| known.contains_key(entry.verb))
        })
    }

    fn advice(&self) -> Option<&str> {
        self.node?.get("patternErrorMessage")?.as_str()
    }

    fn admits(&self, kind: &str) -> bool {
        match self.node.and_then(|node| node.get("type")) {
            Some(Value::String(only)) => only == kind,
            Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
            _ => false,
        }
    }
}

/// A key that nothing knows.
pub fn unknown_key(key: &str, spot: &Spot<'_>) -> Problem {
    let known = spot.keys();
    let similar = did_you_mean(key, known.iter().copied()).map(|similar| format!("did you mean `{similar}`?"));
    if spot.is_step() {
        let problem = Problem::new("unknown-verb", format!("`{key}` is neither a verb nor a modifier"));
        return problem.help(similar.unwrap_or_else(|| "`kscen steps` lists the verbs".to_owned()));
    }
    if spot.pointer.is_empty() && known.contains(&"steps") && spot.verbs.verb(key).is_some() {
        return Problem::new("misplaced-verb", format!("the verb `{key}` stands outside of `steps`"))
            .help(format!("write it as a list item below `steps:`, as `- {key}: …`"));
    }
    let message = match spot.key() {
        Some(owner) => format!("`{owner}` has no key `{key}`"),
        None if spot.pointer.is_empty() => format!("there is no key `{key}` at the top level"),
        None => format!("there is no key `{key}` here"),
    };
    let problem = Problem::new("unknown-key", message);
    if let (Some(owner), true) = (spot.key(), spot.outer.is_some_and(|outer| outer.contains_key(key))) {
        return problem.help(format!("write `{key}` beside `{owner}`, not in it"));
    }
    match similar {
        Some(similar) => problem.help(similar),
        None if known.is_empty() => problem.help("it has no keys: leave this one out"),
        None => problem.help(format!("its keys are {}", known.join(", "))),
    }
}

/// Any other error.
pub fn of(error: &ValidationError<'_>, spot: &Spot<'_>) -> Problem {
    let value = error.instance().as_ref();
    let name = spot.name();
    match error.kind() {
        ValidationErrorKind::Required { property } => missing(property.as_str().unwrap_or_default(), spot),
        ValidationErrorKind::Type { kind } => wrong_type(kind, value, spot),
        ValidationErrorKind::Pattern { pattern } => pattern_missed(pattern, value, spot),
        ValidationErrorKind::Enum { options } => {
            unknown_word(value, options.as_array().into_iter().flatten().map(plain).collect(), spot)
        }
        ValidationErrorKind::OneOfNotValid { .. } => {
            let branches = spot.node.and_then(|node| node.get("oneOf")).and_then(Value::as_array);
            let words = branches.into_iter().flatten().filter_map(|branch| branch.get("const")).map(plain).collect();
            unknown_word(value, words, spot)
        }
        ValidationErrorKind::Constant { expected_value } => {
            Problem::new("bad-value", format!("{name} can only be {}, not {}", shown(expected_value), shown(value)))
        }
        ValidationErrorKind::Minimum { limit } => {
            Problem::new("too-small", format!("{name} is at least {limit}, not {}", shown(value)))
        }
        ValidationErrorKind::Maximum { limit } => {
            Problem::new("too-large", format!("{name} is at most {limit}, not {}", shown(value)))
        }
        ValidationErrorKind::MinLength { .. } => Problem::new("empty-text", format!("{name} is an empty text")),
        ValidationErrorKind::MinItems { .. } => {
            Problem::new("empty-list", format!("{name} is an empty list")).help("give it at least one item")
        }
        ValidationErrorKind::MinProperties { .. } => {
            Problem::new("empty-map", format!("there is nothing in {name}")).help(keys_help(spot))
        }
        ValidationErrorKind::MaxProperties { .. } => {
            Problem::new("too-many-keys", format!("{name} takes only one of these keys")).help(keys_help(spot))
        }
        _ => Problem::new("bad-value", error.to_string()),
    }
}

fn missing(key: &str, spot: &Spot<'_>) -> Problem {
    let owner = spot.key().map(|owner| format!(" in `{owner}`")).unwrap_or_default();
    let problem = Problem::new("missing-key", format!("`{key}` is missing{owner}"));
    let description = spot.properties().and_then(|properties| properties.get(key)?.get("description")?.as_str());
    match description.and_then(|text| text.split(". ").next()).map(|text| text.trim_end_matches('.')) {
        Some(text) => problem.help(format!("add `{key}: …` ({})", lower(text))),
        None => problem.help(format!("add `{key}: …`")),
    }
}

fn wrong_type(kind: &TypeKind, value: &Value, spot: &Spot<'_>) -> Problem {
    if let Some((code, message)) = spot.definition.and_then(|definition| unit::explain(definition, value)) {
        return Problem::new(code, message);
    }
    let mut kinds: Vec<String> = match kind {
        TypeKind::Single(one) => vec![one.to_string()],
        TypeKind::Multiple(many) => many.iter().map(|one| one.to_string()).collect(),
    };
    if spot.or_map {
        kinds.push("object".to_owned());
    }
    if spot.admits("string") && spot.advice().is_some_and(|advice| advice.contains("${name}")) {
        // The text is there for references only.
        kinds.retain(|kind| kind != "string");
    }
    let wanted = kinds.iter().map(|kind| article(kind)).collect::<Vec<_>>().join(" or ");
    let message = match value {
        Value::Null if spot.is_step() => "no step follows this `-`".to_owned(),
        Value::Null => format!("{} is empty, and has to be {wanted}", spot.name()),
        _ => format!("{} has to be {wanted}, not {}", spot.name(), shown(value)),
    };
    let problem = Problem::new("wrong-type", message);
    match type_help(&kinds, value, spot) {
        Some(help) => problem.help(help),
        None => problem,
    }
}

fn type_help(kinds: &[String], value: &Value, spot: &Spot<'_>) -> Option<String> {
    let wants = |kind: &str| kinds.iter().any(|one| one == kind);
    match value {
        Value::String(word) if spot.is_step() && spot.verbs.verb(word).is_some() => {
            Some(format!("write `- {word}: …`"))
        }
        _ if spot.is_step() => Some("write a verb and what it needs, such as `- wait: 5s`".to_owned()),
        Value::Number(_) | Value::Bool(_) if wants("string") => Some(format!("for a text write \"{value}\"")),
        _ if spot.advice().is_some_and(|advice| !advice.contains("${name}")) => spot.advice().map(str::to_owned),
        Value::Object(_) if wants("array") => Some(match spot.key() {
            Some(key) => format!("start each item below `{key}:` with `- `"),
            None => "it is a list of its own: `- - …`".to_owned(),
        }),
        _ if wants("object") => match spot.advice() {
            Some(advice) => Some(advice.to_owned()),
            None if spot.keys().is_empty() => None,
            None => Some(keys_help(spot)),
        },
        _ => spot.advice().filter(|_| wants("string")).map(str::to_owned),
    }
}

fn pattern_missed(pattern: &str, value: &Value, spot: &Spot<'_>) -> Problem {
    if let Some((code, message)) = spot.definition.and_then(|definition| unit::explain(definition, value)) {
        return Problem::new(code, message);
    }
    let name = spot.name();
    let wanted = ["boolean", "integer", "number"].into_iter().find(|kind| spot.admits(kind));
    match (wanted, spot.advice()) {
        (Some(kind), Some(advice)) if advice.contains("${name}") => {
            let unquoted = value.as_str().is_some_and(|text| match kind {
                "boolean" => text == "true" || text == "false",
                _ => text.parse::<f64>().is_ok(),
            });
            let problem = Problem::new(
                "wrong-type",
                format!("{name} has to be {}, not the text {}", article(kind), shown(value)),
            );
            match value.as_str() {
                _ if unquoted => problem.help("write it without quotes"),
                Some("yes" | "Yes" | "YES" | "on" | "On" | "ON") if kind == "boolean" => problem.help("write true"),
                Some("no" | "No" | "NO" | "off" | "Off" | "OFF") if kind == "boolean" => problem.help("write false"),
                _ => problem,
            }
        }
        (_, Some(advice)) => {
            Problem::new("bad-value", format!("{} is not a value for {name}", shown(value))).help(advice)
        }
        _ => Problem::new("bad-value", format!("{} does not match `{pattern}`", shown(value))),
    }
}

/// Kept out of the guarantees of a scenario.
const NO_GUARANTEE: &str = "none";

fn unknown_word(value: &Value, mut words: Vec<String>, spot: &Spot<'_>) -> Problem {
    let mut seen = std::collections::BTreeSet::new();
    words.retain(|word| seen.insert(word.clone()));
    let problem = Problem::new("unknown-word", format!("{} cannot be {}", spot.name(), shown(value)));
    match value.as_str().and_then(|word| did_you_mean(word, words.iter().map(String::as_str))) {
        Some(similar) => problem.help(format!("did you mean `{similar}`?")),
        // A single delivery may do without the scenario's guarantee; a scenario without one has no line for it.
        None if spot.name() == "`guarantee`" && value == NO_GUARANTEE => problem.help(format!(
            "leave the line out; `{NO_GUARANTEE}` is for a single delivery; it is one of {}",
            words.join(", ")
        )),
        None => problem.help(format!("it is one of {}", words.join(", "))),
    }
}

fn keys_help(spot: &Spot<'_>) -> String {
    format!("its keys are {}", spot.keys().join(", "))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_lowercase().to_string()).unwrap_or_default();
    // A name in capitals stays one.
    if letters.clone().next().is_some_and(char::is_uppercase) { text.to_owned() } else { first + letters.as_str() }
}

fn article(kind: &str) -> String {
    match kind {
        "array" => "a list",
        "object" => "a map",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        other => other,
    }
    .to_owned()
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
