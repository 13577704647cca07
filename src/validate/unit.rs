//! Why a value is no quantity, in the words of its own type.

use crate::scenario::units::{Bytes, Count, Length, Rate, Share, UnitValue};
use serde_json::Value;

/// What is wrong with a value where the definition of that name is wanted, and whether only its unit is missing.
pub fn explain(definition: &str, value: &Value) -> Option<(&'static str, String)> {
    match definition {
        "Length" => why::<Length>(value),
        "Rate" => why::<Rate>(value),
        "Bytes" => why::<Bytes>(value),
        "Share" => why::<Share>(value),
        // A count needs no unit.
        "Count" if value.is_number() || value.is_string() => {
            serde_json::from_value::<Count>(value.clone()).err().map(|error| ("bad-count", error.to_string()))
        }
        _ => None,
    }
}

fn why<Q: UnitValue>(value: &Value) -> Option<(&'static str, String)> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let error = text.parse::<Q>().err()?;
    let code = match error {
        crate::scenario::units::UnitError::NoUnit => "missing-unit",
        _ => "bad-unit",
    };
    Some((code, error.explain::<Q>(&text)))
}
