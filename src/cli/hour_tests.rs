//! The folder of an hour at 5,000 messages a second, with a fault in it: as it is written, and as it is read again.

use super::results::FolderWriter;
use crate::environment::{Lifecycle, Usage};
use crate::record::latency::LatencyRecorder;
use crate::record::series::{SLICE_US, TimeLine};
use crate::record::slices::{ConsumeSlice, ProduceSlice};
use crate::record::{Detail, Event, EventKind, FaultRecord, Record, RecordFold, ServiceSample, StepRecord, Watcher};
use crate::report::{EVENTS, RESULT, load};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::path::Path;

const HOUR: u64 = 3600;
const RATE: u64 = 5_000;

/// Latencies around some milliseconds with a long tail, and of seconds while a fault lasts.
fn latency(random: &mut StdRng, tick: u64) -> i64 {
    let usual = (3_000.0 / random.random_range(0.02..1.0_f64)) as i64 + random.random_range(0..2_000);
    if (12_000..12_100).contains(&tick) { usual + (12_100 - tick as i64) * SLICE_US as i64 } else { usual }
}

/// What a load and a reader have measured after an hour.
fn measured(detail: &Detail, draws: u64, former: &Record) -> Vec<StepRecord> {
    let mut random = StdRng::seed_from_u64(1);
    let mut latencies = [(); 4].map(|()| LatencyRecorder::kept_by(detail.clone()));
    let (mut sent, mut read) = (TimeLine::kept_by(detail.clone()), TimeLine::kept_by(detail.clone()));
    for tick in 0..HOUR * 10 {
        if tick == 12_100 {
            [1200.03, 1200.4, 1210.2, 1212.9].into_iter().for_each(|at| detail.fault(at));
        }
        let now_us = tick * SLICE_US + 50_000;
        // Each draw stands for several messages, as in a batch.
        for _ in 0..draws {
            for recorder in &mut latencies {
                recorder.record_n(now_us, latency(&mut random, tick), RATE / 10 / draws);
            }
        }
        let slice: &mut ProduceSlice = sent.at(now_us);
        (slice.sent, slice.acked, slice.due, slice.bytes, slice.in_flight) = (500, 500, 500, 512_000, 37);
        let slice: &mut ConsumeSlice = read.at(now_us);
        (slice.read, slice.bytes) = (500, 512_000);
        if tick % 10 == 9 {
            slice.position = (0..12).map(|partition| (partition, tick as i64 * 41)).collect();
            slice.lag = (0..12).map(|partition| (partition, random.random_range(0..200))).collect();
        }
    }
    let [mut delay, mut ack, mut response, mut end_to_end] = latencies;
    let mut steps: Vec<StepRecord> = former.steps.clone();
    for step in &mut steps {
        step.ended = HOUR as f64;
        if let Some(report) = &mut step.produced {
            (report.start_us, report.end_us) = (0, HOUR * 1_000_000);
            (report.last_send_us, report.last_ack_us) = (report.end_us, report.end_us);
            (report.schedule_delay, report.ack_latency, report.response_latency) =
                (delay.snapshot(), ack.snapshot(), response.snapshot());
            report.timeline = sent.clone();
        }
        if let Some(report) = &mut step.consumed {
            report.end_to_end_latency = end_to_end.snapshot();
            (report.end_us, report.last_read_us) = (HOUR * 1_000_000, Some(HOUR * 1_000_000));
            report.timeline = read.clone();
        }
    }
    steps
}

fn sample(second: u64, services: u64) -> EventKind {
    let usage = |service| Usage {
        cpu_seconds: second as f64 * 0.37 + service as f64,
        cpus: 2.0,
        memory: 400_000_000 + second * 1000,
        working_set: 500_000_000,
        disk: Some(second * 1_000_000),
    };
    let sample = |service| ServiceSample {
        at: second as f64,
        lifecycle: Lifecycle::Running,
        usage: Some(usage(service)),
        merged: None,
    };
    EventKind::Sample { services: (0..services).map(|service| (format!("kafka-{service}"), sample(service))).collect() }
}

/// Writes the hour; returns what is kept of it in memory, as bytes of JSON.
fn write(folder: &Path, draws: u64) -> usize {
    let former: Record = serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a record");
    let detail = Detail::default();
    let steps = measured(&detail, draws, &former);
    let mut writer = FolderWriter::open(folder).expect("opens");
    let mut folded = RecordFold::default();
    let mut tell = |at: f64, kind: EventKind| {
        let event = Event { v: 1, run: former.run.id.clone(), at, kind };
        folded.take(&event);
        writer.event(&event, folded.record()).expect("writes");
    };
    let (info, machine) = (Box::new(former.run.clone()), former.machine.clone());
    tell(0.0, EventKind::RunStarted { info, machine, steps: 2 });
    for second in 0..HOUR {
        tell(second as f64, sample(second, 5));
    }
    let fault = FaultRecord {
        step: "outage".to_owned(),
        target: "kafka-1".to_owned(),
        action: "pause".to_owned(),
        requested: 1200.03,
        effective: Some(1200.4),
        undone: Some(1210.2),
        ready: Some(1212.9),
        ..FaultRecord::default()
    };
    tell(1213.0, EventKind::Fault { record: fault });
    for record in steps {
        tell(HOUR as f64, EventKind::StepEnded { record: Box::new(record) });
    }
    let verdict = former.verdict.clone().expect("a verdict");
    tell(HOUR as f64, EventKind::RunEnded { verdict, duration: HOUR as f64 });
    serde_json::to_vec(&folded.record().expect("a run").services).expect("plain data").len()
}

/// `KSCEN_HOUR` names a folder that keeps it, to be read by the program under a limit of memory.
#[test]
fn an_hour_takes_little() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = std::env::var_os("KSCEN_HOUR").map_or_else(|| scratch.path().to_owned(), Into::into);
    // Fewer different latencies are enough where only the form is looked at: a debug build takes a minute for the rest.
    let draws = if std::env::var_os("KSCEN_HOUR").is_some() { 100 } else { 10 };
    let services = write(&folder, draws);
    let size = |name: &str| std::fs::metadata(folder.join(name)).expect("it is written").len();
    let sizes: BTreeMap<&str, u64> = [RESULT, EVENTS].map(|name| (name, size(name))).into();
    assert!(sizes.values().sum::<u64>() < 20_000_000, "{sizes:?}");
    assert!(services < 1_500_000, "services take {services} bytes");
    let found = load(&[folder]);
    assert_eq!(found.unusable, []);
    let record = &found.runs[0].record;
    let report = record.steps.iter().find_map(|step| step.produced.as_ref()).expect("a load");
    assert_eq!(report.response_latency.len(), HOUR * RATE);
    // The edges of the fault, to the tenth of a second outwards: what was sent in it is exact.
    let during = report.timeline.sum(1_200_000_000..1_210_300_000).expect("edges are kept apart");
    assert_eq!(during.sent, 103 * 500);
}
