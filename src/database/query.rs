//! Queries whose rows are wanted.

use super::{DatabaseError, DatabaseResult, Session};
use futures_util::TryStreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use std::pin::pin;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::Type;

/// The longest answer that is taken, in bytes.
const LONGEST: usize = 32 << 20;
/// What a value takes beside its text, in bytes.
const CELL: usize = 32;

/// Rows of a query as JSON values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueryResult {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows: booleans, numbers and JSON as such, everything else as PostgreSQL's text.
    pub rows: Vec<Vec<Value>>,
}

impl QueryResult {
    /// The value of a result of one row and one column.
    pub fn scalar(&self) -> Option<&Value> {
        match self.rows.as_slice() {
            [row] if row.len() == 1 => row.first(),
            _ => None,
        }
    }
}

impl Session {
    /// Runs one statement and returns its rows. It reads only: PostgreSQL refuses a statement that writes.
    ///
    /// # Errors
    /// The server's, as [`DatabaseError::Sql`](super::DatabaseError::Sql).
    pub async fn query(&self, statement: &str) -> DatabaseResult<QueryResult> {
        // Preparing tells the types, the simple protocol gives PostgreSQL's own text of every type.
        let prepared = self.client.prepare(statement).await?;
        // COPY writes files and starts programs on the server, DO and LOAD run code, and a read-only transaction lets them: none of
        // them has columns.
        if prepared.columns().is_empty() {
            let message =
                "this statement returns no columns, and `query` must return some; use a `sql` step to change data";
            return Err(DatabaseError::Unreadable { message: message.to_owned() });
        }
        let types: Vec<Type> = prepared.columns().iter().map(|column| column.type_().clone()).collect();
        let columns = prepared.columns().iter().map(|column| column.name().to_owned()).collect();
        let mut rows = Vec::new();
        self.client.batch_execute("BEGIN READ ONLY").await?;
        // The session is let go afterwards where it fails, and its transaction with it.
        let mut answer = pin!(self.client.simple_query_raw(statement).await?);
        let mut bytes = 0;
        while let Some(message) = answer.try_next().await? {
            if let SimpleQueryMessage::Row(row) = message {
                let cell = |(index, ty)| row.get(index).map_or(Value::Null, |text| json(text, ty));
                bytes += (0..types.len()).map(|index| row.get(index).map_or(0, str::len) + CELL).sum::<usize>();
                if bytes > LONGEST {
                    let message = format!("the query answers more than {} MiB: ask for less", LONGEST >> 20);
                    return Err(DatabaseError::Unreadable { message });
                }
                rows.push(types.iter().enumerate().map(cell).collect());
            }
        }
        self.client.batch_execute("ROLLBACK").await?;
        Ok(QueryResult { columns, rows })
    }
}

fn json(text: &str, ty: &Type) -> Value {
    let as_text = || Value::String(text.to_owned());
    match *ty {
        Type::BOOL => Value::Bool(text == "t"),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => text.parse::<i64>().map_or_else(|_| as_text(), Value::from),
        Type::NUMERIC => match text.parse::<i64>() {
            Ok(integer) => Value::from(integer),
            Err(_) => float(text).unwrap_or_else(as_text),
        },
        Type::FLOAT4 | Type::FLOAT8 => float(text).unwrap_or_else(as_text),
        Type::JSON | Type::JSONB => serde_json::from_str(text).unwrap_or_else(|_| as_text()),
        _ => as_text(),
    }
}

/// NaN and the infinities have no JSON number.
fn float(text: &str) -> Option<Value> {
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json as value;

    #[test]
    fn text_becomes_json_by_type() {
        assert_eq!(json("t", &Type::BOOL), value!(true));
        assert_eq!(json("42", &Type::INT8), value!(42));
        assert_eq!(json("1.50", &Type::NUMERIC), value!(1.5));
        assert_eq!(json("NaN", &Type::FLOAT8), value!("NaN"));
        assert_eq!(json(r#"{"a":1}"#, &Type::JSONB), value!({"a": 1}));
        assert_eq!(json("2024-01-01", &Type::DATE), value!("2024-01-01"));
    }
}
