//! The expressions of `if:`.

use super::bindings::Bindings;
use crate::ground::some_of;
use crate::scenario::expression::{guarded, strict, within_bounds};
use crate::text::did_you_mean;
use crate::verb::Scope;
use minijinja::{Environment, Value};
use std::collections::BTreeMap;

/// The names an expression may use.
pub const NAMES: &[&str] = &["failed", "always", "environment", "vars", "matrix", "steps"];

/// Why an expression cannot be used.
#[derive(Debug)]
pub struct ConditionError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Checks an expression without evaluating it: its syntax, and every name but those of steps.
///
/// # Errors
/// A syntax error, or a name that does not exist.
pub fn check(text: &str, bindings: &Bindings) -> Result<(), ConditionError> {
    for path in names_in(text)? {
        let mut words = path.split('.');
        match (words.next(), words.next()) {
            (Some("vars"), Some(name)) if !bindings.vars.contains_key(name) => {
                return Err(unknown("variable", name, bindings.vars.keys().map(String::as_str)));
            }
            (Some("matrix"), Some(name)) if !bindings.matrix.contains_key(name) => {
                return Err(unknown("matrix value", name, bindings.matrix.keys().map(String::as_str)));
            }
            (Some(name), _) if !NAMES.contains(&name) => return Err(unknown_name(name, bindings)),
            _ => {}
        }
    }
    Ok(())
}

/// Checks the steps that an expression, which is right otherwise, refers to.
///
/// # Errors
/// An id that does not exist.
pub fn check_steps(text: &str, scope: &Scope, prefix: &str) -> Result<(), ConditionError> {
    for path in names_in(text)? {
        if let Some(id) = path.strip_prefix("steps.").and_then(|path| path.split('.').next())
            && scope.step(&format!("{prefix}{id}")).is_none()
        {
            return Err(unknown("step with the id", id, scope.ids(prefix).collect::<Vec<_>>().into_iter()));
        }
    }
    Ok(())
}

/// The dotted names that an expression uses.
fn names_in(text: &str) -> Result<Vec<String>, ConditionError> {
    within_bounds(text).map_err(|excess| ConditionError { message: excess.message, help: excess.help.to_owned() })?;
    let environment = environment();
    let wrong = |error: minijinja::Error| ConditionError {
        message: format!("`{text}` is not an expression: {}", error.detail().unwrap_or("syntax error")),
        help: if text.contains("${") {
            "names stand without `${…}` in a condition: `vars.x == 'y'`".to_owned()
        } else {
            "write it like `environment == 'docker' and not failed`".to_owned()
        },
    };
    let expression = environment.compile_expression(text).map_err(wrong)?;
    let guarded = guarded(text).map_err(wrong)?;
    environment.compile_expression(&guarded).map_err(wrong)?;
    let mut names: Vec<String> = expression.undeclared_variables(true).into_iter().collect();
    names.sort_unstable();
    Ok(names)
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> ConditionError {
    let all = some_of(known.clone());
    let help = match did_you_mean(name, known) {
        Some(similar) => format!("did you mean `{similar}`?"),
        None if all.is_empty() && what.starts_with("step") => "give the step you mean an `id`".to_owned(),
        None if all.is_empty() => format!("the file declares no {what}"),
        None => format!("there is {all}"),
    };
    ConditionError { message: format!("there is no {what} `{name}`"), help }
}

fn unknown_name(name: &str, bindings: &Bindings) -> ConditionError {
    let help = if bindings.vars.contains_key(name) {
        format!("a variable is `vars.{name}`")
    } else if bindings.matrix.contains_key(name) {
        format!("a value of the matrix is `matrix.{name}`")
    } else if let Some(similar) = did_you_mean(name, NAMES.iter().copied()) {
        format!("did you mean `{similar}`?")
    } else {
        format!("the names are {}", NAMES.join(", "))
    };
    ConditionError { message: format!("`{name}` is not known in a condition"), help }
}

/// Evaluates an expression.
///
/// # Errors
/// A value that is missing, or an operation that does not fit its values.
pub fn evaluate(text: &str, names: &BTreeMap<&str, Value>) -> Result<bool, String> {
    within_bounds(text).map_err(|excess| excess.message)?;
    let environment = environment();
    let guarded = guarded(text).map_err(|error| error.to_string())?;
    let expression = environment.compile_expression(&guarded).map_err(|error| error.to_string())?;
    expression.eval(names).map(|value| value.is_true()).map_err(|error| error.to_string())
}

fn environment() -> Environment<'static> {
    strict(Environment::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_checked_and_evaluated() {
        let vars = serde_json::json!({ "topic": "t" }).as_object().expect("a map").clone();
        let bindings = Bindings { vars: std::sync::Arc::new(vars), ..Bindings::default() };
        let wrong = |text: &str| check(text, &bindings).expect_err("it is wrong");
        for fine in ["failed and environment == 'local'", "steps.load.acked > 5", "vars.topic == 't'", "always"] {
            assert!(check(fine, &bindings).is_ok(), "{fine}");
        }
        assert_eq!(wrong("oops > 5").message, "`oops` is not known in a condition");
        assert_eq!(wrong("topic == 't'").help, "a variable is `vars.topic`");
        assert_eq!(wrong("vars.topc == 't'").help, "did you mean `topic`?");
        assert_eq!(wrong("matrix.x").message, "there is no matrix value `x`");
        assert!(wrong("${vars.topic}").help.contains("without `${…}`"));
        assert!(check("failed and", &bindings).is_err());
        let error = check_steps("steps.load.acked > 5", &Scope::default(), "").expect_err("no such step");
        assert_eq!(error.message, "there is no step with the id `load`");
        let names = BTreeMap::from([("failed", Value::from(true)), ("environment", Value::from("local"))]);
        assert_eq!(evaluate("failed and environment == 'local'", &names), Ok(true));
        assert_eq!(evaluate("not failed", &names), Ok(false));
        assert!(evaluate("steps.load.acked > 5", &names).is_err());
        let vars = Value::from_pairs([("n", Value::from("7")), ("acks", Value::from("all"))]);
        let names = BTreeMap::from([("vars", vars)]);
        assert!(evaluate("vars.n > 5", &names).is_err(), "a text has no order with a number");
        assert_eq!(evaluate("vars.n | int > 5 and vars.acks != 1", &names), Ok(true));
    }
}
