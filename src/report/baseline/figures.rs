//! The measured figures of a run, by name.

use super::super::view::{cpu_peak, memory_peak};
use crate::accounting::Class;
use crate::environment::ServiceId;
use crate::judge::changes::observed;
use crate::judge::delivery::none;
use crate::judge::measure::observe;
use crate::record::metric::Work;
use crate::record::{Observed, Quantity, Record, StepRecord, Unit};
use serde::Serialize;

/// A figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BaselineFigure {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Metric, statistic, heading: of senders.
const SENT: &[(&str, Option<&str>, &str)] = &[
    ("sent", None, "sent"),
    ("acked", None, "acknowledged"),
    ("failed", None, "failed"),
    ("unknown", None, "unknown outcome"),
    ("offered_rate", None, "offered"),
    ("ack_rate", None, "acknowledged per second"),
    ("response_latency", Some("mean"), "response time mean"),
    ("response_latency", Some("p50"), "response time p50"),
    ("response_latency", Some("p95"), "response time p95"),
    ("response_latency", Some("p99"), "response time p99"),
    ("response_latency", Some("max"), "response time max"),
    ("queue_full_time", None, "queue full"),
    ("unavailability", None, "unavailable"),
];

/// The same of readers.
const READ: &[(&str, Option<&str>, &str)] = &[
    ("read", None, "read"),
    ("end_to_end_latency", Some("p50"), "end to end p50"),
    ("end_to_end_latency", Some("p99"), "end to end p99"),
    ("capture_latency", Some("p50"), "commit → connector p50"),
    ("publish_latency", Some("p50"), "connector → reader p50"),
    ("cdc_latency", Some("p50"), "commit → reader p50"),
    ("cdc_latency", Some("p99"), "commit → reader p99"),
    ("unavailability", None, "no change arrived"),
    ("max_lag", None, "largest lag"),
    ("rebalances", None, "rebalances"),
];

/// The same of loads of a database.
const WRITTEN: &[(&str, Option<&str>, &str)] = &[
    ("committed", None, "committed"),
    ("commit_rate", None, "committed per second"),
    ("statement_latency", Some("p50"), "due → committed p50"),
    ("statement_latency", Some("p99"), "due → committed p99"),
    ("unavailability", None, "unavailable"),
];

/// The same of connectors.
const SLOT: &[(&str, Option<&str>, &str)] = &[
    ("slot_lag", None, "log behind at most"),
    ("slot_lag_time", None, "unconfirmed for at most"),
    ("slot_retained", None, "log kept at most"),
];

/// The same of faults.
const FAULT: &[(&str, Option<&str>, &str)] = &[
    ("effect_after", None, "effect proved after"),
    ("ready_after", None, "ready after"),
    ("recovery_time", None, "recovery time"),
    ("lag_recovery_time", None, "lag recovered after"),
];

/// The same of steps that copy topics.
const COPIED: &[(&str, Option<&str>, &str)] = &[
    ("records", None, "records"),
    ("data", None, "data, uncompressed"),
    ("data_rate", None, "data per second"),
    ("saved", None, "saved"),
    ("cpu", None, "kscen's share of the processors"),
    ("memory", None, "kscen's memory at most"),
    ("duration", None, "took"),
];

/// All figures of a run.
pub fn figures(record: &Record) -> Vec<BaselineFigure> {
    let mut all = Vec::new();
    for step in &record.steps {
        let rows = match (&step.produced, &step.consumed) {
            (Some(_), _) => SENT,
            (_, Some(_)) => READ,
            _ if step.written.is_some() => WRITTEN,
            _ if step.captures.is_some() => SLOT,
            _ if step.work() == Work::Archives => COPIED,
            _ if record.faults.iter().any(|fault| fault.step == step.id) => FAULT,
            _ if step.metrics.contains_key("ready_after") => FAULT,
            _ => continue,
        };
        // As fast as it goes, nothing is offered at a rate.
        let scheduled = step.produced.as_ref().is_none_or(|report| report.schedule_end_us.is_some());
        for (metric, statistic, name) in rows.iter().filter(|(metric, ..)| scheduled || *metric != "offered_rate") {
            if let Some(value) = measured(record, step, metric, *statistic) {
                all.push(BaselineFigure { name: format!("{} {name}", step.id), value });
            }
        }
    }
    for delivery in &record.deliveries {
        let name = |what: &str| format!("{} → {}: {what}", delivery.from.join(", "), delivery.to.join(", "));
        for class in [Class::Lost, Class::Duplicated, Class::Redelivered, Class::Reordered] {
            all.push(BaselineFigure {
                name: name(class.name()),
                value: observed(delivery, class, &none()).to_string(),
            });
        }
    }
    if let Some(peak) = cpu_peak(record) {
        let value = format!("{} of the CPUs it may use", Quantity::new(peak, Unit::Share));
        all.push(BaselineFigure { name: "peak CPU of a broker, over a second".to_owned(), value });
    }
    if let Some(peak) = memory_peak(record) {
        let value = Quantity::new(peak, Unit::Bytes).to_string();
        all.push(BaselineFigure { name: "peak anonymous memory of a broker".to_owned(), value });
    }
    if let Some(disk) = disk(record) {
        all.push(BaselineFigure { name: "most disk used by a broker".to_owned(), value: disk });
    }
    all.push(BaselineFigure { name: "duration".to_owned(), value: Quantity::seconds(record.run.duration).to_string() });
    all
}

/// A figure, where it was measured.
pub fn measured(record: &Record, step: &StepRecord, metric: &str, statistic: Option<&str>) -> Option<String> {
    match observe(record, step, metric, statistic, None) {
        Observed::Nothing { .. } => None,
        observed => Some(observed.to_string()),
    }
}

/// The most disk that the data of one broker occupied.
pub fn disk(record: &Record) -> Option<String> {
    let brokers = record.services.iter().filter(|service| matches!(service.name.parse(), Ok(ServiceId::Broker(_))));
    let bytes = brokers.flat_map(|service| &service.samples).filter_map(|sample| sample.usage?.disk).max()?;
    Some(Quantity::new(bytes as f64, Unit::Bytes).to_string())
}
