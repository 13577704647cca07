//! Runs the JSON schema over a document and collects what it finds, located.

use super::follow;
use super::message::{self, Spot};
use super::pointers::Pointers;
use crate::text::{Located, Problem};
use crate::verb::Registry;
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

/// A schema, ready to check documents.
pub struct SchemaCheck {
    schema: Value,
    verbs: Registry,
    validator: Validator,
}

/// What a schema check found.
#[derive(Default)]
pub struct Findings {
    /// The problems.
    pub problems: Vec<Problem>,
    /// What is wrong: follow-on errors below or above it are not worth reporting.
    broken: Pointers,
}

impl Findings {
    /// Whether something at or below `pointer` is wrong.
    pub fn touch(&self, pointer: &str) -> bool {
        self.broken.touch(pointer)
    }
}

/// What the schema found at one place, before it is decided what is worth saying.
pub(super) struct SchemaFinding {
    /// JSON pointer of what is wrong: of the key itself where a key is unknown.
    pub pointer: String,
    /// The key that is missing.
    pub missing: Option<String>,
    /// Whether the key is unknown.
    pub unknown: bool,
    /// What to say.
    pub problem: Problem,
}

impl SchemaCheck {
    /// Prepares a schema that the program generated itself; `verbs` are those of the steps in it.
    ///
    /// # Panics
    /// Where the schema is not valid, which a test excludes for each one.
    pub fn new(schema: Value, verbs: Registry) -> Self {
        let validator = jsonschema::draft7::new(&schema).expect("a schema generated from the types is valid");
        Self { schema, verbs, validator }
    }

    /// Checks a document.
    pub fn check(&self, document: &Located) -> Findings {
        let mut found = Vec::new();
        for error in self.validator.iter_errors(&document.value) {
            let pointer = error.instance_path().to_string();
            let spot = self.spot(&pointer, &error.evaluation_path().to_string());
            match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected } => {
                    for key in unexpected {
                        let at = format!("{pointer}/{}", crate::text::escape(key));
                        let problem = message::unknown_key(key, &spot).at(document.key_place(&at));
                        found.push(SchemaFinding { pointer: at, missing: None, unknown: true, problem });
                    }
                }
                // What a map that has no keys says of each key in it: the place is the map's, the value the key's.
                ValidationErrorKind::FalseSchema => {
                    let map = document.value.pointer(&pointer).and_then(Value::as_object);
                    let keys = map.into_iter().flatten().filter(|(_, value)| *value == error.instance().as_ref());
                    for (key, _) in keys {
                        let at = format!("{pointer}/{}", crate::text::escape(key));
                        let problem = message::unknown_key(key, &spot).at(document.key_place(&at));
                        found.push(SchemaFinding { pointer: at, missing: None, unknown: true, problem });
                    }
                }
                ValidationErrorKind::Required { property } => {
                    let problem = message::of(&error, &spot).at(document.key_place(&pointer));
                    let missing = property.as_str().map(str::to_owned);
                    found.push(SchemaFinding { pointer, missing, unknown: false, problem });
                }
                _ => {
                    let problem = message::of(&error, &spot).at(document.place(&pointer));
                    found.push(SchemaFinding { pointer, missing: None, unknown: false, problem });
                }
            }
        }
        let broken = found.iter().map(|finding| finding.pointer.clone()).collect();
        let problems = follow::worth_saying(found, document, &self.schema, self.verbs);
        Findings { problems, broken }
    }

    /// The schema object that an error's keyword stands in; follows `$ref`s on the way.
    fn spot<'a>(&'a self, pointer: &'a str, evaluation_path: &str) -> Spot<'a> {
        let mut spot = Spot { pointer, node: None, outer: None, definition: None, or_map: false, verbs: self.verbs };
        let mut segments: Vec<&str> = evaluation_path.split('/').skip(1).collect();
        segments.pop();
        let mut node = &self.schema;
        for segment in segments {
            spot.or_map = segment == "else" && node.pointer("/if/type").is_some_and(|kind| kind == "object");
            let key = segment.replace("~1", "/").replace("~0", "~");
            let next = if key == "$ref" {
                let target = node.get("$ref").and_then(Value::as_str);
                spot.definition = target.and_then(|target| target.rsplit('/').next());
                target.and_then(|target| self.schema.pointer(target.strip_prefix('#')?))
            } else {
                match node {
                    Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
                    _ => node.get(&key),
                }
            };
            let Some(next) = next else { return spot };
            match segment {
                "properties" => spot.outer = next.as_object(),
                "additionalProperties" | "items" => spot.outer = None,
                _ => {}
            }
            node = next;
        }
        spot.node = Some(node);
        spot
    }
}
