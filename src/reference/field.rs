//! The fields of a verb, read off its schema.

use crate::scenario::schema::tidy;
use crate::verb::VerbEntry;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// A key of a verb, with the keys of what it holds.
pub struct Field {
    /// The key.
    pub name: String,
    /// What it means.
    pub text: String,
    /// The keys of a map, or of the maps of a list.
    pub inner: Vec<Field>,
    kind: String,
    required: bool,
}

impl Field {
    /// Its type in a few words.
    pub fn kind(&self) -> String {
        if self.required { format!("{}, required", self.kind) } else { self.kind.clone() }
    }

    /// Whether it or something in it is a check.
    pub fn is_checked(&self) -> bool {
        self.kind.starts_with("check") || self.inner.iter().any(Self::is_checked)
    }
}

/// The schema of a verb with the definitions it refers to.
pub fn schema(entry: &VerbEntry) -> Value {
    let mut generator = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = false).into_generator();
    let mut schema = (entry.schema)(&mut generator).to_value();
    let mut definitions: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    tidy(&mut schema);
    definitions.values_mut().for_each(tidy);
    if let Value::Object(object) = &mut schema {
        object.insert("definitions".to_owned(), Value::Object(definitions));
    }
    schema
}

/// The description in a schema, as one line.
pub fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

/// What can stand behind the verb instead of a map.
pub fn short_form(schema: &Value) -> Option<String> {
    let is_short = |node: &&Value| resolved(schema, node).get("properties").is_none();
    let short = ["else", "then"].into_iter().filter_map(|branch| schema.get(branch)).find(is_short)?;
    let text = description(short);
    let kind = kind(schema, short);
    let kind = article(&kind);
    Some(if text.is_empty() { format!("{kind}.") } else { format!("{kind}: {}", lower(&text)) })
}

/// The fields of a verb.
pub fn fields(schema: &Value) -> Vec<Field> {
    inside(schema, schema, 2)
}

fn inside(root: &Value, node: &Value, depth: usize) -> Vec<Field> {
    let node = resolved(root, node);
    // Of a long and a short form, the one that is a map.
    let is_map = |node: &Value| node.get("properties").is_some();
    let node = ["then", "else"]
        .into_iter()
        .filter_map(|branch| node.get(branch))
        .map(|branch| resolved(root, branch))
        .find(|branch| is_map(branch))
        .unwrap_or(node);
    let node = node.get("items").filter(|_| !is_map(node)).map_or(node, |items| resolved(root, items));
    let Some(properties) = node.get("properties").and_then(Value::as_object) else { return Vec::new() };
    if depth == 0 || is_check(properties) {
        return Vec::new();
    }
    let required: Vec<&str> =
        node.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    properties
        .iter()
        .map(|(name, field)| Field {
            name: name.clone(),
            text: description(field),
            inner: inside(root, field, depth - 1),
            kind: kind(root, field),
            required: required.contains(&name.as_str()),
        })
        .collect()
}

/// Bounds of a check, or statistics of a distribution: the same everywhere.
fn is_check(properties: &Map<String, Value>) -> bool {
    properties.contains_key("p99")
        || properties.keys().all(|key| matches!(key.as_str(), "min" | "max" | "equals" | "not"))
}

fn resolved<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    reference(node).and_then(|name| root.pointer(&format!("/definitions/{name}"))).unwrap_or(node)
}

fn reference(node: &Value) -> Option<&str> {
    node.get("$ref").or_else(|| node.pointer("/allOf/0/$ref"))?.as_str()?.rsplit('/').next()
}

/// The type of a field in a few words.
fn kind(root: &Value, field: &Value) -> String {
    let definition = resolved(root, field);
    match reference(field) {
        Some("Length") => return "duration, such as 10s".to_owned(),
        Some("Rate") => return "rate, such as 500/s".to_owned(),
        Some("Bytes") => return "amount of data, such as 1KiB".to_owned(),
        Some("Share") => return "share, such as 15%".to_owned(),
        Some("Count") => return "count".to_owned(),
        Some(check) if check.starts_with("Check_") => return "check".to_owned(),
        _ => {}
    }
    let words = words(definition);
    if !words.is_empty() {
        return format!("one of {}", words.join(", "));
    }
    if let (Some(_), Some(then), Some(other)) = (definition.get("if"), definition.get("then"), definition.get("else")) {
        let (then, other) = (kind(root, then), kind(root, other));
        return if then == other || other == "anything" { then } else { format!("{other}, or {}", article(&then)) };
    }
    if definition.get("properties").and_then(Value::as_object).is_some_and(|statistics| statistics.contains_key("p99"))
    {
        return "checks of mean, p50 … p99.9, max".to_owned();
    }
    let plain = |kind: &str| match kind {
        "object" => "map",
        "string" => "text",
        "boolean" => "true or false",
        "integer" => "whole number",
        "array" => match definition.get("items").map(|items| self::kind(root, items)).as_deref() {
            Some("map") => "list of maps",
            Some("text") => "list of texts",
            _ => "list",
        },
        _ => "anything",
    };
    match definition.get("type") {
        Some(Value::String(kind)) => plain(kind).to_owned(),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    }
}

fn article(kind: &str) -> String {
    if kind.starts_with("one of") { kind.to_owned() } else { format!("a {kind}") }
}

/// The words of a choice, each once.
fn words(schema: &Value) -> Vec<String> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut words: Vec<String> = match (schema.get("enum"), schema.get("oneOf")) {
        (Some(Value::Array(choices)), _) => choices.iter().map(plain).collect(),
        (None, Some(Value::Array(choices))) => {
            choices.iter().filter_map(|choice| choice.get("const")).map(plain).collect()
        }
        _ => Vec::new(),
    };
    let mut seen = std::collections::BTreeSet::new();
    words.retain(|word| seen.insert(word.clone()));
    words
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}
