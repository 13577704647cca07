//! Metrics of steps, from their records.

use super::latencies::latency;
use super::outages::Outages;
use super::phases::whole_slices;
use super::recovery::{lag_recovery_time, recovery_time};
use super::{clocks, during, slots};
use crate::record::series::Slice;
use crate::record::slices::ConsumeSlice;
use crate::record::{
    ConsumeReport, Evidence, Observed, ProduceReport, Quantity, Record, StepRecord, StepStatus, Unit, WriteReport,
    metric,
};
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
    // Latencies are kept by whole slices, all else is exact.
    let slices = statistic.and(spans).map(|spans| whole_slices(record, spans));
    let spans = slices.as_deref().or(spans);
    let whole = match name {
        "recovery_time" => Some(recovery_time(record, step)),
        "lag_recovery_time" => Some(lag_recovery_time(record, step)),
        "duration" => Some(Observed::Number(Quantity::seconds(step.ended - step.started))),
        _ => None,
    };
    match (whole, spans) {
        (Some(observed), None) => return observed,
        (Some(_), Some(_)) => return only_whole(name),
        (None, _) => {}
    }
    if let Some(observed) = slots::observe(record, step, name, spans) {
        return observed;
    }
    if let Some(observed) = unavailability(step, name, spans) {
        return observed;
    }
    if let Some(observed) = violations(step, name).filter(|_| spans.is_none()) {
        return observed;
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
    if let Some(report) = &step.written
        && let Some(observed) = written(report, name, spans)
    {
        return observed;
    }
    if let (Some(series), Some(statistic)) = (step.latencies.get(name), statistic) {
        return latency(series, statistic, spans);
    }
    match step.metrics.get(&statistic.map_or_else(|| name.to_owned(), |statistic| format!("{name}.{statistic}"))) {
        Some(_) if spans.is_some() => only_whole(name),
        Some(quantity) => found(step, name, *quantity),
        None => nothing("the step did not measure it"),
    }
}

/// What a step measured as a whole. A search that could not look further up has found that much at least.
fn found(step: &StepRecord, name: &str, quantity: Quantity) -> Observed {
    let more = (name == "sustainable_rate").then(|| step.details.pointer("/throughput/more")?.as_str()).flatten();
    match more {
        Some(more) => Evidence::open(format!("there may be more: {more}")).rising(quantity),
        None => Observed::Number(quantity),
    }
}

/// Figures that exist for the step as a whole say nothing about a part of the run.
fn only_whole(name: &str) -> Observed {
    Observed::unknown(format!("`{name}` is measured over the whole step, not over a part of the run"))
}

pub(super) fn nothing(reason: &str) -> Observed {
    Observed::Nothing { reason: reason.to_owned() }
}

pub(super) fn count(value: u64) -> Observed {
    Observed::Number(Quantity::count(value))
}

pub(super) fn seconds_of(us: u64) -> f64 {
    us as f64 / 1e6
}

fn produced(
    report: &ProduceReport,
    name: &str,
    statistic: Option<&str>,
    spans: Option<&[Range<f64>]>,
) -> Option<Observed> {
    if let Some(spans) = spans
        && let Some(observed) = during::produced(report, name, spans)
    {
        return Some(observed);
    }
    Some(match name {
        "sent" => count(report.sent),
        // Of nothing, nothing can fail, wait or be acknowledged.
        "acked" | "failed" | "unknown" | "queue_full_time" if report.sent == 0 => nothing("no message was sent"),
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
        "schedule_delay" => latency(&report.schedule_delay, statistic?, spans),
        "ack_latency" => latency(&report.ack_latency, statistic?, spans),
        "response_latency" => latency(&report.response_latency, statistic?, spans),
        _ => return None,
    })
}

/// The longest time without an answer, which may not have ended.
fn unavailability(step: &StepRecord, name: &str, spans: Option<&[Range<f64>]>) -> Option<Observed> {
    let outages = (name == "unavailability").then(|| Outages::of(step))??;
    Some(outages.longest(spans))
}

/// What a reader found wrong in the messages themselves: nothing where it held none against its schema, and what it has not read may be
/// wrong as well.
fn violations(step: &StepRecord, name: &str) -> Option<Observed> {
    let report =
        step.consumed.as_ref().filter(|_| name == "schema_violations" && step.status != StepStatus::Running)?;
    Some(match step.metrics.get(name) {
        None => nothing("the step did not measure it: no message was held against a schema"),
        Some(_) if report.delivered == 0 => nothing("no message was read"),
        Some(found) if report.has_read_all() => Observed::Number(*found),
        Some(found) => Evidence::open("the reader did not come to the end of the topic").rising(*found),
    })
}

/// A figure of a load of the database; `None` where it is measured otherwise.
fn written(report: &WriteReport, name: &str, spans: Option<&[Range<f64>]>) -> Option<Observed> {
    if let Some(spans) = spans {
        return during::written(report, name, spans);
    }
    Some(match name {
        "committed" | "failed" | "unknown" | "commit_rate" if report.total() == 0 => {
            nothing("no transaction was begun")
        }
        "committed" => count(report.committed),
        "failed" => count(report.failed.saturating_add(report.lost)),
        "unknown" => count(report.unknown),
        "commit_rate" => rate(report.committed, report.start_us, report.last_commit_us),
        _ => return None,
    })
}

fn consumed(
    report: &ConsumeReport,
    name: &str,
    statistic: Option<&str>,
    spans: Option<&[Range<f64>]>,
) -> Option<Observed> {
    if let Some(spans) = spans
        && let Some(observed) = during::consumed(report, name, spans)
    {
        return Some(observed);
    }
    Some(match name {
        "read" => count(report.read),
        "bytes" => Observed::Number(Quantity::new(report.bytes as f64, Unit::Bytes)),
        "read_rate" => match (report.first_read_us, report.last_read_us) {
            (Some(first), Some(last)) => rate(report.read, first, last),
            _ => nothing("nothing was read"),
        },
        "end_to_end_latency" => {
            let series = &report.end_to_end_latency;
            until_read(report, clocks::plausible(series, latency(series, statistic?, spans)))
        }
        "max_lag" => largest_lag(report.timeline.iter()),
        "rebalances" if report.group.is_none() => nothing("a reader without a group is never rebalanced"),
        "rebalances" => count(report.rebalanced(|_| true)),
        _ => return None,
    })
}

/// A latency up to where a reader came: what it was to read and did not may have taken longer.
fn until_read(report: &ConsumeReport, observed: Observed) -> Observed {
    let is_cut_off = report.drained == Some(false) && report.until_reached != Some(true);
    match observed {
        Observed::Number(quantity) if is_cut_off && quantity.unit == Unit::Duration => {
            Evidence::open("the reader did not come to the end of the topic").rising(quantity)
        }
        other => other,
    }
}

/// The largest lag of the samples in these slices.
pub(super) fn largest_lag<'a>(slices: impl Iterator<Item = Slice<'a, ConsumeSlice>>) -> Observed {
    let largest = slices.filter_map(|slice| slice.sample.total_lag()).max();
    largest.map_or_else(|| nothing("the lag was never sampled"), |lag| count(u64::try_from(lag).unwrap_or(0)))
}

fn rate(total: u64, start_us: u64, end_us: u64) -> Observed {
    let elapsed = seconds_of(end_us.saturating_sub(start_us));
    if total == 0 || elapsed <= 0.0 {
        return nothing("there were too few messages for a rate");
    }
    Observed::Number(Quantity::new(total as f64 / elapsed, Unit::Rate))
}

/// A step alone in an otherwise empty record: for figures that depend on no other step.
fn alone(step: &StepRecord, name: &str, statistic: Option<&str>) -> Option<Quantity> {
    let own = || match (&step.produced, &step.consumed, &step.written) {
        (Some(report), ..) => produced(report, name, statistic, None),
        (_, Some(report), _) => consumed(report, name, statistic, None),
        (.., Some(report)) => written(report, name, None),
        _ => None,
    };
    let observed = unavailability(step, name, None).or_else(own);
    match observed.as_ref().and_then(Observed::quantity) {
        Some(quantity) => Some(quantity),
        _ if step.latencies.contains_key(name) => latency(&step.latencies[name], statistic?, None).quantity(),
        _ if name == "duration" => {
            (step.status != StepStatus::Skipped).then(|| Quantity::seconds(step.ended - step.started))
        }
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
        [] => return Err("the reference names no metric".to_owned()),
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
    for metric in metric::of(step.work()) {
        if let Some(quantity) = alone(step, metric.name, None) {
            figures.insert(metric.name.to_owned(), json!(quantity.value));
        }
    }
    figures
}
