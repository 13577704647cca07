//! What a message costs that one worker sends and another one reads: bytes, and time of the coordinator.

use super::{NONCE, Nobody};
use crate::accounting::{Ledger, RunIdentity};
use crate::kafka::SendOutcome;
use crate::load::afar::{
    FarEvent, FarUnit, FoundIdentity, HandedMessage, JournalEntry, MemberEvent, MessageOutcome, ProducerEvent,
    SeenMessage,
};
use crate::load::consume::rehearsal::RehearsedReader;
use crate::load::produce::rehearsal::RehearsedLoad;
use crate::record::RunClock;
use crate::worker::code::Delta;
use crate::worker::merge::{Merge, Next};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Producers, each of which writes to a partition of its own.
const PRODUCERS: u32 = 10;
/// Messages that a client takes at once.
const BATCH: u64 = 250;
/// Batches that are told at once.
const TOLD: u64 = 8;

/// When a message is due, in µs of the run.
fn due_us(sequence: u64) -> u64 {
    1_000_000 + sequence * 100
}

/// A batch as its producer tells of it.
fn sent(producer: u32, sequences: Range<u64>) -> [ProducerEvent; 3] {
    let now_us = due_us(sequences.end);
    let handed = |sequence| {
        let due_us = due_us(sequence);
        HandedMessage { sequence, due_us, bytes: 1000, warmup: false, refused: None }
    };
    let acked = |sequence: u64| {
        let (partition, offset) = (producer as i32, sequence as i64);
        MessageOutcome { sequence, outcome: SendOutcome::Acked, partition, offset }
    };
    let (messages, outcomes) = (sequences.clone().map(handed).collect(), sequences.clone().map(acked).collect());
    [
        ProducerEvent::Raised(sequences.end),
        ProducerEvent::Handed { now_us, messages },
        ProducerEvent::Outcomes { now_us: now_us + 500, outcomes },
    ]
}

/// The same batch as its reader tells of it. No two bodies are alike.
fn read(rng: &mut StdRng, producer: u32, sequences: Range<u64>) -> MemberEvent {
    let (now_us, delivered) = (due_us(sequences.end) + 1000, sequences.end - sequences.start);
    let seen = |sequence: u64| {
        let (due_us, body_crc) = (due_us(sequence) as i64, rng.random());
        let (warmup, intact, around_another) = (false, true, false);
        let producer = u16::try_from(producer).expect("a small number");
        let identity = FoundIdentity { producer, sequence, due_us, body_crc, warmup, intact, around_another };
        let (partition, offset) = (i32::from(producer), sequence as i64);
        SeenMessage { partition, offset, epoch: Some(3), bytes: 1000, times: 1, identity: Ok(identity) }
    };
    MemberEvent::Read { now_us, delivered, messages: sequences.map(seen).collect() }
}

/// Has so many messages told by two workers; how many bytes that took, and how long it took until they were in the accounts.
fn told(messages: u64) -> (u64, Duration) {
    let (run, clock) = (RunIdentity::new(NONCE), RunClock::at_origin(Instant::now(), 0));
    let load = RehearsedLoad::new(&run, PRODUCERS as usize, false, Arc::new(Nobody));
    let reader = RehearsedReader::new(&run, clock, None, 1);
    let partitions = 0..PRODUCERS as i32;
    reader.account(|account| partitions.clone().for_each(|partition| account.assigned(None, partition, Some(0))));
    let (producers, member) =
        ((0..PRODUCERS as usize).map(|share| load.producer(share)).collect::<Vec<_>>(), reader.member(0));
    let (mut rng, mut merge) = (StdRng::seed_from_u64(1), Merge::default());
    [0, 1].into_iter().for_each(|worker| merge.expect(worker));
    let (mut bytes, mut took, mut stamp_ns) = (0, Duration::ZERO, 0);
    let mut entry = |unit: FarUnit, event: FarEvent| {
        stamp_ns += 1000;
        JournalEntry { stamp_ns, unit, event }
    };
    for tick in 0..messages / BATCH / TOLD {
        let (mut theirs, mut own) = (Vec::new(), Vec::new());
        for batch in tick * TOLD..(tick + 1) * TOLD {
            let producer = (batch % u64::from(PRODUCERS)) as u32;
            let first = batch / u64::from(PRODUCERS) * BATCH;
            let sequences = first..first + BATCH;
            let events = sent(producer, sequences.clone()).map(FarEvent::Producer);
            theirs.extend(events.map(|event| entry(producer, event)));
            own.push(entry(PRODUCERS, FarEvent::Member(read(&mut rng, producer, sequences))));
        }
        let upto_ns = own.last().map_or(0, |last: &JournalEntry| last.stamp_ns);
        let packed = [theirs, own].map(|entries| {
            let delta = Delta { upto_ns, cpu_us: 0, entries };
            delta.encode().expect("it can be packed")
        });
        bytes += packed.iter().map(|body| body.len() as u64).sum::<u64>();
        let began = Instant::now();
        for (worker, body) in packed.iter().enumerate() {
            let Delta { upto_ns, entries, .. } = Delta::decode(body).expect("a delta");
            let at_once = merge.add(worker, upto_ns, entries).expect("in the order of time");
            for next in at_once.into_iter().chain(std::iter::from_fn(|| merge.next())) {
                match next {
                    Next::Event(PRODUCERS, event) => member.hear(event),
                    Next::Event(unit, event) => producers[unit as usize].hear(event),
                    Next::Lost(..) => unreachable!("nobody dies"),
                }
            }
        }
        took += began.elapsed();
    }
    let each = (messages / u64::from(PRODUCERS)) as i64;
    let ends: BTreeMap<i32, i64> = partitions.map(|partition| (partition, each)).collect();
    let senders = load.accounts();
    let report = reader.account(|account| {
        account.drain_to(&ends);
        Ledger::new(&senders, [&*account]).settle(None)
    });
    assert!(report.classes.is_empty() && report.drained, "{:?}", report.classes);
    assert_eq!(report.sheet.sent[0].read_once, messages);
    (bytes, took)
}

#[test]
fn a_message_that_is_sent_and_read_elsewhere_takes_a_few_bytes() {
    let messages = 40_000;
    let (bytes, _) = told(messages);
    assert!(bytes < 12 * messages, "{bytes} bytes for {messages} messages");
    // As it waits to be entered: what became of it, and what was read.
    let waits = size_of::<HandedMessage>() + size_of::<MessageOutcome>() + size_of::<SeenMessage>();
    assert!(waits <= 136, "{waits} bytes");
}

#[test]
#[ignore = "measures: `cargo test --release -- --ignored --nocapture what_a_message_costs`"]
fn what_a_message_costs_the_coordinator() {
    let messages = 4_000_000;
    let (bytes, took) = told(messages);
    let each = |sum: f64| sum / messages as f64;
    println!("{:.2} bytes and {:.3} µs a message", each(bytes as f64), each(took.as_secs_f64() * 1e6));
}
