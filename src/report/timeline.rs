//! The time line of a run: rates, latencies, backlog, and what the services used.

use super::chart::{Band, MarkLine, Panel, Series, Timeline};
use crate::environment::Lifecycle;
use crate::judge::latencies::told;
use crate::judge::phases::{Phase, spans};
use crate::record::latency::histogram;
use crate::record::series::TimeLine;
use crate::record::{ConsumeReport, Observed, ProduceReport, Record, ServiceSample, Unit, WriteReport};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// What the chart of latencies says where it has gaps.
const NEVER: &str =
    "by the time a message was due, log scale; no point where a figure lies among messages that were never answered";

/// Most points of a line; longer runs are drawn in coarser steps.
const POINTS: f64 = 900.0;

/// Draws a run.
pub fn timeline(record: &Record) -> Timeline {
    let end = record.run.duration.max(0.001);
    let start = start(record).min(end - 0.001).max(0.0);
    let step = (end / POINTS).ceil().max(1.0) as u64;
    let panels = [rates(record, step), latencies(record, step), backlog(record, step), cpu(record, step)]
        .into_iter()
        .chain([slots(record, step), memory(record, step), disk(record, step)])
        .flatten()
        .collect();
    Timeline { start, end, bands: bands(record), marks: marks(record), panels }
}

/// When the run began to do something to the system: the first load, statement, arrival or fault, in whole seconds. What lies before is the
/// start of the environment and the preparation, of which no chart says anything. A run without any of them begins at its start.
pub fn start(record: &Record) -> f64 {
    let loads = record.steps.iter().filter_map(|step| match (&step.produced, &step.written, &step.consumed) {
        (Some(report), ..) => Some(report.start_us),
        (_, Some(report), _) => Some(report.start_us),
        (_, _, Some(report)) => report.first_read_us,
        _ => None,
    });
    let faults = record.faults.iter().map(|fault| fault.requested);
    let first = loads.map(|us| us as f64 / 1e6).chain(faults).reduce(f64::min).unwrap_or(0.0);
    first.floor().max(0.0)
}

fn produced(record: &Record) -> impl Iterator<Item = &ProduceReport> {
    record.steps.iter().filter_map(|step| step.produced.as_deref())
}

fn consumed(record: &Record) -> impl Iterator<Item = &ConsumeReport> {
    record.steps.iter().filter_map(|step| step.consumed.as_deref())
}

fn written(record: &Record) -> impl Iterator<Item = &WriteReport> {
    record.steps.iter().filter_map(|step| step.written.as_deref())
}

/// Faults from the request to their undoing, and the recovery after each.
fn bands(record: &Record) -> Vec<Band> {
    let end = record.run.duration;
    let faults = record.faults.iter().map(|fault| Band {
        kind: "fault",
        label: format!("{} {}", fault.action, fault.target),
        from: fault.requested,
        to: fault.undone.unwrap_or(end).max(fault.requested),
    });
    let recoveries = spans(record, Phase::Recovery).into_iter().map(|span| Band {
        kind: "recovery",
        label: "recovery".to_owned(),
        from: span.start,
        to: span.end,
    });
    faults.chain(recoveries).collect()
}

/// Rebalances after the first assignment, and whatever the run marked.
fn marks(record: &Record) -> Vec<MarkLine> {
    let mut marks: Vec<MarkLine> = record
        .marks
        .iter()
        .map(|mark| MarkLine { at: mark.at, kind: mark.kind.clone(), label: mark.text.clone() })
        .collect();
    for step in &record.steps {
        let Some(report) = &step.consumed else { continue };
        for rebalance in &report.rebalances {
            let (kind, what) = if rebalance.revoked.is_empty() {
                ("assignment", format!("{} partitions assigned", rebalance.assigned.len()))
            } else {
                ("rebalance", format!("{} partitions revoked", rebalance.revoked.len()))
            };
            marks.push(MarkLine {
                at: rebalance.time_us as f64 / 1e6,
                kind: kind.to_owned(),
                label: format!("{}, member {}: {what}", step.id, rebalance.member),
            });
        }
    }
    marks.sort_by(|a, b| a.at.total_cmp(&b.at));
    marks
}

/// Sums by step of the axis, with the seconds in which the thing counted was going on.
#[derive(Default)]
struct Bins(BTreeMap<u64, (f64, f64)>);

impl Bins {
    /// The thing counted was going on from one second of the run to another.
    fn cover(&mut self, step: u64, from: f64, to: f64) {
        let width = step as f64;
        for bin in (from.max(0.0) / width) as u64..=(to.max(0.0) / width) as u64 {
            let start = bin as f64 * width;
            let covered = (to.min(start + width) - from.max(start)).clamp(0.0, width);
            let known = self.0.entry(bin).or_default();
            known.1 = (known.1 + covered).min(width);
        }
    }

    /// Adds what was counted; a slice that lies in several steps is spread over them.
    fn add<T>(&mut self, step: u64, slices: &TimeLine<T>, of: fn(&T) -> u64) {
        let width = step * 1_000_000;
        for slice in slices.iter() {
            let (value, length) = (of(slice.sample) as f64, (slice.end_us - slice.start_us) as f64);
            let past = self.0.last_key_value().map_or(0, |(bin, _)| bin + 1);
            for bin in slice.start_us / width..((slice.end_us - 1) / width + 1).min(past) {
                let within = slice.end_us.min((bin + 1) * width) - slice.start_us.max(bin * width);
                // What lies outside of the time covered counts there: an acknowledgement after the load's end, say.
                if let Some(known) = self.0.get_mut(&bin) {
                    known.0 += value * within as f64 / length;
                }
            }
        }
    }

    /// Per second of what was covered. Slivers of a second say nothing.
    fn rates(&self, bins: &[u64]) -> Vec<Option<f64>> {
        bins.iter()
            .map(|bin| self.0.get(bin).filter(|(_, covered)| *covered >= 0.2).map(|(sum, covered)| sum / covered))
            .collect()
    }
}

fn axis(bins: &[u64], step: u64) -> Vec<f64> {
    bins.iter().map(|bin| (*bin as f64 + 0.5) * step as f64).collect()
}

fn all_bins(record: &Record, step: u64) -> Vec<u64> {
    (start(record) as u64 / step..=(record.run.duration as u64) / step).collect()
}

fn panel(id: &'static str, title: &'static str, note: &'static str, unit: Unit, x: Vec<f64>) -> Panel {
    Panel { id, title, note, unit, log: false, x, series: Vec::new(), range: (0.0, 1.0), ticks: Vec::new() }
}

fn rates(record: &Record, step: u64) -> Option<Panel> {
    let [mut offered, mut acked, mut read, mut failed, mut committed] = [(); 5].map(|()| Bins::default());
    // What reaches beyond the run's end has no place on the axis.
    let last = record.run.duration;
    for report in produced(record) {
        let (start, sent, end) =
            (report.start_us as f64 / 1e6, report.last_send_us as f64 / 1e6, report.end_us as f64 / 1e6);
        offered.cover(step, start, sent.min(last));
        acked.cover(step, start, end.min(last));
        failed.cover(step, start, end.min(last));
        offered.add(step, &report.timeline, |slice| slice.sent);
        acked.add(step, &report.timeline, |slice| slice.acked);
        failed.add(step, &report.timeline, |slice| slice.failed.saturating_add(slice.unknown));
    }
    for report in consumed(record) {
        let (Some(first), Some(until)) = (report.first_read_us, report.last_read_us) else { continue };
        read.cover(step, first as f64 / 1e6, (until as f64 / 1e6).min(last));
        read.add(step, &report.timeline, |slice| slice.read);
    }
    for report in written(record) {
        let (start, end) = (report.start_us as f64 / 1e6, report.end_us as f64 / 1e6);
        committed.cover(step, start, end.min(last));
        failed.cover(step, start, end.min(last));
        committed.add(step, &report.timeline, |slice| slice.committed);
        failed.add(step, &report.timeline, |slice| slice.failed.saturating_add(slice.unknown));
    }
    let bins = all_bins(record, step);
    let any_failed = failed.0.values().any(|(sum, _)| *sum > 0.0);
    let mut series = vec![
        Series::numbered("offered", 0, offered.rates(&bins)),
        Series::numbered("acknowledged", 1, acked.rates(&bins)),
        Series::numbered("read", 2, read.rates(&bins)),
        Series::numbered("committed", 4, committed.rates(&bins)),
    ];
    if any_failed {
        series.push(Series::numbered("failed or unknown", 3, failed.rates(&bins)));
    }
    let of_database = written(record).next().is_some();
    let note = if of_database { "messages and transactions per second" } else { "messages per second" };
    let panel = panel("rate", "Rate", note, Unit::Rate, axis(&bins, step));
    panel.with(series)
}

fn latencies(record: &Record, step: u64) -> Option<Panel> {
    let sent: Vec<_> = produced(record).map(|report| &report.response_latency).collect();
    let changes: Vec<_> = record.steps.iter().filter_map(|step| step.latencies.get("cdc_latency")).collect();
    let (note, all) = if sent.iter().any(|series| !series.is_empty()) {
        ("response time, due → acknowledged, by the time a message was due, log scale", sent)
    } else if changes.iter().any(|series| !series.is_empty()) {
        ("changes of the database, commit → reader, by the time of the commit, log scale", changes)
    } else {
        (
            "end to end, due → read, by the time a message was due, log scale",
            consumed(record).map(|report| &report.end_to_end_latency).collect(),
        )
    };
    // Half seconds show the shape of an outage in a short run.
    let width = if step == 1 && record.run.duration <= 60.0 { 500_000 } else { step * 1_000_000 };
    let bins = (start(record) * 1e6) as u64 / width..=(record.run.duration * 1e6) as u64 / width;
    let sums: Vec<[Histogram<u64>; 2]> = bins
        .clone()
        .map(|bin| {
            let [mut answered, mut never] = [histogram(), histogram()];
            for series in &all {
                let span = bin * width..(bin + 1) * width;
                // Two histograms of the same bounds always merge.
                let _ = answered.add(series.touching(span.clone()));
                series.unanswered.iter().for_each(|series| _ = never.add(series.touching(span.clone())));
            }
            [answered, never]
        })
        .collect();
    // What lies among messages that were never answered is no point: the line has a gap there.
    let line = |statistic: &str| {
        let point = |[answered, never]: &[Histogram<u64>; 2]| match told(answered, never, statistic) {
            Observed::Number(quantity) => Some(quantity.value.max(1e-6)),
            _ => None,
        };
        sums.iter().map(point).collect::<Vec<Option<f64>>>()
    };
    let note = if sums.iter().any(|[_, never]| !never.is_empty()) { NEVER } else { note };
    let x = bins.map(|bin| (bin as f64 + 0.5) * width as f64 / 1e6).collect();
    let mut panel = panel("latency", "Latency", note, Unit::Duration, x);
    panel.log = true;
    panel.with([
        Series::numbered("p50", 0, line("p50")),
        Series::numbered("p99", 1, line("p99")),
        Series::numbered("max", 2, line("max")),
    ])
}

fn backlog(record: &Record, step: u64) -> Option<Panel> {
    let (mut in_flight, mut lag): (BTreeMap<u64, f64>, BTreeMap<u64, f64>) = Default::default();
    // Within a step the largest counts; over loads they add up.
    let add = |into: &mut BTreeMap<u64, f64>, values: BTreeMap<u64, f64>| {
        values.into_iter().for_each(|(bin, value)| *into.entry(bin).or_default() += value);
    };
    for report in produced(record) {
        let mut own: BTreeMap<u64, f64> = BTreeMap::new();
        for slice in report.timeline.iter() {
            let bin = own.entry(slice.start_us / 1_000_000 / step).or_default();
            *bin = bin.max(slice.sample.in_flight as f64);
        }
        add(&mut in_flight, own);
    }
    for report in consumed(record) {
        let mut own: BTreeMap<u64, f64> = BTreeMap::new();
        for (slice, total) in report.timeline.iter().filter_map(|slice| Some((slice, slice.sample.total_lag()?))) {
            let bin = own.entry(slice.start_us / 1_000_000 / step).or_default();
            *bin = bin.max(total as f64);
        }
        add(&mut lag, own);
    }
    let bins = all_bins(record, step);
    let line = |of: &BTreeMap<u64, f64>| bins.iter().map(|bin| of.get(bin).copied()).collect();
    let series = [Series::numbered("in flight", 0, line(&in_flight)), Series::numbered("lag", 1, line(&lag))];
    let panel = panel("backlog", "Backlog", "messages waiting", Unit::Count, axis(&bins, step));
    panel.with(series)
}

/// How much of the database's log connectors had not confirmed.
fn slots(record: &Record, step: u64) -> Option<Panel> {
    let bins = all_bins(record, step);
    let series = record.slots.iter().enumerate().map(|(number, slot)| {
        let mut most: BTreeMap<u64, f64> = BTreeMap::new();
        for (at, lag) in slot.samples.iter().filter_map(|sample| Some((sample.at, sample.lag?))) {
            let bin = most.entry(at as u64 / step).or_default();
            *bin = bin.max(lag as f64);
        }
        Series::numbered(slot.connector.clone(), number, bins.iter().map(|bin| most.get(bin).copied()).collect())
    });
    let note = "bytes of the database's log that a connector had not confirmed";
    let panel = panel("slots", "Replication slots", note, Unit::Bytes, axis(&bins, step));
    panel.with(series)
}

fn cpu(record: &Record, step: u64) -> Option<Panel> {
    let bins = all_bins(record, step);
    let series = record.services.iter().enumerate().map(|(number, service)| {
        let mut means: BTreeMap<u64, (f64, u32)> = BTreeMap::new();
        for (at, share) in service.cpu_shares(0.0, f64::INFINITY) {
            let bin = means.entry(at as u64 / step).or_default();
            *bin = (bin.0 + share, bin.1 + 1);
        }
        let line = bins.iter().map(|bin| means.get(bin).map(|(sum, n)| sum / f64::from(*n))).collect();
        Series::numbered(service.name.clone(), number, line)
    });
    let panel = panel("cpu", "CPU", "share of the CPUs a service may use", Unit::Share, axis(&bins, step));
    panel.with(series)
}

fn memory(record: &Record, step: u64) -> Option<Panel> {
    let panel = panel("memory", "Memory", "anonymous memory of a service", Unit::Bytes, Vec::new());
    of_services(record, step, panel, |sample| {
        (sample.lifecycle != Lifecycle::Stopped && sample.lifecycle != Lifecycle::Exited)
            .then(|| sample.usage.map(|usage| usage.memory as f64))
            .flatten()
            .filter(|memory| *memory > 0.0)
    })
}

fn disk(record: &Record, step: u64) -> Option<Panel> {
    let panel = panel("disk", "Disk", "bytes of a service's data", Unit::Bytes, Vec::new());
    of_services(record, step, panel, |sample| sample.usage.and_then(|usage| usage.disk).map(|disk| disk as f64))
}

fn of_services(
    record: &Record,
    step: u64,
    mut panel: Panel,
    of: impl Fn(&ServiceSample) -> Option<f64>,
) -> Option<Panel> {
    let bins = all_bins(record, step);
    panel.x = axis(&bins, step);
    let series: Vec<Series> = record
        .services
        .iter()
        .enumerate()
        .map(|(number, service)| {
            let values: BTreeMap<u64, f64> =
                service.samples.iter().filter_map(|sample| Some((sample.at as u64 / step, of(sample)?))).collect();
            Series::numbered(service.name.clone(), number, bins.iter().map(|bin| values.get(bin).copied()).collect())
        })
        .collect();
    panel.with(series)
}
