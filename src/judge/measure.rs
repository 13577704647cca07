//! Metrics of steps, from their records.

use super::phases::{Recovered, hit};
use crate::load::{ConsumeReport, ProduceReport};
use crate::record::latency::{LatencySeries, LatencySummary};
use crate::record::{FaultRecord, Observed, Quantity, Record, StepRecord, Unit, metric};
use serde_json::{Map, Value, json};
use std::ops::Range;

/// A metric of a step over the whole run, or over some spans of it (seconds of the run).
pub fn observe(
    record: &Record,
    step: &StepRecord,
    name: &str,
    statistic: Option<&str>,
    spans: Option<&[Range<f64>]>,
) -> Observed {
    if let Some(spans) = spans
        && spans.is_empty()
    {
        return nothing("there was no such phase");
    }
    match name {
        "recovery_time" => return recovery_time(record, step),
        "lag_recovery_time" => return lag_recovery_time(record, step),
        "duration" => return Observed::Number(Quantity::seconds(step.ended - step.started)),
        _ => {}
    }
    if let Some(report) = &step.produced
        && let Some(observed) = produced(report, name, statistic, spans)
    {
        return observed;
    }
    if let Some(report) = &step.consumed
        && let Some(observed) = consumed(report, name, statistic, spans)
    {
        return observed;
    }
    if let (Some(series), Some(statistic)) = (step.latencies.get(name), statistic) {
        return latency(series, statistic, spans);
    }
    match step.metrics.get(&statistic.map_or_else(|| name.to_owned(), |statistic| format!("{name}.{statistic}"))) {
        Some(quantity) => Observed::Number(*quantity),
        None => nothing("the step did not measure it"),
    }
}

fn nothing(reason: &str) -> Observed {
    Observed::Nothing { reason: reason.to_owned() }
}

fn count(value: u64) -> Observed {
    Observed::Number(Quantity::count(value))
}

fn seconds_of(us: u64) -> f64 {
    us as f64 / 1e6
}

fn produced(
    report: &ProduceReport,
    name: &str,
    statistic: Option<&str>,
    spans: Option<&[Range<f64>]>,
) -> Option<Observed> {
    if let Some(spans) = spans
        && let Some(observed) = produced_during(report, name, spans)
    {
        return Some(observed);
    }
    Some(match name {
        "sent" => count(report.sent),
        "acked" => count(report.acked),
        "failed" => count(report.failed_total()),
        "unknown" => count(report.unknown_total()),
        "bytes" => Observed::Number(Quantity::new(report.bytes as f64, Unit::Bytes)),
        "offered_rate" => rate(
            report.sent,
            report.start_us,
            report.schedule_end_us.map_or(report.last_send_us, |end| end.max(report.last_send_us)),
        ),
        "ack_rate" => rate(report.acked, report.start_us, report.last_ack_us),
        "queue_full_time" => Observed::Number(Quantity::seconds(seconds_of(report.queue_full_us))),
        "unavailability" => {
            let (longest, endless) = report.unavailability();
            open_ended(seconds_of(longest), endless)
        }
        "schedule_delay" => latency(&report.schedule_delay, statistic?, spans),
        "ack_latency" => latency(&report.ack_latency, statistic?, spans),
        "response_latency" => latency(&report.response_latency, statistic?, spans),
        _ => return None,
    })
}

/// Counts and rates within spans, to the second: a second belongs to a span where its middle does.
fn produced_during(report: &ProduceReport, name: &str, spans: &[Range<f64>]) -> Option<Observed> {
    if name == "unavailability" {
        let worst = report
            .ack_gaps
            .iter()
            .filter_map(|gap| {
                let end = gap.end_us.unwrap_or(report.end_us);
                let touches =
                    spans.iter().any(|span| seconds_of(gap.start_us) < span.end && seconds_of(end) > span.start);
                touches.then(|| (end.saturating_sub(gap.start_us), gap.end_us.is_none()))
            })
            .max();
        let (longest, endless) = worst.unwrap_or((0, false));
        return Some(open_ended(seconds_of(longest), endless));
    }
    let within = |second: &u64| {
        let middle = *second as f64 + 0.5;
        spans.iter().any(|span| span.contains(&middle))
    };
    let sum = |field: fn(&crate::record::series::ProduceSecond) -> u64| -> u64 {
        report.seconds.seconds.iter().filter(|(second, _)| within(second)).map(|(_, sample)| field(sample)).sum()
    };
    let length: f64 = spans.iter().map(|span| overlap(span, report)).sum();
    let per_second = |total: u64| {
        if length > 0.0 {
            Observed::Number(Quantity::new(total as f64 / length, Unit::Rate))
        } else {
            nothing("the load did not run in that phase")
        }
    };
    Some(match name {
        "sent" => count(sum(|second| second.sent)),
        "acked" => count(sum(|second| second.acked)),
        "failed" => count(sum(|second| second.failed)),
        "unknown" => count(sum(|second| second.unknown)),
        "bytes" => Observed::Number(Quantity::new(sum(|second| second.bytes) as f64, Unit::Bytes)),
        "queue_full_time" => Observed::Number(Quantity::seconds(seconds_of(sum(|second| second.queue_full_us)))),
        "offered_rate" => per_second(sum(|second| second.sent)),
        "ack_rate" => per_second(sum(|second| second.acked)),
        _ => return None,
    })
}

fn overlap(span: &Range<f64>, report: &ProduceReport) -> f64 {
    (span.end.min(seconds_of(report.last_ack_us.max(report.last_send_us)))
        - span.start.max(seconds_of(report.start_us)))
    .max(0.0)
}

fn consumed(
    report: &ConsumeReport,
    name: &str,
    statistic: Option<&str>,
    spans: Option<&[Range<f64>]>,
) -> Option<Observed> {
    Some(match name {
        "read" => count(report.read),
        "bytes" => Observed::Number(Quantity::new(report.bytes as f64, Unit::Bytes)),
        "read_rate" => match (report.first_read_us, report.last_read_us) {
            (Some(first), Some(last)) => rate(report.read, first, last),
            _ => nothing("nothing was read"),
        },
        "end_to_end_latency" => latency(&report.end_to_end_latency, statistic?, spans),
        "max_lag" => report
            .seconds
            .seconds
            .iter()
            .filter(|(second, sample)| {
                let middle = **second as f64 + 0.5;
                !sample.lag.is_empty() && spans.is_none_or(|spans| spans.iter().any(|span| span.contains(&middle)))
            })
            .map(|(_, sample)| sample.lag.values().sum::<i64>())
            .max()
            .map_or_else(|| nothing("the lag was never sampled"), |lag| count(u64::try_from(lag).unwrap_or(0))),
        "rebalances" => count(report.rebalances.len() as u64),
        _ => return None,
    })
}

fn rate(total: u64, start_us: u64, end_us: u64) -> Observed {
    let elapsed = seconds_of(end_us.saturating_sub(start_us));
    if total == 0 || elapsed <= 0.0 {
        return nothing("there was too little to make a rate of");
    }
    Observed::Number(Quantity::new(total as f64 / elapsed, Unit::Rate))
}

fn open_ended(seconds: f64, endless: bool) -> Observed {
    let quantity = Quantity::seconds(seconds);
    if endless { Observed::AtLeast(quantity) } else { Observed::Number(quantity) }
}

fn latency(series: &LatencySeries, statistic: &str, spans: Option<&[Range<f64>]>) -> Observed {
    let summary = match spans {
        None => LatencySummary::of(&series.total()),
        Some(spans) => {
            let mut merged = crate::record::latency::histogram();
            for span in spans {
                let span = (span.start.max(0.0) * 1e6) as u64..(span.end.max(0.0) * 1e6) as u64;
                // Two histograms of the same bounds always merge.
                let _ = merged.add(series.within(span));
            }
            LatencySummary::of(&merged)
        }
    };
    if summary.n == 0 {
        return nothing("there were no messages");
    }
    let us = match statistic {
        "n" => return count(summary.n),
        "mean" => summary.mean_us,
        "p50" => summary.p50_us as f64,
        "p90" => summary.p90_us as f64,
        "p95" => summary.p95_us as f64,
        "p99" => summary.p99_us as f64,
        "p99.9" => summary.p999_us as f64,
        "max" => summary.max_us as f64,
        other => return nothing(&format!("`{other}` is no statistic")),
    };
    Observed::Number(Quantity::seconds(us / 1e6))
}

fn faults_of<'a>(record: &'a Record, step: &'a StepRecord) -> impl Iterator<Item = &'a FaultRecord> {
    record.faults.iter().filter(|fault| fault.step == step.id)
}

/// From undoing the fault until the first acknowledgement or read, worst over the loads that it hit.
fn recovery_time(record: &Record, step: &StepRecord) -> Observed {
    let mut worst: Option<(f64, bool)> = None;
    for fault in faults_of(record, step) {
        let Some(undone) = fault.undone else {
            return Observed::Unknown { reason: "the fault is still in force".to_owned() };
        };
        for (_, recovered) in hit(&record.steps, fault) {
            let this = match recovered {
                Recovered::At(at) => (at - undone, false),
                Recovered::Never(end) => (end - undone, true),
                Recovered::NotConcerned => continue,
            };
            let before = worst.unwrap_or((0.0, false));
            worst = Some((before.0.max(this.0), before.1 || this.1));
        }
    }
    worst.map_or_else(|| nothing("no load was running"), |(seconds, endless)| open_ended(seconds.max(0.0), endless))
}

/// From undoing the fault until the readers' lag was back to its level before, worst over the readers.
fn lag_recovery_time(record: &Record, step: &StepRecord) -> Observed {
    let mut worst: Option<(f64, bool)> = None;
    for fault in faults_of(record, step) {
        let (Some(effective), Some(undone)) = (fault.effective, fault.undone) else {
            return Observed::Unknown { reason: "the fault is still in force".to_owned() };
        };
        for report in record.steps.iter().filter_map(|step| step.consumed.as_ref()) {
            let lag = |second: &u64| {
                report
                    .seconds
                    .seconds
                    .get(second)
                    .filter(|sample| !sample.lag.is_empty())
                    .map(|sample| sample.lag.values().sum::<i64>())
            };
            let before = (0..effective as u64).rev().find_map(|second| lag(&second)).unwrap_or(0);
            let mut after = report.seconds.seconds.keys().filter(|second| **second as f64 >= undone);
            let (seconds, endless) = match after.find(|second| lag(second).is_some_and(|lag| lag <= before)) {
                Some(second) => ((*second as f64 - undone).max(0.0), false),
                None => (record.run.duration - undone, true),
            };
            let known = worst.unwrap_or((0.0, false));
            worst = Some((known.0.max(seconds), known.1 || endless));
        }
    }
    worst.map_or_else(|| nothing("no reader was running"), |(seconds, endless)| open_ended(seconds, endless))
}

/// A step alone in an otherwise empty record: for figures that depend on no other step.
fn alone(step: &StepRecord, name: &str, statistic: Option<&str>) -> Option<Quantity> {
    let observed = match (&step.produced, &step.consumed) {
        (Some(report), _) => produced(report, name, statistic, None),
        (_, Some(report)) => consumed(report, name, statistic, None),
        _ => None,
    };
    match observed {
        Some(Observed::Number(quantity) | Observed::AtLeast(quantity)) => Some(quantity),
        _ if step.latencies.contains_key(name) => match latency(&step.latencies[name], statistic?, None) {
            Observed::Number(quantity) => Some(quantity),
            _ => None,
        },
        _ if name == "duration" => Some(Quantity::seconds(step.ended - step.started)),
        _ => step.metrics.get(name).copied(),
    }
}

/// A metric as `${steps.X.metric}` gives it: counts as numbers, others as texts with their unit.
///
/// # Errors
/// Says why there is no value.
pub fn for_reference(step: &StepRecord, path: &[String]) -> Result<Value, String> {
    let (name, statistic) = match path {
        [name] => (name, None),
        [name, rest @ ..] => (name, Some(rest.join("."))),
        [] => return Err("which metric?".to_owned()),
    };
    let quantity = alone(step, name, statistic.as_deref())
        .ok_or_else(|| format!("`{}` did not measure `{}`", step.id, path.join(".")))?;
    Ok(match quantity.unit {
        // Counts are whole and small enough for an f64.
        Unit::Count => json!(quantity.value as u64),
        Unit::Duration => json!(format!("{:.6}s", quantity.value)),
        Unit::Rate => json!(format!("{:.3}/s", quantity.value)),
        Unit::Bytes => json!(format!("{}B", quantity.value as u64)),
        Unit::Share => json!(format!("{:.3}%", quantity.value * 100.0)),
    })
}

/// The single figures of a step in base units, for conditions.
pub fn for_condition(step: &StepRecord) -> Map<String, Value> {
    let mut figures = Map::new();
    figures.insert("status".to_owned(), json!(step.status));
    for metric in metric::of_verb(&step.verb) {
        if let Some(quantity) = alone(step, metric.name, None) {
            figures.insert(metric.name.to_owned(), json!(quantity.value));
        }
    }
    figures
}
