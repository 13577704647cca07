//! The language that a set of verbs makes: its schemas, and the checks of documents against them.

use super::SchemaCheck;
use crate::scenario::schema::{AdmitReferences, STEP, generate_with, tidy};
use crate::scenario::{Envelope, Fragment};
use crate::verb::Registry;
use schemars::transform::{RemoveRefSiblings, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;
use std::sync::OnceLock;

/// A language: the envelope of scenarios with the verbs of one registry.
pub struct Language {
    verbs: Registry,
    scenarios: OnceLock<SchemaCheck>,
    fragments: OnceLock<SchemaCheck>,
}

impl Language {
    /// The language of these verbs.
    pub const fn new(verbs: Registry) -> Self {
        Self { verbs, scenarios: OnceLock::new(), fragments: OnceLock::new() }
    }

    /// Its verbs.
    pub fn verbs(&self) -> Registry {
        self.verbs
    }

    /// The schema of scenario files.
    pub fn scenario_schema(&self) -> Value {
        self.schema::<Envelope>()
    }

    /// The schema of fragments, which `include` brings in.
    pub fn fragment_schema(&self) -> Value {
        self.schema::<Fragment>()
    }

    /// The check of scenario files, compiled once.
    pub fn scenarios(&self) -> &SchemaCheck {
        self.scenarios.get_or_init(|| SchemaCheck::new(self.scenario_schema(), self.verbs))
    }

    /// The check of fragments, compiled once.
    pub fn fragments(&self) -> &SchemaCheck {
        self.fragments.get_or_init(|| SchemaCheck::new(self.fragment_schema(), self.verbs))
    }

    /// The schema of a document of steps: each verb is a property of a step, and `${…}` may stand wherever a step may have it.
    fn schema<T: JsonSchema>(&self) -> Value {
        let mut verbs = Vec::new();
        let mut schema = generate_with::<T>(|generator| {
            verbs =
                self.verbs.iter().map(|entry| (entry.verb.to_owned(), (entry.schema)(generator).to_value())).collect();
        });
        for (_, verb) in &mut verbs {
            // What draft 7 asks for, and the generator does only for the type itself.
            if let Ok(schema) = <&mut Schema>::try_from(&mut *verb) {
                RemoveRefSiblings::default().transform(schema);
            }
            tidy(verb);
        }
        if let Some(Value::Object(definitions)) = schema.get_mut("definitions") {
            if let Some(Value::Object(known)) = definitions.get_mut(STEP).and_then(|step| step.get_mut("properties")) {
                known.extend(verbs);
            }
            for definition in definitions.values_mut() {
                if let Ok(inner) = <&mut Schema>::try_from(definition) {
                    AdmitReferences.transform(inner);
                }
            }
        }
        schema
    }
}
