//! Values bound to a statement's `$1 … $n`.

use bytes::BytesMut;
use serde_json::Value;
use std::error::Error;
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type};

/// A JSON value as a parameter of whatever type the statement wants: it is sent as text, so the server's own conversion decides
/// and its own message explains what does not fit.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) &'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if self.0.is_null() {
            return Ok(IsNull::Yes);
        }
        out.extend_from_slice(text(self.0, ty).as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

fn text(value: &Value, ty: &Type) -> String {
    let json = *ty == Type::JSON || *ty == Type::JSONB;
    match value {
        Value::Array(items) if matches!(ty.kind(), Kind::Array(_)) => array(items),
        Value::String(text) if !json => text.clone(),
        // A string for a JSON column is JSON text where it parses, else a JSON string.
        Value::String(text) if serde_json::from_str::<Value>(text).is_ok() => text.clone(),
        other => other.to_string(),
    }
}

/// An array in PostgreSQL's notation, every element quoted.
fn array(items: &[Value]) -> String {
    let elements: Vec<String> = items
        .iter()
        .map(|item| match item {
            Value::Null => "NULL".to_owned(),
            Value::Array(inner) => array(inner),
            Value::String(text) => quoted(text),
            other => quoted(&other.to_string()),
        })
        .collect();
    format!("{{{}}}", elements.join(","))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_take_the_notation_of_the_type() {
        assert_eq!(text(&json!(5), &Type::INT4), "5");
        assert_eq!(text(&json!("it's"), &Type::TEXT), "it's");
        assert_eq!(text(&json!({"a": 1}), &Type::JSONB), r#"{"a":1}"#);
        assert_eq!(text(&json!("word"), &Type::JSONB), r#""word""#);
        assert_eq!(text(&json!(["a\"b", null, "c\\"]), &Type::TEXT_ARRAY), r#"{"a\"b",NULL,"c\\"}"#);
    }
}
