//! The published JSON schemas, generated from the types; `schemas/` holds them for editors, and a test compares.

use crate::project::ProjectFile;
use crate::record::{Event, Record};
use crate::scenario::schema::{fragment_schema, generate, scenario_schema};
use serde_json::Value;

/// Every schema by the name of its file.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("scenario", scenario_schema()),
        ("fragment", fragment_schema()),
        ("project", generate::<ProjectFile>()),
        ("result", generate::<Record>()),
        ("event", generate::<Event>()),
    ]
}

/// A schema as it stands in its file.
pub fn text(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).unwrap_or_default()
}
