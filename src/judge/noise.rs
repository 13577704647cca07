//! Whose fault was it: a bound on performance that is not met while the machine was not available to kscen is unknown.
//!
//! What counts is that kscen itself could not run: it stood still, its sending and reading threads were ready and had no
//! processor, a hypervisor or a quota took its time; or that other programs took the processors that local services waited for. And only where something ran of which the figure is.
//! That processors are busy is no reason: Kafka may use all of them. Checks of messages, rows and states are never excused.

use super::clocks;
use super::decide::decide;
use super::lag::lag_recovery_from;
use super::measure::observe;
use super::outages::Outages;
use super::phases::{merged, subtract};
use super::places::Places;
use super::recovery::{begins, faults_of, recovery_from};
use super::tail;
use crate::record::strain::MachineSample;
use crate::record::{CheckOutcome, Demand, FaultRecord, Observed, Quantity, Record, StepRecord, Unit};
use crate::scenario::Noise;
use std::ops::Range;

/// What waited while kscen could not run is served within this time, in seconds.
const AFTERMATH: f64 = 1.0;

/// The time that a sample spoils, and why; `None` where the machine was available. Where nothing of it ran in kscen's own process, what
/// that had to wait for spoils nothing.
fn spoiled(sample: &MachineSample, own: bool) -> Option<(Range<f64>, String)> {
    let (time, why) = missing(sample, own)?;
    let of_worker = sample.worker.map(|worker| format!("in worker {worker} ")).unwrap_or_default();
    Some((time, format!("{of_worker}{why}")))
}

fn missing(sample: &MachineSample, own: bool) -> Option<(Range<f64>, String)> {
    let second = sample.from..sample.to;
    let share = |share: f64| Quantity::new(share, Unit::Share);
    let late = sample.late();
    if own && sample.pause >= MachineSample::PAUSE {
        let why = format!("kscen stood still for {}", Quantity::seconds(sample.pause));
        Some((sample.pause_end - sample.pause..sample.pause_end, why))
    } else if own && sample.waiting >= MachineSample::WAITING {
        let why = format!("its threads had no processor for {} of a second", share(sample.waiting));
        Some((second, why))
    } else if sample.steal >= MachineSample::STEAL {
        Some((second, format!("the hypervisor took {} of the processors", share(sample.steal))))
    } else if sample.throttled >= MachineSample::THROTTLED {
        Some((second, format!("its quota stopped it for {} of a second", share(sample.throttled))))
    } else if sample.foreign >= MachineSample::FOREIGN && late >= MachineSample::SERVED_LATE {
        let late = Quantity::seconds(late);
        let why = format!(
            "other programs took {} of the processors, and the threads of the services waited {late} for one in a second",
            share(sample.foreign)
        );
        Some((second, why))
    } else {
        None
    }
}

/// Figures that a loaded machine changes beside times and rates, and rates of a step as a whole.
const OF_SPEED: [&str; 4] = ["max_lag", "data_rate", "slot_lag", "slot_retained"];
const OF_WHOLE: [&str; 2] = ["data_rate", "drain_rate"];

/// Bounds on what a loaded machine changes.
fn is_performance(name: &str, demand: &Demand) -> bool {
    matches!(demand, Demand::Number { unit: Unit::Duration | Unit::Rate, .. }) || OF_SPEED.contains(&name)
}

/// The time that a figure is about: the load's own, or that of a step's faults and what came of them, which was `observed`.
fn window(record: &Record, step: &StepRecord, spans: Option<&[Range<f64>]>, observed: &Observed) -> Vec<Range<f64>> {
    let seconds = |us: u64| us as f64 / 1e6;
    let own = match (&step.produced, &step.consumed, &step.written) {
        (Some(report), ..) => seconds(report.start_us)..seconds(report.end_us),
        (_, Some(report), _) => seconds(report.start_us)..seconds(report.end_us),
        (.., Some(report)) => seconds(report.start_us)..seconds(report.end_us),
        // The slot of a connector is looked at as long as the run lasts.
        _ if step.captures.is_some() => step.started..record.run.duration,
        _ => {
            let faults = || record.faults.iter().filter(|fault| fault.step == step.id);
            let from = faults().map(|fault| fault.requested).fold(step.started, f64::min);
            let came_of_it = observed.quantity().filter(|figure| figure.unit == Unit::Duration);
            let after = came_of_it.map_or(0.0, |figure| figure.value);
            // Times of recovery count from when the fault was undone.
            let over = faults().filter_map(|fault| Some(fault.undone? + after)).fold(step.ended, f64::max);
            from..over.min(record.run.duration).max(from)
        }
    };
    match spans {
        None => vec![own],
        Some(spans) => {
            let within = spans.iter().map(|span| span.start.max(own.start)..span.end.min(own.end));
            within.filter(|span| span.end > span.start).collect()
        }
    }
}

/// What was observed or, where it fails a bound on performance in a time in which the machine was not available, that it is
/// unknown whose fault that was; and where clocks that may be apart decide, that it is unknown. Where the bound is broken in the rest of the time as well, it stays broken.
pub fn excused(
    record: &Record,
    step: &StepRecord,
    (name, statistic): (&str, Option<&str>),
    spans: Option<&[Range<f64>]>,
    demand: &Demand,
    observed: Observed,
) -> Observed {
    let observed = clocks::resolved(step, name, demand, observed);
    let fails = |observed: &Observed| decide(demand, observed) == CheckOutcome::Fail;
    if record.run.noise == Noise::Ignore
        || observed.quantity().is_none()
        || !is_performance(name, demand)
        || !fails(&observed)
    {
        return observed;
    }
    if statistic.is_none() && spans.is_none() && observed.quantity().is_some_and(|figure| is_one_time(step, figure)) {
        return excused_time(record, step, name, demand, observed);
    }
    let window = window(record, step, spans, &observed);
    let touched = touched(record, Some(step), &window);
    if touched.is_empty() {
        return match step.produced.as_ref().and_then(|report| tail::invalid(report, name, statistic)) {
            Some(why) if spans.is_none() => unknown(&observed, &why),
            _ => observed,
        };
    }
    let spoiled = merged(touched.iter().map(|(span, _)| span.start..span.end + AFTERMATH));
    let window = merged(window.into_iter());
    let clean = subtract(window, &spoiled);
    let apart = in_clean_time(record, step, (name, statistic), &clean, &spoiled);
    if !clean.is_empty() && fails(&apart) {
        return observed;
    }
    unknown(&observed, &told(&touched))
}

/// The same of one time of a step as a whole: what kscen stood still for while that time went on is taken off it, of each fault by itself.
fn excused_time(record: &Record, step: &StepRecord, name: &str, demand: &Demand, observed: Observed) -> Observed {
    let (mut all, mut is_broken) = (Vec::new(), false);
    for (time, seconds) in times(record, step, name, &observed) {
        let length = time.end - time.start;
        let touched = touched(record, Some(step), std::slice::from_ref(&time));
        let spoiled = merged(touched.iter().map(|(span, _)| span.start..span.end + AFTERMATH));
        let clean: f64 = subtract(vec![time], &spoiled).iter().map(|span| span.end - span.start).sum();
        let apart = Observed::Number(Quantity::seconds((seconds - (length - clean)).max(0.0)));
        is_broken |= clean > 0.0 && decide(demand, &apart) == CheckOutcome::Fail;
        for one in touched {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    if all.is_empty() || is_broken { observed } else { unknown(&observed, &told(&all)) }
}

/// The times that a time of a step was taken over, with what it came to in each: a recovery counts from when its fault was undone, and what
/// happened while that was in force is no part of it.
fn times(record: &Record, step: &StepRecord, name: &str, observed: &Observed) -> Vec<(Range<f64>, f64)> {
    let faults = || faults_of(record, step);
    let of_each = |fault: &FaultRecord, figure: Observed| {
        let (since, seconds) = (begins(record, fault)?, figure.quantity()?.value);
        Some((since..since + seconds, seconds))
    };
    match (name, observed.quantity()) {
        ("recovery_time", _) => {
            faults().filter_map(|fault| of_each(fault, recovery_from(record, std::iter::once(fault)))).collect()
        }
        ("lag_recovery_time", _) => {
            let from = |fault| lag_recovery_from(record, std::iter::once(fault));
            faults().filter_map(|fault| of_each(fault, from(fault))).collect()
        }
        ("duration", Some(figure)) => vec![(step.started..step.ended, figure.value)],
        (_, Some(figure)) => {
            window(record, step, None, observed).into_iter().map(|window| (window, figure.value)).collect()
        }
        (_, None) => Vec::new(),
    }
}

/// Whether a figure is a time of a step that is no load: how long something took.
fn is_one_time(step: &StepRecord, figure: Quantity) -> bool {
    let is_load = step.produced.is_some() || step.consumed.is_some() || step.written.is_some();
    figure.unit == Unit::Duration && !is_load && step.captures.is_none()
}

/// A change of a figure between two parts of the run: where it is larger than demanded, and the machine was not available in one of
/// them, it is unknown whose fault that was. `figure` is one of the two.
pub fn excused_change(
    record: &Record,
    parts: &[Range<f64>],
    figure: &Observed,
    demand: &Demand,
    observed: Observed,
) -> Observed {
    let of_time = figure.quantity().is_some_and(|figure| matches!(figure.unit, Unit::Duration | Unit::Rate));
    if record.run.noise == Noise::Ignore || !of_time || decide(demand, &observed) != CheckOutcome::Fail {
        return observed;
    }
    let touched = touched(record, None, parts);
    if touched.is_empty() { observed } else { unknown(&observed, &told(&touched)) }
}

/// The times within these spans in which a machine was not available on which a figure of this step, or of any, depends, and why.
fn touched(record: &Record, step: Option<&StepRecord>, spans: &[Range<f64>]) -> Vec<(Range<f64>, String)> {
    let within = |time: &Range<f64>| spans.iter().any(|span| span.start < time.end && span.end > time.start);
    let places = Places::of(record, step);
    let spoiled = |sample| spoiled(sample, places.own(sample)?);
    record.strain.iter().filter_map(spoiled).filter(|(time, _)| within(time)).collect()
}

/// Which time was spoiled, and by what.
fn told(touched: &[(Range<f64>, String)]) -> String {
    let longest = touched.iter().max_by(|a, b| (a.0.end - a.0.start).total_cmp(&(b.0.end - b.0.start)));
    let why = longest.map_or_else(String::new, |(span, why)| format!("{why} at {:.1} s", span.start));
    let seconds: f64 = touched.iter().map(|(span, _)| span.end - span.start).sum();
    format!("{why}; {} of this time are affected in total", Quantity::seconds(seconds))
}

fn unknown(observed: &Observed, why: &str) -> Observed {
    Observed::unknown(format!(
        "{}, but the machine was busy: {why}; on a machine of its own it can be judged, and with `noise: ignore` it fails",
        observed.brief()
    ))
}

/// The same figure over the time in which the machine was available.
fn in_clean_time(
    record: &Record,
    step: &StepRecord,
    (name, statistic): (&str, Option<&str>),
    clean: &[Range<f64>],
    spoiled: &[Range<f64>],
) -> Observed {
    if let Some(outages) = Outages::of(step).filter(|_| name == "unavailability") {
        return Observed::Number(Quantity::seconds(outages.apart_from(spoiled)));
    }
    match step.metrics.get(name) {
        // As if nothing had been done in the time that was spoiled.
        Some(rate) if statistic.is_none() && OF_WHOLE.contains(&name) => {
            let seconds = clean.iter().map(|span| span.end - span.start).sum::<f64>();
            Observed::Number(Quantity::new(rate.value * (step.ended - step.started) / seconds, rate.unit))
        }
        _ => observe(record, step, name, statistic, Some(clean)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::recovery::tests::step as fault_step;
    use crate::record::TargetKind;
    use crate::record::WorkerRecord;
    use crate::record::gaps::AckGap;
    use crate::record::latency::LatencyRecorder;

    const S: u64 = 1_000_000;

    /// A load of 10 s whose messages took 1 ms, and those due in the fourth second as long as given.
    fn record(strain: Vec<MachineSample>, slow_us: i64, elsewhere_us: i64) -> Record {
        let mut record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        record.steps.retain(|step| step.produced.is_some());
        record.steps.truncate(1);
        record.strain = strain;
        record.run.duration = 12.0;
        let report = record.steps[0].produced.as_mut().expect("a load");
        (report.start_us, report.end_us, report.last_ack_us, report.last_send_us) = (0, 10 * S, 10 * S, 10 * S);
        let mut latency = LatencyRecorder::default();
        for ms in 0..10_000 {
            let slow = (3000..4000).contains(&ms);
            latency.record(ms * 1000, if slow { slow_us } else { elsewhere_us });
        }
        report.response_latency = latency.snapshot();
        report.ack_gaps = vec![AckGap { start_us: 3 * S, end_us: Some(5 * S) }];
        report.health = Default::default();
        record
    }

    fn decided(record: &Record, name: &str, statistic: Option<&str>, max: f64) -> CheckOutcome {
        let demand = Demand::Number { unit: Unit::Duration, min: None, max: Some(max), equals: None, not: None };
        let step = &record.steps[0];
        let observed = observe(record, step, name, statistic, None);
        decide(&demand, &excused(record, step, (name, statistic), None, &demand, observed))
    }

    #[test]
    fn a_bound_that_is_not_met_because_kscen_could_not_run_is_unknown() {
        let frozen = MachineSample { from: 1.0, to: 4.1, pause: 1.1, pause_end: 4.1, ..MachineSample::default() };
        let busy = MachineSample { from: 3.0, to: 4.0, pressure: 1.0, waiting: 0.1, ..MachineSample::default() };
        let slow = |strain: Vec<MachineSample>| record(strain, 900_000, 1_000);
        let p99 = |record: &Record| decided(record, "response_latency", Some("p99"), 0.02);
        assert_eq!(p99(&slow(vec![])), CheckOutcome::Fail);
        let services = std::collections::BTreeMap::from([("kafka-1".to_owned(), 1.5)]);
        let own = MachineSample { services, ..busy.clone() };
        let foreign = MachineSample { foreign: 0.6, ..own.clone() };
        assert_eq!(p99(&slow(vec![busy])), CheckOutcome::Fail, "busy processors alone are no excuse");
        assert_eq!(p99(&slow(vec![own])), CheckOutcome::Fail, "Kafka may wait for itself");
        assert_eq!(p99(&slow(vec![foreign])), CheckOutcome::Unknown);
        assert_eq!(p99(&slow(vec![frozen.clone()])), CheckOutcome::Unknown);
        assert_eq!(decided(&slow(vec![frozen.clone()]), "unavailability", None, 1.0), CheckOutcome::Unknown);
        // Broken in the rest of the time as well, asked to be ignored, or met.
        assert_eq!(p99(&record(vec![frozen.clone()], 900_000, 30_000)), CheckOutcome::Fail);
        let mut ignored = slow(vec![frozen.clone()]);
        ignored.run.noise = Noise::Ignore;
        assert_eq!(p99(&ignored), CheckOutcome::Fail);
        assert_eq!(p99(&record(vec![frozen], 10_000, 1_000)), CheckOutcome::Pass);
    }

    #[test]
    fn a_rate_of_a_whole_step_is_excused_by_no_more_than_the_time_that_was_spoiled() {
        let frozen = MachineSample { from: 1.0, to: 4.1, pause: 1.1, pause_end: 4.1, ..MachineSample::default() };
        let asked = Demand::Number { unit: Unit::Bytes, min: Some(1e8), max: None, equals: None, not: None };
        let decided = |strain: Vec<MachineSample>, rate: f64| {
            let mut record = record(strain, 1_000, 1_000);
            let step = &mut record.steps[0];
            (step.produced, step.started, step.ended) = (None, 0.0, 10.0);
            step.metrics.insert("data_rate".to_owned(), Quantity::new(rate, Unit::Bytes));
            let observed = observe(&record, &record.steps[0], "data_rate", None, None);
            decide(&asked, &excused(&record, &record.steps[0], ("data_rate", None), None, &asked, observed))
        };
        assert_eq!(decided(vec![], 9e7), CheckOutcome::Fail);
        assert_eq!(decided(vec![frozen.clone()], 9e7), CheckOutcome::Unknown);
        assert_eq!(decided(vec![frozen], 5e7), CheckOutcome::Fail, "too slow even without the time that was spoiled");
    }

    /// The load ran in the second of two workers on other machines.
    #[test]
    fn what_kept_others_from_running_is_no_excuse() {
        let decided = |worker: Option<usize>, place: &str, starved: MachineSample| {
            let mut record = record(vec![MachineSample { worker, ..starved }], 900_000, 1_000);
            let load = record.steps[0].id.clone();
            record.workers = [("other", 1), (load.as_str(), 2)]
                .map(|(step, number)| WorkerRecord {
                    number,
                    place: place.to_owned(),
                    units: vec![format!("{step} producer 0")],
                    ..WorkerRecord::default()
                })
                .into();
            decided(&record, "response_latency", Some("p99"), 0.02)
        };
        let waits = || MachineSample { from: 3.0, to: 4.1, waiting: 0.9, ..MachineSample::default() };
        assert_eq!(decided(Some(2), "load-2", waits()), CheckOutcome::Unknown);
        assert_eq!(decided(Some(1), "load-1", waits()), CheckOutcome::Fail, "another worker starved");
        assert_eq!(decided(None, "load-2", waits()), CheckOutcome::Fail, "nothing of the load ran here");
        assert_eq!(decided(None, WorkerRecord::HERE, waits()), CheckOutcome::Unknown, "one machine");
        let services = std::collections::BTreeMap::from([("kafka-1".to_owned(), 1.5)]);
        let taken = MachineSample { waiting: 0.0, foreign: 0.6, services, ..waits() };
        assert_eq!(decided(None, "load-2", taken), CheckOutcome::Unknown, "Kafka is here");
    }

    #[test]
    fn a_slow_recovery_is_excused_by_no_more_than_what_stood_still_until_then() {
        // The load was answered again one and a half seconds after the fault was undone.
        let outcome = |pause_end: f64, max: f64| {
            let still = MachineSample {
                from: pause_end - 0.3,
                to: pause_end,
                pause: 0.3,
                pause_end,
                ..MachineSample::default()
            };
            let mut record = record(vec![still], 1_000, 1_000);
            record.faults = vec![FaultRecord {
                step: "outage".to_owned(),
                target: "kafka-1".to_owned(),
                kind: Some(TargetKind::Service),
                requested: 2.0,
                effective: Some(2.5),
                undone: Some(3.5),
                ..FaultRecord::default()
            }];
            record.steps.push(fault_step("outage", "kill", 2, 3));
            let step = record.step("outage").expect("it is there");
            let demand = Demand::Number { unit: Unit::Duration, min: None, max: Some(max), equals: None, not: None };
            let observed = observe(&record, step, "recovery_time", None, None);
            assert_eq!(observed, Observed::Number(Quantity::seconds(1.5)));
            decide(&demand, &excused(&record, step, ("recovery_time", None), None, &demand, observed))
        };
        assert_eq!(outcome(9.0, 1.0), CheckOutcome::Fail, "it had recovered long before");
        assert_eq!(outcome(2.4, 1.0), CheckOutcome::Fail, "the fault was not in force yet");
        assert_eq!(outcome(3.3, 1.0), CheckOutcome::Fail, "it was not undone yet");
        assert_eq!(outcome(4.0, 1.0), CheckOutcome::Unknown);
        assert_eq!(outcome(4.0, 0.1), CheckOutcome::Fail, "too long without that as well");
        assert_eq!(outcome(4.0, 2.0), CheckOutcome::Pass);
    }

    #[test]
    fn a_change_that_the_machine_can_have_made_is_unknown() {
        let frozen = MachineSample { from: 3.0, to: 4.1, pause: 1.1, pause_end: 4.1, ..MachineSample::default() };
        let record = record(vec![frozen], 900_000, 1_000);
        let demand = Demand::Number { unit: Unit::Share, min: None, max: Some(1.0), equals: None, not: None };
        let quadrupled = || Observed::Number(Quantity::new(3.0, Unit::Share));
        let outcome = |parts: [Range<f64>; 2], figure: Quantity| {
            let figure = Observed::Number(figure);
            decide(&demand, &excused_change(&record, &parts, &figure, &demand, quadrupled()))
        };
        assert_eq!(outcome([0.0..2.0, 3.5..6.0], Quantity::seconds(0.1)), CheckOutcome::Unknown);
        assert_eq!(outcome([0.0..2.0, 6.0..8.0], Quantity::seconds(0.1)), CheckOutcome::Fail, "not in these parts");
        assert_eq!(outcome([0.0..2.0, 3.5..6.0], Quantity::new(1e9, Unit::Bytes)), CheckOutcome::Fail, "no time");
    }
}
