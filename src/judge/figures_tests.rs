//! Every figure of a step: of a stored run, over the whole of it and in each phase, and of steps of which each figure is known.

use super::measure::{for_condition, for_reference, observe};
use super::phases::{Phase, spans, spans_of_step};
use super::recovery::hit;
use super::recovery::tests::step;
use crate::record::gaps::AckGap;
use crate::record::latency::LatencyRecorder;
use crate::record::metric::{self, MetricShape, STATISTICS};
use crate::record::{
    ConsumeReport, Observed, ProduceReport, Quantity, RebalanceEvent, Record, StepRecord, StepStatus, Unit, WriteReport,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

const S: u64 = 1_000_000;

fn record() -> Record {
    serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record")
}

/// All figures of a run, a line each.
fn told(record: &Record) -> String {
    let mut out = String::new();
    let mut parts: Vec<(String, Option<Vec<Range<f64>>>)> = vec![("whole".to_owned(), None)];
    parts.extend(Phase::ALL.map(|phase| (phase.to_string(), Some(spans(record, phase)))));
    parts.push(("outage".to_owned(), Some(spans_of_step(record, "outage"))));
    parts.push(("after".to_owned(), Some(vec![100.0..200.0])));
    for (name, spans) in &parts {
        let _ = writeln!(out, "{name}: {spans:?}");
    }
    for fault in &record.faults {
        for (step, recovered) in hit(record, fault) {
            let _ = writeln!(out, "{} hit {}: {recovered:?}", fault.step, step.id);
        }
    }
    for step in &record.steps {
        for metric in metric::of(step.work()) {
            let statistics: Vec<Option<&str>> = match metric.shape {
                MetricShape::Single => vec![None],
                MetricShape::Distribution => {
                    STATISTICS.iter().map(|(name, _)| Some(*name)).chain([Some("n")]).collect()
                }
            };
            for statistic in statistics {
                for (part, spans) in &parts {
                    let observed = observe(record, step, metric.name, statistic, spans.as_deref());
                    if !observed.to_string().contains("did not measure") {
                        let statistic = statistic.map(|name| format!(" {name}")).unwrap_or_default();
                        let _ = writeln!(out, "{} {}{statistic}, {part}: {observed}", step.id, metric.name);
                    }
                }
            }
        }
        let _ = writeln!(out, "{}: {}", step.id, json!(for_condition(step)));
    }
    out
}

/// `BLESS=1` rewrites the file.
#[test]
fn the_figures_of_a_stored_run_are_what_they_were() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/figures.txt");
    let text = told(&record());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).expect("it can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, kept, "figures.txt differs; BLESS=1 rewrites it");
}

fn figure(step: &StepRecord, name: &str, statistic: Option<&str>) -> Observed {
    observe(&record(), step, name, statistic, None)
}

fn is(observed: &Observed, value: f64, unit: Unit) -> bool {
    matches!(observed, Observed::Number(quantity) if quantity.unit == unit && (quantity.value - value).abs() < 1e-9)
}

fn load(report: ProduceReport) -> StepRecord {
    StepRecord { produced: Some(Box::new(report)), ..step("load", "produce", 1, 21) }
}

#[test]
fn the_figures_of_a_load_are_those_of_its_report() {
    let report = ProduceReport {
        sent: 60,
        acked: 40,
        failed: BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 4)]),
        unknown: BTreeMap::from([("c".to_owned(), 13)]),
        bytes: 600,
        start_us: 2 * S,
        schedule_end_us: Some(12 * S),
        last_send_us: 8 * S,
        last_ack_us: 22 * S,
        end_us: 30 * S,
        queue_full_us: 1_500_000,
        ack_gaps: vec![
            AckGap { start_us: 3 * S, end_us: Some(7 * S) },
            AckGap { start_us: 10 * S, end_us: Some(11 * S) },
        ],
        ..ProduceReport::default()
    };
    let of = |name: &str, report: &ProduceReport| figure(&load(report.clone()), name, None);
    for (name, value, unit) in [
        ("sent", 60.0, Unit::Count),
        ("acked", 40.0, Unit::Count),
        ("failed", 7.0, Unit::Count),
        ("unknown", 13.0, Unit::Count),
        ("bytes", 600.0, Unit::Bytes),
        ("offered_rate", 6.0, Unit::Rate),
        ("ack_rate", 2.0, Unit::Rate),
        ("queue_full_time", 1.5, Unit::Duration),
        ("unavailability", 4.0, Unit::Duration),
        ("duration", 20.0, Unit::Duration),
    ] {
        let observed = of(name, &report);
        assert!(is(&observed, value, unit), "{name}: {observed}");
        // Of nothing, nothing can be said but that it is nothing.
        let observed = of(name, &ProduceReport { sent: 0, acked: 0, bytes: 0, ..report.clone() });
        let known = ["sent", "bytes", "duration"].contains(&name);
        assert_eq!(matches!(observed, Observed::Nothing { .. }), !known, "{name}: {observed}");
    }
    // Three producers whose queues were full at the same time waited for no longer than one.
    let three = ProduceReport { producers: 3, queue_full_us: 4_500_000, ..report.clone() };
    assert!(is(&of("queue_full_time", &three), 1.5, Unit::Duration));
    // What was sent after the end of the schedule counts with the time that it took.
    let late = ProduceReport { schedule_end_us: None, ..report.clone() };
    assert!(is(&of("offered_rate", &late), 10.0, Unit::Rate));
    let late = ProduceReport { last_send_us: 17 * S, ..report.clone() };
    assert!(is(&of("offered_rate", &late), 4.0, Unit::Rate));
    let at_once = ProduceReport { last_ack_us: 2 * S, ..report.clone() };
    assert!(matches!(of("ack_rate", &at_once), Observed::Nothing { .. }));
    // An outage that did not end is at least so long.
    let endless = ProduceReport { ack_gaps: vec![AckGap { start_us: 10 * S, end_us: None }], ..report.clone() };
    let observed = of("unavailability", &endless);
    assert!(matches!(&observed, Observed::AtLeast { quantity, .. } if quantity.value == 20.0), "{observed}");
    // So is the longest that did end, where a shorter one did not.
    let two = vec![AckGap { start_us: 5 * S, end_us: Some(15 * S) }, AckGap { start_us: 25 * S, end_us: None }];
    let two = ProduceReport { ack_gaps: two, ..report.clone() };
    let observed = of("unavailability", &two);
    assert!(matches!(&observed, Observed::AtLeast { quantity, .. } if quantity.value == 10.0), "{observed}");
    assert_eq!(two.unavailability(), (10 * S, true));
    let none = ProduceReport { ack_gaps: Vec::new(), ..report };
    assert!(is(&of("unavailability", &none), 0.0, Unit::Duration));
}

#[test]
fn the_statistics_of_a_latency_are_those_of_its_messages() {
    let mut latency = LatencyRecorder::default();
    (1..=1000).for_each(|n| latency.record(n * 1000, n as i64 * 1000));
    let series = latency.snapshot();
    let report = ProduceReport { sent: 1000, response_latency: series, ..ProduceReport::default() };
    let step = load(report);
    for (statistic, seconds) in
        [("mean", 0.5005), ("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)]
    {
        let observed = figure(&step, "response_latency", Some(statistic));
        let value = observed.quantity().expect("a number").value;
        assert!((value - seconds).abs() <= 0.01 * seconds, "{statistic}: {observed}");
    }
    assert!(is(&figure(&step, "response_latency", Some("n")), 1000.0, Unit::Count));
    assert!(matches!(figure(&step, "response_latency", Some("p12")), Observed::Nothing { .. }));
    assert!(matches!(figure(&step, "ack_latency", Some("p50")), Observed::Nothing { .. }), "there is none");
    // Of a part of the run, what was due in it; a slice belongs to a part as a whole.
    let part = [0.2..0.4];
    let observed = observe(&record(), &step, "response_latency", Some("max"), Some(&part));
    assert!((observed.quantity().expect("a number").value - 0.4).abs() < 0.005, "{observed}");
    let observed = observe(&record(), &step, "response_latency", Some("n"), Some(&part));
    assert!(is(&observed, 200.0, Unit::Count), "{observed}");
}

#[test]
fn the_figures_of_readers_and_of_loads_of_a_database_are_those_of_their_reports() {
    let event =
        |time_us: u64, revoked: Vec<i32>| RebalanceEvent { time_us, member: 0, assigned: BTreeMap::new(), revoked };
    let mut report = ConsumeReport {
        group: Some("g".to_owned()),
        read: 90,
        bytes: 900,
        assigned_us: S,
        first_read_us: Some(2 * S),
        last_read_us: Some(11 * S),
        rebalances: vec![
            event(S, Vec::new()),
            event(3 * S, vec![1]),
            event(4 * S, Vec::new()),
            event(5 * S, Vec::new()),
        ],
        ..ConsumeReport::default()
    };
    for (at, lags) in [(5, [3, 4]), (6, [10, 9]), (7, [0, 1])] {
        report.timeline.at(at * S).lag = BTreeMap::from([(0, lags[0]), (1, lags[1])]);
    }
    let of = |report: &ConsumeReport, name: &str| {
        figure(&StepRecord { consumed: Some(Box::new(report.clone())), ..step("reader", "consume", 0, 20) }, name, None)
    };
    let figures = [
        ("read", 90.0, Unit::Count),
        ("bytes", 900.0, Unit::Bytes),
        ("read_rate", 10.0, Unit::Rate),
        ("max_lag", 19.0, Unit::Count),
    ];
    for (name, value, unit) in figures.into_iter().chain([("rebalances", 2.0, Unit::Count)]) {
        assert!(is(&of(&report, name), value, unit), "{name}: {}", of(&report, name));
    }
    let alone = ConsumeReport { group: None, first_read_us: None, timeline: Default::default(), ..report };
    for name in ["rebalances", "read_rate", "max_lag"] {
        assert!(matches!(of(&alone, name), Observed::Nothing { .. }), "{name}: {}", of(&alone, name));
    }
    let report = WriteReport {
        start_us: S,
        last_commit_us: 6 * S,
        end_us: 7 * S,
        committed: 10,
        failed: 2,
        lost: 3,
        unknown: 4,
        commit_gaps: vec![AckGap { start_us: 2 * S, end_us: Some(5 * S) }],
        ..WriteReport::default()
    };
    let of = |report: &WriteReport, name: &str| {
        figure(&StepRecord { written: Some(Box::new(report.clone())), ..step("rows", "sql", 0, 20) }, name, None)
    };
    for (name, value, unit) in [
        ("committed", 10.0, Unit::Count),
        ("failed", 5.0, Unit::Count),
        ("unknown", 4.0, Unit::Count),
        ("commit_rate", 2.0, Unit::Rate),
        ("unavailability", 3.0, Unit::Duration),
    ] {
        assert!(is(&of(&report, name), value, unit), "{name}: {}", of(&report, name));
        let nothing = of(&WriteReport::default(), name);
        assert!(matches!(nothing, Observed::Nothing { .. }), "{name}: {nothing}");
    }
    // Nothing was committed, and it was waited for.
    let never = WriteReport { commit_gaps: report.commit_gaps, ..WriteReport::default() };
    assert!(is(&of(&never, "unavailability"), 3.0, Unit::Duration));
}

/// Of what a reader did not come to, the latency is not known; one that was to read no more has read it all.
#[test]
fn a_reader_that_did_not_come_to_the_end_knows_the_least_of_its_latencies() {
    let mut latency = LatencyRecorder::default();
    latency.record(S, 250_000);
    let series = latency.snapshot();
    let of = |drained, until_reached, read_all| {
        let end_to_end_latency = series.clone();
        let report = ConsumeReport { end_to_end_latency, drained, until_reached, read_all, ..Default::default() };
        let reader = StepRecord { consumed: Some(Box::new(report)), ..step("reader", "consume", 0, 20) };
        figure(&reader, "end_to_end_latency", Some("max"))
    };
    // Nothing came for the time of its `until: { idle }`, and then it did not come to the end: it has given up.
    for (until_reached, read_all) in [(None, None), (None, Some(false)), (Some(true), Some(false))] {
        let behind = of(Some(false), until_reached, read_all);
        assert!(behind.is_open() && behind.quantity().is_some_and(|longest| longest.value > 0.24), "{behind}");
    }
    let as_many_as_asked = (Some(false), Some(true), Some(true));
    for (drained, until_reached, read_all) in
        [(Some(true), None, None), (Some(false), Some(true), None), (None, None, None), as_many_as_asked]
    {
        let whole = of(drained, until_reached, read_all);
        assert!(matches!(whole, Observed::Number(_)), "{drained:?} {until_reached:?} {read_all:?}: {whole}");
    }
}

#[test]
fn figures_that_a_step_has_as_a_whole_say_nothing_of_a_part() {
    let mut wait = step("wait", "wait", 3, 5);
    wait.metrics = BTreeMap::from([("rate".to_owned(), Quantity::new(5.0, Unit::Rate))]);
    let part = [0.0..1.0];
    let of = |name: &str, spans: Option<&[Range<f64>]>| observe(&record(), &wait, name, None, spans);
    assert!(is(&of("duration", None), 2.0, Unit::Duration) && is(&of("rate", None), 5.0, Unit::Rate));
    for name in ["duration", "rate"] {
        assert!(matches!(of(name, Some(&part)), Observed::Unknown { .. }), "{name}");
        assert!(matches!(of(name, Some(&[])), Observed::Nothing { .. }), "there was no such phase");
    }
    assert!(matches!(of("sent", None), Observed::Nothing { .. }));
}

#[test]
fn a_search_that_could_not_look_further_up_has_found_that_much_at_least() {
    let mut search = step("search", "search", 3, 5);
    search.metrics = BTreeMap::from([("sustainable_rate".to_owned(), Quantity::new(500.0, Unit::Rate))]);
    search.details = json!({ "throughput": { "best": 500.0, "open": false, "more": null, "curve": [] } });
    assert!(is(&figure(&search, "sustainable_rate", None), 500.0, Unit::Rate));
    assert_eq!(for_condition(&search).get("sustainable_rate"), Some(&json!(500.0)));
    search.details = json!({ "throughput": { "best": 500.0, "open": true, "more": "1,000/s cannot be judged" } });
    let observed = figure(&search, "sustainable_rate", None);
    assert!(observed.is_open() && observed.quantity().is_some_and(|rate| rate.value == 500.0), "{observed}");
    assert!(observed.to_string().contains("1,000/s cannot be judged"), "{observed}");
}

#[test]
fn later_steps_are_given_figures_with_their_units() {
    let mut latency = LatencyRecorder::default();
    latency.record(0, 250_000);
    let mut load = load(ProduceReport {
        sent: 30,
        acked: 30,
        bytes: 600,
        last_ack_us: 2 * S,
        last_send_us: 2 * S,
        response_latency: latency.snapshot(),
        ..ProduceReport::default()
    });
    load.metrics.insert("share".to_owned(), Quantity::new(0.125, Unit::Share));
    let of = |path: &[&str]| for_reference(&load, &path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
    assert_eq!(of(&["sent"]), Ok(json!(30)));
    assert_eq!(of(&["bytes"]), Ok(json!("600B")));
    assert_eq!(of(&["ack_rate"]), Ok(json!("15.000/s")));
    assert_eq!(of(&["share"]), Ok(json!("12.500%")));
    assert_eq!(of(&["duration"]), Ok(json!("20.000000s")));
    let text = of(&["response_latency", "p99", "9"]).expect("a figure");
    assert!(text.as_str().is_some_and(|text| text.starts_with("0.2") && text.ends_with('s')), "{text}");
    assert_eq!(of(&["lag"]), Err("`load` did not measure `lag`".to_owned()));
    assert_eq!(of(&["response_latency"]), Err("`load` did not measure `response_latency`".to_owned()));
    assert!(of(&[]).is_err());
    let figures = for_condition(&load);
    assert_eq!((&figures["status"], &figures["acked"]), (&json!("done"), &json!(30.0)));
    load.status = StepStatus::Skipped;
    assert!(for_reference(&load, &["duration".to_owned()]).is_err(), "it did not run");
}
