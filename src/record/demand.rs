//! From a check as a scenario writes it to what is demanded.

use super::check::Demand;
use super::unit::Unit;
use crate::scenario::predicate::Predicate;
use crate::scenario::units::{Bytes, Count, Length, Rate, Share};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A check in a unit as a demand.
///
/// # Errors
/// A bound in another unit, or a demand that a measured value never meets: exactly so many milliseconds.
pub fn demand(unit: Unit, value: &Value) -> Result<Demand, String> {
    match unit {
        Unit::Count => numeric(unit, value, |count: Count| count.0 as f64),
        Unit::Duration => measured(unit, value, |length: Length| length.0.as_secs_f64()),
        Unit::Rate => measured(unit, value, |rate: Rate| rate.0),
        Unit::Bytes => measured(unit, value, |bytes: Bytes| bytes.0 as f64),
        Unit::Share => measured(unit, value, |share: Share| share.0),
    }
}

fn numeric<T>(unit: Unit, value: &Value, base: impl FnMut(T) -> f64) -> Result<Demand, String>
where
    Predicate<T>: DeserializeOwned,
{
    let predicate: Predicate<T> = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    let Predicate { min, max, equals, not } = predicate.map(base);
    let nobody = match (min, max, equals, not) {
        (Some(min), Some(max), ..) if min > max => "no value is at least `min` and at most `max`: swap the two",
        (min, max, Some(equals), _) if min.is_some_and(|min| equals < min) || max.is_some_and(|max| equals > max) => {
            "no value equals `equals` and is within `min` and `max`: drop one of them"
        }
        (_, _, Some(equals), Some(not)) if equals == not => "no value equals `equals` and differs from `not`",
        _ => return Ok(Demand::Number { unit, min, max, equals, not }),
    };
    Err(nobody.to_owned())
}

fn measured<T>(unit: Unit, value: &Value, base: impl FnMut(T) -> f64) -> Result<Demand, String>
where
    Predicate<T>: DeserializeOwned,
{
    match numeric(unit, value, base)? {
        Demand::Number { equals: Some(_), .. } => {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Err(format!("a measured value is never exactly {shown}; write {{ max: {shown} }} or {{ min: {shown} }}"))
        }
        demand => Ok(demand),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_check_that_no_value_can_meet_is_refused() {
        for impossible in [
            json!({ "min": 5, "max": 1 }),
            json!({ "equals": 3, "max": 1 }),
            json!({ "equals": 3, "min": 4 }),
            json!({ "equals": 3, "not": 3 }),
        ] {
            assert!(demand(Unit::Count, &impossible).is_err(), "{impossible}");
        }
        assert!(demand(Unit::Count, &json!({ "min": 1, "max": 1 })).is_ok());
        assert!(demand(Unit::Duration, &json!({ "min": "2s", "max": "500ms" })).is_err());
    }
}
