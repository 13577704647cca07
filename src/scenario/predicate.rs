//! The check value of `expect`: what an observation is held against.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::text::{did_you_mean, harmless};

/// A condition on one value: a bare value (equals), or `{ min, max, equals, not }`, of which all that are given must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate<T> {
    /// The least value that passes.
    pub min: Option<T>,
    /// The greatest value that passes.
    pub max: Option<T>,
    /// The only value that passes.
    pub equals: Option<T>,
    /// A value that does not pass.
    pub not: Option<T>,
}

const KEYS: [&str; 4] = ["min", "max", "equals", "not"];

impl<T> Predicate<T> {
    /// Passes for this value only.
    pub fn equals(value: T) -> Self {
        Self { equals: Some(value), ..Self::none() }
    }

    fn none() -> Self {
        Self { min: None, max: None, equals: None, not: None }
    }

    /// The same condition on another type, such as seconds instead of durations.
    pub fn map<U>(self, mut convert: impl FnMut(T) -> U) -> Predicate<U> {
        Predicate {
            min: self.min.map(&mut convert),
            max: self.max.map(&mut convert),
            equals: self.equals.map(&mut convert),
            not: self.not.map(&mut convert),
        }
    }

    fn field(&mut self, key: &str) -> Option<&mut Option<T>> {
        match key {
            "min" => Some(&mut self.min),
            "max" => Some(&mut self.max),
            "equals" => Some(&mut self.equals),
            "not" => Some(&mut self.not),
            _ => None,
        }
    }
}

impl<T: PartialOrd> Predicate<T> {
    /// Whether an observed value passes. A value that cannot be compared (not a number) never does.
    pub fn holds(&self, value: &T) -> bool {
        self.min.as_ref().is_none_or(|min| value >= min)
            && self.max.as_ref().is_none_or(|max| value <= max)
            && self.equals.as_ref().is_none_or(|equals| value == equals)
            && self.not.as_ref().is_none_or(|not| value.partial_cmp(not).is_some_and(std::cmp::Ordering::is_ne))
    }

    /// Whether no value at all can pass, as far as its bounds say: `{ min: 5, max: 2 }`.
    fn is_contradictory(&self) -> bool {
        let crossed = matches!((&self.min, &self.max), (Some(min), Some(max)) if min > max);
        crossed || self.equals.as_ref().is_some_and(|equals| !self.holds(equals))
    }
}

/// `= 0`, `≤ 30s`, `≥ 5`, `2..5`, `≠ 7`
impl<T: fmt::Display> fmt::Display for Predicate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(equals) = &self.equals {
            parts.push(format!("= {equals}"));
        }
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => parts.push(format!("{min}..{max}")),
            (Some(min), None) => parts.push(format!("≥ {min}")),
            (None, Some(max)) => parts.push(format!("≤ {max}")),
            (None, None) => {}
        }
        if let Some(not) = &self.not {
            parts.push(format!("≠ {not}"));
        }
        f.write_str(&parts.join(" and "))
    }
}

/// A bare value where that says everything.
impl<T: Serialize> Serialize for Predicate<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = [&self.min, &self.max, &self.equals, &self.not];
        if let [None, None, Some(equals), None] = fields {
            return equals.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in KEYS.into_iter().zip(fields) {
            if let Some(value) = value {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}

impl<'de, T: Deserialize<'de> + PartialOrd> Deserialize<'de> for Predicate<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PredicateVisitor(PhantomData))
    }
}

struct PredicateVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + PartialOrd> Visitor<'de> for PredicateVisitor<T> {
    type Value = Predicate<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or a mapping with min, max, equals or not")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        T::deserialize(value.into_deserializer()).map(Predicate::equals)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        T::deserialize(value.into_deserializer()).map(Predicate::equals)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        T::deserialize(value.into_deserializer()).map(Predicate::equals)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        T::deserialize(value.into_deserializer()).map(Predicate::equals)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        T::deserialize(text.into_deserializer())
            .map(Predicate::equals)
            .map_err(|error: E| comparison(text).map_or(error, E::custom))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut predicate = Predicate::none();
        let mut empty = true;
        while let Some(key) = map.next_key::<String>()? {
            let Some(field) = predicate.field(&key) else {
                return Err(A::Error::custom(unknown_key(&key)));
            };
            *field = Some(map.next_value()?);
            empty = false;
        }
        if empty {
            return Err(A::Error::custom("a check needs a value: write a bare value, or min, max, equals or not"));
        }
        if predicate.is_contradictory() {
            return Err(A::Error::custom("no value can pass this check: its bounds exclude each other"));
        }
        Ok(predicate)
    }
}

fn unknown_key(key: &str) -> String {
    let operator = match key {
        "<" | "<=" | "lt" | "le" | "below" | "at_most" => Some("max"),
        ">" | ">=" | "gt" | "ge" | "above" | "at_least" => Some("min"),
        "=" | "==" | "eq" | "is" => Some("equals"),
        "!=" | "ne" => Some("not"),
        _ => did_you_mean(key, KEYS),
    };
    let key = harmless(key);
    match operator {
        Some(known) => format!("unknown key `{key}` in a check; did you mean `{known}`?"),
        None => format!("unknown key `{key}` in a check; known are min, max, equals and not"),
    }
}

/// The remedy for a comparison that is written as a text: `< 3`.
fn comparison(text: &str) -> Option<String> {
    let text = text.trim();
    let operators = [
        ("!=", "not"),
        ("<>", "not"),
        ("≠", "not"),
        ("<=", "max"),
        (">=", "min"),
        ("≤", "max"),
        ("≥", "min"),
        ("==", "equals"),
        ("<", "max"),
        (">", "min"),
        ("=", "equals"),
    ];
    let (rest, key) = operators.iter().find_map(|(operator, key)| Some((text.strip_prefix(operator)?.trim(), key)))?;
    let strictly = matches!(text.chars().next(), Some('<' | '>')) && !text[1..].starts_with(['=', '>']);
    let bounds = if strictly { " (bounds are inclusive)" } else { "" };
    Some(format!("`{}` is a text, not a comparison: write {{ {key}: {} }}{bounds}", harmless(text), harmless(rest)))
}

impl<T: JsonSchema> JsonSchema for Predicate<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Check_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        // One branch or the other, chosen by the type alone: anyOf would report the problems of both.
        schemars::json_schema!({
            "description": "A bare value (equals), or a mapping of min, max, equals and not, of which all that are given must hold.",
            "if": { "type": "object" },
            "then": {
                "type": "object",
                "properties": { "min": value, "max": value, "equals": value, "not": value },
                "additionalProperties": false,
                "minProperties": 1,
            },
            "else": value,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::scenario::units::{Count, Length};

    fn count(json: Value) -> Result<Predicate<Count>, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_holds_and_prints() {
        let holding = |json: Value| {
            let predicate = count(json.clone()).unwrap_or_else(|e| panic!("{json}: {e}"));
            let held: Vec<u64> = (0..10).filter(|&n| predicate.holds(&Count(n))).collect();
            (predicate.to_string(), held)
        };
        assert_eq!(holding(json!(0)), ("= 0".into(), vec![0]));
        assert_eq!(holding(json!({"min": 8})), ("≥ 8".into(), vec![8, 9]));
        assert_eq!(holding(json!({"max": 1})), ("≤ 1".into(), vec![0, 1]));
        assert_eq!(holding(json!({"min": 2, "max": 4, "not": 3})), ("2..4 and ≠ 3".into(), vec![2, 4]));
        let length: Predicate<Length> = serde_json::from_value(json!({"max": "30s"})).expect("a check");
        assert_eq!(length.to_string(), "≤ 30s");
        assert_eq!(serde_json::to_value(&length).expect("plain"), json!({"max": "30s"}));
        assert_eq!(serde_json::to_value(Predicate::equals(Count(3))).expect("plain"), json!(3));
        for never in [json!({"min": 5, "max": 2}), json!({"equals": 3, "not": 3}), json!({"equals": 9, "max": 2})] {
            assert!(count(never.clone()).unwrap_err().contains("exclude each other"), "{never}");
        }
        assert!(!Predicate { max: Some(1.0), ..Predicate::none() }.holds(&f64::NAN));
        let not = Predicate { not: Some(1.0), ..Predicate::none() };
        assert!(!not.holds(&f64::NAN) && not.holds(&2.0));
    }

    #[test]
    fn refuses_with_a_remedy() {
        for (json, message) in [
            (json!("!= 5"), "`!= 5` is a text, not a comparison: write { not: 5 }"),
            (json!("< 3"), "`< 3` is a text, not a comparison: write { max: 3 } (bounds are inclusive)"),
            (json!(">=3"), "`>=3` is a text, not a comparison: write { min: 3 }"),
            (json!({}), "a check needs a value: write a bare value, or min, max, equals or not"),
            (json!({"mim": 3}), "unknown key `mim` in a check; did you mean `min`?"),
            (json!({"gt": 3}), "unknown key `gt` in a check; did you mean `min`?"),
            (json!({"colour": 3}), "unknown key `colour` in a check; known are min, max, equals and not"),
            (json!(-1), "a count cannot be negative: -1"),
            (json!([1]), "invalid type: sequence, expected a value, or a mapping with min, max, equals or not"),
        ] {
            assert_eq!(count(json.clone()), Err(message.to_owned()), "{json}");
        }
        let error = serde_json::from_value::<Predicate<Length>>(json!({"max": 30})).expect_err("no unit");
        assert_eq!(error.to_string(), "`30` has no unit; write 30s");
    }

    #[test]
    fn the_schema_takes_both_forms() {
        let schema = schemars::schema_for!(Predicate<Length>);
        let validator = jsonschema::validator_for(schema.as_value()).expect("a valid schema");
        for good in [json!("30s"), json!({"max": "30s"}), json!("${limit}"), json!({"min": "${a}"})] {
            assert!(validator.is_valid(&good), "{good}");
        }
        for bad in [json!(30), json!({"max": 30}), json!({}), json!({"mx": "1s"})] {
            assert_eq!(validator.iter_errors(&bad).count(), 1, "{bad}");
        }
    }
}
