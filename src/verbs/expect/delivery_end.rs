//! Where a delivery ends: at readers, or in a table.

use crate::database::TableName;
use crate::delivery::WantedTable;
use crate::text::Problem;
use crate::verb::CheckContext;
use serde::Deserialize;
use serde_json::{Value, json};

/// Where a delivery ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DeliveryEnd {
    /// At these steps.
    Steps(Vec<String>),
    /// In this table.
    Table(IntoTable),
}

/// A table into which a sink connector brings the changes of another one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IntoTable {
    table: String,
    of: String,
    #[serde(default)]
    database: Option<String>,
}

impl DeliveryEnd {
    pub(super) fn parse(value: Option<Value>) -> Result<Self, String> {
        match value {
            Some(table @ Value::Object(_)) => {
                let parsed = serde_json::from_value(table);
                parsed.map(Self::Table).map_err(|error| format!("`to` is a step, a list of steps, or a table: {error}"))
            }
            steps => super::delivery::ids(steps, "to").map(Self::Steps),
        }
    }

    pub(super) fn schema() -> Value {
        json!({
            "description": "The reading step, or a list: their union. Or a table into which a sink connector brings the changes of a table that a `sql` step changes.",
            "type": ["string", "array", "object"],
            "items": { "type": "string" },
            "minItems": 1,
            "properties": {
                "table": { "description": "The table, `schema.table`; a table alone is in `public`.", "type": "string", "minLength": 1 },
                "of": { "description": "The table whose changes come into it.", "type": "string", "minLength": 1 },
                "database": { "description": "Its database on the environment's PostgreSQL server; the environment's own where absent.", "type": "string", "minLength": 1 }
            },
            "required": ["table", "of"],
            "additionalProperties": false
        })
    }

    /// The steps that read.
    pub(super) fn steps(&self) -> &[String] {
        match self {
            Self::Steps(ids) => ids,
            Self::Table(_) => &[],
        }
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Steps(ids) => ids.join(", "),
            Self::Table(into) => into.wanted().name(),
        }
    }
}

impl IntoTable {
    pub(super) fn check(&self, pointer: &str, of_changes: bool, cx: &mut CheckContext<'_>) {
        if !of_changes {
            let message = "only changes of a database come into a table";
            cx.report(&format!("{pointer}/from"), Problem::new("does-not-apply", message).help("name a `sql` step"));
        }
        for (key, name) in [("table", &self.table), ("of", &self.of)] {
            if name.split('.').count() > 2 || name.split('.').any(str::is_empty) {
                let problem = Problem::new("bad-table", format!("`{name}` is not the name of a table"));
                cx.report(&format!("{pointer}/to/{key}"), problem.help("write `table` or `schema.table`"));
            }
        }
        let wanted = self.wanted();
        if wanted.table == wanted.source && self.database.is_none() {
            let problem = Problem::new("bad-table", "this is the table itself, not one that its changes come into");
            cx.report(&format!("{pointer}/to/table"), problem.help("give another table, or `database`"));
        }
    }

    pub(super) fn wanted(&self) -> WantedTable {
        WantedTable {
            table: TableName::parse(&self.table),
            source: TableName::parse(&self.of),
            database: self.database.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::delivery::ids;
    use super::*;

    #[test]
    fn a_step_that_is_named_twice_counts_once() {
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let steps = DeliveryEnd::parse(Some(json!(["reader", "late", "reader"])));
        assert_eq!(steps, Ok(DeliveryEnd::Steps(owned(&["reader", "late"]))));
        assert_eq!(ids(Some(json!(["load", "load"])), "from"), Ok(owned(&["load"])));
        assert!(ids(Some(json!(["load", 1])), "from").is_err() && ids(Some(json!([])), "from").is_err());
    }
}
