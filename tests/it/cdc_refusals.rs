//! What Kafka Connect and PostgreSQL refuse is told in their own words.

use crate::cdc::{CLEAN, run};
use crate::program::skipped;

const REFUSED: &str = r#"
name: A connector whose configuration is refused
setup:
  - connector:
      name: "refused-${run.id}"
      debezium: { tables: [orders] }
      config:
        plugin.name: telepathy
        max.batch.size: many
steps:
  - wait: 1ms
"#;

const FAILED_TASK: &str = r#"
name: A RUNNING connector whose task is FAILED
vars: { connector: "failed-${run.id}" }
setup:
  - sql: CREATE TABLE orders (id integer PRIMARY KEY)
  - sql: SELECT pg_create_physical_replication_slot('kscen_taken')
  - connector:
      name: "${connector}"
      debezium: { tables: [orders] }
      config: { slot.name: kscen_taken, errors.max.retries: 0, slot.max.retries: 0 }
      until: accepted
steps:
  - expect:
      connector: { name: "${connector}", state: RUNNING, failed_tasks: 1 }
      within: 60s
  - expect:
      connector: { name: "${connector}", failed_tasks: 0 }
finally:
  - sql: DROP TABLE orders; SELECT pg_drop_replication_slot('kscen_taken')
"#;

const WRONG_SQL: &str = r#"
name: A statement that the server refuses
steps:
  - sql: |
      SELECT 1;
      INSERT INTO nowhere
        VALUES (1)
"#;

/// COPY writes and runs what it likes, also in a transaction that only reads.
const NO_QUERY: &str = r#"
name: A query that runs a program on the database's machine
steps:
  - expect: { sql: { query: "COPY (SELECT 1) TO PROGRAM 'cat'", count: { min: 0 } } }
"#;

const FLOOD: &str = r#"
name: A query without end
steps:
  - expect:
      sql:
        - { query: "SELECT repeat('x', 1000000) FROM generate_series(1, 1000)", rows: [] }
"#;

#[test]
fn what_connect_and_postgres_refuse_is_shown_in_their_words() {
    if skipped("what_connect_and_postgres_refuse_is_shown_in_their_words") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let scenarios = [
        ("refused.yaml", REFUSED),
        ("failed.yaml", FAILED_TASK),
        ("sql.yaml", WRONG_SQL),
        ("flood.yaml", FLOOD),
        ("program.yaml", NO_QUERY),
        ("clean.yaml", CLEAN),
    ];
    let outcome = run(folder.path(), &scenarios);
    assert_eq!(outcome.code, Some(3), "a refused configuration is the worst: {}", outcome.said);
    for expected in [
        "plugin.name: The 'plugin.name' value is invalid",
        "max.batch.size: The 'max.batch.size' value is invalid",
        "refused.yaml:8:9",
        "RUNNING, task 0 FAILED",
        "DebeziumException: Creation of replication slot failed",
        "relation \"nowhere\" does not exist (SQLSTATE 42P01)",
        "2 | INSERT INTO nowhere",
        "sql.yaml:4:",
        "the query answers more than 32 MiB",
        "this statement returns no columns",
    ] {
        assert!(outcome.said.contains(expected), "`{expected}` is missing:\n{}", outcome.said);
    }
    let clean = outcome.said.lines().any(|line| line.starts_with("PASS") && line.contains("clean.yaml"));
    assert!(clean, "{}", outcome.said);
}
