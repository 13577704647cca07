//! A ready-made configuration of Debezium's PostgreSQL connector.

use crate::connect::ConnectorConfig;
use crate::database::{Database, TableName};

/// What a run knows about the connector it wants.
#[derive(Clone, Debug)]
pub struct PostgresConnector<'a> {
    /// The database as kscen reaches it: user, password and name are taken from here.
    pub database: &'a Database,
    /// `host:port` under which *Connect* reaches the database, where it differs (containers).
    pub reached_as: Option<&'a str>,
    /// Name of slot and publication: carries the run's id so that clean-up finds it; see [`safe_name`].
    pub slot: &'a str,
    /// First part of the topics' names, `PREFIX.SCHEMA.TABLE`.
    pub topic_prefix: &'a str,
    /// Tables to capture; none: what the connector's own default captures.
    pub tables: &'a [TableName],
}

/// Builds the configuration; what `user` sets wins. Everything that shapes the messages (decimal, time and binary modes, tombstones,
/// converters) is left as Debezium and the worker have it.
pub fn postgres_config(wanted: &PostgresConnector<'_>, user: &ConnectorConfig) -> ConnectorConfig {
    let database = wanted.database;
    let (host, port) = match wanted.reached_as.and_then(|address| address.rsplit_once(':')) {
        Some((host, port)) => (host.to_owned(), port.to_owned()),
        None => (database.host(), database.port().to_string()),
    };
    let mut config: ConnectorConfig = [
        ("connector.class", "io.debezium.connector.postgresql.PostgresConnector".to_owned()),
        ("tasks.max", "1".to_owned()),
        ("plugin.name", "pgoutput".to_owned()),
        ("database.hostname", host),
        ("database.port", port),
        ("database.user", database.user().to_owned()),
        // Debezium refuses an empty password even where the server asks for none.
        ("database.password", database.password().unwrap_or_else(|| "unused".to_owned())),
        ("database.dbname", database.name().to_owned()),
        ("topic.prefix", wanted.topic_prefix.to_owned()),
        ("slot.name", wanted.slot.to_owned()),
        ("publication.name", wanted.slot.to_owned()),
        // The default, all_tables, needs a superuser and makes updates of tables without key fail.
        ("publication.autocreate.mode", "filtered".to_owned()),
        ("snapshot.mode", "initial".to_owned()),
    ]
    .into_iter()
    .map(|(property, value)| (property.to_owned(), value))
    .collect();
    if !wanted.tables.is_empty() {
        let list: Vec<String> = wanted.tables.iter().map(|table| escaped(&table.to_string())).collect();
        config.insert("table.include.list".to_owned(), list.join(","));
    }
    config.extend(user.iter().map(|(property, value)| (property.clone(), value.clone())));
    config
}

/// The longest name of a slot, in characters.
const LONGEST: usize = 63;

/// A name that PostgreSQL takes for a slot: lower case letters, digits and `_`, at most 63 characters. Longer texts that differ anywhere
/// have different names.
pub fn safe_name(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = text.chars().map(allowed).collect();
    if name.len() > LONGEST { marked_name(&name, text) } else { name }
}

/// The name with a mark of `text`, so that it differs from the names of other texts.
pub fn marked_name(name: &str, text: &str) -> String {
    let mark = format!("_{:08x}", crc32fast::hash(text.as_bytes()));
    let head: String = name.chars().take(LONGEST - mark.len()).collect();
    format!("{head}{mark}")
}

/// The topic of a table's changes, as Debezium names it.
pub fn topic_name(prefix: &str, table: &TableName) -> String {
    super::rules::sanitised(&format!("{prefix}.{table}"))
}

/// The list holds regular expressions, and a dot in them is any character.
fn escaped(name: &str) -> String {
    name.chars().fold(String::new(), |mut out, c| {
        if !c.is_alphanumeric() && c != '_' {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_settings_win_and_the_container_address_is_used() {
        let database = Database::from_url("postgres://app:pw@127.0.0.1:6543/shop").unwrap();
        let tables = [TableName::parse("orders"), TableName::parse("sales.order-items")];
        let wanted = PostgresConnector {
            database: &database,
            reached_as: Some("postgres:5432"),
            slot: "kscen_7",
            topic_prefix: "cdc",
            tables: &tables,
        };
        let user = ConnectorConfig::from([("snapshot.mode".to_owned(), "never".to_owned())]);
        let config = postgres_config(&wanted, &user);
        assert_eq!(config["snapshot.mode"], "never");
        assert_eq!((config["database.hostname"].as_str(), config["database.port"].as_str()), ("postgres", "5432"));
        assert_eq!(config["table.include.list"], "public\\.orders,sales\\.order\\-items");
        assert_eq!(safe_name("Run-7a.B"), "run_7a_b");
        let long = "customer-platform-change-data-capture-orders-20260101-abcdef-primary";
        let [a, b] = [safe_name(&format!("{long}-a")), safe_name(&format!("{long}-b"))];
        assert!(a != b && a.len() == 63 && b.len() == 63, "{a} {b}");
        assert_ne!(marked_name("a_b", "a-b"), marked_name("a_b", "a.b"));
        assert_eq!(topic_name("cdc", &TableName::parse("public.Order Lines")), "cdc.public.Order_Lines");
    }
}
