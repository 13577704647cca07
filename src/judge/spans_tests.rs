//! Phases, spans and outages, held against what is plainly so: second by second.

use super::during;
use super::outages::Outages;
use super::phases::{Phase, merged, spans, subtract, whole_slices};
use super::recovery::tests::step;
use crate::record::gaps::AckGap;
use crate::record::series::TimeLine;
use crate::record::{FaultRecord, InForce, Observed, ProduceReport, Record, StepRecord, WriteReport};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::ops::Range;

const S: u64 = 1_000_000;

fn record() -> Record {
    serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record")
}

/// Some spans within 20 s, at whole seconds; some are empty.
fn some(rng: &mut StdRng) -> Vec<Range<f64>> {
    let span = |rng: &mut StdRng| {
        let from = rng.random_range(0..20);
        f64::from(from)..f64::from(from + rng.random_range(0..5))
    };
    (0..rng.random_range(0..6)).map(|_| span(rng)).collect()
}

/// The middles of the seconds that lie in these spans.
fn seconds(spans: &[Range<f64>]) -> Vec<usize> {
    (0..30).filter(|second| spans.iter().any(|span| span.contains(&(*second as f64 + 0.5)))).collect()
}

fn apart(spans: &[Range<f64>]) -> bool {
    spans.iter().all(|span| span.start < span.end) && spans.windows(2).all(|pair| pair[0].end < pair[1].start)
}

#[test]
fn spans_are_joined_and_subtracted_second_by_second() {
    for seed in 0..2_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (one, two) = (some(&mut rng), some(&mut rng));
        let (joined, holes) = (merged(one.iter().cloned()), merged(two.iter().cloned()));
        assert!(apart(&joined), "{one:?} gives {joined:?}");
        assert_eq!(seconds(&joined), seconds(&one), "{one:?}");
        let left = subtract(joined.clone(), &holes);
        assert!(apart(&left), "{joined:?} without {holes:?} gives {left:?}");
        let expected: Vec<usize> = seconds(&one).into_iter().filter(|second| !seconds(&two).contains(second)).collect();
        assert_eq!(seconds(&left), expected, "{joined:?} without {holes:?}");
    }
}

/// A fault that was asked for, took effect, was in force in parts, and was undone.
fn fault(rng: &mut StdRng) -> FaultRecord {
    let mut at = f64::from(rng.random_range(0..8));
    let mut next = || {
        at += f64::from(rng.random_range(1..3));
        at
    };
    let (requested, from, to, undone, ready) = (next(), next(), next(), next(), next());
    let mut fault = FaultRecord { target: "kafka-1".to_owned(), requested, ..FaultRecord::default() };
    match rng.random_range(0..5) {
        // It never took effect.
        0 => {}
        // It is in force to the end.
        1 => fault.effective = Some(from),
        known => {
            (fault.effective, fault.undone) = (Some(from), Some(undone));
            fault.ready = (known > 2).then_some(ready);
            fault.in_force = (known > 3).then_some(InForce { from, to: Some(to) }).into_iter().collect();
        }
    }
    fault
}

#[test]
fn every_second_of_a_run_is_of_one_phase() {
    for seed in 0..1_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut run = record();
        (run.run.duration, run.steps) = (20.0, Vec::new());
        run.faults = (0..rng.random_range(0..4)).map(|_| fault(&mut rng)).collect();
        let phases = Phase::ALL.map(|phase| spans(&run, phase));
        for second in (0..20).map(|second| f64::from(second) + 0.5) {
            let is_in = phases.each_ref().map(|spans| spans.iter().any(|span| span.contains(&second)));
            let disturbs = |fault: &FaultRecord| {
                let end = fault.in_force.first().and_then(|span| span.to).or(fault.undone).unwrap_or(20.0);
                fault.effective.is_some() && (fault.requested..end).contains(&second)
            };
            let recovers = |fault: &FaultRecord| {
                let end = fault.in_force.first().and_then(|span| span.to).or(fault.undone);
                let until = fault.ready.or(fault.undone);
                end.zip(until).is_some_and(|(end, until)| (end..until).contains(&second))
            };
            let is_fault = run.faults.iter().any(disturbs);
            let recovering = !is_fault && run.faults.iter().any(recovers);
            assert_eq!(is_in, [!is_fault && !recovering, is_fault, recovering], "{second}: {:?}", run.faults);
        }
        assert!(phases.iter().all(|spans| apart(spans)), "{phases:?}");
    }
}

#[test]
fn a_slice_that_a_fault_touches_belongs_to_the_fault() {
    let mut run = record();
    run.steps.clear();
    run.faults.truncate(1);
    let fault = &mut run.faults[0];
    (fault.requested, fault.effective, fault.undone, fault.ready) = (3.04, Some(3.05), Some(4.06), Some(5.0));
    let near = |slices: &[Range<f64>], expected: &[Range<f64>]| {
        let same = |(one, two): (&Range<f64>, &Range<f64>)| {
            (one.start - two.start).abs() < 1e-6 && (one.end - two.end).abs() < 1e-6
        };
        assert!(slices.len() == expected.len() && slices.iter().zip(expected).all(same), "{slices:?}");
    };
    near(&whole_slices(&run, &spans(&run, Phase::Fault)), std::slice::from_ref(&(3.0..4.1)));
    near(&whole_slices(&run, &spans(&run, Phase::Recovery)), std::slice::from_ref(&(4.1..5.0)));
    near(&whole_slices(&run, &[0.0..3.04]), std::slice::from_ref(&(0.0..3.0)));
    near(&whole_slices(&run, &[3.06..3.09, 3.51..3.52, 6.01..6.09]), &[3.0..3.1, 3.5..3.6]);
}

/// A load that sends, has acknowledged, and has refused a known number in each tenth of a second.
fn load() -> ProduceReport {
    let mut report = ProduceReport { timeline: TimeLine::default(), ..ProduceReport::default() };
    for tenth in 0..100 {
        let at_us = tenth * 100_000;
        let slice = report.timeline.at(at_us);
        slice.handed(tenth, at_us + 10);
        slice.due = tenth + 1;
        (slice.acked, slice.failed, slice.unknown, slice.bytes) = (tenth / 2, tenth % 3, tenth % 5, tenth * 10);
        slice.queue_full_us = tenth;
    }
    (report.sent, report.last_send_us, report.last_ack_us, report.end_us) = (4_950, 10 * S, 10 * S, 10 * S);
    report
}

#[test]
fn what_is_counted_in_parts_is_what_is_counted_in_all() {
    let report = load();
    let of = |name: &str, spans: &[Range<f64>]| match during::produced(&report, name, spans) {
        Some(Observed::Number(quantity)) => quantity.value,
        other => panic!("{name} in {spans:?}: {other:?}"),
    };
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut cuts: Vec<u32> = (0..4).map(|_| rng.random_range(1..100)).chain([0, 100]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let parts: Vec<Range<f64>> =
            cuts.windows(2).map(|pair| f64::from(pair[0]) / 10.0..f64::from(pair[1]) / 10.0).collect();
        for (name, each) in [
            ("sent", (|tenth| tenth) as fn(u64) -> u64),
            ("acked", |tenth| tenth / 2),
            ("failed", |tenth| tenth % 3),
            ("unknown", |tenth| tenth % 5),
            ("bytes", |tenth| tenth * 10),
        ] {
            for (part, cut) in parts.iter().zip(cuts.windows(2)) {
                let sum: u64 = (u64::from(cut[0])..u64::from(cut[1])).map(each).sum();
                assert_eq!(of(name, std::slice::from_ref(part)), sum as f64, "{name} in {part:?}");
            }
            assert_eq!(of(name, &parts), (0..100).map(each).sum::<u64>() as f64, "{name}");
        }
        let rate = |name: &str, part: &Range<f64>| of(name, std::slice::from_ref(part)) * (part.end - part.start);
        // Where there are many in each tenth, it does not matter when the first of them was sent.
        for part in parts.iter().filter(|part| part.start >= 1.0) {
            let (acked, sent) = (of("acked", std::slice::from_ref(part)), of("sent", std::slice::from_ref(part)));
            assert!((rate("ack_rate", part) - acked).abs() < 1e-6, "{part:?}");
            assert!((rate("offered_rate", part) - sent).abs() <= 0.01 * sent + 1e-6, "{part:?}");
        }
    }
    assert!((of("queue_full_time", &[0.0..10.0]) - 0.004_95).abs() < 1e-9);
    assert!(during::produced(&report, "duration", &[0.0..1.0]).is_none());
    for part in [10.0..11.0, 20.0..21.0] {
        assert!(matches!(during::produced(&report, "sent", &[part]), Some(Observed::Nothing { .. })));
    }
}

#[test]
fn a_load_of_the_database_is_counted_in_its_parts() {
    let mut report = WriteReport { committed: 45, end_us: 10 * S, ..WriteReport::default() };
    for second in 0..10 {
        let slice = report.timeline.at(second * S + 500_000);
        (slice.committed, slice.failed, slice.unknown) = (second, 2, 1);
    }
    let of = |name: &str, part: Range<f64>| during::written(&report, name, &[part]);
    let is = |observed: Option<Observed>, value: f64| {
        let number = observed.as_ref().and_then(Observed::quantity).map(|quantity| quantity.value);
        assert!(number.is_some_and(|number| (number - value).abs() < 1e-9), "{observed:?}");
    };
    is(of("committed", 2.0..5.0), 9.0);
    is(of("failed", 2.0..5.0), 6.0);
    is(of("unknown", 2.0..5.0), 3.0);
    is(of("commit_rate", 2.0..5.0), 3.0);
    assert!(matches!(of("committed", 10.0..12.0), Some(Observed::Nothing { .. })));
    assert!(of("rows", 0.0..1.0).is_none());
    let untold = WriteReport { timeline: TimeLine::default(), ..report.clone() };
    assert!(matches!(during::written(&untold, "committed", &[0.0..1.0]), Some(Observed::Nothing { .. })));
}

#[test]
fn the_longest_outage_is_that_of_its_time() {
    let mut report = load();
    let gap = |from: u64, to: Option<u64>| AckGap { start_us: from * S, end_us: to.map(|to| to * S) };
    report.ack_gaps = vec![gap(1, Some(3)), gap(5, Some(6)), gap(9, None)];
    report.end_us = 13 * S;
    let step = StepRecord { produced: Some(Box::new(report)), ..step("load", "produce", 0, 13) };
    let outages = Outages::of(&step).expect("a load");
    let longest = |spans: &[Range<f64>]| outages.longest(Some(spans));
    let number = |observed: &Observed| observed.quantity().expect("a number").value;
    assert!(outages.longest(None).is_open() && number(&outages.longest(None)) == 4.0);
    for (part, seconds, open) in [
        (0.0..1.0, 0.0, false),
        (0.0..1.5, 2.0, false),
        (2.9..4.0, 2.0, false),
        (3.0..5.0, 0.0, false),
        (3.0..8.0, 1.0, false),
        (5.5..5.6, 1.0, false),
        (8.0..9.5, 4.0, true),
    ] {
        let observed = longest(std::slice::from_ref(&part));
        assert_eq!((number(&observed), observed.is_open()), (seconds, open), "{part:?}: {observed}");
    }
    assert!(matches!(longest(&[20.0..30.0]), Observed::Nothing { .. }), "it did not run");
    assert_eq!(outages.apart_from(&[2.0..2.5]), 4.0);
    assert_eq!(outages.apart_from(&[9.5..9.6]), 2.0);
    assert_eq!(outages.apart_from(&[2.0..2.5, 10.0..11.0]), 1.0);
    assert_eq!(outages.apart_from(&[6.0..9.0, 3.0..5.0]), 4.0, "what ends where another begins");
    assert_eq!(outages.apart_from(&[0.0..20.0]), 0.0);
}
