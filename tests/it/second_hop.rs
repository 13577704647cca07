//! A second hop, whole transactions and publications with filters on the local stack: a real PostgreSQL, Kafka Connect, Debezium and its
//! JDBC sink.

use crate::program::{Project, skipped};

/// From a table through topics into a table of another database.
const WAREHOUSE: &str = r#"
name: A second hop, row for row
guarantee: at-least-once
vars: { source: "source-${run.id}" }
setup:
  - sql: CREATE DATABASE warehouse
  - sql: |
      CREATE TYPE mood AS ENUM ('calm', 'wild');
      CREATE TABLE parts (
        id bigint PRIMARY KEY, "Name" text, price numeric(12,3), made timestamptz, day date, at time, seen timestamp(3), raw bytea,
        doc jsonb, flag boolean, small smallint, ratio double precision, short real, ident uuid, word varchar(20), feel mood
      )
  - connector: { name: "${source}", debezium: { tables: [parts], schemas: true }, until: streaming }
  - connector:
      name: "sink-${run.id}"
      sink: { topics: ["${source}.public.parts"], table: goods, database: warehouse }
steps:
  - id: rows
    sql: |
      INSERT INTO parts SELECT n, 'part ' || n, n * 1.005, now(), date '2026-01-01' + n, time '10:00' + n * interval '1 s',
          timestamp '2026-01-01' + n * interval '1 ms', decode(lpad(to_hex(n), 8, '0'), 'hex'), json_build_object('n', n, 'x', 1.50)::jsonb, n % 2 = 0,
          n, n / 3.0, n / 7.0, gen_random_uuid(), 'w' || n, CASE WHEN n % 3 = 0 THEN 'wild' ELSE 'calm' END::mood
        FROM generate_series(1, 200) n;
      UPDATE parts SET "Name" = NULL, price = 0 WHERE id % 7 = 0;
      UPDATE parts SET id = id + 1000 WHERE id % 50 = 0;
      DELETE FROM parts WHERE id % 11 = 0
  - expect:
      delivery: { from: rows, to: { table: goods, of: parts, database: warehouse }, lost: 0, corrupted: 0, phantom: 0, inserts: { min: 100 } }
      within: 180s
finally:
  - sql: DROP TABLE parts; DROP TYPE mood
  - sql: DROP DATABASE warehouse WITH (FORCE)
"#;

/// A copy in the same database, with which somebody meddles.
const MEDDLED: &str = r#"
name: A copy that somebody changes
guarantee: at-least-once
vars: { source: "meddled-${run.id}" }
setup:
  - sql: CREATE TABLE parts (id integer PRIMARY KEY, name text); INSERT INTO parts VALUES (900, 'of before')
  - connector: { name: "${source}", debezium: { tables: [parts], schemas: true }, until: streaming }
  - connector:
      name: "copy-${run.id}"
      sink: { topics: ["${source}.public.parts"], table: copies }
steps:
  - id: rows
    sql: INSERT INTO parts SELECT n, 'part ' || n FROM generate_series(1, 20) n; DELETE FROM parts WHERE id = 13
  # Twenty rows are there for a moment before the last one has come and row 13 has gone, too.
  - expect:
      sql: { query: "SELECT count(*) FROM copies WHERE NOT EXISTS (SELECT FROM copies WHERE id = 13)", value: 20 }
      within: 180s
  - sql: |
      DELETE FROM copies WHERE id = 3;
      UPDATE copies SET name = 'another' WHERE id = 4;
      INSERT INTO copies VALUES (77, 'invented'), (13, 'part 13')
  - expect:
      delivery: { from: rows, to: { table: copies, of: parts } }
      within: 120s
finally:
  - sql: DROP TABLE parts; DROP TABLE copies
"#;

/// A sink that stands still.
const STOPPED: &str = r#"
name: A sink that has stopped proves nothing
guarantee: at-least-once
vars: { source: "stopped-${run.id}" }
setup:
  - sql: CREATE TABLE parts (id integer PRIMARY KEY, name text); CREATE TABLE copies (id integer PRIMARY KEY, name text)
  - connector: { name: "${source}", debezium: { tables: [parts], schemas: true }, until: streaming }
  - connector:
      name: "halted-${run.id}"
      sink: { topics: ["${source}.public.parts"], table: copies }
  - stop: { connector: "halted-${run.id}" }
steps:
  - id: rows
    sql: INSERT INTO parts SELECT n, 'part ' || n FROM generate_series(1, 5) n
  # What stands still is the sink, and not the connector before it.
  - consume: { topic: "${source}.public.parts", decode: debezium, until: { count: 5 } }
  - expect:
      delivery: { from: rows, to: { table: copies, of: parts } }
      within: 1s
finally:
  - sql: DROP TABLE parts; DROP TABLE copies
"#;

#[test]
fn what_comes_into_a_second_table_is_judged_row_for_row() {
    if skipped("what_comes_into_a_second_table_is_judged_row_for_row") {
        return;
    }
    // The sink connector beside Debezium.
    let project = Project::with("timeouts: fast, sink: 3.0.7.Final");
    project.write("warehouse.yaml", WAREHOUSE);
    project.write("meddled.yaml", MEDDLED);
    project.write("stopped.yaml", STOPPED);
    let finished = project.run(&["run", "warehouse.yaml", "meddled.yaml", "stopped.yaml"]);
    let said = format!("{}{}", finished.out, finished.err);
    assert_eq!(finished.code, 1, "{said}");
    assert!(finished.ended("PASS", "warehouse"), "{said}");
    for expected in [
        "delivery.lost: expected 0, observed 2",
        "lost: public.parts id=3, insert",
        "the table has no such row",
        "lost: public.parts id=13, delete",
        "the table still has the row",
        "delivery.corrupted: expected 0, observed 1",
        "wrong content: public.parts id=4, insert",
        "\"another\" in the table",
        "delivery.phantom: expected 0, observed 1",
        "phantom: public.copies 77",
        "5 changes have not come into table public.copies: connector halted-",
    ] {
        assert!(said.contains(expected), "`{expected}` is missing:\n{said}");
    }
}

/// Two connectors on one table, one of which tells of whole transactions.
const TRANSACTIONS: &str = r#"
name: Whole transactions, and two connectors on one table
guarantee: at-least-once
vars: { one: "one-${run.id}", two: "two-${run.id}" }
setup:
  - sql: CREATE TABLE orders (id integer PRIMARY KEY, item text); CREATE TABLE lines (id integer PRIMARY KEY, item text)
  - topic: "${one}.transaction"
  - connector:
      name: "${one}"
      debezium: { tables: [orders, lines] }
      config: { provide.transaction.metadata: true }
      until: streaming
  - connector: { name: "${two}", debezium: { tables: [orders] }, until: streaming }
steps:
  - id: orders
    background: true
    consume: { topic: "${one}.public.orders", decode: debezium }
  - id: lines
    background: true
    consume: { topic: "${one}.public.lines", decode: debezium }
  - id: ends
    background: true
    consume: { topic: "${one}.transaction", decode: debezium }
  - id: again
    background: true
    consume: { topic: "${two}.public.orders", decode: debezium }
  - id: rows
    sql:
      statement: |
        INSERT INTO orders VALUES ($1::int, 'a');
        INSERT INTO lines VALUES ($1::int, 'b');
        UPDATE orders SET item = 'c' WHERE id = $1::int
      params: ["{{sequence}}"]
      count: 50
  - expect:
      delivery:
        - from: rows
          to: [orders, lines, ends]
          whole_transactions: 50
          torn_transactions: 0
          reordered_transactions: 0
        - { from: rows, to: [orders, again], inserts: 100, updates: 100 }
      within: 60s
finally:
  - sql: DROP TABLE orders; DROP TABLE lines
"#;

/// A connector that is gone, and one that goes on with its prefix.
const HEIR: &str = r#"
name: A connector that takes the place of another one
guarantee: at-least-once
setup:
  - sql: CREATE TABLE orders (id integer PRIMARY KEY, item text)
  - connector: { name: "z-${run.id}", debezium: { tables: [orders], prefix: heir }, until: streaming }
steps:
  - id: reader
    background: true
    consume: { topic: heir.public.orders, decode: debezium }
  - id: before
    sql: INSERT INTO orders SELECT n, 'x' FROM generate_series(1, 10) n
  - wait: { step: reader, count: 10 }
  - delete: { connector: "z-${run.id}" }
  - connector: { name: "a-${run.id}", debezium: { tables: [orders], prefix: heir }, until: streaming }
  - id: after
    sql: UPDATE orders SET item = 'y'
  - expect:
      delivery: { from: [before, after], to: reader, inserts: 10, updates: 10, torn_transactions: 0 }
      within: 60s
finally:
  - sql: DROP TABLE orders
"#;

/// A publication with a row filter: what it leaves out is excused, and an update that brings a row in, or takes it out, comes as an insert or
/// a delete.
const FILTERED: &str = r#"
name: The row filter of a publication is evaluated
guarantee: at-least-once
vars: { source: "filtered-${run.id}" }
setup:
  - sql: |
      CREATE TABLE visits (id integer PRIMARY KEY, region text NOT NULL, pieces integer);
      ALTER TABLE visits REPLICA IDENTITY FULL;
      CREATE PUBLICATION european FOR TABLE visits WHERE (region = 'EU' AND pieces % 2 = 0)
  - connector:
      name: "${source}"
      debezium: { tables: [visits] }
      config: { publication.name: european, publication.autocreate.mode: disabled }
      until: streaming
steps:
  - id: reader
    background: true
    consume: { topic: "${source}.public.visits", decode: debezium }
  - id: rows
    sql: |
      INSERT INTO visits SELECT n, CASE WHEN n % 3 = 0 THEN 'US' ELSE 'EU' END, n FROM generate_series(1, 60) n;
      UPDATE visits SET region = 'EU' WHERE id % 10 = 0;
      UPDATE visits SET region = 'US' WHERE id % 4 = 0;
      UPDATE visits SET pieces = pieces + 1 WHERE id % 7 = 0;
      UPDATE visits SET id = id + 100 WHERE id % 11 = 0;
      DELETE FROM visits WHERE id % 5 = 0
  - expect:
      delivery: { from: rows, to: reader, lost: 0, corrupted: 0, phantom: 0, excused: { min: 40 }, updates: { min: 5 } }
      within: 120s
finally:
  - sql: DROP TABLE visits; DROP PUBLICATION european
"#;

/// A slot that was made for a snapshot which is not read yet.
const SNAPSHOT: &str = r#"
name: A slot that nobody reads yet proves no loss
guarantee: at-least-once
vars: { source: "later-${run.id}" }
setup:
  - sql: CREATE TABLE stays (id integer PRIMARY KEY)
steps:
  - id: rows
    sql: INSERT INTO stays SELECT n FROM generate_series(1, 5) n
  - connector: { name: "${source}", debezium: { tables: [stays] }, config: { snapshot.delay.ms: 5000 } }
  - id: reader
    background: true
    consume: { topic: "${source}.public.stays", decode: debezium }
  - expect:
      sql: { query: "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%later%' AND NOT active AND confirmed_flush_lsn IS NOT NULL", value: 1 }
      within: 60s
  - expect:
      delivery: { from: rows, to: reader, lost: 0 }
      within: 500ms
    on_failure: continue
  - expect:
      delivery: { from: rows, to: reader, lost: 0, covered_by_snapshot: 5 }
      within: 120s
finally:
  - sql: DROP TABLE stays
"#;

#[test]
fn whole_transactions_several_connectors_filters_and_snapshots_are_told_apart() {
    if skipped("whole_transactions_several_connectors_filters_and_snapshots_are_told_apart") {
        return;
    }
    let project = Project::fast();
    project.write("transactions.yaml", TRANSACTIONS);
    project.write("heir.yaml", HEIR);
    project.write("filtered.yaml", FILTERED);
    project.write("snapshot.yaml", SNAPSHOT);
    let finished = project.run(&["run", "transactions.yaml", "heir.yaml", "filtered.yaml", "snapshot.yaml"]);
    let said = format!("{}{}", finished.out, finished.err);
    assert_eq!(finished.code, 1, "{said}");
    for (verdict, file) in [("PASS", "transactions"), ("UNKNOWN", "heir"), ("PASS", "filtered")] {
        assert!(finished.ended(verdict, file), "{file}: {said}");
    }
    // Unknown is what has not come yet, and it may have come; lost is nothing.
    assert!(!finished.ended("FAIL", "snapshot"), "{said}");
    // All but what no connector told of.
    assert!(said.contains("nothing tells where transactions end"), "{said}");
    let records = project.records();
    let heir = records.iter().find(|record| record["run"]["file"].as_str().is_some_and(|file| file.contains("heir")));
    let checks = heir.and_then(|heir| heir["checks"].as_array()).expect("its checks");
    for check in checks.iter().filter(|check| check["outcome"] != "pass") {
        assert_eq!(check["subject"], "delivery.torn_transactions", "{said}");
    }
}

/// A connector that was removed for a while: its group holds where it has to go on.
const REMOVED: &str = r#"
name: A sink that was removed
setup:
  - topic: theirs
steps:
  - produce: { topic: theirs, count: 20 }
  - consume: { topic: theirs, group: connect-theirs, until: { drained: true } }
"#;
const AGAIN: &str = r#"
name: The same sink in a run
checks: none
setup:
  - sql: CREATE TABLE copies (id integer PRIMARY KEY)
  - connector: { name: theirs, sink: { topics: [theirs], table: copies } }
steps:
  - sql: DROP TABLE copies
"#;
const THERE: &str = r#"
name: Its group goes on
steps:
  - expect: { group: { name: connect-theirs, topic: theirs, lag: 0 } }
"#;

#[test]
fn a_sinks_group_that_was_there_keeps_its_offsets() {
    if skipped("a_sinks_group_that_was_there_keeps_its_offsets") {
        return;
    }
    let project = Project::with("timeouts: fast, sink: 3.0.7.Final");
    for (name, text) in [("removed.yaml", REMOVED), ("again.yaml", AGAIN), ("there.yaml", THERE)] {
        project.write(name, text);
    }
    project.run(&["up", "--with", "connect", "--with", "postgres"]).exits(0);
    project.run(&["run", "removed.yaml", "--keep"]).exits(0);
    project.run(&["run", "again.yaml"]).exits(0).says("group connect-theirs was there before this run");
    project.run(&["run", "there.yaml"]).exits(0);
    project.run(&["down"]).exits(0);
}
