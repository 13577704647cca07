//! The value of a column in a change.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The value of a column in a change. Written down as `null`, as text, and as `false` where the log does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnValue {
    /// NULL.
    Null,
    /// The value in PostgreSQL's text form.
    Text(String),
    /// A large value that the update left as it was; the log does not repeat it.
    Unchanged,
}

impl ColumnValue {
    /// The text, where there is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Unchanged => None,
        }
    }
}

impl Serialize for ColumnValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Unchanged => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for ColumnValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// Reads what was written down.
struct Written;

impl Visitor<'_> for Written {
    type Value = ColumnValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a text, or false")
    }

    fn visit_unit<E: de::Error>(self) -> Result<ColumnValue, E> {
        Ok(ColumnValue::Null)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ColumnValue, E> {
        Ok(ColumnValue::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<ColumnValue, E> {
        Ok(ColumnValue::Text(text))
    }

    fn visit_bool<E: de::Error>(self, known: bool) -> Result<ColumnValue, E> {
        if known { Err(E::custom("`true` is not a column value")) } else { Ok(ColumnValue::Unchanged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were() {
        let row = vec![ColumnValue::Null, ColumnValue::Text("null".to_owned()), ColumnValue::Unchanged];
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(text, r#"[null,"null",false]"#);
        assert_eq!(serde_json::from_str::<Vec<ColumnValue>>(&text).unwrap(), row);
        for wrong in ["[true]", "[1]", "[[]]", "[{}]"] {
            assert!(serde_json::from_str::<Vec<ColumnValue>>(wrong).is_err(), "{wrong}");
        }
    }
}
