//! A scenario's part of a baseline report.

use super::expected::Expected;
use super::figures::{BaselineFigure, disk, figures};
use crate::accounting::Class;
use crate::judge::changes::observed;
use crate::judge::delivery::{forbidden, none};
use crate::judge::measure::observe;
use crate::record::counts;
use crate::record::metric::Work;
use crate::record::{DeliveryRecord, Observed, Quantity, Record, Unit};
use crate::report::command;
use crate::report::judged::client_properties;
use crate::report::totals::{ClassTotal, class_total, counted};
use crate::report::view::{CheckRow, OutcomeView, cell, cpu_peak, memory_peak, response_time, started};
use serde::Serialize;

/// One scenario.
#[derive(Clone, Debug, Serialize)]
pub struct BaselineSection {
    pub title: String,
    pub criterion: String,
    pub behaviour: String,
    /// The verdict over all cells: a word, a symbol, a tone.
    pub word: &'static str,
    pub symbol: &'static str,
    pub tone: &'static str,
    /// The command that runs it.
    pub command: String,
    /// Why it did not run, where that is known.
    pub why: String,
    /// The newest run of each cell.
    pub runs: Vec<RunSection>,
}

/// The newest run of a cell.
#[derive(Clone, Debug, Serialize)]
pub struct RunSection {
    pub cell: String,
    pub id: String,
    pub started: String,
    pub outcome: OutcomeView,
    pub reasons: Vec<String>,
    /// What could be misread in the figures, in sentences without their end.
    pub explained: Vec<String>,
    pub configuration: Vec<BaselineFigure>,
    pub figures: Vec<BaselineFigure>,
    pub checks: Vec<CheckRow>,
    pub chart: String,
    /// The columns of the summary.
    pub summary: Summary,
}

/// The columns of both reports' summaries; `–` where nothing was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub acked: String,
    pub rate: String,
    pub mean: String,
    pub p50: String,
    pub p95: String,
    pub p99: String,
    pub errors: String,
    pub lost: String,
    pub loss: String,
    pub duplicated: String,
    pub duplicate_rate: String,
    pub unavailable: String,
    pub recovery: String,
    pub cpu: String,
    pub memory: String,
    pub disk: String,
    pub ready: String,
}

impl BaselineSection {
    /// The part of a scenario; `file` is where it was run from.
    pub fn of(expected: Expected, file: Option<String>, runs: Vec<RunSection>, why: Option<String>) -> Self {
        let worst = runs
            .iter()
            .map(|run| run.outcome.clone())
            .max_by_key(|outcome| ["good", "warn", "bad"].iter().position(|tone| *tone == outcome.tone))
            .unwrap_or_else(OutcomeView::not_run);
        Self {
            command: command(&file.unwrap_or_else(|| format!("scenarios/{}.yaml", expected.stem)), None),
            title: expected.title,
            criterion: expected.criterion,
            behaviour: expected.behaviour,
            word: worst.word,
            symbol: worst.symbol,
            tone: worst.tone,
            why: why.unwrap_or_default(),
            runs,
        }
    }
}

impl RunSection {
    /// The part of a run, with its chart's path.
    pub fn of(record: &Record, chart: String) -> Self {
        Self {
            cell: cell(record),
            id: record.run.id.clone(),
            started: started(record),
            outcome: OutcomeView::of(record),
            reasons: record.verdict.as_ref().map(|verdict| verdict.reasons.clone()).unwrap_or_default(),
            explained: explained(record),
            configuration: configuration(record),
            figures: figures(record),
            checks: record.checks.iter().map(CheckRow::of).collect(),
            chart,
            summary: Summary::of(record),
        }
    }
}

/// Figures that look like a failure beside a verdict that passes: why they are none.
fn explained(record: &Record) -> Vec<String> {
    let passes = record.has_passed();
    if !passes {
        return Vec::new();
    }
    let settled = counted(record);
    let several = settled.len() > 1;
    let mut sentences = Vec::new();
    for (class, what) in [(Class::Lost, "are lost"), (Class::Duplicated, "came twice")] {
        for delivery in &settled {
            let seen = observed(delivery, class, &none());
            if seen.quantity().is_none_or(|count| count.value == 0.0) {
                continue;
            }
            let of = format!("{} → {}: ", delivery.from.join(", "), delivery.to.join(", "));
            let things = if delivery.changes.is_some() { "changes" } else { "messages" };
            let (of, count, because) = (if several { of.as_str() } else { "" }, seen.brief(), because(delivery, class));
            sentences.push(format!("{of}{count} {things} {what}: {because}"));
        }
    }
    for settled in record.deliveries.iter().filter(|settled| settled.to.len() > 1) {
        sentences.push(format!("{} count as one reader: each alone has read a part", settled.to.join(" and ")));
    }
    sentences
}

/// Why a run passes with messages of that class in that delivery.
fn because(delivery: &DeliveryRecord, class: Class) -> String {
    let permits = delivery.guarantee.filter(|guarantee| !forbidden(*guarantee, false).contains(&class));
    match permits {
        _ if delivery.stated.contains(&class) => "its check allows that many".to_owned(),
        Some(guarantee) => format!("{guarantee} permits that"),
        None if delivery.guarantee.is_some() => "its check allows that".to_owned(),
        None => "that is what this scenario shows, or states nothing of".to_owned(),
    }
}

/// What was done: each load and fault, and the client properties that matter.
fn configuration(record: &Record) -> Vec<BaselineFigure> {
    let mut rows = Vec::new();
    for step in &record.steps {
        if let Some(config) = step.produced.as_ref().map(|report| &report.effective_config) {
            rows.push(BaselineFigure { name: step.id.clone(), value: step.title.clone() });
            let told =
                ["acks", "enable.idempotence", "retries", "delivery.timeout.ms", "linger.ms", "compression.type"];
            for (name, value) in client_properties(step, config).into_iter().filter(|(name, _)| told.contains(name)) {
                rows.push(BaselineFigure { name: format!("{} {name}", step.id), value });
            }
        } else if let Some(report) = &step.consumed {
            let untold = report.group.as_ref().filter(|group| !step.title.contains(group.as_str()));
            let group = untold.map(|group| format!(" as group {group}")).unwrap_or_default();
            rows.push(BaselineFigure { name: step.id.clone(), value: format!("{}{group}", step.title) });
        } else if step.work() == Work::Archives || record.faults.iter().any(|fault| fault.step == step.id) {
            rows.push(BaselineFigure { name: step.id.clone(), value: step.title.clone() });
        }
    }
    for fault in &record.faults {
        let name = format!("{} took effect on {}", fault.action, fault.target);
        rows.push(BaselineFigure { name, value: fault.proof.clone() });
    }
    rows
}

impl Summary {
    fn of(record: &Record) -> Self {
        let loads: Vec<_> = record.steps.iter().filter(|step| step.produced.is_some()).collect();
        let none = || "–".to_owned();
        let reports = || loads.iter().filter_map(|step| step.produced.as_ref());
        let acked = counts::sum(reports().map(|report| report.acked));
        let errors = counts::sum(reports().flat_map(|report| [report.failed_total(), report.unknown_total()]));
        let latency = |statistic: &str| match response_time(record, statistic) {
            Observed::Nothing { .. } => none(),
            other => other.brief(),
        };
        let rate = match loads[..] {
            [load] => number(&observe(record, load, "ack_rate", None, None)),
            _ => none(),
        };
        // How long nothing was acknowledged is a figure of loads; how long no change arrived is another one.
        let worst = |metric: &str| {
            let asked = record.steps.iter().filter(|step| metric != "unavailability" || step.produced.is_some());
            let all = asked.map(|step| observe(record, step, metric, None, None));
            let numbers = all.filter_map(|observed| Some((observed.quantity()?.value, observed.brief())));
            numbers.max_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(none, |(_, text)| text)
        };
        let (lost, duplicated) = (class_total(record, Class::Lost), class_total(record, Class::Duplicated));
        let count = |total: &Option<ClassTotal>| total.as_ref().map_or_else(none, ClassTotal::told);
        let share = |total: &Option<ClassTotal>| total.as_ref().and_then(ClassTotal::share).unwrap_or_else(none);
        Self {
            acked: if loads.is_empty() { none() } else { Quantity::count(acked).to_string() },
            rate,
            mean: latency("mean"),
            p50: latency("p50"),
            p95: latency("p95"),
            p99: latency("p99"),
            errors: if loads.is_empty() { none() } else { Quantity::count(errors).to_string() },
            lost: count(&lost),
            loss: share(&lost),
            duplicated: count(&duplicated),
            duplicate_rate: share(&duplicated),
            unavailable: worst("unavailability"),
            recovery: worst("recovery_time"),
            cpu: cpu_peak(record).map_or_else(none, |peak| Quantity::new(peak, Unit::Share).to_string()),
            memory: memory_peak(record).map_or_else(none, |peak| Quantity::new(peak, Unit::Bytes).to_string()),
            disk: disk(record).unwrap_or_else(none),
            ready: worst("ready_after"),
        }
    }
}

fn number(observed: &Observed) -> String {
    match observed {
        Observed::Nothing { .. } => "–".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::latency::LatencyRecorder;
    use crate::scenario::Guarantee;

    fn golden() -> Record {
        serde_json::from_str(include_str!("../../../tests/goldens/record.json")).expect("a stored record")
    }

    #[test]
    fn a_summary_says_at_least_where_its_figures_do() {
        let mut record = golden();
        let load = record.steps.iter_mut().find_map(|step| step.produced.as_mut()).expect("a load");
        let mut recorder = LatencyRecorder::default();
        (0..90).for_each(|n| recorder.record(n * 1000, 5_000));
        (0..10).for_each(|n| recorder.record_unanswered(n * 1000, 120_000_000));
        load.response_latency = recorder.snapshot();
        let summary = Summary::of(&record);
        assert!(summary.p99.starts_with("≥ ") && summary.mean.starts_with("≥ "), "{summary:?}");
        assert!(!summary.p50.starts_with('≥'), "{summary:?}");
        record.steps.retain(|step| step.produced.is_none());
        assert_eq!(Summary::of(&record).p99, "–");
    }

    #[test]
    fn why_a_run_passes_with_losses_is_said_of_the_delivery_that_has_them() {
        let mut record = golden();
        record.run.guarantee = Some(Guarantee::AtLeastOnce);
        record.deliveries[0].ledger.classes.entry(Class::Lost).or_default().count = 12;
        let mut said = |guarantee: Option<Guarantee>, stated: &[Class]| {
            (record.deliveries[0].guarantee, record.deliveries[0].stated) = (guarantee, stated.to_vec());
            explained(&record).join("; ")
        };
        assert_eq!(said(Some(Guarantee::AtMostOnce), &[]), "12 messages are lost: at-most-once permits that");
        let shown = "12 messages are lost: that is what this scenario shows, or states nothing of";
        assert_eq!(said(None, &[]), shown, "the scenario's own guarantee does not permit it");
        assert!(said(Some(Guarantee::AtLeastOnce), &[Class::Lost]).ends_with("its check allows that many"));
        assert!(said(Some(Guarantee::AtLeastOnce), &[]).ends_with("its check allows that"));
    }
}
