//! Random databases: random tables, connectors and changes through a real PostgreSQL and a real Debezium. Nothing may be called wrong
//! that is well, and what is tampered with has to be named.
//!
//! A small set of seeds is a test; `scripts/random-database` runs more and adds their figures to `docs/random-database.md`.

mod findings;
mod history;
mod kinds;
mod page;
mod scenario;
mod settings;
mod tables;
mod tamper;

use crate::program::{Project, skipped};
use findings::Findings;
use scenario::Round;
use serde_json::Value;
use std::time::Instant;

/// Histories that one connector captures, where nothing else is said: each more costs little beside a connector's start and snapshot.
const HISTORIES: usize = 20;
/// Connectors after which a stack has done its work.
const ROUNDS: usize = 20;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs histories of seeds one after the other on stacks that are kept for a while.
fn run(first: u64, rounds: usize, histories: usize) -> Findings {
    let tool = std::env::current_exe().expect("this test").to_string_lossy().into_owned();
    let mut findings = Findings::default();
    let mut seed = first;
    let mut left = rounds;
    while left > 0 {
        let now = left.min(ROUNDS);
        left -= now;
        let project = Project::fast();
        project.run(&["up", "--with", "connect", "--with", "postgres"]).exits(0);
        for _ in 0..now {
            let round = Round::random(seed, histories);
            seed += 1;
            round.write(&project, &tool);
            let started = Instant::now();
            let file = format!("{}-scenario.yaml", round.name);
            let results = format!("results-{}", round.name);
            let finished = project.run(&["run", &file, "--results", &results, "--report", "none"]);
            let read =
                |path: std::path::PathBuf| -> Option<Value> { serde_json::from_slice(&std::fs::read(path).ok()?).ok() };
            let folder = std::fs::read_dir(project.path(&results)).into_iter().flatten().flatten().next();
            let record = folder.and_then(|folder| read(folder.path().join("result.json")));
            let injected = read(project.path(&format!("{}-injected.json", round.name)));
            let before = findings.wrong.len();
            findings.take(&round, record.as_ref(), injected.as_ref(), &finished.err);
            println!("seed {} ended with {} after {:?}", round.seed, finished.code, started.elapsed());
            for wrong in &findings.wrong[before..] {
                println!("WRONG {wrong}");
            }
        }
        project.run(&["down"]).exits(0);
    }
    println!("{:#?}", Findings { wrong: Vec::new(), ..findings.clone() });
    findings
}

/// Seed of the connector and its histories that every run of the tests sends through.
const SEED: u64 = 20;

#[test]
fn nothing_is_wrong_with_a_random_database_but_what_was_tampered_with() {
    if skipped("nothing_is_wrong_with_a_random_database_but_what_was_tampered_with") {
        return;
    }
    let findings = run(SEED, 1, 6);
    assert!(findings.wrong.is_empty(), "{}", findings.wrong.join("\n"));
}

#[test]
#[ignore = "takes hours; scripts/random-database runs it"]
fn nothing_is_wrong_with_many_random_databases() {
    let seed = variable("KSCEN_RANDOM_SEED").unwrap_or(1);
    let rounds = variable("KSCEN_RANDOM_ROUNDS").unwrap_or(3) as usize;
    let histories = variable("KSCEN_RANDOM_HISTORIES").map_or(HISTORIES, |count| count as usize);
    let findings = run(seed, rounds, histories);
    if let Some(page) = std::env::var_os("KSCEN_RANDOM_PAGE") {
        page::add(page.as_ref(), &findings, seed);
    }
    assert!(findings.passed > 0, "nothing was judged: {findings:#?}");
    assert!(findings.wrong.is_empty(), "{}", findings.wrong.join("\n"));
}
