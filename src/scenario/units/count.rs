use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

use super::UnitError;
use super::decimal::Decimal;
use crate::text::harmless;

/// How many: `1000`, also written `1_000`, `10k` or `1.5M`. Whole and not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Count(pub u64);

impl FromStr for Count {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        // Underscores separate digits, so they stand between two of them.
        let grouped = text
            .as_bytes()
            .windows(3)
            .filter(|around| around[1] == b'_' && around[0].is_ascii_digit() && around[2].is_ascii_digit());
        if grouped.count() != text.matches('_').count() {
            return Err(UnitError::Malformed);
        }
        let plain = text.replace('_', "");
        let (number, prefix) = Decimal::cut(&plain)?;
        let factor = match prefix {
            "" => 1,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            _ => return Err(UnitError::Malformed),
        };
        Ok(Self(number.times(factor)?))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count such as 1000 or 10k")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Count, E> {
        Ok(Count(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Count, E> {
        u64::try_from(number).map(Count).map_err(|_| E::custom(format!("a count cannot be negative: {number}")))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Count, E> {
        /// Up to here every whole number has its own floating-point number.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && (0.0..=EXACT).contains(&number) {
            return Ok(Count(number as u64)); // `1e3` is a thousand
        }
        Err(E::custom(format!("a count is a whole number, and {number} is not one")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
        text.parse().map_err(|error: UnitError| {
            let text = harmless(text);
            E::custom(match error {
                UnitError::Negative => format!("a count cannot be negative: `{text}`"),
                UnitError::TooLarge => format!("`{text}` is too large for a count"),
                UnitError::TooFine => format!("a count is a whole number, and `{text}` is not one"),
                _ => format!("`{text}` is not a count: write it like 1000, 1_000 or 10k"),
            })
        })
    }
}

impl JsonSchema for Count {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": ["integer", "string"],
            "description": "How many: 1000, also 1_000, 10k or 1.5M (k is 1000, M is 1,000,000).",
            "minimum": 0,
            "pattern": r"^(?:[0-9]+(_[0-9]+)*(\.[0-9]+)?[kMG]?)$|\$\{",
            "patternErrorMessage": "write a count like 1000, 1_000 or 10k",
            "examples": [1000, "10k"],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_numbers_and_texts() {
        let validator = jsonschema::validator_for(schemars::schema_for!(Count).as_value()).expect("a valid schema");
        for (json, count) in [
            (json!(0), 0),
            (json!(1000), 1000),
            (json!(1e3), 1000),
            (json!("1000"), 1000),
            (json!("1_000_000"), 1_000_000),
            (json!("10k"), 10_000),
            (json!("1.5M"), 1_500_000),
            (json!(u64::MAX), u64::MAX),
        ] {
            assert!(validator.is_valid(&json), "{json}");
            let read: Count = serde_json::from_value(json.clone()).unwrap_or_else(|e| panic!("{json}: {e}"));
            assert_eq!(read, Count(count), "{json}");
        }
        for (json, message) in [
            (json!(-1), "a count cannot be negative: -1"),
            (json!(1.5), "a count is a whole number, and 1.5 is not one"),
            (json!("1.5"), "a count is a whole number, and `1.5` is not one"),
            (json!("many"), "`many` is not a count: write it like 1000, 1_000 or 10k"),
            (json!("_1"), "`_1` is not a count: write it like 1000, 1_000 or 10k"),
            (json!("1__0"), "`1__0` is not a count: write it like 1000, 1_000 or 10k"),
            (json!("99999999999999999999"), "`99999999999999999999` is too large for a count"),
            (json!(true), "invalid type: boolean `true`, expected a count such as 1000 or 10k"),
        ] {
            let error = serde_json::from_value::<Count>(json.clone()).expect_err("no count");
            assert_eq!(error.to_string(), message, "{json}");
        }
    }
}
