//! Which rows that were there before a connector it never shows.

use super::pattern::Patterns;
use crate::connect::ConnectorConfig;
use crate::database::TableName;

/// What a connector's snapshot leaves out.
#[derive(Clone, Debug, Default)]
pub(super) struct SnapshotFilter {
    /// It takes none, or nobody can say which rows it takes.
    mode: Option<String>,
    /// The tables that it takes rows of, where these are not all.
    tables: Option<Patterns>,
    /// Tables of which a query of the user's chooses the rows; empty: all tables, where the list cannot be read.
    chosen: Option<Vec<String>>,
}

/// Modes that take every row that is there when the connector has no place in the log.
const WHOLE: [&str; 4] = ["initial", "initial_only", "always", "when_needed"];

impl SnapshotFilter {
    pub(super) fn of(config: &ConnectorConfig) -> Self {
        let mode = config.get("snapshot.mode").filter(|mode| !WHOLE.contains(&mode.as_str()));
        let chosen = config.get("snapshot.select.statement.overrides").filter(|list| !list.trim().is_empty());
        Self {
            mode: mode.map(|mode| format!("snapshot.mode={mode}")),
            tables: config.get("snapshot.include.collection.list").map(|list| Patterns::list(list)),
            chosen: chosen.map(|list| list.split(',').map(|table| table.trim().replace('"', "")).collect()),
        }
    }

    /// The setting by which rows of a table that were there before the connector may never come, if there is one.
    pub(super) fn leaves_out(&self, table: &TableName) -> Option<String> {
        let name = table.to_string();
        let listed = self.tables.as_ref().is_some_and(|tables| tables.any(&name) != Some(true));
        let chosen =
            self.chosen.as_ref().is_some_and(|tables| tables.iter().any(|known| name.ends_with(known.as_str())));
        self.mode
            .clone()
            .or_else(|| listed.then(|| "snapshot.include.collection.list".to_owned()))
            .or_else(|| chosen.then(|| "snapshot.select.statement.overrides".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_snapshot_does_not_show_is_named_by_its_setting() {
        let told = |pairs: &[(&str, &str)]| {
            let config: ConnectorConfig =
                pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            SnapshotFilter::of(&config).leaves_out(&TableName::new("public", "orders"))
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[("snapshot.mode", "initial")]), None);
        for mode in ["no_data", "never", "custom", "configuration_based"] {
            assert_eq!(told(&[("snapshot.mode", mode)]).unwrap(), format!("snapshot.mode={mode}"));
        }
        let list = "snapshot.include.collection.list";
        assert_eq!(told(&[(list, "public.orders")]), None);
        assert_eq!(told(&[(list, "public.others")]).unwrap(), list);
        let chosen = "snapshot.select.statement.overrides";
        assert_eq!(told(&[(chosen, "public.others")]), None);
        assert_eq!(told(&[(chosen, "public.others, public.orders")]).unwrap(), chosen);
    }
}
