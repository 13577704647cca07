//! What a connector delivers, by its effective configuration and its publication.
//!
//! The database knows what was committed; what of that has to arrive, where, and in which form, is the connector's configuration. What it
//! was told to leave out is not lost, and what is not understood here is not judged: neither is ever passed over in silence.

mod condition;
mod condition_tokens;
mod duty;
mod filters;
mod flattened;
mod former;
mod pattern;
mod predicate;
mod row_filter;
mod settings;
mod sink;
mod snapshots;
mod source;
mod transforms;

pub use duty::Duty;
pub use flattened::{Deletes, Flat};
pub use pattern::matches_whole;
pub use row_filter::{PublishedRows, Publishing, published_as};
pub use sink::SinkRules;
pub use source::RulesSource;
pub use transforms::{Form, Outbox};

use super::value::Modes;
use crate::connect::ConnectorConfig;
use crate::database::{Publication, Relation, TableName};
use filters::{ColumnFilter, KeyColumns, TableFilter};
use serde::{Deserialize, Serialize};
use snapshots::SnapshotFilter;
use std::collections::BTreeSet;
use transforms::Transforms;

/// What is known of the publication that a connector reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublicationFacts {
    /// What the catalogue says.
    Known(Publication),
    /// Nothing: the database did not answer, or the connector uses another plugin.
    Unknown,
}

/// The rules of one connector.
#[derive(Clone, Debug)]
pub struct CaptureRules {
    /// Name of the connector.
    pub connector: String,
    /// Its `topic.prefix`; `None` where the configuration is not known.
    pub prefix: Option<String>,
    /// Its replication slot.
    pub slot: Option<String>,
    /// It follows each delete with a tombstone, as far as no transform drops it.
    tombstones: bool,
    /// How values are written.
    pub modes: Modes,
    /// Why its records cannot be read here: the setting, and what to change.
    pub unreadable: Option<String>,
    tables: TableFilter,
    columns: ColumnFilter,
    keys: KeyColumns,
    snapshots: SnapshotFilter,
    skipped: Vec<String>,
    skips_unchanged: bool,
    transforms: Transforms,
    /// The form of its records.
    form: Form,
    /// Where its records have several forms: the transform that gives those that these rules are about theirs.
    part: Option<Option<usize>>,
    /// What it was told before, or another one that it goes on for.
    former: Vec<Self>,
    delimiter: String,
    /// The last part of the name of the topic in which transactions begin and end, where it writes one.
    transactions: Option<String>,
    strategy: Option<String>,
    publication: PublicationFacts,
    values: Option<String>,
    /// What all of this was made of.
    settings: ConnectorConfig,
}

/// Converters whose records can be read here.
const CONVERTERS: [&str; 3] = ["JsonConverter", "StringConverter", "ByteArrayConverter"];
/// Debezium's own naming of topics.
const STRATEGIES: [&str; 2] = ["SchemaTopicNamingStrategy", "DefaultTopicNamingStrategy"];

impl CaptureRules {
    /// Reads the effective configuration of a connector.
    pub fn of(connector: &str, config: &ConnectorConfig, publication: PublicationFacts) -> Self {
        let settings = settings::telling(config);
        let config = &settings;
        let get = |key: &str| config.get(key).map(String::as_str);
        let (modes, strange) = Modes::of(config);
        let transforms = Transforms::of(config);
        let named = strategy_is_known(config) && config.contains_key("topic.prefix");
        let undecided = transforms.undecided(named);
        let form = match &undecided {
            Some(_) => Form::Envelope,
            None => transforms.form(transforms.forms().first().copied().flatten()),
        };
        let skipped = get("skipped.operations").unwrap_or("t");
        let strategy = get("topic.naming.strategy").filter(|_| !strategy_is_known(config));
        let values = transforms
            .changes_values
            .clone()
            .or_else(|| strange.first().cloned())
            .or_else(|| get("converters").map(|names| format!("converters={names}")))
            .or_else(|| {
                let adjusted = get("field.name.adjustment.mode").filter(|mode| *mode != "none")?;
                Some(format!("field.name.adjustment.mode={adjusted}"))
            });
        let pgoutput = get("plugin.name").unwrap_or("decoderbufs") == "pgoutput";
        Self {
            connector: connector.to_owned(),
            prefix: get("topic.prefix").map(str::to_owned),
            slot: Some(get("slot.name").unwrap_or("debezium").to_owned()),
            tombstones: get("tombstones.on.delete") != Some("false") && undecided.is_none(),
            modes,
            unreadable: unreadable(&get).or(undecided),
            tables: TableFilter::of(config),
            columns: ColumnFilter::of(config),
            keys: KeyColumns::of(config),
            snapshots: SnapshotFilter::of(config),
            skipped: skipped.split(',').map(|op| op.trim().to_owned()).collect(),
            skips_unchanged: get("skip.messages.without.change") == Some("true"),
            transforms,
            form,
            part: None,
            former: Vec::new(),
            delimiter: get("topic.delimiter").unwrap_or(".").to_owned(),
            transactions: (get("provide.transaction.metadata") == Some("true"))
                .then(|| get("topic.transaction").unwrap_or("transaction").to_owned()),
            strategy: strategy.map(|class| format!("topic.naming.strategy={class}")),
            publication: if pgoutput { publication } else { PublicationFacts::Unknown },
            values,
            settings,
        }
    }

    /// Debezium's defaults, for a connector whose configuration nobody can read.
    pub fn assumed() -> Self {
        let mut rules = Self::of("", &ConnectorConfig::new(), PublicationFacts::Unknown);
        rules.modes = Modes::unknown();
        rules.slot = None;
        rules
    }

    /// The form of the records.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// The name under which changes of a table are published: that of the root of its partitions, where the publication says so.
    pub fn published_as<'r>(&self, relation: &'r Relation) -> &'r TableName {
        let PublicationFacts::Known(publication) = &self.publication else { return &relation.name };
        if !publication.via_root {
            return &relation.name;
        }
        let named = |table: &&TableName| publication.all_tables || publication.tables.contains_key(*table);
        relation.ancestors.iter().rev().find(named).unwrap_or(&relation.name)
    }

    /// The topics that may have a table's changes.
    ///
    /// # Errors
    /// The setting by which that cannot be told.
    pub fn topics(&self, table: &TableName) -> Result<Vec<String>, String> {
        let mut names = self.transforms.applied(self.first_name(table)?).names?;
        for former in &self.former {
            let before = former.transforms.applied(former.first_name(table)?).names?;
            let others: Vec<String> = before.into_iter().filter(|name| !names.contains(name)).collect();
            names.extend(others);
        }
        Ok(names)
    }

    /// The topics that may have a message of the outbox, by the value of its row that it is routed by.
    ///
    /// # Errors
    /// The setting by which that cannot be told.
    pub fn message_topics(&self, value: &str) -> Result<Vec<String>, String> {
        let place = self.part.unwrap_or_else(|| self.transforms.forms().first().copied().flatten());
        let mut names = self.transforms.routed(place, value)?;
        for former in &self.former {
            let before = former.message_topics(value)?;
            let others: Vec<String> = before.into_iter().filter(|name| !names.contains(name)).collect();
            names.extend(others);
        }
        Ok(names)
    }

    /// The name of a table's topic before all transforms.
    fn first_name(&self, table: &TableName) -> Result<String, String> {
        if let Some(strategy) = &self.strategy {
            return Err(strategy.clone());
        }
        let prefix = self.prefix.as_deref().ok_or("the connector's configuration is not known")?;
        Ok(sanitised(&format!("{prefix}{0}{1}{0}{2}", self.delimiter, table.schema, table.table)))
    }

    /// The topics in which transactions begin and end; none where the connector does not write them, or where that cannot be told.
    pub fn transaction_topics(&self) -> Vec<String> {
        let (Some(prefix), Some(last)) = (&self.prefix, &self.transactions) else { return Vec::new() };
        let name = sanitised(&format!("{prefix}{}{last}", self.delimiter));
        self.transforms.applied(name).names.unwrap_or_default()
    }

    /// Whether these rules are about a table's records: where those of a connector have several forms, each has rules of its own.
    pub fn are_about(&self, table: &TableName) -> bool {
        let Some(part) = self.part else { return true };
        let shape = self.first_name(table).and_then(|name| self.transforms.applied(name).shape);
        // What cannot be told counts as what the last of them makes of it.
        shape.unwrap_or_else(|_| self.transforms.forms().last().copied().flatten()) == part
    }

    /// Which rows of a table the publication has, by the name under which they are published; `None`: all.
    pub fn published_rows(&self, table: &TableName) -> Option<PublishedRows> {
        let PublicationFacts::Known(publication) = &self.publication else { return None };
        let published = publication.tables.get(table)?;
        let reason = format!(
            "publication {} has rows of {table} only where {}",
            publication.name,
            published.row_filter.as_ref()?
        );
        // Flattened rows have no operation, or no position, to see what became of an update.
        let evaluated = self.form == Form::Envelope;
        Some(PublishedRows::of(reason, published, evaluated))
    }

    /// Whether a column's values are written as they are, else the setting that changes them.
    ///
    /// # Errors
    /// The setting that changes the values or leaves the column out.
    pub fn column(&self, table: &TableName, column: &str) -> Result<(), String> {
        self.former.iter().try_for_each(|former| former.column(table, column))?;
        if let Some(setting) = &self.values {
            return Err(setting.clone());
        }
        if let Some(setting) = self.columns.changes(table, column) {
            return Err(setting.to_owned());
        }
        if let PublicationFacts::Known(publication) = &self.publication
            && let Some(columns) = publication.tables.get(table).and_then(|published| published.columns.as_ref())
            && !columns.contains(column)
        {
            return Err(format!("the column list of publication {}", publication.name));
        }
        Ok(())
    }

    /// Whether the connector reads the changes of a table, by the name under which they are published.
    pub fn captures(&self, table: &TableName) -> bool {
        let published = match &self.publication {
            PublicationFacts::Known(publication) => publication.all_tables || publication.tables.contains_key(table),
            PublicationFacts::Unknown => true,
        };
        let listed = |rules: &Self| rules.tables.leaves_out(table).is_none();
        published && (listed(self) || self.former.iter().any(listed)) && self.are_about(table)
    }

    /// Whether each delete comes as a record of its own.
    pub fn tells_deletes(&self) -> bool {
        let before = self.former.iter().all(Self::tells_deletes);
        let published = !matches!(&self.publication, PublicationFacts::Known(publication) if !publication.deletes);
        let skipped = self.skipped.iter().any(|skipped| skipped == "d");
        before && published && self.transforms.may_drop.is_none() && self.unreadable.is_none() && !skipped
    }

    /// Whether a tombstone has to come behind each delete.
    pub fn writes_tombstones(&self) -> bool {
        self.tombstones && self.drops_tombstones().is_none()
    }

    /// The setting by which tombstones that the connector writes may not come, if there is one.
    pub fn drops_tombstones(&self) -> Option<String> {
        let setting = self.transforms.may_drop.as_ref().filter(|_| self.tombstones);
        let own = setting.map(|setting| format!("{setting} of connector {} may drop tombstones", self.connector));
        own.or_else(|| self.former.iter().find_map(Self::drops_tombstones))
    }

    /// Whether the connector itself says how values are written, and not its worker.
    pub fn has_converter(&self) -> bool {
        self.settings.contains_key("value.converter")
    }

    /// Whether the records of a table have a key that is not the table's (`message.key.columns`).
    pub fn has_own_key(&self, table: &TableName) -> bool {
        self.keys.concern(table) || self.former.iter().any(|former| former.has_own_key(table))
    }

    /// The columns of that key; `None` where they cannot be told.
    pub fn own_key_columns(&self, table: &TableName) -> Option<BTreeSet<&str>> {
        let columns = self.keys.of_table(table)?;
        let alike = |former: &Self| former.own_key_columns(table).as_ref() == Some(&columns);
        self.former.iter().all(alike).then_some(columns)
    }

    /// The setting by which the records of one row may be in several partitions, if there is one.
    pub fn scatters(&self) -> Option<&str> {
        let own = self.transforms.scatters.as_deref();
        let own = own.or_else(|| self.settings.get_key_value(settings::PARTITIONER).map(|(key, _)| key.as_str()));
        own.or_else(|| self.former.iter().find_map(Self::scatters))
    }

    /// The setting by which rows that were there before the connector may never come, if there is one.
    pub fn leaves_out_of_snapshots(&self, table: &TableName) -> Option<String> {
        let Some(setting) = self.snapshots.leaves_out(table) else {
            return self.former.iter().find_map(|former| former.leaves_out_of_snapshots(table));
        };
        Some(format!(
            "{setting} of connector {} may leave out rows that were there before it streamed; let a snapshot take them, \
             or change rows only once it streams",
            self.connector
        ))
    }

    /// Whether a row in an event has every column that is not left out.
    pub fn writes_whole_rows(&self) -> bool {
        self.prefix.is_some()
    }
}

fn strategy_is_known(config: &ConnectorConfig) -> bool {
    let class = config.get("topic.naming.strategy");
    class.is_none_or(|class| STRATEGIES.iter().any(|known| class.ends_with(known)))
}

fn unreadable<'a>(get: &dyn Fn(&str) -> Option<&'a str>) -> Option<String> {
    ["value.converter", "key.converter"].into_iter().find_map(|key| {
        let class = get(key)?;
        let readable =
            CONVERTERS.iter().any(|known| class.ends_with(known)) && !class.ends_with("CloudEventsConverter");
        let wanted = "org.apache.kafka.connect.json.JsonConverter";
        (!readable).then(|| format!("{key}={class} writes records that kscen does not read; set it to {wanted}"))
    })
}

/// A topic's name as Debezium writes it: what Kafka does not allow becomes `_`.
pub(super) fn sanitised(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
