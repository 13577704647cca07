//! Logs that stand one after the other under the same name, told apart by the topic's id and by leader epochs.

use super::*;
use crate::accounting::IdentityError;
use std::collections::BTreeMap;

const OLD: [u8; 16] = [1; 16];
const NEW: [u8; 16] = [2; 16];
/// Longer than any client takes to find out where it stands.
const LONG_US: i64 = 60_000_000;

fn read(reader: &mut ReaderAccount, offset: i64, sequence: u64, epoch: i32) -> SightingKind {
    let identity = Ok((identity(0, sequence), true));
    reader.record_in(&Sighting { partition: 0, offset, at_us: 0, life: 0, identity, altered: false }, Some(epoch))
}

fn foreign(reader: &mut ReaderAccount, offset: i64, epoch: i32) -> SightingKind {
    let identity = Err(IdentityError::Absent);
    reader.record_in(&Sighting { partition: 0, offset, at_us: 0, life: 0, identity, altered: false }, Some(epoch))
}

/// A sender of twice ten messages, which were acknowledged at the same ten offsets of two logs, and a reader of the first ten.
fn ten_of_twenty() -> (SenderAccount, ReaderAccount) {
    let run = RunIdentity::new(NONCE);
    let ticket = run.register("t").unwrap();
    ticket.raise(20);
    let mut sender = SenderAccount::new(ticket.producer, "t");
    (sender.sent, sender.complete) = (20, true);
    sender.acknowledged(0..10, 0, 0);
    sender.acknowledged(10..20, 0, 0);
    let mut reader = ReaderAccount::new(run, "t", None, false);
    reader.assigned(None, 0, Some(0));
    reader.is_of_topic(OLD, 0);
    (0..10).for_each(|n| assert!(read(&mut reader, n, n as u64, 0).is_fresh()));
    reader.is_of_topic(OLD, 1);
    (sender, reader)
}

fn in_log() -> LogEvidence {
    LogEvidence {
        log_start: BTreeMap::from([(0, 0)]),
        found: (10..20).map(|n| ((0, n), (0, n as i64 - 10))).collect(),
        ..LogEvidence::default()
    }
}

#[test]
fn a_topic_that_was_replaced_by_one_of_the_same_length_has_not_been_read() {
    let (sender, mut reader) = ten_of_twenty();
    let count = |reader: &ReaderAccount, class| Ledger::new([&sender], [reader]).settle(Some(&in_log())).count(class);
    reader.is_of_topic(NEW, 2);
    reader.drain_to(&BTreeMap::from([(0, 10)]));
    reader.stands_at(0, 0, 10, 3);
    assert_eq!(reader.left_behind(), [0]);
    assert_eq!((count(&reader, Class::Lost), count(&reader, Class::Unread)), (0, 10), "its client may not know it yet");
    // A broker that has not heard of it yet.
    reader.is_of_topic(OLD, 4);
    assert_eq!(reader.topics(), 2);

    // Either it is sent back and reads them …
    let mut back = reader.clone();
    (0..10).for_each(|n| assert!(read(&mut back, n, n as u64 + 10, 0).is_fresh()));
    let report = Ledger::new([&sender], [&back]).settle(Some(&in_log()));
    assert_eq!((report.sheet.sent[0].read_once, report.count(Class::Redelivered)), (20, 0));
    // … or it goes on where it stands, and never will.
    reader.stands_at(0, 0, 10, LONG_US);
    assert_eq!((count(&reader, Class::Lost), count(&reader, Class::Skipped)), (10, 10));
}

#[test]
fn in_another_topic_the_same_place_is_another_one() {
    let (_, mut reader) = ten_of_twenty();
    assert_eq!(read(&mut reader, 3, 3, 0), SightingKind::Other(Class::Redelivered));
    foreign(&mut reader, 10, 0);
    reader.is_of_topic(OLD, 2);
    reader.is_of_topic(NEW, 3);
    // Copied there by somebody, at the places where the originals had stood.
    assert_eq!(read(&mut reader, 0, 0, 0), SightingKind::Other(Class::Duplicated));
    assert_eq!(foreign(&mut reader, 10, 0), SightingKind::Other(Class::Foreign));
    assert_eq!(foreign(&mut reader, 10, 0), SightingKind::Other(Class::Redelivered));
}

#[test]
fn what_is_left_of_a_log_that_was_cut_off_is_the_same() {
    let (sender, mut reader) = ten_of_twenty();
    foreign(&mut reader, 10, 0);
    foreign(&mut reader, 11, 0);
    // An unclean election takes the last message, and another one takes its place, before anybody asks where the log ends.
    reader.cut_below(0, 12, 2);
    reader.drain_to(&BTreeMap::from([(0, 12)]));
    assert!(!reader.is_drained());
    assert_eq!(foreign(&mut reader, 11, 4), SightingKind::Other(Class::Foreign), "not the one that was read there");
    assert!(reader.is_drained());
    // Sent back to the start it reads what is left once more.
    let mut again = reader.clone();
    assert_eq!(read(&mut again, 9, 9, 0), SightingKind::Other(Class::Redelivered));
    assert_eq!(foreign(&mut again, 10, 0), SightingKind::Other(Class::Redelivered));
    let report = Ledger::new([&sender], [&reader]).settle(None);
    assert_eq!((report.restarts.len(), report.count(Class::Redelivered)), (1, 0));
}
