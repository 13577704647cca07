//! `docs/random-database.md`: a row for each run, and the figures of all of them together.

use super::findings::Findings;
use crate::goldens::root;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Where the figures begin in the page; what stands before is written by hand.
const FIGURES: &str = "## Figures";
const RUNS: &str = "| date | commit | seeds | connectors | histories | passed | not judged | late | injected | named | wrong |\n\
                    | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
const TOGETHER: &str = "### All runs together\n\n| | |\n| --- | ---: |\n";

/// Figures by name: those of several runs are added.
type Figures = BTreeMap<String, u64>;

fn figures(findings: &Findings) -> Figures {
    let mut all: Figures = [
        ("connectors", findings.rounds),
        ("connectors whose worker was killed", findings.kills),
        ("connectors that were restarted", findings.restarts),
        ("histories", findings.histories),
        ("histories found to be whole", findings.passed),
        ("histories and injections for which the machine was too slow", findings.late),
        ("tables", findings.tables),
        ("records read", findings.events),
        ("values compared", findings.values),
        ("transactions found to be whole", findings.transactions),
        ("false alarms, and injections not named", findings.wrong.len() as u64),
    ]
    .map(|(name, count)| (name.to_owned(), count))
    .into();
    for (what, counts) in [
        ("changes that had to arrive", &findings.changes),
        ("values not compared", &findings.not_compared),
        ("histories not judged, by what kscen names", &findings.unknown),
        ("injected", &findings.injected),
        ("named by table, key, operation and position", &findings.named),
    ] {
        all.extend(counts.iter().map(|(name, count)| (format!("{what}: {}", name.replace('|', "/")), *count)));
    }
    all
}

/// The rows of a table in which each row is a name and a figure.
fn read(table: &str) -> Figures {
    let row = |line: &str| {
        let (name, figure) = line.strip_prefix("| ")?.strip_suffix(" |")?.rsplit_once(" | ")?;
        Some((name.to_owned(), figure.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output().expect("runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Adds the figures of a run to a page.
pub fn add(page: &Path, findings: &Findings, first: u64) {
    let text = std::fs::read_to_string(page).expect("the page");
    let (written, figures_before) = text.split_once(FIGURES).expect("a place for figures");
    let (runs, together) = figures_before.split_once(TOGETHER).unwrap_or((figures_before, ""));
    let mut rows: Vec<&str> = runs.lines().filter(|line| line.starts_with("| 2")).collect();
    let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let changed = said("git", &["status", "--porcelain", "--", "src", "tests/it/random_database", "Cargo.lock"]);
    let row = format!(
        "| {} | {}{} | {first} to {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        said("date", &["-u", "+%Y-%m-%d %H:%M"]),
        said("git", &["rev-parse", "--short", "HEAD"]),
        if changed.is_empty() { "" } else { " and changes" },
        first + findings.rounds.saturating_sub(1),
        findings.rounds,
        findings.histories,
        findings.passed,
        sum(&findings.unknown),
        findings.late,
        sum(&findings.injected),
        sum(&findings.named),
        findings.wrong.len(),
    );
    rows.push(&row);
    let mut all = read(together);
    figures(findings).into_iter().for_each(|(name, count)| *all.entry(name).or_default() += count);
    let mut text = format!("{written}{FIGURES}\n\n{RUNS}{}\n\n{TOGETHER}", rows.join("\n"));
    for (name, count) in all {
        let _ = writeln!(text, "| {name} | {count} |");
    }
    std::fs::write(page, text).expect("writes");
}

#[test]
fn figures_of_several_runs_are_added() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("page.md");
    std::fs::write(&page, format!("# Page\n\n{FIGURES}\n")).expect("writes");
    let unknown = BTreeMap::from([("a setting | of it, and more".to_owned(), 2)]);
    let run = Findings { rounds: 3, histories: 60, passed: 58, unknown, ..Findings::default() };
    add(&page, &run, 1);
    add(&page, &Findings { wrong: vec!["w".to_owned()], ..run }, 4);
    let text = std::fs::read_to_string(&page).expect("reads");
    assert!(text.starts_with("# Page\n\n## Figures\n\n| date"), "{text}");
    assert!(text.contains(" | 1 to 3 | 3 | 60 | 58 | 2 | 0 | 0 | 0 | 0 |\n| 2"), "{text}");
    assert!(text.contains(" | 4 to 6 | 3 | 60 | 58 | 2 | 0 | 0 | 0 | 1 |\n"), "{text}");
    for together in ["| histories | 120 |", "what kscen names: a setting / of it, and more | 4 |", "not named | 1 |"] {
        assert!(text.contains(together), "{together}: {text}");
    }
}
