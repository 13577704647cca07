//! The expressions of `if:`.

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

/// Checks an expression without evaluating it.
///
/// # Errors
/// A syntax error, or a name that does not exist.
pub fn check(text: &str) -> Result<(), ConditionError> {
    let environment = environment();
    let expression = environment.compile_expression(text).map_err(|error| ConditionError {
        message: format!("`{text}` is not an expression: {}", error.detail().unwrap_or("syntax error")),
        help: "write it like `environment == 'docker' and not failed`".to_owned(),
    })?;
    match expression.undeclared_variables(false).into_iter().find(|name| !NAMES.contains(&name.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(ConditionError {
            message: format!("`{unknown}` is not known in a condition"),
            help: format!("the names are {}; a variable is `vars.{unknown}`", NAMES.join(", ")),
        }),
    }
}

/// Evaluates an expression.
///
/// # Errors
/// A value that is missing, or an operation that does not fit its values.
pub fn evaluate(text: &str, names: &BTreeMap<&str, Value>) -> Result<bool, String> {
    let environment = environment();
    let expression = environment.compile_expression(text).map_err(|error| error.to_string())?;
    expression.eval(names).map(|value| value.is_true()).map_err(|error| error.to_string())
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_checked_and_evaluated() {
        assert!(check("failed and environment == 'local'").is_ok());
        assert!(check("steps.load.acked > 5").is_ok());
        assert_eq!(check("oops > 5").expect_err("unknown").message, "`oops` is not known in a condition");
        assert!(check("failed and").is_err());
        let names = BTreeMap::from([("failed", Value::from(true)), ("environment", Value::from("local"))]);
        assert_eq!(evaluate("failed and environment == 'local'", &names), Ok(true));
        assert_eq!(evaluate("not failed", &names), Ok(false));
        assert!(evaluate("steps.load.acked > 5", &names).is_err());
    }
}
