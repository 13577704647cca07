//! Units that end in the middle of what they do.

use super::{NONCE, Nobody};
use crate::accounting::{Class, Ledger, RunIdentity};
use crate::kafka::SendOutcome;
use crate::load::afar::{
    Death, FarEvent, FoundIdentity, HandedMessage, MemberEvent, MessageOutcome, ProducerEvent, SeenMessage,
    TransactionFate,
};
use crate::load::consume::rehearsal::RehearsedReader;
use crate::load::produce::rehearsal::RehearsedLoad;
use crate::record::RunClock;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

fn tell(load: &RehearsedLoad, event: ProducerEvent) {
    load.producer(0).hear(FarEvent::Producer(event));
}

fn hands_over(load: &RehearsedLoad, sequences: Range<u64>) {
    tell(load, ProducerEvent::Raised(sequences.end));
    let handed = |sequence| HandedMessage { sequence, due_us: 1_000, bytes: 100, warmup: false, refused: None };
    tell(load, ProducerEvent::Handed { now_us: 1_000, messages: sequences.map(handed).collect() });
}

/// They stand in the only partition, one after the other.
fn is_acknowledged(load: &RehearsedLoad, sequences: Range<u64>) {
    let acked = |sequence: u64| {
        let offset = i64::try_from(sequence).expect("a small number");
        MessageOutcome { sequence, outcome: SendOutcome::Acked, partition: 0, offset }
    };
    tell(load, ProducerEvent::Outcomes { now_us: 2_000, outcomes: sequences.map(acked).collect() });
}

/// As a reader is given the first `count` of them that does not see more, and comes to `end`.
fn reads(reader: &RehearsedReader, count: i64, end: i64) {
    let seen = |offset: i64| {
        let sequence = u64::try_from(offset).expect("an offset");
        let (producer, due_us, body_crc) = (0, 1_000, 7);
        let (warmup, intact, around_another) = (false, true, false);
        let identity = FoundIdentity { producer, sequence, due_us, body_crc, warmup, intact, around_another };
        SeenMessage { partition: 0, offset, epoch: Some(0), bytes: 100, times: 1, identity: Ok(identity) }
    };
    let messages: Vec<SeenMessage> = (0..count).map(seen).collect();
    let member = reader.member(0);
    let delivered = messages.len() as u64;
    member.hear(FarEvent::Member(MemberEvent::Read { now_us: 3_000, delivered, messages }));
    let positions = BTreeMap::from([(0, end)]);
    member.hear(FarEvent::Member(MemberEvent::Stands { now_us: 4_000, positions }));
    reader.account(|account| account.drain_to(&BTreeMap::from([(0, end)])));
}

#[test]
fn what_a_dead_worker_had_in_an_open_transaction_is_not_lost() {
    let run = RunIdentity::new(NONCE);
    let clock = RunClock::at_origin(std::time::Instant::now(), 0);
    let load = RehearsedLoad::new(&run, 1, true, Arc::new(Nobody));
    let reader = RehearsedReader::new(&run, clock, None, 1);
    reader.account(|account| account.assigned(None, 0, Some(0)));
    for (sequences, counts) in [(0..10, [1, 0, 0]), (10..20, [1, 1, 0])] {
        hands_over(&load, sequences.clone());
        is_acknowledged(&load, sequences.clone());
        if counts[1] == 1 {
            tell(&load, ProducerEvent::Transaction { messages: sequences, fate: TransactionFate::Aborted });
        }
        tell(&load, ProducerEvent::Transactions(counts));
    }
    // Of the last one nobody says whether it was committed: the broker aborts it when its time is over.
    hands_over(&load, 20..30);
    is_acknowledged(&load, 20..27);
    let death = Death { worker: "worker 2".to_owned(), why: "it died".to_owned(), at_us: 5_000, known_us: 2_500 };
    let what = load.producer(0).lost(&death);
    assert!(what.contains("7 acknowledged ones from 20 on") && what.contains("3 messages from sequence 27"), "{what}");
    let senders = load.accounts();
    let sender = &senders[0];
    assert_eq!((sender.acked.len(), sender.aborted.len(), sender.unknown.len(), sender.sent), (10, 10, 7, 30));
    reads(&reader, 10, 30);
    let report = reader.account(|account| Ledger::new(&senders, [&*account]).settle(None));
    assert!(report.drained && report.classes.is_empty(), "{:?}", report.classes);
    assert_eq!((report.count(Class::Lost), report.sheet.imbalance()), (0, None));
    // Without transactions an acknowledgement is the last word.
    let plain = RehearsedLoad::new(&RunIdentity::new(NONCE), 1, false, Arc::new(Nobody));
    hands_over(&plain, 0..10);
    is_acknowledged(&plain, 0..7);
    let what = plain.producer(0).lost(&death);
    assert!(!what.contains("transaction"), "{what}");
    assert_eq!(plain.accounts()[0].acked.len(), 7);
}

#[test]
fn a_producer_that_ends_by_a_defect_says_so_and_nothing_of_it_is_closed() {
    let load = RehearsedLoad::new(&RunIdentity::new(NONCE), 1, false, Arc::new(Nobody));
    hands_over(&load, 0..10);
    is_acknowledged(&load, 0..7);
    tell(&load, ProducerEvent::Broke(3_000));
    assert_eq!(load.ends(), [Some("a producer thread ended by a defect of the program".to_owned())]);
    let senders = load.accounts();
    assert_eq!((senders[0].complete, senders[0].sent, senders[0].acked.len()), (false, 10, 7));
}
