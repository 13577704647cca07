//! Random settings of a connector, among those that kscen reads.

use super::kinds::quoted;
use super::tables::{Identity, Table};
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};

/// What is done to the names of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    None,
    /// Each table has a topic of another name.
    Renamed,
    /// All tables share one.
    Joined,
}

/// What disturbs the connector between the two halves of the histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    None,
    /// The worker is killed, and started again when everything is written.
    Kill,
    /// The connector is restarted.
    Restart,
}

/// The form of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Envelope,
    /// Flattened, with position and operation.
    Flat,
    /// Flattened, the row alone.
    Bare,
}

#[derive(Debug)]
pub struct Settings {
    pub config: Map<String, Value>,
    pub route: Route,
    pub form: Form,
    pub disturbance: Disturbance,
    pub partitions: u64,
    /// The connector reads a publication that was made for it, under the names of the roots of partitions.
    pub via_root: bool,
    /// Something is said not to be judged, so that a check may be unknown.
    pub unjudged: bool,
    /// Records have keys of their own.
    pub own_keys: bool,
}

impl Settings {
    pub fn random(rng: &mut StdRng) -> Self {
        let mut config = Map::new();
        let mut maybe = |rng: &mut StdRng, key: &str, values: &[&str]| {
            let value = values.choose(rng).expect("a value");
            if !value.is_empty() {
                config.insert(key.to_owned(), json!(value));
            }
            (*value).to_owned()
        };
        maybe(rng, "decimal.handling.mode", &["", "precise", "double", "string"]);
        maybe(rng, "binary.handling.mode", &["", "bytes", "base64", "base64-url-safe", "hex"]);
        maybe(rng, "time.precision.mode", &["", "adaptive", "adaptive_time_microseconds", "connect"]);
        maybe(rng, "interval.handling.mode", &["", "numeric", "string"]);
        maybe(rng, "hstore.handling.mode", &["", "json", "map"]);
        maybe(rng, "include.unknown.datatypes", &["", "true"]);
        maybe(rng, "tombstones.on.delete", &["", "", "true", "false"]);
        maybe(rng, "unavailable.value.placeholder", &["", "", "(not there)"]);
        maybe(rng, "provide.transaction.metadata", &["", "", "", "true"]);
        maybe(rng, "heartbeat.interval.ms", &["", "", "", "300"]);
        maybe(rng, "topic.delimiter", &["", "", "", "-"]);
        for converter in ["key.converter", "value.converter"] {
            if rng.random_bool(0.3) {
                maybe(rng, converter, &["org.apache.kafka.connect.json.JsonConverter"]);
                maybe(rng, &format!("{converter}.schemas.enable"), &["true", "false"]);
            }
        }
        let skipped = maybe(rng, "skipped.operations", &["", "", "", "", "t", "none", "d", "u,t"]);
        if rng.random_bool(0.1) {
            maybe(rng, "column.mask.with.5.chars", &[".*\\.v0"]);
            maybe(rng, "column.exclude.list", &["", ".*\\.v1"]);
        }
        if rng.random_bool(0.1) {
            maybe(rng, "column.truncate.to.3.chars", &[".*\\.v0"]);
        }
        let own_keys = rng.random_bool(0.08);
        if own_keys {
            maybe(rng, "message.key.columns", &["(.*):note"]);
        }
        let form = *[Form::Envelope, Form::Envelope, Form::Envelope, Form::Envelope, Form::Flat, Form::Bare]
            .choose(rng)
            .expect("a form");
        let form = if own_keys { Form::Envelope } else { form };
        let disturbance =
            *[Disturbance::None, Disturbance::None, Disturbance::None, Disturbance::Kill, Disturbance::Restart]
                .choose(rng)
                .expect("a disturbance");
        let route =
            *[Route::None, Route::None, Route::None, Route::Renamed, Route::Joined].choose(rng).expect("a route");
        Self {
            config,
            route: if form == Form::Envelope { route } else { Route::None },
            form,
            disturbance,
            partitions: *[1, 1, 3].choose(rng).expect("a number"),
            via_root: rng.random_bool(0.25),
            unjudged: skipped.starts_with('u'),
            own_keys,
        }
    }

    /// The configuration of a connector whose topics begin with `prefix`.
    pub fn configuration(&self, rng: &mut StdRng, prefix: &str) -> Map<String, Value> {
        let mut config = self.config.clone();
        let mut set = |key: &str, value: &str| config.insert(key.to_owned(), json!(value));
        if self.via_root {
            set("publication.name", prefix);
            set("publication.autocreate.mode", "disabled");
        }
        match self.route {
            Route::None => {}
            Route::Renamed => {
                set("transforms", "route");
                set("transforms.route.type", "org.apache.kafka.connect.transforms.RegexRouter");
                set("transforms.route.regex", &format!("{prefix}[.-](.*)"));
                set("transforms.route.replacement", "routed-$1");
            }
            Route::Joined => {
                set("transforms", "join");
                set("transforms.join.type", "io.debezium.transforms.ByLogicalTableRouter");
                set("transforms.join.topic.regex", &format!("{prefix}[.-].*"));
                set("transforms.join.topic.replacement", &format!("{prefix}-all"));
            }
        }
        if self.form != Form::Envelope {
            set("transforms", "flat");
            set("transforms.flat.type", "io.debezium.transforms.ExtractNewRecordState");
            let deletes = ["tombstone", "rewrite", "drop", "rewrite-with-tombstone"];
            set("transforms.flat.delete.tombstone.handling.mode", deletes.choose(rng).expect("a mode"));
            if self.form == Form::Flat {
                set("transforms.flat.add.fields", "op,source.lsn");
            }
        }
        config
    }

    /// The topic of a table.
    pub fn topic(&self, prefix: &str, table: &Table) -> String {
        let delimiter = self.config.get("topic.delimiter").and_then(Value::as_str).unwrap_or(".");
        let name = format!("{prefix}{delimiter}{}{delimiter}{}", table.schema, table.name);
        let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
        let name: String = name.chars().map(allowed).collect();
        match self.route {
            Route::None => name,
            Route::Renamed => format!("routed-{}", &name[prefix.len() + delimiter.len()..]),
            Route::Joined => format!("{prefix}-all"),
        }
    }

    /// The topic in which transactions begin and end, where the connector writes one of its own.
    pub fn transactions(&self, prefix: &str) -> Option<String> {
        let told = self.config.get("provide.transaction.metadata").is_some_and(|value| value == "true");
        let delimiter = self.config.get("topic.delimiter").and_then(Value::as_str).unwrap_or(".");
        match self.route {
            Route::None => Some(format!("{prefix}{delimiter}transaction")),
            Route::Renamed => Some("routed-transaction".to_owned()),
            Route::Joined => None,
        }
        .filter(|_| told && self.form == Form::Envelope)
    }

    /// The publication that the connector reads, where it does not make its own.
    pub fn publication(&self, name: &str, tables: &[&Table]) -> String {
        let tables: Vec<String> = tables.iter().map(|table| table.quoted()).collect();
        format!(
            "CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true);\n",
            quoted(name),
            tables.join(", ")
        )
    }

    /// Whether what is wrong with a record of that table can be named by its position.
    pub fn names(&self, table: &Table) -> bool {
        // Of flattened rows without position, and of rows with a key of their own, kscen names the row and not the record.
        self.form != Form::Bare && !self.own_keys && table.identity != Identity::Nothing
    }
}
