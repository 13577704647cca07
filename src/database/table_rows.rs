//! A table as it is now.

use super::relation::quote_identifier;
use super::{Column, ColumnValue, DatabaseError, DatabaseResult, Session, TableName};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use std::pin::pin;
use tokio_postgres::SimpleQueryMessage;

/// The most bytes that are taken of a table.
const LARGEST: usize = 256 << 20;
/// What a value takes beside its text, in bytes.
const CELL: usize = 32;

/// The rows of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableRows {
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// Its rows: of each column the value in PostgreSQL's text form.
    pub rows: Vec<Vec<ColumnValue>>,
}

impl Session {
    /// Reads a table; `None` where there is none of that name.
    ///
    /// # Errors
    /// The server's; the table has more than kscen takes.
    pub async fn table_rows(&self, table: &TableName) -> DatabaseResult<Option<TableRows>> {
        let name = table.quoted();
        let statement = "SELECT a.attname::text, a.atttypid, a.atttypmod, \
               coalesce(a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]), false) \
             FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary \
             WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
        let types = self.catalog_types().await?;
        let mut columns = Vec::new();
        for row in self.client.query(statement, &[&name]).await? {
            let (oid, modifier): (u32, i32) = (row.try_get(1)?, row.try_get(2)?);
            let known = types.get(&oid);
            columns.push(Column {
                name: row.try_get(0)?,
                type_oid: known.map_or(oid, |known| known.base),
                type_modifier: known.filter(|_| modifier < 0).map_or(modifier, |known| known.modifier),
                key: row.try_get(3)?,
                user_type: known.map(|known| known.user_type.clone()).unwrap_or_default(),
                has_default: false,
            });
        }
        if columns.is_empty() {
            return Ok(None);
        }
        let list: Vec<String> = columns.iter().map(|column| quote_identifier(&column.name)).collect();
        let statement = format!("SELECT {} FROM {name}", list.join(", "));
        let mut answer = pin!(self.client.simple_query_raw(&statement).await?);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(message) = answer.try_next().await? {
            let SimpleQueryMessage::Row(row) = message else { continue };
            bytes += (0..columns.len()).map(|index| row.get(index).map_or(0, str::len) + CELL).sum::<usize>();
            if bytes > LARGEST {
                let message = format!("{table} has more than {} MiB: kscen does not hold so much", LARGEST >> 20);
                return Err(DatabaseError::Unreadable { message });
            }
            let cell = |index| row.get(index).map_or(ColumnValue::Null, |text| ColumnValue::Text(text.to_owned()));
            rows.push((0..columns.len()).map(cell).collect());
        }
        Ok(Some(TableRows { columns, rows }))
    }
}
