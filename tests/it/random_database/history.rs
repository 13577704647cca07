//! Random changes of random tables, as scripts.

use super::tables::{Identity, Table, cell};
use rand::prelude::*;
use rand::rngs::StdRng;

/// The tables of one history, and what happens to them.
#[derive(Debug)]
pub struct History {
    pub tables: Vec<Table>,
    /// Makes the tables, and rows that a snapshot will find.
    pub before: String,
    /// What is written while the connector streams, in two halves.
    pub halves: [String; 2],
}

impl History {
    pub fn random(rng: &mut StdRng, schema: &str, number: usize, via_root: bool) -> Self {
        let count = *[1, 1, 1, 2, 3].choose(rng).expect("a number");
        let mut tables: Vec<Table> = (0..count)
            .map(|at| {
                let partitioned = via_root && rng.random_bool(0.4);
                Table::random(rng, schema, number * 10 + at, partitioned)
            })
            .collect();
        let mut before: String = tables.iter().map(Table::definition).collect();
        for table in &tables {
            for _ in 0..rng.random_range(0..4) {
                before += &insert(rng, table);
            }
        }
        let described = tables.clone();
        let mut halves = [String::new(), String::new()];
        for (at, half) in halves.iter_mut().enumerate() {
            if at == 1 && rng.random_bool(0.15) {
                let table = tables.choose_mut(rng).expect("a table");
                if table.parts.is_none() {
                    *half += &table.alter(rng);
                }
            }
            // Something has to arrive for the history to be judged.
            let first = &tables[0];
            *half += &insert_notes(rng, first, at);
            for _ in 0..rng.random_range(1..5) {
                *half += &transaction(rng, &tables);
            }
        }
        Self { tables: described, before, halves }
    }
}

fn transaction(rng: &mut StdRng, tables: &[Table]) -> String {
    let statements = rng.random_range(1..5);
    if rng.random_bool(0.3) {
        return (0..statements).map(|_| statement(rng, tables)).collect();
    }
    let mut text = "BEGIN;\n".to_owned();
    for at in 0..statements {
        let saved = rng.random_bool(0.3);
        if saved {
            text += &format!("SAVEPOINT s{at};\n");
        }
        text += &statement(rng, tables);
        if saved {
            let end = if rng.random_bool(0.6) { "ROLLBACK TO SAVEPOINT" } else { "RELEASE SAVEPOINT" };
            text += &format!("{end} s{at};\n");
        }
    }
    text + if rng.random_bool(0.2) { "ROLLBACK;\n" } else { "COMMIT;\n" }
}

fn statement(rng: &mut StdRng, tables: &[Table]) -> String {
    let table = tables.choose(rng).expect("a table");
    let rows = format!(
        "ctid = ANY(ARRAY(SELECT ctid FROM {} ORDER BY ctid OFFSET {} LIMIT {}))",
        table.quoted(),
        rng.random_range(0..4),
        rng.random_range(1..4)
    );
    if !table.changes() {
        return if rng.random_bool(0.3) { copy(rng, table) } else { insert(rng, table) };
    }
    match rng.random_range(0..20) {
        0..6 => insert(rng, table),
        6..8 => copy(rng, table),
        8..12 => {
            let sets: Vec<String> = (0..rng.random_range(1..3)).map(|_| table.assignment(rng)).collect();
            // One column may be assigned only once.
            let sets = if sets.len() == 2 && sets[0].split(" = ").next() == sets[1].split(" = ").next() {
                &sets[..1]
            } else {
                &sets[..]
            };
            format!("UPDATE {} SET {} WHERE {rows};\n", table.quoted(), sets.join(", "))
        }
        12 => format!("UPDATE {} SET note = note;\n", table.quoted()),
        13..15 => match table.new_key(rng) {
            Some(key) => careful(&format!("UPDATE {} SET {key} WHERE {rows}", table.quoted())),
            None => insert(rng, table),
        },
        15..18 => format!("DELETE FROM {} WHERE {rows};\n", table.quoted()),
        18 if rng.random_bool(0.3) => format!("TRUNCATE {};\n", table.quoted()),
        _ => upsert(rng, table),
    }
}

/// Undone as a whole where a row of that key exists.
fn careful(statement: &str) -> String {
    format!("DO $careful$ BEGIN {statement}; EXCEPTION WHEN unique_violation THEN NULL; END $careful$;\n")
}

fn insert(rng: &mut StdRng, table: &Table) -> String {
    let (names, first) = table.row(rng, false);
    let mut rows = vec![first];
    for _ in 0..*[0, 0, 1, 3].choose(rng).expect("a number") {
        // Rows of one statement have the same columns; other draws leave out others.
        let (other, row) = table.row(rng, false);
        if other == names {
            rows.push(row);
        }
    }
    let rows: Vec<String> =
        rows.iter().map(|row| format!("({})", row.iter().map(cell).collect::<Vec<_>>().join(", "))).collect();
    let conflict = if table.keys > 0 { " ON CONFLICT DO NOTHING" } else { "" };
    format!("INSERT INTO {} ({}) VALUES {}{conflict};\n", table.quoted(), names.join(", "), rows.join(", "))
}

/// Rows that are certainly new where the table has room for them, with notes of their own.
fn insert_notes(rng: &mut StdRng, table: &Table, half: usize) -> String {
    (0..4)
        .map(|at| {
            let (names, row) = table.row(rng, true);
            let mut cells: Vec<String> = row.iter().map(cell).collect();
            let note = names.iter().position(|name| *name == "\"note\"").expect("a note");
            cells[note] = format!("'half {half}, row {at}'");
            let conflict = if table.keys > 0 { " ON CONFLICT DO NOTHING" } else { "" };
            format!("INSERT INTO {} ({}) VALUES ({}){conflict};\n", table.quoted(), names.join(", "), cells.join(", "))
        })
        .collect()
}

fn upsert(rng: &mut StdRng, table: &Table) -> String {
    if table.keys == 0 || table.identity == Identity::Index {
        return insert(rng, table);
    }
    let (names, row) = table.row(rng, true);
    let cells: Vec<String> = row.iter().map(cell).collect();
    let keys = names[..table.keys].join(", ");
    format!(
        "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({keys}) DO UPDATE SET note = EXCLUDED.note || '+';\n",
        table.quoted(),
        names.join(", "),
        cells.join(", ")
    )
}

fn copy(rng: &mut StdRng, table: &Table) -> String {
    let mut names = Vec::new();
    let mut lines = Vec::new();
    for _ in 0..rng.random_range(1..5) {
        let (columns, row) = table.row(rng, true);
        names = columns;
        let fields: Vec<String> = row.iter().map(field).collect();
        lines.push(format!("'{}'", fields.join("\t").replace('\'', "'\\''")));
    }
    let program = format!("printf '%s\\n' {}", lines.join(" "));
    let program = program.replace('\'', "''");
    careful(&format!("COPY {} ({}) FROM PROGRAM '{program}'", table.quoted(), names.join(", ")))
}

/// A value in the text format of COPY.
fn field(value: &Option<String>) -> String {
    match value {
        None => "\\N".to_owned(),
        Some(text) => text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n"),
    }
}
