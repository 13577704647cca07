//! Runs the JSON schema over a document and collects what it finds, located.

use super::message;
use crate::diagnostic::Problem;
use crate::source::Located;
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

/// A schema, ready to check documents.
pub struct SchemaCheck {
    schema: Value,
    validator: Validator,
}

/// What a schema check found.
#[derive(Default)]
pub struct Findings {
    /// The problems.
    pub problems: Vec<Problem>,
    /// JSON pointers of what is wrong: follow-on errors below or above them are not worth reporting.
    pub broken: Vec<String>,
}

impl Findings {
    /// Whether something at or below `pointer` is wrong.
    pub fn touch(&self, pointer: &str) -> bool {
        self.broken
            .iter()
            .any(|broken| broken.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

impl SchemaCheck {
    /// Prepares a schema that the program generated itself.
    ///
    /// # Panics
    /// Where the schema is not valid, which a test excludes for each one.
    pub fn new(schema: Value) -> Self {
        let validator = jsonschema::draft7::new(&schema).expect("a schema generated from the types is valid");
        Self { schema, validator }
    }

    /// Checks a document.
    pub fn check(&self, document: &Located) -> Findings {
        let mut findings = Findings::default();
        for error in self.validator.iter_errors(&document.value) {
            let pointer = error.instance_path().to_string();
            let node = schema_node(&self.schema, &error.evaluation_path().to_string());
            if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
                for key in unexpected {
                    let at = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                    let problem = message::unknown_key(key, &pointer, node).at(document.key_place(&at));
                    findings.problems.push(problem);
                    findings.broken.push(at);
                }
                continue;
            }
            let place = match error.kind() {
                ValidationErrorKind::Required { .. } => document.key_place(&pointer),
                _ => document.place(&pointer),
            };
            findings.problems.push(message::of(&error, node).at(place));
            findings.broken.push(pointer);
        }
        findings
    }
}

/// The schema object that an error's keyword stands in; follows `$ref`s on the way.
fn schema_node<'a>(root: &'a Value, evaluation_path: &str) -> Option<&'a Value> {
    let mut segments: Vec<&str> = evaluation_path.split('/').skip(1).collect();
    segments.pop();
    let mut node = root;
    for segment in segments {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        node = if segment == "$ref" {
            root.pointer(node.get("$ref")?.as_str()?.strip_prefix('#')?)?
        } else {
            match node {
                Value::Array(items) => items.get(segment.parse::<usize>().ok()?)?,
                _ => node.get(&segment)?,
            }
        };
    }
    Some(node)
}
