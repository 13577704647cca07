//! One run as its reports show it: every figure and text ready, so that templates only format.

mod changes;
mod checks;
mod conditions;
mod faults;
mod headlines;
mod ledger;
mod logs;
mod outcome;
mod percentiles;
mod phases;
mod plot;
mod searches;
mod snapshots;
mod steps;

pub use checks::CheckRow;
pub use conditions::ConditionGroup;
pub use faults::FaultRow;
pub use headlines::{Headline, cpu_peak, headlines, memory_peak, quiet_p99, response_time};
pub use ledger::LedgerView;
pub use logs::LogView;
pub use outcome::OutcomeView;
pub use phases::PhaseTable;
pub use searches::SearchView;
pub use snapshots::SnapshotRow;
pub use steps::StepBar;

use super::advice::{Advice, advise};
use super::chart::Timeline;
use super::judged::{JudgedProperty, judged};
use super::timeline::timeline;
use super::worth::{SettingRow, settings};
use crate::ground::plural;
use crate::record::{Quantity, Record, Unit};
use serde::Serialize;

/// One run as its reports show it.
#[derive(Clone, Debug, Serialize)]
pub struct RunView {
    /// The scenario's name.
    pub name: String,
    /// The cell of the matrix, such as `idempotent=false`; empty without a matrix.
    pub cell: String,
    /// The run's id.
    pub id: String,
    /// The verdict.
    pub outcome: OutcomeView,
    /// The scenario's description.
    pub description: String,
    /// The scenario's file.
    pub file: String,
    /// The facts under the title: guarantee, environment, versions, time.
    pub facts: Vec<String>,
    /// How many checks, how long.
    pub extent: String,
    /// Why it is not a pass.
    pub reasons: Vec<String>,
    /// What to do about it, where known.
    pub help: Vec<String>,
    /// The figures that matter most.
    pub headlines: Vec<Headline>,
    /// What was checked.
    pub checks: Vec<CheckRow>,
    /// The charts.
    pub timeline: Timeline,
    /// The steps on the time line.
    pub steps: Vec<StepBar>,
    /// What was disturbed, and when.
    pub faults: Vec<FaultRow>,
    /// Figures by phase, a table for each load.
    pub phases: Vec<PhaseTable>,
    /// What readers saw of snapshots of tables.
    pub snapshots: Vec<SnapshotRow>,
    /// Latency by percentile as SVG, and what latencies they are; empty where there are none.
    pub percentiles: String,
    /// What latencies these are.
    pub percentiles_of: &'static str,
    /// What searches for the highest rate found.
    pub searches: Vec<SearchView>,
    /// What single settings are worth.
    pub settings: Vec<SettingRow>,
    /// Where the messages went.
    pub deliveries: Vec<LedgerView>,
    /// Log lines around the faults.
    pub logs: Vec<LogView>,
    /// Under which conditions the figures hold.
    pub conditions: Vec<ConditionGroup>,
    /// The effective configuration, judged.
    pub judged: Vec<JudgedProperty>,
    /// Recommendations.
    pub advice: Vec<Advice>,
}

impl RunView {
    /// Makes the view of a record.
    pub fn of(record: &Record) -> Self {
        let checks = checks::rows(record);
        let drawn = timeline(record);
        let (percentiles, percentiles_of) = percentiles::curve(record);
        let failures = record.steps.iter().filter_map(|step| step.failure.as_ref()).chain(&record.failure);
        Self {
            name: record.run.name.clone(),
            cell: cell(record),
            id: record.run.id.clone(),
            outcome: OutcomeView::of(record),
            description: record.run.description.clone().unwrap_or_default().trim().to_owned(),
            file: record.run.file.clone(),
            facts: facts(record),
            extent: format!("{} · {}", plural(checks.len(), "check"), Quantity::seconds(record.run.duration)),
            reasons: record.verdict.as_ref().map(|verdict| verdict.reasons.clone()).unwrap_or_default(),
            help: failures.filter_map(|failure| failure.help.clone()).collect(),
            headlines: headlines(record),
            checks,
            steps: steps::bars(record, &drawn),
            timeline: drawn,
            faults: faults::rows(record),
            phases: phases::tables(record),
            snapshots: snapshots::rows(record),
            percentiles,
            percentiles_of,
            searches: searches::of(record),
            settings: settings(record),
            deliveries: record.deliveries.iter().map(LedgerView::of).collect(),
            logs: record.logs.iter().map(|excerpt| LogView::of(record, excerpt)).collect(),
            conditions: conditions::groups(record),
            judged: judged(record),
            advice: advise(record),
        }
    }
}

/// The cell of the matrix, such as `idempotent=false, acks=all`.
pub fn cell(record: &Record) -> String {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parts: Vec<String> = record.run.matrix.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    parts.join(", ")
}

/// The time of a run's start as people read it, to the second, in UTC.
pub fn started(record: &Record) -> String {
    match record.run.started.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => record.run.started.clone(),
    }
}

/// Environment, machine and versions, in a line.
pub fn surroundings(record: &Record) -> String {
    let machine = &record.machine;
    let memory = Quantity::new(machine.memory as f64, Unit::Bytes);
    let environment = record.environment.as_ref().map(|environment| {
        let version = environment.kafka_version.as_deref().unwrap_or("of unknown version");
        format!("{}: Kafka {version}, {} · ", environment.name, plural(environment.brokers, "broker"))
    });
    let machine = format!("{}, {} CPUs, {memory}, {}", machine.cpu, machine.cpus, machine.system);
    let commit = commit(record).map(|commit| format!(" · commit {commit}"));
    let (environment, commit) = (environment.unwrap_or_default(), commit.unwrap_or_default());
    format!("{environment}{machine} · kscen {}{commit}", record.run.kscen)
}

/// The commit of the scenario's repository, as far as people read it.
fn commit(record: &Record) -> Option<String> {
    record.run.commit.as_ref().map(|commit| commit.chars().take(12).collect())
}

fn facts(record: &Record) -> Vec<String> {
    let mut facts = Vec::new();
    facts.extend(record.run.guarantee.map(|guarantee| guarantee.to_string()));
    if let Some(environment) = &record.environment {
        let version = environment.kafka_version.as_deref().map(|version| format!("Kafka {version}, "));
        facts.push(environment.name.clone());
        facts.push(format!("{}{}", version.unwrap_or_default(), plural(environment.brokers, "broker")));
    }
    facts.push(started(record));
    facts
}
