//! `sink:` of `connector`: the short form.

use crate::connect::ConnectorConfig;
use crate::text::Problem;
use crate::verb::{CheckContext, StepContext, StepError};
use schemars::JsonSchema;
use serde::Deserialize;

/// Debezium's JDBC sink connector into a table of the environment's PostgreSQL server. Address, credentials, keys, deletes and converters
/// with schemas are filled in; what `config` sets wins. The topics have to be written with schemas, as `debezium: { schemas: true }` does.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JdbcSink {
    /// The topics whose messages it takes.
    pub topics: Vec<String>,
    /// The table, `schema.table`; `${topic}` in it is the topic's name. The connector makes it where it does not exist.
    pub table: String,
    /// Its database on the server; the environment's own where absent.
    #[serde(default)]
    pub database: Option<String>,
}

/// The class of the connector.
pub(super) const CLASS: &str = "io.debezium.connector.jdbc.JdbcSinkConnector";
/// The converter that both ends agree about.
const CONVERTER: &str = "org.apache.kafka.connect.json.JsonConverter";

/// The converters of a connector that writes, or reads, messages with their schemas.
pub(super) fn with_schemas() -> [(String, String); 4] {
    let own = |part: &str, of: &str, value: &str| (format!("{part}.converter{of}"), value.to_owned());
    [
        own("key", "", CONVERTER),
        own("key", ".schemas.enable", "true"),
        own("value", "", CONVERTER),
        own("value", ".schemas.enable", "true"),
    ]
}

impl JdbcSink {
    pub(super) fn check(&self, cx: &mut CheckContext<'_>) {
        if self.topics.is_empty() {
            cx.report(
                "/sink/topics",
                Problem::new("no-topics", "`sink` needs at least one topic to take messages from"),
            );
        }
        if self.table.is_empty() {
            cx.report("/sink/table", Problem::new("bad-table", "`sink` needs the name of a table"));
        }
    }

    pub(super) fn describe(&self) -> String {
        format!("{} into table {}", self.topics.join(", "), self.table)
    }

    /// The configuration, with `user`'s settings over the defaults.
    pub(super) fn config(&self, user: &ConnectorConfig, cx: &StepContext) -> Result<ConnectorConfig, StepError> {
        let database = cx.run.database()?;
        let own = format!("{}:{}", database.host(), database.port());
        let address = cx.run.endpoints.postgres_from_connect.as_deref().unwrap_or(&own);
        let name = self.database.as_deref().unwrap_or(database.name());
        let pairs = [
            ("connector.class", CLASS.to_owned()),
            ("tasks.max", "1".to_owned()),
            ("topics", self.topics.join(",")),
            ("connection.url", format!("jdbc:postgresql://{address}/{name}")),
            ("connection.username", database.user().to_owned()),
            // The driver refuses an empty password even where the server asks for none.
            ("connection.password", database.password().unwrap_or_else(|| "unused".to_owned())),
            ("insert.mode", "upsert".to_owned()),
            ("primary.key.mode", "record_key".to_owned()),
            ("delete.enabled", "true".to_owned()),
            ("schema.evolution", "basic".to_owned()),
            // The one is the name since Debezium 3, the other the one before.
            ("collection.name.format", self.table.clone()),
            ("table.name.format", self.table.clone()),
        ];
        let mut config: ConnectorConfig = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        config.extend(with_schemas());
        config.extend(user.iter().map(|(key, value)| (key.clone(), value.clone())));
        Ok(config)
    }
}
