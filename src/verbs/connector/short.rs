//! `debezium:` of `connector`: the short form.

use super::{CREDENTIALS, sink};
use crate::connect::{ConnectorConfig, config_from_json};
use crate::database::TableName;
use crate::debezium::{PostgresConnector, marked_name, postgres_config, safe_name, topic_name};
use crate::scenario::units::Count;
use crate::text::Problem;
use crate::verb::{CheckContext, StepContext, StepError};
use crate::verbs::topic::WantedTopic;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Debezium's connector for the environment's PostgreSQL. Address, slot, publication and the like are filled in; what `config` sets wins.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Debezium {
    /// Tables to capture, `schema.table`; a table alone is in `public`.
    pub tables: Vec<String>,
    /// First part of the topics' names, `PREFIX.SCHEMA.TABLE`; the connector's name where absent.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Partitions of each table's topic, which is made before the connector so that readers find it; 1 by default.
    #[serde(default)]
    pub partitions: Option<Count>,
    /// Messages carry their schemas, which a JDBC sink needs; `false` by default, as the worker has it.
    #[serde(default)]
    pub schemas: bool,
}

/// Properties with which Debezium runs statements that the scenario gives it, or writes into a table of the database.
const STATEMENTS: [&str; 3] = ["heartbeat.action.query", "database.initial.statements", "signal.data.collection"];
/// Properties that begin so hold the statements by which a snapshot reads tables: functions in them may do anything.
const SELECTS: &str = "snapshot.select.statement.overrides";

impl Debezium {
    /// Whether the connector, as its `config` has it, runs more in the database than Debezium does by itself, with the environment's
    /// credentials. Of another class nobody knows.
    pub(super) fn runs_sql(&self, config: &Map<String, Value>) -> bool {
        let Ok(config) = config_from_json(config) else { return true };
        let is_postgres =
            config.get("connector.class").is_none_or(|class| class.trim().ends_with(".PostgresConnector"));
        let runs = config.keys().any(|name| STATEMENTS.contains(&name.as_str()) || name.starts_with(SELECTS));
        !config.contains_key(CREDENTIALS[1]) && (runs || !is_postgres)
    }

    pub(super) fn check(&self, cx: &mut CheckContext<'_>) {
        if self.tables.is_empty() {
            cx.report("/debezium/tables", Problem::new("no-tables", "`debezium` needs at least one table to capture"));
        }
        for (index, table) in self.tables.iter().enumerate() {
            if table.split('.').count() > 2 || table.split('.').any(str::is_empty) {
                cx.report(
                    &format!("/debezium/tables/{index}"),
                    Problem::new("bad-table", format!("`{table}` is not the name of a table"))
                        .help("write `table` or `schema.table`"),
                );
            }
        }
    }

    fn tables(&self) -> Vec<TableName> {
        self.tables.iter().map(|table| TableName::parse(table)).collect()
    }

    /// The configuration, with `user`'s settings over the defaults.
    pub(super) fn config(
        &self,
        name: &str,
        user: &ConnectorConfig,
        cx: &StepContext,
    ) -> Result<ConnectorConfig, StepError> {
        let database = cx.run.database()?;
        // The slot carries the run's id, so that what a killed run leaves behind can be told apart.
        let run = cx.run.id();
        let wanted = if name.contains(run) { safe_name(name) } else { safe_name(&format!("kscen_{run}_{name}")) };
        // Two connectors whose names differ only in what a slot's name does not allow have a slot each.
        let captures = cx.run.changes.captures();
        let taken = captures.iter().any(|(other, capture)| other != name && capture.slot == wanted);
        let slot = if taken { marked_name(&wanted, name) } else { wanted };
        let mut with_schemas: ConnectorConfig =
            if self.schemas { sink::with_schemas().into() } else { Default::default() };
        with_schemas.extend(user.iter().map(|(key, value)| (key.clone(), value.clone())));
        Ok(postgres_config(
            &PostgresConnector {
                database: &database,
                reached_as: cx.run.endpoints.postgres_from_connect.as_deref(),
                slot: &slot,
                topic_prefix: self.prefix.as_deref().unwrap_or(name),
                tables: &self.tables(),
            },
            &with_schemas,
        ))
    }

    /// The tables' topics, by name.
    pub(super) fn made(&self, connector: &str, config: &Map<String, Value>) -> Vec<String> {
        let config = config_from_json(config).unwrap_or_default();
        let prefix = config.get("topic.prefix").map(String::as_str).or(self.prefix.as_deref()).unwrap_or(connector);
        self.tables().iter().map(|table| topic_name(prefix, table)).collect()
    }

    /// Makes the tables' topics where they do not exist, to be deleted with the run.
    pub(super) async fn topics(&self, prefix: &str, cx: &StepContext) -> Result<(), StepError> {
        let admin = cx.admin()?;
        let broken =
            |error: crate::kafka::KafkaFailure| StepError::broken("create-topic", error.to_string()).because(error);
        let partitions = self.partitions.map_or(1, |count| i32::try_from(count.0).unwrap_or(i32::MAX));
        for table in self.tables() {
            let topic = topic_name(prefix, &table);
            if admin.topic(&topic).await.map_err(broken)?.is_some() {
                continue;
            }
            let config = BTreeMap::new();
            WantedTopic { name: &topic, partitions, replication: -1, config: &config, keep: false }.make(cx).await?;
        }
        Ok(())
    }
}
