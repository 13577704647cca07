use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::Schema;
use serde::de::{Deserializer, Error, Visitor};

/// A type that is written as a number with a unit.
pub trait UnitValue: Sized + FromStr<Err = UnitError> + fmt::Display {
    /// What it is, with its article: `a duration`.
    const WHAT: &'static str;
    /// A regular expression for the whole written form, in the dialect that JSON Schema and editors share.
    const PATTERN: &'static str;
    /// Written forms, the most typical one first.
    const EXAMPLES: &'static [&'static str];
    /// What a bare number most probably wants behind it: `s` makes "`10` has no unit; write 10s".
    const USUAL_UNIT: &'static str;
    /// All the units, for messages: `ns, us, ms, s, m, h, d`.
    const UNITS: &'static str;
    /// The description in the schema.
    const DESCRIPTION: &'static str;
}

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitError {
    /// A number and nothing else.
    NoUnit,
    /// Something other than numbers and known units.
    Malformed,
    /// Parts of a duration that repeat or grow: `5s1h`.
    OutOfOrder,
    /// Below zero.
    Negative,
    /// Zero where nothing could happen.
    Zero,
    /// Above what the type holds.
    TooLarge,
    /// Finer than the smallest unit.
    TooFine,
}

impl UnitError {
    /// The message for a text that was refused, with the remedy.
    pub fn explain<Q: UnitValue>(self, text: &str) -> String {
        let example = Q::EXAMPLES[0];
        let text = crate::text::harmless(text);
        match self {
            Self::NoUnit => format!("`{text}` has no unit; write {text}{}", Q::USUAL_UNIT),
            Self::Malformed => format!("`{text}` is not {}: write it like {example} (units: {})", Q::WHAT, Q::UNITS),
            Self::OutOfOrder => {
                format!("`{text}` is not {}: each unit once, the largest first, like {example}", Q::WHAT)
            }
            Self::Negative => format!("{} cannot be negative: `{text}`", Q::WHAT),
            Self::Zero => format!("{} must be above zero: `{text}`", Q::WHAT),
            Self::TooLarge => format!("`{text}` is too large for {}", Q::WHAT),
            Self::TooFine => format!("`{text}` is finer than {} can be", Q::WHAT),
        }
    }
}

/// Bare and described: `the unit is missing`.
impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoUnit => "the unit is missing",
            Self::Malformed => "not a number with a known unit",
            Self::OutOfOrder => "units repeat or are out of order",
            Self::Negative => "negative",
            Self::Zero => "zero",
            Self::TooLarge => "too large",
            Self::TooFine => "too fine",
        })
    }
}

impl std::error::Error for UnitError {}

/// Decodes the written form; numbers without a unit get told what to write.
pub(super) fn deserialize<'de, Q: UnitValue, D: Deserializer<'de>>(deserializer: D) -> Result<Q, D::Error> {
    deserializer.deserialize_any(Written(PhantomData))
}

struct Written<Q>(PhantomData<Q>);

impl<Q: UnitValue> Visitor<'_> for Written<Q> {
    type Value = Q;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} such as {}", Q::WHAT, Q::EXAMPLES[0])
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Q, E> {
        text.parse().map_err(|error: UnitError| E::custom(error.explain::<Q>(text)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Q, E> {
        Err(E::custom(UnitError::NoUnit.explain::<Q>(&number.to_string())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Q, E> {
        Err(E::custom(UnitError::Negative.explain::<Q>(&number.to_string())))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Q, E> {
        let error = if number < 0.0 { UnitError::Negative } else { UnitError::NoUnit };
        Err(E::custom(error.explain::<Q>(&number.to_string())))
    }
}

/// The schema of the written form.
pub(super) fn schema<Q: UnitValue>() -> Schema {
    let example = Q::EXAMPLES[0];
    schemars::json_schema!({
        "type": "string",
        "description": Q::DESCRIPTION,
        "pattern": format!("^(?:{})$|\\$\\{{", Q::PATTERN),
        "patternErrorMessage": format!("write {} like {example} (units: {})", Q::WHAT, Q::UNITS),
        "examples": Q::EXAMPLES,
    })
}

/// Implements serde and schema for a type that is written as a text.
macro_rules! written_as_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                super::quantity::deserialize(deserializer)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                super::quantity::schema::<Self>()
            }
        }
    };
}
pub(super) use written_as_text;

/// What every written form must satisfy: examples parse, match the pattern, survive printing and decoding.
#[cfg(test)]
pub(super) fn check_written_form<Q>()
where
    Q: UnitValue + PartialEq + fmt::Debug + serde::Serialize + serde::de::DeserializeOwned + schemars::JsonSchema,
{
    let schema = schemars::schema_for!(Q);
    let validator = jsonschema::validator_for(schema.as_value()).expect("a valid schema");
    for example in Q::EXAMPLES {
        let value: Q = example.parse().unwrap_or_else(|e| panic!("{example}: {e}"));
        assert!(validator.is_valid(&serde_json::json!(example)), "{example}");
        let printed = serde_json::to_value(&value).expect("plain data");
        assert!(validator.is_valid(&printed), "{printed}");
        let again: Q = serde_json::from_value(printed.clone()).expect("its own form");
        assert_eq!(again, value, "{example} printed as {printed}");
    }
    assert!(validator.is_valid(&serde_json::json!("${x}")));
    for bad in ["", "x", "-1s", "1e3", "NaN", "inf", "5 s", "10s10s!", " ", "1..5s"] {
        assert!(!validator.is_valid(&serde_json::json!(bad)), "{bad} by schema");
        assert!(bad.parse::<Q>().is_err(), "{bad} by parser");
    }
}
