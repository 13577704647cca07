//! The transforms of a connector: what they do to topics, to values and to the form of records.

use super::pattern::Pattern;
use crate::connect::ConnectorConfig;

/// What becomes of a delete in flattened records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    /// Nothing is sent.
    Dropped,
    /// A record without value.
    Tombstone,
    /// The row before, marked as deleted.
    Rewritten,
}

/// The form of a connector's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Debezium's envelope.
    Envelope,
    /// Flat rows (`ExtractNewRecordState`).
    Flat(Flat),
    /// Messages of an outbox table (`EventRouter`).
    Outbox(Outbox),
}

/// Flattened records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flat {
    /// Name of the transform.
    pub transform: String,
    /// What becomes of deletes.
    pub deletes: Deletes,
    /// Whether the configuration says so, and not only the default of some version.
    pub deletes_declared: bool,
    /// What the names of added fields begin with.
    pub prefix: String,
    /// The field that has the position.
    pub lsn: Option<String>,
    /// The field that has the operation.
    pub op: Option<String>,
}

/// Messages of an outbox table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// Name of the transform.
    pub transform: String,
    /// Column of the record's key.
    pub key: String,
    /// Column of the record's value.
    pub payload: String,
    /// Column by which messages are routed.
    pub route_by: String,
    /// The topic's name, with `${routedByValue}`.
    pub topic: String,
    /// The value contains more columns than the payload.
    pub envelope: bool,
}

/// What a transform does to the name of a topic.
#[derive(Clone, Debug)]
pub(super) enum TopicRoute {
    /// Another name where the pattern matches; `maybe`: only for some records.
    Replace { pattern: Pattern, replacement: String, maybe: bool },
    /// A name that cannot be told.
    Unknown(String),
}

/// All transforms together.
#[derive(Clone, Debug)]
pub(super) struct Transforms {
    pub(super) form: Form,
    pub(super) routes: Vec<TopicRoute>,
    /// Why a change may not arrive.
    pub(super) may_drop: Option<String>,
    /// Why values are not those of the database.
    pub(super) changes_values: Option<String>,
}

impl Transforms {
    pub(super) fn of(config: &ConnectorConfig) -> Self {
        let mut all = Self { form: Form::Envelope, routes: Vec::new(), may_drop: None, changes_values: None };
        let names = config.get("transforms").map(String::as_str).unwrap_or_default();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            all.add(name, &|key: &str| config.get(&format!("transforms.{name}.{key}")).map(String::as_str));
        }
        all
    }

    fn add<'a>(&mut self, name: &str, get: &dyn Fn(&str) -> Option<&'a str>) {
        let class = get("type").unwrap_or_default();
        let setting = format!("transforms.{name}.type={class}");
        let maybe = get("predicate").is_some();
        let short = class.rsplit('.').next().unwrap_or_default();
        let short = short.split('$').next().unwrap_or_default();
        match short {
            "RegexRouter" => self.routes.push(TopicRoute::Replace {
                pattern: Pattern::new(get("regex").unwrap_or_default(), false),
                replacement: get("replacement").unwrap_or_default().to_owned(),
                maybe,
            }),
            "ByLogicalTableRouter" => self.routes.push(TopicRoute::Replace {
                pattern: Pattern::new(get("topic.regex").unwrap_or_default(), false),
                replacement: get("topic.replacement").unwrap_or_default().to_owned(),
                maybe,
            }),
            "ExtractNewRecordState" => {
                self.form = Form::Flat(flat(name, get));
                if get("route.by.field").is_some_and(|field| !field.is_empty()) {
                    self.routes.push(TopicRoute::Unknown(format!("transforms.{name}.route.by.field")));
                }
            }
            "EventRouter" => self.form = Form::Outbox(outbox(name, get)),
            "Filter" => self.may_drop = Some(setting),
            // They leave topic, form and the row alone.
            "InsertField" | "SetSchemaMetadata" | "HeaderFrom" | "InsertHeader" | "DropHeaders"
            | "PartitionRouting" | "HeaderToValue" | "AddMetadataHeaders" => {}
            "ReplaceField" | "MaskField" | "Cast" | "TimestampConverter" | "TimezoneConverter" | "Flatten" => {
                self.changes_values = Some(setting);
            }
            _ => {
                self.routes.push(TopicRoute::Unknown(setting.clone()));
                self.may_drop = Some(setting.clone());
                self.changes_values = Some(setting);
            }
        }
    }
}

fn flat<'a>(name: &str, get: &dyn Fn(&str) -> Option<&'a str>) -> Flat {
    let keeps_tombstones = get("drop.tombstones") == Some("false");
    let (deletes, declared) = match (get("delete.tombstone.handling.mode"), get("delete.handling.mode")) {
        (Some("drop"), _) => (Deletes::Dropped, true),
        (Some("rewrite" | "rewrite-with-tombstone"), _) => (Deletes::Rewritten, true),
        (Some(_), _) => (Deletes::Tombstone, true),
        (None, Some("rewrite")) => (Deletes::Rewritten, true),
        (None, Some("drop")) if !keeps_tombstones => (Deletes::Dropped, true),
        (None, Some(_)) => (Deletes::Tombstone, true),
        (None, None) => (Deletes::Tombstone, keeps_tombstones),
    };
    let prefix = get("add.fields.prefix").unwrap_or("__").to_owned();
    let added: Vec<&str> = get("add.fields").unwrap_or_default().split(',').map(str::trim).collect();
    let field = |names: [&str; 2]| {
        let found = names.into_iter().find(|name| added.contains(name))?;
        Some(format!("{prefix}{}", found.replace('.', "_")))
    };
    let (lsn, op) = (field(["source.lsn", "lsn"]), field(["op", "op"]));
    Flat { transform: name.to_owned(), deletes, deletes_declared: declared, prefix, lsn, op }
}

fn outbox<'a>(name: &str, get: &dyn Fn(&str) -> Option<&'a str>) -> Outbox {
    let or = |key: &str, default: &str| get(key).unwrap_or(default).to_owned();
    let placed = get("table.fields.additional.placement").unwrap_or_default();
    Outbox {
        transform: name.to_owned(),
        key: or("table.field.event.key", "aggregateid"),
        payload: or("table.field.event.payload", "payload"),
        route_by: or("route.by.field", "aggregatetype"),
        topic: or("route.topic.replacement", "outbox.event.${routedByValue}"),
        envelope: placed.split(',').any(|placement| placement.contains(":envelope")),
    }
}
