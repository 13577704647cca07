//! The baseline reports, from the newest run of each scenario and cell. What did not run says so.

mod copied;
mod expected;
mod figures;
mod patterns;
mod section;

use super::advice::advise;
use super::judged::judged;
use super::output::OutputFile;
use super::reporter::Reporter;
use super::score::Dashboard;
use super::stored::{Collection, StoredResult};
use super::suite_record::{NotRun, SUITE_ENDING};
use super::svg;
use super::timeline::timeline;
use super::view::{cell, started};
use crate::ground::plural;
use crate::record::{Quantity, Record, Unit};
use crate::scenario::BaselineReport;
use crate::text::Problem;
use copied::{AskedRow, CopyRow};
pub use expected::Declared;
use expected::expected;
use patterns::FailurePattern;
use section::{BaselineSection, RunSection};
use serde::Serialize;
use std::collections::BTreeMap;

/// Name of the performance report.
pub const PERFORMANCE: &str = "performance-baseline.md";
/// Name of the delivery report.
pub const DELIVERY: &str = "delivery-guarantees.md";
/// Name of the report about archives.
pub const BACKUP: &str = "backup.md";

/// One baseline report.
#[derive(Serialize)]
struct BaselineView {
    /// Start of the newest run in it.
    newest: String,
    /// Scenarios and how many of them ran, passed and failed.
    ran: usize,
    passed: usize,
    failed: usize,
    not_run: usize,
    /// Machines and versions, each with the runs that it holds for.
    environments: Vec<EnvironmentRow>,
    sections: Vec<BaselineSection>,
    judged: Vec<JudgedRow>,
    advice: Vec<AdviceRow>,
    patterns: Vec<FailurePattern>,
    brokers: Vec<u32>,
    single_broker: bool,
    /// Totals and scores.
    dashboard: Dashboard,
    /// What was asked for, and how much of it is reached.
    asked: Vec<AskedRow>,
    reached: usize,
    missed: Vec<AskedRow>,
    /// What steps that copy topics measured.
    copies: Vec<CopyRow>,
}

#[derive(Serialize)]
struct EnvironmentRow {
    what: String,
    runs: usize,
}

#[derive(Serialize)]
struct JudgedRow {
    symbol: &'static str,
    name: String,
    value: String,
    meaning: &'static str,
    of: String,
}

#[derive(Serialize)]
struct AdviceRow {
    text: &'static str,
    triggers: Vec<String>,
}

/// All reports with their charts; `declared` are the scenarios that have a section even where they did not run.
///
/// # Errors
/// A template that cannot be rendered, at its line.
pub fn baseline(found: &Collection, declared: &[Declared], reporter: &Reporter) -> Result<Vec<OutputFile>, Problem> {
    let newest = newest(found);
    let mut files = Vec::new();
    let kinds = [
        (BaselineReport::Performance, PERFORMANCE),
        (BaselineReport::Delivery, DELIVERY),
        (BaselineReport::Backup, BACKUP),
    ];
    for (kind, name) in kinds {
        let (view, charts) = view(kind, declared, &newest, found);
        files.push(OutputFile::new(name, reporter.templates().render(name, &view)?));
        files.extend(charts);
    }
    Ok(files)
}

/// The newest run of each scenario and cell, in the order of their files.
fn newest(found: &Collection) -> Vec<&StoredResult> {
    let mut by_cell: BTreeMap<(String, String), &StoredResult> = BTreeMap::new();
    for stored in &found.runs {
        // Runs come in the order of their start, so the last one stays.
        let known = by_cell.entry((stem(&stored.record), cell(&stored.record))).or_insert(stored);
        if !(stored.record.has_passed() && !known.record.has_passed() && are_repeats(known, stored)) {
            *known = stored;
        }
    }
    by_cell.into_values().collect()
}

/// Whether two runs of one scenario are of one suite: of several repeats that of which one did not pass has not passed.
fn are_repeats(one: &StoredResult, other: &StoredResult) -> bool {
    let suite = |run: &StoredResult| run.folder.parent().map(std::path::Path::to_owned);
    let is_suite = |folder: &std::path::PathBuf| folder.to_string_lossy().ends_with(SUITE_ENDING);
    suite(one).filter(is_suite).is_some_and(|folder| suite(other) == Some(folder))
}

/// The scenario's file without folders and extension.
fn stem(record: &Record) -> String {
    stem_of(&record.run.file)
}

/// A scenario is known by its file's name: `debezium-snapshot.yaml` is not `snapshot.yaml`.
fn stem_of(file: &str) -> String {
    std::path::Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Why a scenario was not run, where a suite says so.
fn why_not(not_run: &[NotRun], stem: &str) -> Option<String> {
    not_run.iter().find(|not_run| stem_of(&not_run.file) == stem).map(|not_run| not_run.why.clone())
}

fn view(
    kind: BaselineReport,
    declared: &[Declared],
    newest: &[&StoredResult],
    found: &Collection,
) -> (BaselineView, Vec<OutputFile>) {
    let mut charts = Vec::new();
    let mut used: Vec<&Record> = Vec::new();
    let (mut sections, mut asked, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for expectation in expected(kind, declared, newest.iter().map(|stored| &stored.record)) {
        let runs: Vec<&StoredResult> =
            newest.iter().copied().filter(|stored| stem(&stored.record) == expectation.stem).collect();
        let shown = runs
            .iter()
            .map(|stored| {
                let chart = chart(&stored.record);
                used.push(&stored.record);
                let path = chart.as_ref().map(|file| file.path.display().to_string()).unwrap_or_default();
                charts.extend(chart);
                RunSection::of(&stored.record, path)
            })
            .collect();
        let records: Vec<&Record> = runs.iter().map(|stored| &stored.record).collect();
        asked.extend(copied::asked(&expectation, &records));
        copies.extend(records.iter().flat_map(|record| copied::copies(&expectation, record)));
        let ran = runs.first().map(|stored| stored.record.run.file.clone());
        let file = ran.or_else(|| expectation.file.clone());
        let why = why_not(&found.not_run, &expectation.stem);
        sections.push(BaselineSection::of(expectation, file, shown, why));
    }
    let passed = sections.iter().filter(|section| section.tone == "good").count();
    let not_run = sections.iter().filter(|section| section.runs.is_empty()).count();
    let mut brokers: Vec<u32> = used.iter().filter_map(|record| Some(record.environment.as_ref()?.brokers)).collect();
    brokers.sort_unstable();
    brokers.dedup();
    let view = BaselineView {
        newest: used.iter().map(|record| started(record)).max().unwrap_or_else(|| "no run".to_owned()),
        ran: sections.len() - not_run,
        passed,
        failed: sections.len() - not_run - passed,
        not_run,
        environments: environments(&used),
        judged: judged_rows(&used),
        advice: advice_rows(&used),
        patterns: patterns::patterns(&used, declared),
        single_broker: brokers == [1],
        brokers,
        sections,
        dashboard: Dashboard::of(used.iter().copied(), not_run),
        reached: asked.iter().filter(|row| row.reached == "reached").count(),
        missed: asked.iter().filter(|row| row.missed).cloned().collect(),
        asked,
        copies,
    };
    (view, charts)
}

fn chart(record: &Record) -> Option<OutputFile> {
    let line = timeline(record);
    let name = format!("{} {}", stem(record), cell(record));
    let safe: String = name.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let title = format!("{} {}", record.run.name, cell(record));
    (!line.panels.is_empty())
        .then(|| OutputFile::new(format!("charts/{safe}.svg"), svg::file(&line, title.trim()).into_bytes()))
}

fn environments(records: &[&Record]) -> Vec<EnvironmentRow> {
    let mut rows: Vec<EnvironmentRow> = Vec::new();
    for record in records {
        let machine = &record.machine;
        let mut parts = vec![format!(
            "{}, {} CPUs, {}, {}",
            machine.cpu,
            machine.cpus,
            Quantity::new(machine.memory as f64, Unit::Bytes),
            machine.system
        )];
        if let Some(environment) = &record.environment {
            let version = environment.kafka_version.as_deref().unwrap_or("of unknown version");
            let brokers = plural(environment.brokers, "broker");
            parts.push(format!("{} environment, Kafka {version}, {brokers}", environment.kind));
            let known = ["java", "jvm flags", "timeouts", "engine", "debezium", "postgres"];
            // The path of the program, in parentheses, says nothing elsewhere.
            let fact = |name: &&str| Some(format!("{name}: {}", environment.facts.get(*name)?.split(" (").next()?));
            parts.extend(known.iter().filter_map(fact));
        }
        parts.push(format!("kscen {}", record.run.kscen));
        let what = parts.join("; ");
        match rows.iter_mut().find(|row| row.what == what) {
            Some(row) => row.runs += 1,
            None => rows.push(EnvironmentRow { what, runs: 1 }),
        }
    }
    rows
}

fn judged_rows(records: &[&Record]) -> Vec<JudgedRow> {
    let mut rows: Vec<(JudgedRow, Vec<String>)> = Vec::new();
    for record in records {
        for property in judged(record) {
            let of = match record.broker_config.contains_key(&property.owner) {
                true => property.owner.clone(),
                false => stem(record),
            };
            let same = |(row, _): &&mut (JudgedRow, Vec<String>)| {
                row.name == property.name && row.value == property.value && row.meaning == property.meaning
            };
            match rows.iter_mut().find(same) {
                Some((_, owners)) if owners.contains(&of) => {}
                Some((_, owners)) => owners.push(of),
                None => {
                    let (symbol, meaning) = (property.symbol, property.meaning);
                    let row =
                        JudgedRow { symbol, name: property.name, value: property.value, meaning, of: String::new() };
                    rows.push((row, vec![of]));
                }
            }
        }
    }
    rows.sort_by(|(a, _), (b, _)| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
    rows.into_iter().map(|(row, owners)| JudgedRow { of: owners.join(", "), ..row }).collect()
}

fn advice_rows(records: &[&Record]) -> Vec<AdviceRow> {
    let mut rows: Vec<AdviceRow> = Vec::new();
    for record in records {
        let name = [stem(record), cell(record)].join(" ");
        for advice in advise(record) {
            let trigger = format!("{}: {}", name.trim(), advice.trigger);
            match rows.iter_mut().find(|row| row.text == advice.text) {
                Some(row) => row.triggers.push(trigger),
                None => rows.push(AdviceRow { text: advice.text, triggers: vec![trigger] }),
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Outcome;

    #[test]
    fn a_repeat_that_did_not_pass_is_not_behind_a_later_one_that_did() {
        let golden: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let run = |folder: &str, outcome: Outcome| {
            let mut record = golden.clone();
            record.verdict.as_mut().expect("a verdict").outcome = outcome;
            StoredResult { folder: folder.into(), record }
        };
        let shown = |runs: Vec<StoredResult>| {
            let found = Collection { runs, ..Collection::default() };
            newest(&found)[0].folder.display().to_string()
        };
        let repeats = |suite: &str| {
            let outcomes = [("1", Outcome::Pass), ("2", Outcome::Fail), ("3", Outcome::Pass)];
            outcomes.map(|(id, outcome)| run(&format!("{suite}/{id}"), outcome)).to_vec()
        };
        assert_eq!(shown(repeats("results/a-suite")), "results/a-suite/2");
        assert_eq!(shown(repeats("results")), "results/3", "they are of several commands");
        let later = [repeats("results/a-suite"), vec![run("results/b-suite/4", Outcome::Pass)]].concat();
        assert_eq!(shown(later), "results/b-suite/4");
    }

    #[test]
    fn a_scenario_that_was_not_run_is_no_other_whose_name_is_part_of_its_own() {
        let not_run = |file: &str| NotRun {
            label: file.to_owned(),
            file: file.to_owned(),
            why: format!("{file} needs more"),
            cut_off: false,
            environment: None,
        };
        let all = [not_run("scenarios/debezium-snapshot.yaml"), not_run("scenarios/edge/kill.yaml")];
        assert_eq!(why_not(&all, "snapshot"), None);
        assert_eq!(why_not(&all, "debezium-snapshot").as_deref(), Some("scenarios/debezium-snapshot.yaml needs more"));
        assert_eq!(why_not(&all, "edge"), None);
        assert_eq!(why_not(&all, "kill").as_deref(), Some("scenarios/edge/kill.yaml needs more"));
    }
}
