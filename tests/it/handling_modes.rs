//! How Debezium writes values, each mode of it in every setting, by both lines of versions: nothing that is well may be called wrong, and
//! every value is compared.

use crate::program::{Project, skipped};
use std::fmt::Write as _;

/// A setting and its modes; those behind the bar are Debezium 3's.
type Modes = (&'static str, &'static [&'static str], &'static [&'static str]);

const SETTINGS: [Modes; 5] = [
    ("decimal.handling.mode", &["precise", "double", "string"], &[]),
    ("binary.handling.mode", &["bytes", "base64", "base64-url-safe", "hex"], &[]),
    (
        "time.precision.mode",
        &["adaptive", "adaptive_time_microseconds", "connect"],
        &["isostring", "microseconds", "nanoseconds"],
    ),
    ("hstore.handling.mode", &["json", "map"], &[]),
    ("interval.handling.mode", &["numeric", "string"], &[]),
];

const SETUP: &str = r#"
guarantee: at-least-once
setup:
  - sql: |
      CREATE EXTENSION IF NOT EXISTS hstore;
      CREATE TABLE kinds (id int PRIMARY KEY, n numeric(12,3), nn numeric, m money, x bytea, d date, t time, t3 time(3), ts timestamp,
        ts3 timestamp(3), tz timestamptz, iv interval, h hstore)
  - id: old
    sql: |
      INSERT INTO kinds SELECT n, -1234.5 * n, 0.000123, 12.34, '\x00ff7e', '1969-12-31', '23:59:59.999999', '12:00:00.5',
        '1969-07-20 20:17:40.123456', '2024-02-29 23:59:59.999', '1944-03-15 12:00:00+00', '1 mon 2 days 03:04:05.5',
        'a=>1, "b c"=>NULL' FROM generate_series(1, 3) n
"#;

const EDITS: &str = r#"
  - id: edits
    sql: |
      UPDATE kinds SET n = 0, nn = 1.50, m = -0.01, x = '\x', d = '2038-01-20', t = '00:00:00', t3 = '23:59:59.999',
        ts = '2024-06-01 00:00:00', ts3 = '1901-01-01 00:00:00.001', tz = '2024-06-01 10:00:00.5+02', iv = '-3 days', h = '' WHERE id = 1;
      UPDATE kinds SET n = NULL, nn = NULL, m = NULL, x = NULL, d = NULL, t = NULL, t3 = NULL, ts = NULL, ts3 = NULL, tz = NULL, iv = NULL,
        h = NULL WHERE id = 2;
      DELETE FROM kinds WHERE id = 3
"#;

/// A scenario with as many connectors as the setting with most modes has: each mode is one connector's at least.
fn scenario(newest: bool) -> String {
    let all = SETTINGS.map(|(setting, modes, later)| {
        let later = if newest { later } else { &[] };
        (setting, modes.iter().chain(later).copied().collect::<Vec<_>>())
    });
    let count = all.iter().map(|(_, modes)| modes.len()).max().unwrap_or(0);
    let (mut text, mut checks) = (format!("name: Every mode\n{SETUP}steps:\n"), String::new());
    for number in 0..count {
        let config: Vec<String> =
            all.iter().map(|(setting, modes)| format!("{setting}: {}", modes[number % modes.len()])).collect();
        let _ = write!(
            text,
            "  - connector:\n      name: \"modes-{number}-${{run.id}}\"\n      debezium: {{ tables: [kinds] }}\n      \
             config: {{ {} }}\n      until: streaming\n  - id: reader-{number}\n    background: true\n    \
             consume: {{ topic: \"modes-{number}-${{run.id}}.public.kinds\", decode: debezium }}\n",
            config.join(", ")
        );
        let _ = write!(
            checks,
            "  - name: \"{}\"\n    expect:\n      delivery: {{ from: [old, edits], to: reader-{number}, lost: 0, corrupted: 0, \
             phantom: 0, updates: 2, deletes: 1, values_not_compared: 0 }}\n      within: 60s\n",
            config.join(", ")
        );
    }
    format!("{text}{EDITS}{checks}finally:\n  - sql: DROP TABLE IF EXISTS kinds\n")
}

fn every_mode(local: &str, newest: bool) {
    let project = Project::with(local);
    project.write("modes.yaml", &scenario(newest));
    project.run(&["run", "modes.yaml"]).exits(0);
}

#[test]
fn every_mode_of_debezium_2_on_kafka_3_is_understood() {
    if !skipped("every_mode_of_debezium_2_on_kafka_3_is_understood") {
        every_mode("timeouts: fast", false);
    }
}

#[test]
fn every_mode_of_debezium_3_on_kafka_4_is_understood() {
    if !skipped("every_mode_of_debezium_3_on_kafka_4_is_understood") {
        every_mode("timeouts: fast, kafka: 4.3.1", true);
    }
}
