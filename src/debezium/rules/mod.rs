//! What a connector delivers, by its effective configuration and its publication.
//!
//! The database knows what was committed; what of that has to arrive, where, and in which form, is the connector's configuration. What it
//! was told to leave out is not lost, and what is not understood here is not judged: neither is ever passed over in silence.

mod condition;
mod condition_tokens;
mod filters;
mod pattern;
mod row_filter;
mod settings;
mod snapshots;
mod source;
mod transforms;

pub use row_filter::{PublishedRows, Publishing, published_as};
pub use source::RulesSource;
pub use transforms::{Deletes, Flat, Form, Outbox};

use super::value::Modes;
use crate::connect::ConnectorConfig;
use crate::database::{Publication, Relation, RowOp, TableName};
use filters::{ColumnFilter, KeyColumns, TableFilter};
use serde::{Deserialize, Serialize};
use snapshots::SnapshotFilter;
use transforms::{TopicRoute, Transforms};

/// What has to become of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It has to arrive.
    Owed,
    /// It may arrive: what decides is named, and not evaluated here.
    Perhaps(String),
    /// It does not arrive, because the connector is told so.
    Excused(String),
    /// It cannot arrive by what is configured, although somebody waits for it: the setting, and what to change.
    Barred(String),
}

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
    /// It follows each delete with a tombstone.
    pub tombstones: bool,
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
        let skipped = get("skipped.operations").unwrap_or("t");
        let strategy =
            get("topic.naming.strategy").filter(|class| !STRATEGIES.iter().any(|known| class.ends_with(known)));
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
            tombstones: get("tombstones.on.delete") != Some("false"),
            modes,
            unreadable: unreadable(&get),
            tables: TableFilter::of(config),
            columns: ColumnFilter::of(config),
            keys: KeyColumns::of(config),
            snapshots: SnapshotFilter::of(config),
            skipped: skipped.split(',').map(|op| op.trim().to_owned()).collect(),
            skips_unchanged: get("skip.messages.without.change") == Some("true"),
            transforms,
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
        &self.transforms.form
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
        if let Some(strategy) = &self.strategy {
            return Err(strategy.clone());
        }
        let prefix = self.prefix.as_deref().ok_or("the connector's configuration is not known")?;
        self.routed(&format!("{prefix}{0}{1}{0}{2}", self.delimiter, table.schema, table.table))
    }

    /// The topics in which transactions begin and end; none where the connector does not write them, or where that cannot be told.
    pub fn transaction_topics(&self) -> Vec<String> {
        let (Some(prefix), Some(last)) = (&self.prefix, &self.transactions) else { return Vec::new() };
        self.routed(&format!("{prefix}{}{last}", self.delimiter)).unwrap_or_default()
    }

    /// The names that the transforms may give to a topic.
    fn routed(&self, name: &str) -> Result<Vec<String>, String> {
        let mut names = vec![sanitised(name)];
        for route in &self.transforms.routes {
            match route {
                TopicRoute::Unknown(setting) => return Err(setting.clone()),
                TopicRoute::Replace { pattern, replacement, maybe } => {
                    let mut next = Vec::new();
                    for name in names {
                        match pattern.replace(&name, replacement) {
                            Some(Some(replaced)) => {
                                next.push(replaced);
                                if *maybe {
                                    next.push(name);
                                }
                            }
                            Some(None) => next.push(name),
                            None => return Err(format!("the pattern `{}`", pattern.source())),
                        }
                    }
                    names = next;
                }
            }
        }
        Ok(names)
    }

    /// What has to become of a change of that kind to a table whose changes somebody waits for.
    pub fn duty(&self, relation: &Relation, op: RowOp) -> Duty {
        let table = self.published_as(relation);
        if let Some(list) = self.tables.leaves_out(table) {
            let parts = if table == &relation.name && !relation.ancestors.is_empty() {
                ", or publish the partitions under the name of their root (publish_via_partition_root)"
            } else {
                ""
            };
            return Duty::Barred(format!(
                "{list} of connector {} leaves {table} out; add it there{parts}",
                self.connector
            ));
        }
        let letter = letter(op);
        if self.skipped.iter().any(|skipped| skipped == letter) {
            let setting = format!("skipped.operations={} of connector {}", self.skipped.join(","), self.connector);
            // Whoever keeps what was deleted may skip deletes. Whoever never hears of a row, or of its new values, does not have the data.
            return match op {
                RowOp::Delete | RowOp::Truncate => Duty::Excused(setting),
                RowOp::Insert | RowOp::Update => {
                    Duty::Barred(format!("{setting} drops what the check waits for; take `{letter}` out of it"))
                }
            };
        }
        if let Some(barred) = self.unpublished(table, op) {
            return Duty::Barred(barred);
        }
        if let Form::Flat(flat) = self.form()
            && let Some(duty) = self.flattened(flat, relation, op)
        {
            return duty;
        }
        if matches!(self.form(), Form::Outbox(_)) && op != RowOp::Insert {
            return Duty::Excused(format!("the outbox of connector {} sends inserts only", self.connector));
        }
        self.perhaps(op)
    }

    /// What a flattened record cannot say.
    fn flattened(&self, flat: &Flat, relation: &Relation, op: RowOp) -> Option<Duty> {
        let setting = format!("transforms.{} of connector {}", flat.transform, self.connector);
        match (op, flat.deletes, flat.deletes_declared) {
            (RowOp::Truncate, ..) => Some(Duty::Excused(format!("{setting} drops truncations"))),
            (RowOp::Insert | RowOp::Update, ..) => None,
            (RowOp::Delete, Deletes::Dropped, _) => Some(Duty::Excused(format!("{setting} drops deletes"))),
            (RowOp::Delete, _, false) => Some(Duty::Perhaps(format!(
                "{setting}: set delete.tombstone.handling.mode to say what becomes of deletes"
            ))),
            (RowOp::Delete, Deletes::Tombstone, _) if !self.tombstones => {
                Some(Duty::Excused(format!("tombstones.on.delete=false with {setting}")))
            }
            (RowOp::Delete, Deletes::Tombstone, _) if !relation.has_key() => Some(Duty::Perhaps(format!(
                "{setting}: the tombstone of a row without key does not say which; \
                 set delete.tombstone.handling.mode to rewrite"
            ))),
            (RowOp::Delete, ..) => None,
        }
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
        let evaluated = *self.form() == Form::Envelope;
        Some(PublishedRows::of(reason, published, evaluated))
    }

    fn perhaps(&self, op: RowOp) -> Duty {
        if let Some(setting) = &self.transforms.may_drop {
            return Duty::Perhaps(format!("{setting} of connector {} may drop records", self.connector));
        }
        if self.skips_unchanged && op == RowOp::Update {
            return Duty::Perhaps(format!("skip.messages.without.change of connector {}", self.connector));
        }
        Duty::Owed
    }

    fn unpublished(&self, table: &TableName, op: RowOp) -> Option<String> {
        let PublicationFacts::Known(publication) = &self.publication else { return None };
        let name = &publication.name;
        if !publication.all_tables && !publication.tables.contains_key(table) {
            return Some(format!(
                "publication {name} does not have {table}; add it with ALTER PUBLICATION {name} ADD TABLE"
            ));
        }
        let (published, word) = match op {
            RowOp::Insert => (publication.inserts, "inserts"),
            RowOp::Update => (publication.updates, "updates"),
            RowOp::Delete => (publication.deletes, "deletes"),
            RowOp::Truncate => (publication.truncates, "truncations"),
        };
        (!published).then(|| format!("publication {name} does not publish {word}; set its option `publish`"))
    }

    /// Whether a column's values are written as they are, else the setting that changes them.
    ///
    /// # Errors
    /// The setting that changes the values or leaves the column out.
    pub fn column(&self, table: &TableName, column: &str) -> Result<(), String> {
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
        published && self.tables.leaves_out(table).is_none()
    }

    /// Whether each delete comes as a record of its own.
    pub fn tells_deletes(&self) -> bool {
        let published = !matches!(&self.publication, PublicationFacts::Known(publication) if !publication.deletes);
        published && self.transforms.may_drop.is_none() && !self.skipped.iter().any(|skipped| skipped == "d")
    }

    /// Whether the records of a table have a key that is not the table's (`message.key.columns`).
    pub fn has_own_key(&self, table: &TableName) -> bool {
        self.keys.concern(table)
    }

    /// The setting by which rows that were there before the connector may never come, if there is one.
    pub fn leaves_out_of_snapshots(&self, table: &TableName) -> Option<String> {
        let setting = self.snapshots.leaves_out(table)?;
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

fn letter(op: RowOp) -> &'static str {
    match op {
        RowOp::Insert => "c",
        RowOp::Update => "u",
        RowOp::Delete => "d",
        RowOp::Truncate => "t",
    }
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
