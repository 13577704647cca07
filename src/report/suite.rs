//! Many runs as their report shows them: a row for each scenario and cell of its matrix.

use super::command;
use super::score::Dashboard;
use super::stored::{Collection, Unusable};
use super::trend::{Trend, figures, trend};
use super::view::{Headline, OutcomeView, RunView, cell, started, surroundings};
use crate::record::Quantity;
use serde::Serialize;
use std::path::{Component, Path, PathBuf};

/// Many runs.
#[derive(Clone, Debug, Serialize)]
pub struct SuiteView {
    /// Heading.
    pub title: String,
    /// The worst outcome of all.
    pub outcome: OutcomeView,
    /// The first and the last start.
    pub facts: Vec<String>,
    /// What did not pass first, and when it began; empty where all passed.
    pub failed_first: String,
    /// What it ran on: environments, machines and versions, each once.
    pub conditions: Vec<String>,
    /// Totals and scores.
    pub dashboard: Dashboard,
    /// One row for each run.
    pub rows: Vec<SuiteRow>,
    /// What was not run.
    pub not_run: Vec<NotRunRow>,
    /// Files that were left out, and why.
    pub unusable: Vec<String>,
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct SuiteRow {
    /// The scenario's name.
    pub name: String,
    /// The cell of the matrix.
    pub cell: String,
    /// The scenario's file.
    pub file: String,
    /// The run's id.
    pub id: String,
    /// The verdict.
    pub outcome: OutcomeView,
    /// How long it took.
    pub duration: String,
    /// The same in seconds, to sort by.
    pub seconds: f64,
    /// The figures that matter most.
    pub headlines: Vec<Headline>,
    /// Why it is not a pass.
    pub reasons: Vec<String>,
    /// Path to its report, relative to the suite's.
    pub link: String,
    /// Its acknowledgements over time, as the points of a line in a box of 120 × 24; empty without a load.
    pub spark: String,
    /// The faults, as x and width in the same box.
    pub spark_bands: Vec<(String, String, &'static str)>,
    /// What became of it over the suites before, where they had it.
    pub trend: Option<Trend>,
}

/// A scenario that was not run.
#[derive(Clone, Debug, Serialize)]
pub struct NotRunRow {
    /// File and cell.
    pub label: String,
    /// Why.
    pub why: String,
    /// The command that runs it.
    pub command: String,
}

impl SuiteView {
    /// The view of all runs that were found. Links are relative to `home`, the folder of the suite's report.
    pub fn of(found: &Collection, title: &str, home: &Path) -> Self {
        let mut rows: Vec<SuiteRow> = found
            .runs
            .iter()
            .map(|stored| {
                let view = RunView::of(&stored.record);
                let (spark, spark_bands) = spark(&view);
                SuiteRow {
                    link: relative(home, &stored.folder.join("report.html")),
                    duration: Quantity::seconds(stored.record.run.duration).to_string(),
                    seconds: stored.record.run.duration,
                    name: view.name,
                    cell: view.cell,
                    file: view.file,
                    id: view.id,
                    outcome: view.outcome,
                    headlines: view.headlines,
                    reasons: view.reasons,
                    spark,
                    spark_bands,
                    trend: trend(&figures(&stored.record), &found.former),
                }
            })
            .collect();
        // Runs of one scenario stand together, at the place of its first run.
        let first = |file: &str, rows: &[SuiteRow]| rows.iter().position(|row| row.file == file);
        let order: Vec<_> = rows.iter().map(|row| first(&row.file, &rows)).collect();
        let mut numbered: Vec<_> = order.into_iter().zip(rows).collect();
        numbered.sort_by_key(|(order, _)| *order);
        rows = numbered.into_iter().map(|(_, row)| row).collect();
        // What did not pass stands first.
        let rank = |row: &SuiteRow| ["bad", "warn", "none", "good"].iter().position(|tone| *tone == row.outcome.tone);
        rows.sort_by_key(rank);
        let records = found.runs.iter().map(|stored| &stored.record);
        let dashboard = Dashboard::of(records.clone(), found.not_run.len());
        let missing =
            found.not_run.iter().any(|not_run| not_run.cut_off) || found.unusable.iter().any(Unusable::is_lost);
        let worst = records
            .clone()
            .map(OutcomeView::of)
            .chain(missing.then(OutcomeView::incomplete))
            .max_by_key(|outcome| ["none", "good", "warn", "bad"].iter().position(|tone| *tone == outcome.tone));
        let starts: Vec<String> = records.map(super::view::started).collect();
        let mut facts: Vec<String> = starts.first().into_iter().chain(starts.last()).cloned().collect();
        facts.dedup();
        Self {
            title: title.to_owned(),
            outcome: worst.unwrap_or_else(OutcomeView::not_run),
            facts,
            failed_first: failed_first(found),
            conditions: conditions(found),
            dashboard,
            rows,
            not_run: found
                .not_run
                .iter()
                .map(|not_run| NotRunRow {
                    label: not_run.label.clone(),
                    why: not_run.why.clone(),
                    command: command(&not_run.file, not_run.environment.as_deref()),
                })
                .collect(),
            unusable: found
                .unusable
                .iter()
                .map(|unusable| format!("{}: {}", unusable.path.display(), unusable.why))
                .collect(),
        }
    }
}

/// The first run by its start that did not pass.
fn failed_first(found: &Collection) -> String {
    let records = found.runs.iter().map(|stored| &stored.record);
    let failed = records.filter(|record| OutcomeView::of(record).tone != "good");
    let first = failed.min_by(|a, b| a.run.started.cmp(&b.run.started));
    first.map_or_else(String::new, |record| {
        let cell = cell(record);
        let cell = if cell.is_empty() { String::new() } else { format!(" ({cell})") };
        format!("{}{cell}, {}", record.run.name, started(record))
    })
}

/// Environments, machines and versions of all runs, each once.
fn conditions(found: &Collection) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in found.runs.iter().map(|stored| surroundings(&stored.record)) {
        if !all.contains(&line) {
            all.push(line);
        }
    }
    all
}

/// The acknowledged (else the read) rate as points, and the disturbed stretches.
fn spark(view: &RunView) -> (String, Vec<(String, String, &'static str)>) {
    const WIDTH: f64 = 120.0;
    const HEIGHT: f64 = 24.0;
    let share = |at: f64| view.timeline.share(at);
    let Some(panel) = view.timeline.panels.iter().find(|panel| panel.id == "rate") else {
        return (String::new(), Vec::new());
    };
    let named = |name: &str| panel.series.iter().find(|series| series.label == name);
    let Some(series) = named("acknowledged").or_else(|| named("read")) else { return (String::new(), Vec::new()) };
    let max = series.values.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let points: Vec<String> = panel
        .x
        .iter()
        .zip(&series.values)
        .filter_map(|(x, value)| Some((x, (*value)?)))
        .map(|(x, value)| format!("{:.1},{:.1}", share(*x) * WIDTH, HEIGHT - 2.0 - value / max * (HEIGHT - 4.0)))
        .collect();
    let bands = view
        .timeline
        .bands
        .iter()
        .map(|band| {
            let width = ((share(band.to) - share(band.from)) * WIDTH).max(1.0);
            (format!("{:.1}", share(band.from) * WIDTH), format!("{width:.1}"), band.kind)
        })
        .collect();
    (points.join(" "), bands)
}

/// A path relative to a folder, with `/` between its parts and characters of URLs encoded.
pub fn relative(home: &Path, target: &Path) -> String {
    // An empty path means this folder, and has no absolute form of its own.
    let absolute = |path: &Path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
    };
    let (home, target) = (absolute(home), absolute(target));
    let common = home.components().zip(target.components()).take_while(|(a, b)| a == b).count();
    let up = home.components().skip(common).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(target.components().skip(common)).collect();
    let parts: Vec<String> = path.components().map(|part| encode(&part.as_os_str().to_string_lossy())).collect();
    parts.join("/")
}

fn encode(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'=' | b',' | b'+' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_and_encoded() {
        assert_eq!(relative(Path::new("a/b"), Path::new("a/c d/report.html")), "../c%20d/report.html");
        assert_eq!(relative(Path::new("results"), Path::new("results/x/report.html")), "x/report.html");
        assert_eq!(relative(Path::new(""), Path::new("x/\">.html")), "x/%22%3E.html");
    }
}
