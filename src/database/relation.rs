//! Tables and their columns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A table's name with its schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TableName {
    /// Schema, such as `public`.
    pub schema: String,
    /// Table.
    pub table: String,
}

impl TableName {
    /// A name from its parts.
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }

    /// Reads `schema.table`; a table alone is in `public`.
    pub fn parse(text: &str) -> Self {
        let (schema, table) = text.split_once('.').unwrap_or(("public", text));
        Self::new(schema, table)
    }

    /// Quoted for SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.table))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A type that is not PostgreSQL's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserType {
    /// It is one of PostgreSQL's own.
    #[default]
    No,
    /// An enumeration.
    Enum,
    /// Another type, of an extension for example, by its name.
    Named(#[serde(with = "shared")] Arc<str>),
}

/// A column of a [`Relation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Object id of its type; of a domain, that of the type it is based on.
    pub type_oid: u32,
    /// Type modifier (length, precision and scale), -1 for none.
    pub type_modifier: i32,
    /// Part of the key that identifies a row: the primary key, else the replica identity's index, else nothing.
    pub key: bool,
    /// What the type is where it is not PostgreSQL's own.
    pub user_type: UserType,
    /// It has, or once had, a default other than NULL, which a converter may write where the row has NULL.
    pub has_default: bool,
}

/// A table as it was when a change was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// Its name.
    pub name: TableName,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// The partitioned tables that it is a part of, the nearest first.
    pub ancestors: Vec<TableName>,
    /// The log has the whole row before each change (replica identity FULL), else at most its key.
    pub full: bool,
}

impl Relation {
    /// The key of a row in words, `id=7` or `tenant=a, id=7`; empty for a table without key. Also the row's identity within the table.
    pub fn key_of(&self, row: &[Option<String>]) -> String {
        let parts: Vec<String> = self
            .columns
            .iter()
            .zip(row)
            .filter(|(column, _)| column.key)
            .map(|(column, value)| format!("{}={}", column.name, value.as_deref().unwrap_or("null")))
            .collect();
        parts.join(", ")
    }

    /// True where rows have an identity.
    pub fn has_key(&self) -> bool {
        self.columns.iter().any(|column| column.key)
    }
}

/// A shared text, as text.
mod shared {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        Ok(String::deserialize(deserializer)?.into())
    }
}

/// An identifier quoted for SQL.
pub(super) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
