//! A history that is told by several workers gives the accounts of one process.

mod bench;
mod cost;
mod crew;
mod elsewhere;
mod ends;
mod far;
mod fleet;
mod history;

use super::code::Delta;
use super::frame::{FrameKind, FrameReader, FrameWriter};
use super::merge::{Merge, Next};
use crate::accounting::{Class, Ledger, LedgerReport, RunIdentity};
use crate::kafka::SendOutcome;
use crate::load::LoadError;
use crate::load::afar::{
    Afar, BeginHere, Death, FarEvent, FarOrder, FarUnit, HandedMessage, Hearer, JournalEntry, MessageOutcome,
    ProducerEvent, UnitTask,
};
use crate::load::consume::rehearsal::RehearsedReader;
use crate::load::produce::rehearsal::RehearsedLoad;
use crate::record::RunClock;
use crate::record::gaps::AckGap;
use history::{History, PARTITIONS};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const NONCE: u64 = 0x6b73_6365;

/// Nobody: what is told to units goes nowhere.
#[derive(Debug)]
struct Nobody;

impl Afar for Nobody {
    fn prepare(&self, _: UnitTask, _: Arc<dyn Hearer>) -> Result<(FarUnit, BTreeMap<String, String>), LoadError> {
        Err(LoadError::Spec("nobody is there".to_owned()))
    }

    fn begin_here(&self, _: Arc<dyn Hearer>, _: BeginHere<'_>) -> Result<FarUnit, LoadError> {
        Err(LoadError::Spec("nobody is there".to_owned()))
    }

    fn tell(&self, _: FarUnit, _: FarOrder) {}

    fn processes(&self) -> Vec<u32> {
        Vec::new()
    }

    fn clock_bound_us(&self) -> u64 {
        0
    }

    fn lead(&self) -> Duration {
        Duration::ZERO
    }

    fn known_us(&self) -> u64 {
        u64::MAX
    }

    fn cpu_us(&self) -> u64 {
        0
    }
}

/// The accounts of a run.
struct Accounts {
    run: Arc<RunIdentity>,
    load: RehearsedLoad,
    readers: Vec<RehearsedReader>,
    hearers: Vec<Arc<dyn Hearer>>,
}

impl Accounts {
    fn new(history: &History, clock: RunClock) -> Self {
        let run = RunIdentity::new(NONCE);
        let load = RehearsedLoad::new(&run, history.producers, false, Arc::new(Nobody));
        let group = RehearsedReader::new(&run, clock, Some("g"), history.members);
        let alone = RehearsedReader::new(&run, clock, None, 1);
        alone.account(|account| (0..PARTITIONS).for_each(|partition| account.assigned(None, partition, Some(0))));
        let producers = (0..history.producers).map(|share| load.producer(share));
        let members = (0..history.members).map(|number| group.member(number));
        let hearers = producers.chain(members).chain([alone.member(0)]).collect();
        Self { run, load, readers: vec![group, alone], hearers }
    }

    fn hear(&self, unit: FarUnit, event: FarEvent) {
        self.hearers[unit as usize].hear(event);
    }

    /// What a delivery to one of the readers is settled to.
    fn settled(&self, reader: usize, ends: &BTreeMap<i32, i64>) -> LedgerReport {
        let senders = self.load.accounts();
        self.readers[reader].account(|account| {
            account.drain_to(ends);
            Ledger::new(&senders, [&*account]).with_samples(1000).settle(None)
        })
    }

    fn figures(&self) -> Vec<String> {
        let readers = self.readers.iter().map(RehearsedReader::figures);
        readers.chain([self.load.figures()]).collect()
    }
}

/// A stream of one worker, as it is told in frames at moments of its own.
struct Stream {
    waiting: Vec<JournalEntry>,
    writer: FrameWriter<Vec<u8>>,
}

/// Tells a history by so many workers, and gives what comes out to `hear`, until one of them dies behind `until` entries.
fn told_by(history: &History, workers: usize, seed: u64, until: Option<usize>, hear: impl FnMut(Next)) {
    told_apart(history, workers, seed, (until, 0), hear);
}

/// The same, where the clocks of workers are apart by up to `apart_ns`, and that is known.
fn told_apart(
    history: &History,
    workers: usize,
    seed: u64,
    (until, apart_ns): (Option<usize>, u64),
    mut hear: impl FnMut(Next),
) {
    let mut clocks = StdRng::seed_from_u64(!seed);
    let ahead_ns: Vec<u64> = (0..workers).map(|_| clocks.random_range(0..=apart_ns)).collect();
    let mut rng = StdRng::seed_from_u64(seed);
    let units = history.producers + history.members + 1;
    let place: Vec<usize> = (0..units).map(|_| rng.random_range(0..workers)).collect();
    let mut merge = Merge::default();
    merge.allow(apart_ns);
    let mut streams: Vec<Stream> = Vec::new();
    for worker in 0..workers {
        merge.expect(worker);
        streams.push(Stream { waiting: Vec::new(), writer: FrameWriter::new(Vec::new()) });
    }
    let mut read = vec![0; workers];
    let mut flush = |merge: &mut Merge, worker: usize, stream: &mut Stream, upto_ns: u64| {
        let entries = std::mem::take(&mut stream.waiting);
        let body = Delta { upto_ns, cpu_us: 0, entries }.encode().expect("it can be packed");
        let frame = |writer: &mut FrameWriter<Vec<u8>>| writer.write(FrameKind::Delta, &body).map(drop);
        frame(&mut stream.writer).expect("memory takes it");
        let bytes = stream.writer.written();
        let mut reader = FrameReader::from(&bytes[read[worker]..], stream.writer.number() - 1);
        let frame = reader.read().expect("a frame").expect("one more");
        read[worker] = bytes.len();
        let delta = Delta::decode(&frame.body).expect("a delta");
        merge.add(worker, delta.upto_ns, delta.entries).expect("in the order of time")
    };
    let mut dead = None;
    for (number, entry) in history.told.iter().enumerate() {
        let worker = place[entry.unit as usize];
        if until == Some(number) {
            dead = Some(worker);
            let death = Death { worker: "worker".to_owned(), why: "it died".to_owned(), at_us: 0, known_us: 0 };
            merge.lose(worker, death);
        }
        if dead == Some(worker) {
            continue;
        }
        let stamp_ns = entry.stamp_ns + ahead_ns[worker];
        streams[worker].waiting.push(JournalEntry { stamp_ns, ..entry.clone() });
        for (worker, stream) in streams.iter_mut().enumerate() {
            if dead != Some(worker) && rng.random_range(0..4) == 0 {
                flush(&mut merge, worker, stream, entry.stamp_ns + ahead_ns[worker]).into_iter().for_each(&mut hear);
            }
        }
        while rng.random_range(0..3) > 0
            && let Some(next) = merge.next()
        {
            hear(next);
        }
    }
    for (worker, stream) in streams.iter_mut().enumerate().filter(|(worker, _)| dead != Some(*worker)) {
        flush(&mut merge, worker, stream, u64::MAX - 1).into_iter().for_each(&mut hear);
    }
    std::iter::from_fn(|| merge.next()).for_each(&mut hear);
}

#[test]
fn a_history_told_by_several_workers_gives_the_accounts_of_one_process() {
    let clock = RunClock::at_origin(std::time::Instant::now(), 0);
    let (mut anomalies, mut rounds) = (0, 0);
    for seed in 0..150 {
        let history = History::draw(seed, seed % 5 == 0);
        let whole = Accounts::new(&history, clock);
        history.told.iter().for_each(|entry| whole.hear(entry.unit, entry.event.clone()));
        let workers = [2, 3, 10][seed as usize % 3];
        let merged = Accounts::new(&history, clock);
        told_by(&history, workers, seed, None, |next| match next {
            Next::Event(unit, event) => merged.hear(unit, event),
            Next::Lost(..) => unreachable!("nobody dies"),
        });
        for reader in 0..2 {
            let [one, all] = [&whole, &merged].map(|accounts| accounts.settled(reader, &history.ends()));
            assert_eq!(one, all, "seed {seed}, {workers} workers, reader {reader}");
            assert_eq!(one.sheet.imbalance(), None, "seed {seed}");
            found_as_injected(&history, reader, &all, seed);
            anomalies += all.classes.values().map(|found| found.count).sum::<u64>();
        }
        assert_eq!(whole.figures(), merged.figures(), "seed {seed}, {workers} workers");
        rounds += 1;
    }
    assert!(anomalies > 2_000, "{anomalies} anomalies in {rounds} rounds");
}

/// Whatever is read of a message is entered behind what was told of its sending, by whichever clocks.
#[test]
fn clocks_that_are_apart_make_no_phantoms() {
    let clock = RunClock::at_origin(std::time::Instant::now(), 0);
    for seed in 0..60 {
        let history = History::draw(seed, true);
        let accounts = Accounts::new(&history, clock);
        told_apart(&history, [2, 3, 10][seed as usize % 3], seed, (None, 50_000_000), |next| match next {
            Next::Event(unit, event) => accounts.hear(unit, event),
            Next::Lost(..) => unreachable!("nobody dies"),
        });
        for reader in 0..2 {
            let report = accounts.settled(reader, &history.ends());
            assert_eq!(report.count(Class::Phantom), 0, "seed {seed}, reader {reader}");
        }
    }
}

/// What was injected has its name, and nothing else has one.
fn found_as_injected(history: &History, reader: usize, report: &LedgerReport, seed: u64) {
    if history.clean {
        assert!(report.classes.is_empty() && report.drained, "seed {seed}: {:?}", report.classes);
        return;
    }
    let none = BTreeSet::new();
    let of = |class| history.wrong.get(&class).unwrap_or(&none);
    let samples = |class| -> BTreeSet<(u16, u64)> {
        report.samples(class).iter().filter_map(|sample| Some((sample.producer?, sample.sequence?))).collect()
    };
    assert_eq!(samples(Class::Duplicated), *of(Class::Duplicated), "seed {seed}, reader {reader}");
    let missing: BTreeSet<_> = samples(Class::Lost).union(&samples(Class::Unread)).copied().collect();
    assert_eq!(missing, *of(Class::Lost), "seed {seed}, reader {reader}");
    let phantoms: BTreeSet<_> = samples(Class::Phantom).union(&samples(Class::Redelivered)).copied().collect();
    assert!(phantoms.is_superset(of(Class::Phantom)), "seed {seed}, reader {reader}");
}

/// Whoever dies: nothing that it may have sent is a phantom, and nothing that it may have read is lost.
#[test]
fn what_a_worker_took_with_it_is_neither_phantom_nor_lost() {
    let clock = RunClock::at_origin(std::time::Instant::now(), 0);
    let mut unaccounted = 0;
    for seed in 0..100 {
        let history = History::draw(seed, true);
        let accounts = Accounts::new(&history, clock);
        let until = StdRng::seed_from_u64(seed).random_range(0..history.told.len());
        let units = history.producers + history.members + 1;
        let place: Vec<usize> = {
            let mut rng = StdRng::seed_from_u64(seed);
            (0..units).map(|_| rng.random_range(0..2)).collect()
        };
        let mut said = Vec::new();
        told_by(&history, 2, seed, Some(until), |next| match next {
            Next::Event(unit, event) => accounts.hear(unit, event),
            Next::Lost(worker, death) => {
                let lost = (0..units).filter(|unit| place[*unit] == worker);
                said.extend(lost.map(|unit| accounts.hearers[unit].lost(&death)));
            }
        });
        for reader in 0..2 {
            let report = accounts.settled(reader, &history.ends());
            for class in [Class::Lost, Class::Phantom, Class::Duplicated, Class::Corrupted, Class::Skipped] {
                assert_eq!(report.count(class), 0, "seed {seed}, reader {reader}: {class}");
            }
            assert_eq!(report.sheet.imbalance(), None, "seed {seed}, reader {reader}");
        }
        unaccounted += said.len();
        assert!(said.iter().all(|text| text.contains("known")), "{said:?}");
        assert_eq!(accounts.load.ends().len(), history.producers);
        assert_eq!(accounts.run.nonce(), NONCE);
    }
    assert!(unaccounted > 100, "{unaccounted}");
}

/// Two producers, wherever they run: who had nothing due says nothing of the other's outage, and who is answered ends that of both.
#[test]
fn an_outage_is_that_of_the_load_and_not_of_each_producer() {
    let run = RunIdentity::new(NONCE);
    let load = RehearsedLoad::new(&run, 2, false, Arc::new(Nobody));
    let sends = |share: usize, sequence: u64, due_ms: u64, acked_ms: u64| {
        let due_us = due_ms * 1000;
        let message = HandedMessage { sequence, due_us, bytes: 100, warmup: false, refused: None };
        let outcome = MessageOutcome { sequence, outcome: SendOutcome::Acked, partition: 0, offset: -1 };
        let now_us = acked_ms * 1000;
        for event in [
            ProducerEvent::Handed { now_us: due_us, messages: vec![message] },
            ProducerEvent::Outcomes { now_us, outcomes: vec![outcome] },
        ] {
            load.producer(share).hear(FarEvent::Producer(event));
        }
    };
    sends(0, 0, 999, 1_000);
    // Nothing is answered from 1.0 to 4.0 s, and the last that was due is the first to be answered.
    sends(0, 1, 3_950, 4_000);
    sends(1, 0, 1_500, 4_001);
    let gap = format!("{:?}", [AckGap { start_us: 1_500_000, end_us: Some(4_000_000) }]);
    assert!(load.figures().ends_with(&gap), "{}", load.figures());
}
