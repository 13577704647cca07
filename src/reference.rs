//! The reference of the verbs, generated from the types: for the terminal and for `docs/`.

use crate::scenario::schema::tidy;
use crate::step::{REGISTRY, VerbEntry};
use schemars::generate::SchemaSettings;
use serde_json::Value;
use std::fmt::Write;

/// The first sentence of a verb's description.
pub fn summary(entry: &VerbEntry) -> String {
    let text = description(&schema(entry));
    text.split_once(". ").map_or(text.clone(), |(first, _)| format!("{first}."))
}

/// A verb's page: description, fields with types, example.
pub fn page(entry: &VerbEntry) -> String {
    let schema = schema(entry);
    let mut page = format!("## {}\n\n{}\n", entry.verb, description(&schema));
    let fields = fields(&schema);
    if !fields.is_empty() {
        page.push('\n');
        let width = fields.iter().map(|field| field.0.len()).max().unwrap_or(0);
        for (name, kind, text) in fields {
            // Writing to a string cannot fail.
            let _ = writeln!(page, "- `{name}`{} {kind}: {text}", " ".repeat(width - name.len()));
        }
    }
    let notes = [
        (entry.background, "It may run in the `background`."),
        (entry.continues, "The run goes on when it fails, unless `on_failure: stop`."),
        (!entry.retry, "It cannot be retried."),
    ];
    for (_, note) in notes.iter().filter(|(applies, _)| *applies) {
        let _ = write!(page, "\n{note}");
    }
    let example = entry.example.lines().enumerate().fold(String::new(), |mut text, (index, line)| {
        let _ = writeln!(text, "{}{line}", if index == 0 { "- " } else { "  " });
        text
    });
    let _ = write!(page, "\n```yaml\n{example}```\n");
    page
}

/// The pages of all verbs, as `docs/verbs.md` holds them.
pub fn all() -> String {
    let mut text = String::from("# The verbs\n\nGenerated from the types; the same text as `kscen steps VERB`.\n");
    for entry in REGISTRY {
        let _ = write!(text, "\n{}", page(entry));
    }
    text
}

fn schema(entry: &VerbEntry) -> Value {
    let mut generator = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = false).into_generator();
    let mut schema = (entry.schema)(&mut generator).to_value();
    let mut definitions: serde_json::Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    tidy(&mut schema);
    definitions.values_mut().for_each(tidy);
    if let Value::Object(object) = &mut schema {
        object.insert("definitions".to_owned(), Value::Object(definitions));
    }
    schema
}

fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

/// Name, type and description of each field.
fn fields(schema: &Value) -> Vec<(String, String, String)> {
    let object = schema.get("then").filter(|then| then.get("properties").is_some()).unwrap_or(schema);
    let required: Vec<&str> =
        object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    object
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, field)| {
            let kind = kind(schema, field);
            let kind = if required.contains(&name.as_str()) { format!("{kind}, required") } else { kind };
            (name.clone(), format!("({kind})"), description(field))
        })
        .collect()
}

/// The type of a field in a word or two.
fn kind(root: &Value, field: &Value) -> String {
    let referenced = field
        .get("$ref")
        .or_else(|| field.pointer("/allOf/0/$ref"))
        .and_then(Value::as_str)
        .and_then(|reference| reference.rsplit('/').next());
    if let Some(name) = referenced {
        let definition = root.pointer(&format!("/definitions/{name}"));
        let words = definition.map(words).unwrap_or_default();
        return if words.is_empty() { spaced(name) } else { words.join(" | ") };
    }
    let choices = words(field);
    if !choices.is_empty() {
        return choices.join(" | ");
    }
    match field.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | "),
        _ => "any".to_owned(),
    }
}

/// The words of a choice.
fn words(schema: &Value) -> Vec<String> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(Value::Array(choices)) = schema.get("enum") {
        return choices.iter().map(plain).collect();
    }
    if let Some(Value::Array(choices)) = schema.get("oneOf") {
        return choices.iter().filter_map(|choice| choice.get("const")).map(plain).collect();
    }
    schema.get("else").map(words).unwrap_or_default()
}

/// `ServiceTarget` as `service target`.
fn spaced(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
