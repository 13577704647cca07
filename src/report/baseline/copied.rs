//! What was asked of steps that copy topics, what they measured, and how both are written.

use super::super::view::cell;
use super::expected::Expected;
use crate::judge::decide;
use crate::judge::measure::observe;
use crate::record::metric::{Metric, Work, named};
use crate::record::{CheckOutcome, Demand, Observed, Quantity, Record, StepRecord, StepStatus, Unit, demand};
use serde::Serialize;

/// A figure that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AskedRow {
    /// The scenario, with the cell of its matrix.
    pub title: String,
    /// Step and metric.
    pub figure: String,
    /// The bounds.
    pub asked: String,
    /// What was measured, or why there is nothing.
    pub measured: String,
    /// Whether it is reached: a symbol and words.
    pub symbol: &'static str,
    pub reached: &'static str,
    /// Whether it was measured, and is not.
    pub missed: bool,
}

/// What a step that copies measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopyRow {
    /// The scenario, with the cell of its matrix.
    pub title: String,
    /// What the step does.
    pub step: String,
    pub records: String,
    pub data: String,
    pub rate: String,
    pub saved: String,
    pub cpu: String,
    pub memory: String,
    pub took: String,
}

/// What was asked of a scenario, for each of its runs; once where there is none.
pub(super) fn asked(expected: &Expected, runs: &[&Record]) -> Vec<AskedRow> {
    let mut rows = Vec::new();
    for (name, bounds) in &expected.asked {
        // What an earlier version asked for and this one does not know is left out.
        let Some((step, metric, statistic)) = split(name) else { continue };
        let Ok(demand) = demand(metric.unit, &bounds.written()) else { continue };
        let row = AskedRow {
            title: expected.title.clone(),
            figure: format!("{step} {}", name[step.len() + 1..].replace('_', " ")),
            asked: bounded(metric, &demand),
            measured: "–".to_owned(),
            symbol: "○",
            reached: "not run",
            missed: false,
        };
        if runs.is_empty() {
            rows.push(row);
            continue;
        }
        for record in runs {
            let observed = record.step(step).map_or_else(
                || Observed::nothing("the step did not run"),
                |step| observe(record, step, metric.name, statistic, None),
            );
            let (symbol, reached) = match (decide(&demand, &observed), &observed) {
                (CheckOutcome::Pass, _) => ("✓", "reached"),
                (_, Observed::Nothing { .. }) => ("○", "not measured"),
                (CheckOutcome::Fail, _) => ("✗", "not reached"),
                (CheckOutcome::Unknown, _) => ("?", "not known"),
            };
            let missed = reached == "not reached";
            let measured = written(metric, &observed);
            rows.push(AskedRow { title: titled(expected, record), measured, symbol, reached, missed, ..row.clone() });
        }
    }
    rows
}

/// What the steps of a run that copy topics measured.
pub(super) fn copies(expected: &Expected, record: &Record) -> Vec<CopyRow> {
    // What was to be refused has copied nothing.
    let copied = |step: &StepRecord| step.status == StepStatus::Done && step.metrics.contains_key("data");
    let copies = |step: &&StepRecord| step.work() == Work::Archives && copied(step);
    let steps = record.steps.iter().filter(copies);
    let row = |step: &StepRecord| {
        let figure = |name: &str| {
            let observed = named(name).map(|metric| (metric, observe(record, step, name, None, None)));
            match observed {
                Some((metric, observed)) if observed.quantity().is_some() => written(metric, &observed),
                _ => "–".to_owned(),
            }
        };
        CopyRow {
            title: titled(expected, record),
            step: untimed(&step.title, &record.run.id),
            records: figure("records"),
            data: figure("data"),
            rate: figure("data_rate"),
            saved: figure("saved"),
            cpu: figure("cpu"),
            memory: figure("memory"),
            took: figure("duration"),
        }
    };
    steps.map(row).collect()
}

/// The names of topics without the id of the run, which says nothing here.
fn untimed(title: &str, run: &str) -> String {
    if run.is_empty() { title.to_owned() } else { title.replace(&format!("-{run}"), "") }
}

fn titled(expected: &Expected, record: &Record) -> String {
    match cell(record) {
        cell if cell.is_empty() => expected.title.clone(),
        cell => format!("{} ({cell})", expected.title),
    }
}

/// Step, metric and statistic of `STEP.METRIC` or `STEP.METRIC.STATISTIC`; ids may hold dots themselves.
fn split(name: &str) -> Option<(&str, &'static Metric, Option<&str>)> {
    name.match_indices('.').find_map(|(dot, _)| {
        let rest = &name[dot + 1..];
        let (metric, statistic) = rest.split_once('.').map_or((rest, None), |(metric, rest)| (metric, Some(rest)));
        Some((&name[..dot], named(metric)?, statistic))
    })
}

/// As people ask for it: data in MB, and its rate in MB/s.
fn value(metric: &Metric, value: f64) -> String {
    if metric.unit != Unit::Bytes {
        return Quantity::new(value, metric.unit).to_string();
    }
    let per_second = if metric.name.ends_with("_rate") { "/s" } else { "" };
    format!("{} MB{per_second}", Quantity::new((value / 1e5).round() / 10.0, Unit::Count))
}

fn written(metric: &Metric, observed: &Observed) -> String {
    match observed {
        Observed::Number(quantity) => value(metric, quantity.value),
        other => other.to_string(),
    }
}

fn bounded(metric: &Metric, demand: &Demand) -> String {
    let Demand::Number { min, max, .. } = demand else { return demand.to_string() };
    let bounds = [("≥", min), ("≤", max)];
    let words = bounds.into_iter().filter_map(|(sign, bound)| Some(format!("{sign} {}", value(metric, (*bound)?))));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_told_from_the_id_of_its_step() {
        let told = |name| split(name).map(|(step, metric, statistic)| (step, metric.name, statistic));
        assert_eq!(told("zstd.saved"), Some(("zstd", "saved", None)));
        assert_eq!(
            told("warm-up.load.response_latency.p99.9"),
            Some(("warm-up.load", "response_latency", Some("p99.9")))
        );
        assert_eq!(told("zstd.savings"), None);
    }

    #[test]
    fn data_is_written_as_people_ask_for_it() {
        let bytes = |name, bytes| value(named(name).expect("a metric"), bytes);
        assert_eq!(bytes("data_rate", 1e8), "100 MB/s");
        assert_eq!(bytes("memory", 512e6), "512 MB");
        assert_eq!(bytes("memory", 20_450_000.0), "20.5 MB");
    }
}
