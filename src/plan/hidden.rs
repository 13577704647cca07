//! What a scenario declares as secret, and where it must not stand.

use super::bindings::Bindings;
use super::planned::PlannedStep;
use super::scenario::PlanOptions;
use crate::text::{Problem, Redactor};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Secrets of one scenario, and what they have in bytes: each is searched for in many forms.
pub(super) const MOST_VALUES: usize = 1_000;
pub(super) const MOST_BYTES: usize = 128 << 10;

/// The names under `secrets:`.
pub(super) fn names(document: &Value) -> impl Iterator<Item = &str> {
    document.get("secrets").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// What is secret in the cells of a scenario. To make ready to search for it takes time, so that is done once where it is the same.
#[derive(Default)]
pub(super) struct Hidden {
    known: BTreeMap<Vec<String>, Arc<Redactor>>,
}

impl Hidden {
    /// What is secret in one cell; `None` where that is more than can be searched for.
    pub(super) fn of(&mut self, document: &Value, bindings: &Bindings, options: &PlanOptions) -> Option<Arc<Redactor>> {
        let values = values(document, Some(bindings), options);
        if values.len() > MOST_VALUES || values.iter().map(String::len).sum::<usize>() > MOST_BYTES {
            return None;
        }
        let made = |values: &[String]| options.credentials.clone().and(values.iter().map(String::as_str));
        Some(Arc::clone(self.known.entry(values).or_insert_with_key(|values| Arc::new(made(values)))))
    }

    /// What is secret in any of the cells that were looked at, and in the document.
    pub(super) fn all(&self, document: &Value, options: &PlanOptions) -> Redactor {
        let mut own = values(document, None, options);
        own.truncate(MOST_VALUES);
        let all = self.known.keys().flatten().chain(&own);
        options.credentials.clone().and(all.map(String::as_str))
    }
}

/// Hides what a document declares as secret, before it is planned; and the environment's credentials.
pub fn secrets_of(document: &Value, options: &PlanOptions) -> Redactor {
    Hidden::default().all(document, options)
}

/// The values of all names under `secrets:`: of KSCEN_SECRET_NAME, of the environment variable of that name, of the scenario's variable
/// of that name in every layer.
fn values(document: &Value, bindings: Option<&Bindings>, options: &PlanOptions) -> Vec<String> {
    let mut values = Vec::new();
    for name in names(document) {
        values.extend(
            [format!("KSCEN_SECRET_{name}"), name.to_owned()].into_iter().filter_map(|key| std::env::var(key).ok()),
        );
        let own = document.get("vars").and_then(|vars| vars.get(name));
        let bound = bindings.and_then(|bindings| bindings.vars.get(name));
        let layers = options.vars.iter().filter_map(|layer| layer.get(name));
        for value in own.into_iter().chain(bound).chain(layers) {
            texts(value, &mut values);
        }
    }
    // A value that is put together of references holds no secret itself.
    values.retain(|value| !value.contains("${"));
    values.sort_unstable();
    values.dedup();
    values
}

fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Number(number) => into.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(object) => object.values().for_each(|value| texts(value, into)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Ids are written everywhere and tell steps apart: a secret must not be a part of one.
pub(super) fn refuse_in_ids(steps: &[PlannedStep], redactor: &Redactor, problems: &mut Vec<Problem>) {
    for step in steps {
        step.walk(&mut |step| {
            if let Cow::Owned(_) = redactor.text(&step.id) {
                problems.push(
                    Problem::new("secret-in-id", "the id of this step contains the value of a secret")
                        .at(step.origin.key_place(""))
                        .help("choose another id: ids are written in every result"),
                );
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_values_of_declared_secrets_are_hidden_wherever_they_are_given() {
        let document = json!({
            "secrets": ["token", "port", "whole", "given"],
            "vars": {
                "token": "correct horse",
                "port": 918_273,
                "whole": { "user": ["staple"], "no": true },
                "given": "${env.X}",
                "open": "battery"
            }
        });
        let layer = json!({ "given": "from a layer" }).as_object().cloned().unwrap_or_default();
        let options = PlanOptions {
            vars: vec![layer],
            credentials: Redactor::new(["the environment's own"]),
            ..PlanOptions::default()
        };
        let redactor = secrets_of(&document, &options);
        for secret in ["correct horse", "918273", "staple", "from a layer", "the environment's own"] {
            assert_eq!(redactor.text(&format!("x {secret} y")), "x *** y");
        }
        for open in ["battery", "${env.X}", "true"] {
            assert_eq!(redactor.text(open), open);
        }
        let undeclared = json!({ "vars": { "token": "correct horse" } });
        assert!(secrets_of(&undeclared, &PlanOptions::default()).is_empty());
    }
}
