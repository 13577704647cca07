//! Whatever happens comes through as it was.

use super::code::Delta;
use crate::kafka::SendOutcome;
use crate::load::afar::{
    FarEvent, FoundIdentity, HandedMessage, JournalEntry, MemberEvent, MessageOutcome, ProducerEvent, SeenMessage,
    TransactionFate,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn seen(rng: &mut StdRng) -> SeenMessage {
    let some = |rng: &mut StdRng, most: u64| {
        if rng.random_range(0..20) == 0 { rng.random::<u64>() } else { rng.random_range(0..most) }
    };
    let identity = match rng.random_range(0..10) {
        0 => Err(true),
        1 => Err(false),
        _ => Ok(FoundIdentity {
            producer: rng.random_range(0..3),
            sequence: some(rng, 1000),
            due_us: some(rng, 5_000_000) as i64,
            body_crc: rng.random(),
            warmup: rng.random(),
            intact: rng.random(),
            around_another: rng.random(),
        }),
    };
    SeenMessage {
        partition: rng.random_range(0..4),
        offset: some(rng, 100) as i64,
        epoch: Some(rng.random_range(0..3)).filter(|epoch| *epoch > 0),
        bytes: rng.random_range(0..2) * 100,
        times: rng.random_range(0..3),
        identity,
    }
}

fn event(rng: &mut StdRng) -> FarEvent {
    let count = rng.random_range(0..40);
    let outcome = |rng: &mut StdRng| match rng.random_range(0..3) {
        0 => SendOutcome::Acked,
        1 => SendOutcome::Failed(-rng.random_range(0..200)),
        _ => SendOutcome::Unknown(rng.random_range(0..100)),
    };
    match rng.random_range(0..6) {
        0 => FarEvent::Producer(ProducerEvent::Raised(rng.random())),
        1 => FarEvent::Producer(ProducerEvent::Handed {
            now_us: rng.random(),
            messages: (0..count)
                .map(|_| HandedMessage {
                    sequence: rng.random(),
                    due_us: rng.random(),
                    bytes: rng.random(),
                    warmup: rng.random(),
                    refused: Some(rng.random::<i32>()).filter(|code| code % 2 == 0),
                })
                .collect(),
        }),
        2 | 3 => {
            let mut offset = 0;
            let all = (0..count).map(|sequence| {
                offset += i64::from(rng.random_range(0..4) > 0);
                let place = rng.random_range(0..9);
                let offset = if place == 0 { -1 } else { offset };
                let kind = if place < 3 { outcome(rng) } else { SendOutcome::Acked };
                MessageOutcome { sequence, outcome: kind, partition: place / 4 - 1, offset }
            });
            FarEvent::Producer(ProducerEvent::Outcomes { outcomes: all.collect(), now_us: rng.random() })
        }
        4 => FarEvent::Producer(ProducerEvent::Transaction { messages: 3..9, fate: TransactionFate::InDoubt }),
        _ => FarEvent::Member(MemberEvent::Read {
            now_us: rng.random(),
            delivered: count,
            messages: (0..count).map(|_| seen(rng)).collect(),
        }),
    }
}

#[test]
fn what_happened_comes_back_as_it_was() {
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut stamp_ns = 0;
        let entries = (0..rng.random_range(0..20)).map(|_| {
            stamp_ns += rng.random_range(0..1000);
            JournalEntry { stamp_ns, unit: rng.random_range(0..5), event: event(&mut rng) }
        });
        let delta = Delta { entries: entries.collect(), upto_ns: seed, cpu_us: 7 };
        let bytes = delta.encode().expect("it can be packed");
        assert_eq!(Delta::decode(&bytes), Some(delta), "seed {seed}");
        // Whatever is damaged is refused or is another delta: nothing panics and nothing takes much memory.
        for _ in 0..20 {
            let mut bytes = bytes.clone();
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
            let _ = Delta::decode(&bytes);
            let _ = Delta::decode(&bytes[..at]);
        }
    }
}

/// What a delta tells is bounded by what stands in it, whatever that claims.
#[test]
fn a_few_bytes_tell_of_no_more_messages_than_arrive_at_once() {
    let outcome = MessageOutcome { sequence: 0, outcome: SendOutcome::Acked, partition: 0, offset: 0 };
    let outcomes = |count: u64, entries: u64| {
        let all = (0..count).map(|n| MessageOutcome { sequence: n, offset: n as i64, ..outcome });
        let event = FarEvent::Producer(ProducerEvent::Outcomes { now_us: 0, outcomes: all.collect() });
        let entry = |stamp_ns| JournalEntry { stamp_ns, unit: 0, event: event.clone() };
        Delta { entries: (0..entries).map(entry).collect(), upto_ns: entries, cpu_us: 0 }
            .encode()
            .expect("it can be packed")
    };
    let most = outcomes(1024, 4096);
    assert!(most.len() < 1000 && Delta::decode(&most).is_some(), "{}", most.len());
    assert_eq!(Delta::decode(&outcomes(2048, 4096)), None, "more messages than arrive at once");
    assert_eq!(Delta::decode(&outcomes(1, 4097)), None, "more entries than a frame has");
    for partition in [-1, i32::MIN, 1 << 20, i32::MAX] {
        let seen = SeenMessage { partition, offset: 0, epoch: None, bytes: 0, times: 1, identity: Err(false) };
        let event = FarEvent::Member(MemberEvent::Read { now_us: 0, delivered: 1, messages: vec![seen] });
        let delta = Delta { entries: vec![JournalEntry { stamp_ns: 0, unit: 0, event }], upto_ns: 0, cpu_us: 0 };
        assert_eq!(Delta::decode(&delta.encode().expect("it can be packed")), None, "partition {partition}");
    }
}

#[test]
fn a_message_takes_a_few_bytes() {
    let message = |sequence: u64| SeenMessage {
        partition: 3,
        offset: sequence as i64,
        epoch: Some(4),
        bytes: 1000,
        times: 1,
        identity: Ok(FoundIdentity {
            producer: 7,
            sequence,
            due_us: 1_700_000_000_000_000 + sequence as i64 * 100,
            body_crc: ((sequence % 32) as u32).wrapping_mul(2_654_435_761),
            warmup: false,
            intact: true,
            around_another: false,
        }),
    };
    let read = MemberEvent::Read { now_us: 1, delivered: 1000, messages: (0..1000).map(message).collect() };
    let entry = JournalEntry { stamp_ns: 1, unit: 1, event: FarEvent::Member(read) };
    let bytes = Delta { upto_ns: 1, cpu_us: 1, entries: vec![entry] }.encode().expect("it can be packed");
    assert!(bytes.len() < 2_000, "{} bytes for a thousand messages", bytes.len());
}
