//! Which tables and columns a connector captures, and which columns it changes.

use super::pattern::{Pattern, Patterns};
use crate::connect::ConnectorConfig;
use crate::database::TableName;
use std::collections::BTreeSet;

/// Tables by `schema.…list` and `table.…list`.
#[derive(Clone, Debug, Default)]
pub(super) struct TableFilter(Vec<(&'static str, bool, Patterns)>);

const TABLE_LISTS: [(&str, bool); 4] = [
    ("schema.include.list", true),
    ("schema.exclude.list", false),
    ("table.include.list", true),
    ("table.exclude.list", false),
];

impl TableFilter {
    pub(super) fn of(config: &ConnectorConfig) -> Self {
        let lists =
            TABLE_LISTS.into_iter().filter_map(|(key, include)| Some((key, include, Patterns::list(config.get(key)?))));
        Self(lists.collect())
    }

    /// The setting that leaves the table out, if one does. A pattern that is not understood leaves nothing out.
    pub(super) fn leaves_out(&self, table: &TableName) -> Option<&'static str> {
        self.0.iter().find_map(|(key, include, patterns)| {
            let name = if key.starts_with("schema") { table.schema.clone() } else { table.to_string() };
            (patterns.any(&name) == Some(!include)).then_some(*key)
        })
    }
}

/// Columns that are not written as they are.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnFilter(Vec<(String, bool, Patterns)>);

impl ColumnFilter {
    pub(super) fn of(config: &ConnectorConfig) -> Self {
        let mut rules = Vec::new();
        for (key, value) in config {
            let changes = ["column.mask.", "column.truncate.to.", "column.exclude.list"];
            if changes.iter().any(|start| key.starts_with(start)) {
                rules.push((key.clone(), true, Patterns::list(value)));
            } else if key == "column.include.list" {
                rules.push((key.clone(), false, Patterns::list(value)));
            }
        }
        Self(rules)
    }

    /// The setting that changes the column or leaves it out. A pattern that is not understood may.
    pub(super) fn changes(&self, table: &TableName, column: &str) -> Option<&str> {
        let name = format!("{table}.{column}");
        self.0
            .iter()
            .find(|(_, on_match, patterns)| patterns.any(&name) != Some(!on_match))
            .map(|(key, ..)| key.as_str())
    }
}

/// `message.key.columns`: the columns that make a record's key.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyColumns(Vec<(Pattern, Vec<String>)>);

impl KeyColumns {
    pub(super) fn of(config: &ConnectorConfig) -> Self {
        let text = config.get("message.key.columns").map(String::as_str).unwrap_or_default();
        let rules = text.split(';').filter_map(|rule| {
            let (table, columns) = rule.trim().rsplit_once(':')?;
            let columns = columns.split(',').map(|column| column.trim().to_owned()).collect();
            Some((Pattern::new(table.trim(), true), columns))
        });
        Self(rules.collect())
    }

    /// The columns of that key; `None` where they cannot be told.
    pub(super) fn of_table(&self, table: &TableName) -> Option<BTreeSet<&str>> {
        let name = table.to_string();
        let mut all = BTreeSet::new();
        for (pattern, columns) in &self.0 {
            if pattern.matches(&name)? {
                all.extend(columns.iter().map(String::as_str));
            }
        }
        Some(all)
    }

    /// Whether the table's records have a key that is not the table's.
    pub(super) fn concern(&self, table: &TableName) -> bool {
        let name = table.to_string();
        self.0.iter().any(|(pattern, _)| pattern.matches(&name) != Some(false))
    }
}
