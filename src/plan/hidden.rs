//! What a scenario declares as secret, and where it must not stand.

use super::bindings::Bindings;
use super::planned::PlannedStep;
use super::scenario::PlanOptions;
use crate::text::{Problem, Redactor};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Secrets of one scenario in all its cells, and what they have in bytes: each is searched for in many forms.
pub(super) const MOST_VALUES: usize = 1_000;
pub(super) const MOST_BYTES: usize = 128 << 10;

/// The names under `secrets:`.
pub(super) fn names(document: &Value) -> impl Iterator<Item = &str> {
    document.get("secrets").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// What is secret in the cells of a scenario. To make ready to search for it takes time and memory, so that is done once for all of them.
#[derive(Default)]
pub(super) struct Hidden {
    values: BTreeSet<String>,
    bytes: usize,
    made: Option<Redactor>,
}

impl Hidden {
    /// Adds what is secret in one cell; false where that is more, together with the others, than can be searched for.
    pub(super) fn add(&mut self, document: &Value, bindings: &Bindings, options: &PlanOptions) -> bool {
        for value in values(document, Some(bindings), options) {
            let bytes = value.len();
            if self.values.insert(value) {
                self.bytes += bytes;
                self.made = None;
            }
        }
        self.values.len() <= MOST_VALUES && self.bytes <= MOST_BYTES
    }

    /// Hides what is secret in any of the cells that were looked at, in all of them; and the environment's credentials.
    pub(super) fn redactor(&mut self, options: &PlanOptions) -> Redactor {
        let made = || options.credentials.clone().and(self.values.iter().take(MOST_VALUES).map(String::as_str));
        self.made.get_or_insert_with(made).clone()
    }

    /// The same, and what stands in the document itself.
    pub(super) fn all(&mut self, document: &Value, options: &PlanOptions) -> Redactor {
        let mut own = values(document, None, options);
        own.truncate(MOST_VALUES);
        if own.into_iter().fold(false, |new, value| self.values.insert(value) || new) {
            self.made = None;
        }
        self.redactor(options)
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
    use std::sync::Arc;

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

    #[test]
    fn the_secrets_of_all_cells_count_together_and_are_searched_for_at_once() {
        let document = json!({ "secrets": ["token"], "vars": {} });
        let cell = |value: Value| Bindings {
            vars: Arc::new([("token".to_owned(), value)].into_iter().collect()),
            ..Bindings::default()
        };
        let (mut hidden, options) = (Hidden::default(), PlanOptions::default());
        for number in 0..10 {
            assert!(hidden.add(&document, &cell(json!(format!("token-{number}"))), &options));
        }
        let redactor = hidden.redactor(&options);
        assert_eq!(redactor.text("token-3, token-9"), "***, ***");
        let many = |from: usize| cell((from..from + 600).map(|number| json!(format!("secret-{number}"))).collect());
        assert!(hidden.add(&document, &many(0), &options) && hidden.add(&document, &many(100), &options));
        assert!(!hidden.add(&document, &many(600), &options), "more values than there may be");
        let mut hidden = Hidden::default();
        let long = |letter: &str| cell(json!(letter.repeat(MOST_BYTES / 2)));
        assert!(hidden.add(&document, &long("a"), &options) && hidden.add(&document, &long("b"), &options));
        assert!(!hidden.add(&document, &cell(json!("abcdef")), &options), "more bytes than there may be");
    }
}
