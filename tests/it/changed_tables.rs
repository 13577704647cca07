//! Tables whose partitions come and go, whose keys are no identity, and databases with settings of their own, on the local stack.

use crate::program::{Project, skipped};

/// What a partition held belongs to the table that it was a part of then; and its truncation is one of the root.
const PARTITIONS: &str = r#"
name: Partitions that come and go
guarantee: at-least-once
vars: { source: "parts-${run.id}" }
setup:
  - sql: |
      CREATE TABLE events (id integer, year integer, PRIMARY KEY (id, year)) PARTITION BY LIST (year);
      CREATE TABLE events_2025 PARTITION OF events FOR VALUES IN (2025);
      CREATE TABLE events_2026 PARTITION OF events FOR VALUES IN (2026);
      CREATE PUBLICATION whole FOR TABLE events WITH (publish_via_partition_root = true)
  - connector:
      name: "${source}"
      debezium: { tables: [events] }
      config: { publication.name: whole, publication.autocreate.mode: disabled, skipped.operations: none }
      until: streaming
steps:
  - id: reader
    background: true
    consume: { topic: "${source}.public.events", decode: debezium }
  - id: rows
    sql: |
      INSERT INTO events SELECT n, 2025 + n % 2 FROM generate_series(1, 20) n;
      ALTER TABLE events DETACH PARTITION events_2025;
      INSERT INTO events SELECT n, 2026 FROM generate_series(21, 25) n;
      ALTER TABLE events ATTACH PARTITION events_2025 FOR VALUES IN (2025);
      INSERT INTO events SELECT n, 2025 + n % 2 FROM generate_series(31, 40) n;
      TRUNCATE events
  - expect:
      delivery: { from: rows, to: reader, lost: 0, corrupted: 0, phantom: 0, inserts: 35, truncations: 1 }
      within: 120s
finally:
  - sql: DROP PUBLICATION whole; DROP TABLE events
"#;

/// PostgreSQL refuses updates of published tables whose rows have no identity: kscen's own publication has none of those.
const KEYS: &str = r#"
name: Tables that nobody captures are left alone
vars: { source: "keys-${run.id}" }
setup:
  - sql: |
      CREATE TABLE orders (id integer PRIMARY KEY);
      CREATE TABLE seats (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, place integer);
      CREATE TABLE shelves (id integer PRIMARY KEY, place integer)
  - connector: { name: "${source}", debezium: { tables: [orders] }, until: streaming }
steps:
  - id: reader
    background: true
    consume: { topic: "${source}.public.orders", decode: debezium }
  - sql: INSERT INTO seats VALUES (1, 1), (2, 1); UPDATE seats SET place = 2; DELETE FROM seats WHERE id = 2
  - sql: |
      INSERT INTO shelves VALUES (1, 1), (2, 1);
      ALTER TABLE shelves DROP CONSTRAINT shelves_pkey;
      UPDATE shelves SET place = 2;
      DELETE FROM shelves WHERE id = 2;
      ALTER TABLE shelves ADD PRIMARY KEY (id);
      UPDATE shelves SET place = 3;
      ALTER TABLE shelves REPLICA IDENTITY NOTHING;
      UPDATE shelves SET place = 4
  - id: rows
    sql: INSERT INTO orders SELECT n FROM generate_series(1, 5) n
  # What a chained transaction has done is rolled back with it.
  - sql: BEGIN; UPDATE seats SET place = 2; COMMIT AND CHAIN; DELETE FROM orders; ROLLBACK
  - expect:
      sql:
        - { query: SELECT place FROM seats, value: 2 }
        - { query: SELECT place FROM shelves, value: 4 }
        - { query: SELECT count(*) FROM orders, value: 5 }
  - expect:
      delivery: { from: rows, to: reader, lost: 0, inserts: 5 }
      within: 120s
finally:
  - sql: DROP TABLE orders, seats, shelves
"#;

/// A session that begins behind it has these.
const SET: &str = r#"
name: A role with settings of its own
checks: none
steps:
  - sql: ALTER ROLE CURRENT_USER SET datestyle = 'SQL, DMY'; ALTER ROLE CURRENT_USER SET extra_float_digits = 0
"#;

const MEASURED: &str = r#"
name: Values are compared whatever a role has set
guarantee: at-least-once
vars: { source: "set-${run.id}" }
setup:
  - sql: CREATE TABLE measured (day date PRIMARY KEY, ratio double precision, short real)
  - connector: { name: "${source}", debezium: { tables: [measured] }, until: streaming }
steps:
  - id: reader
    background: true
    consume: { topic: "${source}.public.measured", decode: debezium }
  - id: rows
    sql: |
      INSERT INTO measured SELECT make_date(2026, 2, n), 1.0 / n, 1.0 / n FROM generate_series(3, 9) n;
      UPDATE measured SET ratio = ratio / 7, short = short / 7;
      DELETE FROM measured WHERE day = make_date(2026, 2, 4)
  - expect:
      delivery: { from: rows, to: reader, lost: 0, corrupted: 0, phantom: 0, inserts: 7, updates: 7, deletes: 1, values_not_compared: 0 }
      within: 120s
finally:
  - sql: DROP TABLE measured
"#;

/// A key of the connector's own choice, one that includes a column, and one that is no JSON object.
const KEYED: &str = r#"
name: Records whose key is not their row's
vars: { source: "keyed-${run.id}", words: "words-${run.id}" }
setup:
  - sql: |
      CREATE TABLE coded (id integer PRIMARY KEY, code text, pieces integer);
      ALTER TABLE coded REPLICA IDENTITY FULL;
      CREATE TABLE wide (id integer, pieces integer, PRIMARY KEY (id) INCLUDE (pieces));
      ALTER TABLE wide REPLICA IDENTITY FULL;
      CREATE TABLE worded (id integer PRIMARY KEY, word text)
  - connector:
      name: "${source}"
      debezium: { tables: [coded, wide], partitions: 3 }
      config: { message.key.columns: "public.coded:code" }
      until: streaming
  - connector:
      name: "${words}"
      debezium: { tables: [worded] }
      config: { key.converter: org.apache.kafka.connect.storage.StringConverter }
      until: streaming
steps:
  - id: coded
    background: true
    consume: { topic: "${source}.public.coded", decode: debezium }
  - id: wide
    background: true
    consume: { topic: "${source}.public.wide", decode: debezium }
  - id: worded
    background: true
    consume: { topic: "${words}.public.worded", decode: debezium }
  - id: rows
    sql: |
      INSERT INTO coded SELECT n, 'a' || n, 0 FROM generate_series(1, 10) n;
      UPDATE coded SET code = 'b' || id;
      UPDATE coded SET pieces = 1;
      DELETE FROM coded WHERE id > 5;
      INSERT INTO wide SELECT n, 0 FROM generate_series(1, 10) n;
      UPDATE wide SET pieces = 1;
      DELETE FROM wide WHERE id > 5
  - id: texts
    sql: |
      INSERT INTO worded SELECT n, 'a' || n FROM generate_series(1, 10) n;
      UPDATE worded SET word = 'b';
      DELETE FROM worded WHERE id > 5
  - expect:
      delivery:
        { from: rows, to: [coded, wide], lost: 0, corrupted: 0, phantom: 0, inserts: 20, updates: 30, deletes: 10, missing_tombstones: 0 }
      within: 120s
  - expect:
      delivery:
        { from: texts, to: worded, lost: 0, corrupted: 0, phantom: 0, deletes: 5, missing_tombstones: 0, values_not_compared: { min: 25 } }
      within: 120s
finally:
  - sql: DROP TABLE coded, wide, worded
"#;

#[test]
fn tables_that_change_keys_that_are_none_and_settings_of_a_role_are_no_findings() {
    if skipped("tables_that_change_keys_that_are_none_and_settings_of_a_role_are_no_findings") {
        return;
    }
    let project = Project::fast();
    let all = [
        ("partitions.yaml", PARTITIONS),
        ("keys.yaml", KEYS),
        ("keyed.yaml", KEYED),
        ("set.yaml", SET),
        ("measured.yaml", MEASURED),
    ];
    for (name, text) in all {
        project.write(name, text);
    }
    let names: Vec<&str> = std::iter::once("run").chain(all.iter().map(|(name, _)| *name)).collect();
    let finished = project.run(&names);
    let said = format!("{}{}", finished.out, finished.err);
    for name in ["partitions", "keys", "keyed", "measured"] {
        assert!(finished.ended("PASS", name), "{name}: {said}");
    }
    assert_eq!(finished.code, 0, "{said}");
}
