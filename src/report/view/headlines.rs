//! The figures that matter most of a run.

use crate::accounting::Class;
use crate::environment::ServiceId;
use crate::judge::latencies::told;
use crate::judge::measure::observe;
use crate::judge::phases::{Phase, spans};
use crate::record::counts;
use crate::record::latency::{LatencySeries, histogram};
use crate::record::metric::Work;
use crate::record::{Observed, Quantity, Record, StepRecord, Unit};
use crate::report::totals::class_total;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::ops::Range;

/// What nothing came of for the longest time, by what waited for it.
const WITHOUT: [(&str, Work); 3] =
    [("unavailable", Work::Sends), ("no commit for", Work::ChangesRows), ("no change for", Work::Reads)];

/// One figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Headline {
    /// What it is.
    pub name: String,
    /// The figure.
    pub value: String,
    /// `good`, `bad`, `warn`, or `plain` where it is neither.
    pub tone: &'static str,
}

/// The figures that matter most of a run.
pub fn headlines(record: &Record) -> Vec<Headline> {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: String, tone: &'static str| {
        lines.push(Headline { name: name.to_owned(), value, tone });
    };
    let loads: Vec<_> = record.steps.iter().filter(|step| step.produced.is_some()).collect();
    if !loads.is_empty() {
        let reports = loads.iter().filter_map(|step| step.produced.as_ref());
        let acked = counts::sum(reports.map(|report| report.acked));
        add("acknowledged", Quantity::count(acked).to_string(), "plain");
    }
    if let [load] = loads[..]
        && let Observed::Number(rate) = observe(record, load, "ack_rate", None, None)
    {
        add("ack rate", rate.to_string(), "plain");
    }
    let any = |_: &StepRecord| true;
    if let Some((_, value)) = worst(record, "sustainable_rate", None, any) {
        add("sustainable rate", value, "plain");
    }
    for (class, bad) in [(Class::Lost, "bad"), (Class::Duplicated, "warn")] {
        if let Some(total) = class_total(record, class) {
            let tone = match (total.count, total.open) {
                (0, false) => "good",
                (0, true) => "warn",
                _ => bad,
            };
            add(class.name(), total.told(), tone);
        }
    }
    // Of changes of a database: how long they take from their commit to the reader.
    if let Some((_, value)) = worst(record, "cdc_latency", Some("p99"), any) {
        add("commit → reader p99", value, "plain");
    }
    for (name, work) in WITHOUT {
        let of = |step: &StepRecord| step.work() == work;
        if let Some((_, value)) = worst(record, "unavailability", None, of).filter(|(longest, _)| *longest > 0.0) {
            add(name, value, "warn");
        }
    }
    if let Some((_, value)) = worst(record, "recovery_time", None, any) {
        add("recovered in", value, "plain");
    }
    for (name, p99) in response_times(record) {
        add(name, p99.brief(), "plain");
    }
    if let Some(peak) = memory_peak(record) {
        add("peak memory", Quantity::new(peak, Unit::Bytes).to_string(), "plain");
    }
    lines
}

/// The response times that a reader wants to see: that of the whole run, or, where something was disturbed, that of the quiet time beside
/// that of faults and recoveries. One figure over both would be that of neither.
fn response_times(record: &Record) -> Vec<(&'static str, Observed)> {
    let of = |phases: &[Phase]| -> Vec<Range<u64>> {
        let all = phases.iter().flat_map(|phase| spans(record, *phase));
        all.map(|span| (span.start * 1e6) as u64..(span.end * 1e6) as u64).collect()
    };
    let (steady, disturbed) = (of(&[Phase::Steady]), of(&[Phase::Fault, Phase::Recovery]));
    let times = if disturbed.is_empty() {
        vec![("p99", p99(record, |series, sum| _ = sum.add(series.total())))]
    } else {
        // Two histograms of the same bounds always merge.
        let quiet = p99(record, |series, sum| steady.iter().for_each(|span| _ = sum.add(series.within(span.clone()))));
        let noisy =
            p99(record, |series, sum| disturbed.iter().for_each(|span| _ = sum.add(series.touching(span.clone()))));
        vec![("p99 steady", quiet), ("p99 disturbed", noisy)]
    };
    times.into_iter().filter(|(_, time)| time.quantity().is_some()).collect()
}

/// The 99th percentile of the response time over all loads where nothing was disturbed, in seconds, and whether it is at least that; that of
/// all of it where something always was.
pub fn quiet_p99(record: &Record) -> Option<(f64, bool)> {
    response_times(record).first().and_then(|(_, time)| Some((time.quantity()?.value, time.is_open())))
}

/// The 99th percentile of the response time over all loads, of what `part` adds up of each.
fn p99(record: &Record, part: impl Fn(&LatencySeries, &mut Histogram<u64>)) -> Observed {
    over_loads(record, "p99", part)
}

/// A statistic over all loads, of what `part` adds up of each.
fn over_loads(record: &Record, statistic: &str, part: impl Fn(&LatencySeries, &mut Histogram<u64>)) -> Observed {
    let [mut answered, mut unanswered] = [histogram(), histogram()];
    for report in record.steps.iter().filter_map(|step| step.produced.as_ref()) {
        part(&report.response_latency, &mut answered);
        report.response_latency.unanswered.iter().for_each(|series| part(series, &mut unanswered));
    }
    told(&answered, &unanswered, statistic)
}

/// The largest value over all steps that have it and are asked.
fn worst(
    record: &Record,
    metric: &str,
    statistic: Option<&str>,
    asked: impl Fn(&StepRecord) -> bool,
) -> Option<(f64, String)> {
    let steps = record.steps.iter().filter(|step| asked(step));
    let observations = steps.map(|step| observe(record, step, metric, statistic, None));
    let numbers = observations.filter_map(|observed| Some((observed.quantity()?.value, observed.brief())));
    numbers.max_by(|a, b| a.0.total_cmp(&b.0))
}

/// A statistic of the response time (due → acknowledged) over all loads. What was never acknowledged counts behind the rest.
pub fn response_time(record: &Record, statistic: &str) -> Observed {
    over_loads(record, statistic, |series, sum| {
        // Two histograms of the same bounds always merge, here and below.
        let _ = sum.add(series.total());
    })
}

/// The most anonymous memory of any one broker, in bytes; without brokers, of any service.
pub fn memory_peak(record: &Record) -> Option<f64> {
    of_brokers(record)
        .flat_map(|service| &service.samples)
        .filter_map(|sample| sample.usage)
        .map(|usage| usage.memory as f64)
        .filter(|memory| *memory > 0.0)
        .reduce(f64::max)
}

/// The largest share of its CPUs that any one broker used within a second.
pub fn cpu_peak(record: &Record) -> Option<f64> {
    of_brokers(record)
        .flat_map(|service| service.cpu_shares(0.0, f64::INFINITY))
        .map(|(_, share)| share)
        .reduce(f64::max)
}

fn of_brokers(record: &Record) -> impl Iterator<Item = &crate::record::ServiceRecord> {
    let broker = |name: &str| matches!(name.parse(), Ok(ServiceId::Broker(_)));
    let any = record.services.iter().any(|service| broker(&service.name));
    record.services.iter().filter(move |service| !any || broker(&service.name))
}
