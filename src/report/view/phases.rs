//! Figures by phase: a figure over the whole run hides an outage.

use super::super::timeline;
use crate::judge::measure::observe;
use crate::judge::phases::{Phase, spans};
use crate::record::{Observed, Quantity, Record, StepRecord, Unit};
use serde::Serialize;

/// The figures of one load.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseTable {
    /// The load and what it does.
    pub load: String,
    /// Headings: the phases that there were, and the whole run.
    pub phases: Vec<String>,
    /// The rows.
    pub rows: Vec<PhaseRow>,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseRow {
    /// What it is.
    pub name: &'static str,
    /// By phase.
    pub values: Vec<String>,
}

/// Name, metric and statistic of each row.
type Rows = &'static [(&'static str, &'static str, Option<&'static str>)];

const PRODUCED: Rows = &[
    ("offered", "offered_rate", None),
    ("acknowledged", "ack_rate", None),
    ("response time p50", "response_latency", Some("p50")),
    ("response time p95", "response_latency", Some("p95")),
    ("response time p99", "response_latency", Some("p99")),
    ("response time max", "response_latency", Some("max")),
    ("schedule delay p99", "schedule_delay", Some("p99")),
    ("failed", "failed", None),
    ("unknown", "unknown", None),
    ("queue full", "queue_full_time", None),
    ("unavailable", "unavailability", None),
];

const CONSUMED: Rows = &[
    ("end to end p50", "end_to_end_latency", Some("p50")),
    ("end to end p95", "end_to_end_latency", Some("p95")),
    ("end to end p99", "end_to_end_latency", Some("p99")),
    ("end to end max", "end_to_end_latency", Some("max")),
    ("largest lag", "max_lag", None),
];

/// A reader that decodes the changes of a database.
const CAPTURED: Rows = &[
    ("read", "read", None),
    ("commit → connector p50", "capture_latency", Some("p50")),
    ("commit → connector p99", "capture_latency", Some("p99")),
    ("connector → reader p50", "publish_latency", Some("p50")),
    ("connector → reader p99", "publish_latency", Some("p99")),
    ("commit → reader p50", "cdc_latency", Some("p50")),
    ("commit → reader p95", "cdc_latency", Some("p95")),
    ("commit → reader p99", "cdc_latency", Some("p99")),
    ("commit → reader max", "cdc_latency", Some("max")),
    ("no change arrived", "unavailability", None),
    ("largest lag", "max_lag", None),
];

/// A step that repeats statements.
const WRITTEN: Rows = &[
    ("committed", "committed", None),
    ("committed per second", "commit_rate", None),
    ("due → committed p50", "statement_latency", Some("p50")),
    ("due → committed p95", "statement_latency", Some("p95")),
    ("due → committed p99", "statement_latency", Some("p99")),
    ("due → committed max", "statement_latency", Some("max")),
    ("failed", "failed", None),
    ("unknown", "unknown", None),
    ("unavailable", "unavailability", None),
];

/// A connector, by its replication slot.
const SLOT: Rows = &[
    ("log behind", "slot_lag", None),
    ("unconfirmed for", "slot_lag_time", None),
    ("log kept", "slot_retained", None),
    ("slot not read for", "slot_idle_time", None),
];

pub(super) fn tables(record: &Record) -> Vec<PhaseTable> {
    let phases: Vec<_> =
        Phase::ALL.into_iter().map(|phase| (phase, spans(record, phase))).filter(|(_, of)| !of.is_empty()).collect();
    let begin = timeline::start(record);
    let headings = phases.iter().map(|(phase, spans)| {
        // The start of the environment and the preparation are nothing that was steady.
        let length: f64 = spans.iter().map(|span| (span.end - span.start.max(begin)).max(0.0)).sum();
        format!("{phase} ({})", Quantity::seconds(length))
    });
    // Without a fault there is only one phase, which the whole run says as well.
    let split = phases.len() > 1;
    let headings: Vec<String> =
        headings.filter(|_| split).chain([format!("whole run ({})", Quantity::seconds(record.run.duration))]).collect();
    let table = |step: &StepRecord, rows: Rows| PhaseTable {
        load: format!("{}: {}", step.id, step.title),
        phases: headings.clone(),
        rows: rows
            .iter()
            .map(|(name, metric, statistic)| {
                let during = phases.iter().filter(|_| split).map(|(_, spans)| Some(spans.as_slice()));
                let values =
                    during.chain([None]).map(|spans| write(observe(record, step, metric, *statistic, spans))).collect();
                PhaseRow { name, values }
            })
            .collect(),
    };
    record
        .steps
        .iter()
        .filter_map(|step| match (&step.produced, &step.consumed, &step.written) {
            (Some(_), ..) => Some(table(step, PRODUCED)),
            (_, Some(report), _) if report.changes.is_some() => Some(table(step, CAPTURED)),
            (_, Some(_), _) => Some(table(step, CONSUMED)),
            (.., Some(_)) => Some(table(step, WRITTEN)),
            _ if step.captures.is_some() => Some(table(step, SLOT)),
            _ => None,
        })
        .collect()
}

fn write(observed: Observed) -> String {
    match observed {
        Observed::Nothing { .. } => "–".to_owned(),
        Observed::Number(Quantity { value: 0.0, unit: Unit::Duration }) => "0".to_owned(),
        other => other.brief(),
    }
}
