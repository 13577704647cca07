//! `docs/random-database.md`.

use super::findings::Findings;
use crate::goldens::root;
use std::collections::BTreeMap;

/// Where the figures begin in the page; what stands before is written by hand.
const FIGURES: &str = "## Figures of the last run";

fn listed(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

/// Puts the figures of a run into the page.
pub fn write(findings: &Findings, first: u64) {
    let path = root().join("docs/random-database.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (written, _) = page.split_once(FIGURES).expect("a place for figures");
    let last = first + findings.rounds.saturating_sub(1);
    let rows = [
        ("seeds", format!("{first} to {last}")),
        (
            "histories",
            format!("{} of {} tables, with {} connectors", findings.histories, findings.tables, findings.rounds),
        ),
        (
            "disturbed",
            format!("{} kills of the worker, {} restarts of the connector", findings.kills, findings.restarts),
        ),
        ("changes that had to arrive", listed(&findings.changes)),
        ("records read", findings.events.to_string()),
        ("values compared", findings.values.to_string()),
        ("values not compared", listed(&findings.not_compared)),
        ("histories found to be whole", findings.passed.to_string()),
        ("transactions found to be whole", findings.transactions.to_string()),
        ("histories not judged, by a setting that kscen names", listed(&findings.unknown)),
        ("histories and injections for which the machine was too slow", findings.late.to_string()),
        ("injected", listed(&findings.injected)),
        ("named by table, key, operation and position", listed(&findings.named)),
        ("false alarms, and injections not named", findings.wrong.len().to_string()),
    ];
    let rows: String = rows.iter().map(|(name, figure)| format!("| {name} | {figure} |\n")).collect();
    std::fs::write(path, format!("{written}{FIGURES}\n\n| | |\n| --- | --- |\n{rows}")).expect("writes");
}
