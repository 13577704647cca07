//! Recommendations: a table of rules over measured figures. Each names the figure and the threshold that triggered it.

use super::totals::class_total;
use super::view::{cpu_peak, response_time};
use super::worth::gain;
use crate::accounting::Class;
use crate::judge::measure::observe;
use crate::record::{Observed, Quantity, Record, StepRecord, Unit};
use serde::Serialize;

/// A recommendation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// Stable name of the rule.
    pub rule: &'static str,
    /// What to do.
    pub text: &'static str,
    /// The measured figure and the threshold it crossed.
    pub trigger: String,
}

/// A rule: the trigger it finds in a record, where it applies.
struct Rule {
    name: &'static str,
    text: &'static str,
    trigger: fn(&Record) -> Option<String>,
}

/// Every rule, most important first.
const RULES: &[Rule] = &[
    Rule {
        name: "acks",
        text: "Produce with acks=all: an acknowledgement then means that all in-sync replicas have the message.",
        trigger: |record| {
            let acks = |step: &&StepRecord| config(step, "request.required.acks").is_some_and(|acks| acks != "-1");
            let step = loads(record).find(acks)?;
            let lost = class(record, Class::Lost);
            Some(format!(
                "{}: effective acks = {}, lost = {lost} (threshold: acks other than all)",
                step.id,
                config(step, "request.required.acks")?
            ))
        },
    },
    Rule {
        name: "duplicates",
        text: "Set enable.idempotence=true, or make processing idempotent by a key of the message.",
        trigger: |record| {
            let duplicated = class(record, Class::Duplicated);
            let step = loads(record).find(|step| config(step, "enable.idempotence") == Some("false"))?;
            (duplicated > 0).then(|| {
                format!("duplicated = {duplicated} with enable.idempotence = false in {} (threshold: > 0)", step.id)
            })
        },
    },
    Rule {
        name: "reordered",
        text: "Set enable.idempotence=true, or one request in flight, where the order of a partition matters.",
        trigger: |record| {
            let reordered = class(record, Class::Reordered);
            (reordered > 0).then(|| format!("reordered = {reordered} (threshold: > 0)"))
        },
    },
    Rule {
        name: "redelivered",
        text: "Process idempotently, or commit more often: what was delivered after the last commit is delivered again.",
        trigger: |record| {
            let redelivered = class(record, Class::Redelivered);
            (redelivered > 0).then(|| format!("redelivered = {redelivered} (threshold: > 0)"))
        },
    },
    Rule {
        name: "linger",
        text: "Set linger.ms as measured: batches that wait for more messages cost less each.",
        trigger: |record| gain(record, "linger.ms"),
    },
    Rule { name: "batch", text: "Set batch.size as measured.", trigger: |record| gain(record, "batch.size") },
    Rule {
        name: "compression",
        text: "Set compression.type as measured: what is sent, kept and fetched is smaller, for some CPU of the client.",
        trigger: |record| gain(record, "compression.type"),
    },
    Rule {
        name: "partitions",
        text: "Give the topic as many partitions as measured, where the order between keys does not matter.",
        trigger: |record| gain(record, "partitions"),
    },
    Rule {
        name: "single-copy",
        text: "Use three brokers with replication factor 3 and min.insync.replicas=2: what one broker holds is then also elsewhere, and its \
               failure costs the election of new leaders instead of its way back.",
        trigger: |record| {
            let (seconds, text) = largest(record, "unavailability")?;
            let brokers = record.environment.as_ref()?.brokers;
            (brokers == 1 && seconds > 1.0)
                .then(|| format!("unavailable for {text} with {brokers} broker (threshold: > 1s)"))
        },
    },
    Rule {
        name: "delivery-timeout",
        text: "Raise delivery.timeout.ms or shorten the outage: messages that wait longer than it fail.",
        trigger: |record| {
            let (seconds, text) = largest(record, "unavailability")?;
            let timeout = loads(record)
                .filter_map(|step| config(step, "message.timeout.ms")?.parse::<f64>().ok())
                .reduce(f64::min)?
                / 1e3;
            (timeout > 0.0 && seconds > timeout / 2.0).then(|| {
                format!(
                    "unavailable for {text}, delivery.timeout.ms = {} (threshold: more than half of it)",
                    Quantity::seconds(timeout)
                )
            })
        },
    },
    Rule {
        name: "slow-recovery",
        text: "Look at reconnect.backoff.max.ms of the clients and at broker.session.timeout.ms: they bound how soon clients return.",
        trigger: |record| {
            let (seconds, text) = largest(record, "recovery_time")?;
            (seconds > 5.0).then(|| format!("recovery time {text} (threshold: > 5s)"))
        },
    },
    Rule {
        name: "back-pressure",
        text: "Give the producer a larger buffer.memory, batch.size or linger.ms, or more partitions: its queue was full.",
        trigger: |record| {
            loads(record).find_map(|step| {
                let report = step.produced.as_ref()?;
                let full = report.of_a_producer_us(report.queue_full_us);
                let length = report.end_us.saturating_sub(report.start_us);
                (full * 20 > length && length > 0).then(|| {
                    format!(
                        "{}: queue full for {} of {} (threshold: > 5%)",
                        step.id,
                        Quantity::seconds(full as f64 / 1e6),
                        Quantity::seconds(length as f64 / 1e6)
                    )
                })
            })
        },
    },
    Rule {
        name: "generator-pause",
        text: "Repeat on a quieter machine before trusting the tail: the load generator paused longer than the p99 it reports.",
        trigger: |record| {
            let Observed::Number(p99) = response_time(record, "p99") else { return None };
            loads(record).find_map(|step| {
                let pause = Quantity::seconds(step.produced.as_ref()?.health.longest_pause_us as f64 / 1e6);
                (p99.value > 0.0 && pause.value > p99.value)
                    .then(|| format!("{}: longest pause of the generator {pause} > p99 {p99}", step.id))
            })
        },
    },
    Rule {
        name: "long-tail",
        text: "Look for pauses of garbage collection, flushes of the disk and neighbours on the machine: the tail is far from the median.",
        trigger: |record| {
            let [p50, p99] = ["p50", "p99"].map(|statistic| response_time(record, statistic));
            // A long outage is a tail of its own, whether a fault made it or the broker ended by itself.
            let undisturbed =
                record.faults.is_empty() && largest(record, "unavailability").is_none_or(|(seconds, _)| seconds < 1.0);
            // Of a median that is not known nothing is far.
            let Observed::Number(median) = p50 else { return None };
            let tail = p99.quantity()?.value;
            (undisturbed && tail > 0.1 && tail > 10.0 * median.value)
                .then(|| format!("p99 {} with p50 {median} (threshold: p99 > 100ms and > 10 × p50)", p99.brief()))
        },
    },
    Rule {
        name: "broker-cpu",
        text: "Give the broker more CPU, compress less or batch more.",
        trigger: |record| {
            let peak = cpu_peak(record)?;
            (peak > 0.8).then(|| {
                format!(
                    "CPU of a broker peaked at {} of what it may use (threshold: > 80%)",
                    Quantity::new(peak, Unit::Share)
                )
            })
        },
    },
    Rule {
        name: "lag",
        text: "Add members and partitions to the group, or make processing faster: the readers fell behind.",
        trigger: |record| {
            record.steps.iter().filter(|step| step.consumed.is_some()).find_map(|step| {
                let lag = number(record, step, "max_lag")?;
                let rate = number(record, step, "read_rate")?;
                (lag > 10_000.0 && lag > 10.0 * rate).then(|| {
                    format!(
                        "{}: largest lag {} at {} read (threshold: > 10,000 and more than 10 s of reading)",
                        step.id,
                        Quantity::new(lag, Unit::Count),
                        Quantity::new(rate, Unit::Rate)
                    )
                })
            })
        },
    },
    Rule {
        name: "rebalances",
        text: "Use static membership (group.instance.id) or the cooperative-sticky strategy: the group rebalanced often.",
        trigger: |record| {
            record.steps.iter().find_map(|step| {
                let rebalances =
                    step.consumed.as_ref()?.rebalances.iter().filter(|event| !event.revoked.is_empty()).count();
                (rebalances > 3).then(|| format!("{}: {rebalances} revocations (threshold: > 3)", step.id))
            })
        },
    },
];

/// Every recommendation that the record's figures trigger.
pub fn advise(record: &Record) -> Vec<Advice> {
    let triggered = |rule: &Rule| Some(Advice { rule: rule.name, text: rule.text, trigger: (rule.trigger)(record)? });
    RULES.iter().filter_map(triggered).collect()
}

fn loads(record: &Record) -> impl Iterator<Item = &StepRecord> {
    record.steps.iter().filter(|step| step.produced.is_some())
}

fn config<'a>(step: &'a StepRecord, name: &str) -> Option<&'a str> {
    step.produced.as_ref()?.effective_config.get(name).map(String::as_str)
}

fn class(record: &Record, class: Class) -> u64 {
    class_total(record, class).map_or(0, |total| total.count)
}

fn number(record: &Record, step: &StepRecord, metric: &str) -> Option<f64> {
    match observe(record, step, metric, None, None) {
        Observed::Number(quantity) => Some(quantity.value),
        _ => None,
    }
}

/// The largest over all steps; of the time without an answer, over those that a broker answers.
fn largest(record: &Record, metric: &str) -> Option<(f64, String)> {
    let asked = record.steps.iter().filter(|step| metric != "unavailability" || step.produced.is_some());
    let observations = asked.map(|step| observe(record, step, metric, None, None));
    let numbers = observations.filter_map(|observed| Some((observed.quantity()?.value, observed.brief())));
    numbers.max_by(|a, b| a.0.total_cmp(&b.0))
}
