//! What a scenario declares as secret, and where it must not stand.

use super::bindings::Bindings;
use super::planned::PlannedStep;
use super::scenario::PlanOptions;
use crate::text::{Problem, Redactor};
use serde_json::Value;
use std::borrow::Cow;

/// The names under `secrets:`.
pub(super) fn names(document: &Value) -> impl Iterator<Item = &str> {
    document.get("secrets").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Hides the values of all names under `secrets:`: of KSCEN_SECRET_NAME, of the environment variable of that name, of the
/// scenario's variable of that name in every layer; and the environment's credentials.
pub(super) fn redactor(document: &Value, bindings: Option<&Bindings>, options: &PlanOptions) -> Redactor {
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
    options.credentials.clone().and(values.iter().map(String::as_str))
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
        let redactor = redactor(&document, None, &options);
        for secret in ["correct horse", "918273", "staple", "from a layer", "the environment's own"] {
            assert_eq!(redactor.text(&format!("x {secret} y")), "x *** y");
        }
        for open in ["battery", "${env.X}", "true"] {
            assert_eq!(redactor.text(open), open);
        }
        let undeclared = json!({ "vars": { "token": "correct horse" } });
        assert!(super::redactor(&undeclared, None, &PlanOptions::default()).is_empty());
    }
}
