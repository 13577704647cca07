//! What compaction explains, and what it does not.

use super::*;
use crate::accounting::ledger_report::Why;
use crate::accounting::{Allowed, KeyPlan, KeySpec, Policy, Terms};
use std::collections::BTreeMap;

const OLD: [u8; 16] = [1; 16];
const NEW: [u8; 16] = [2; 16];
const KEYS: u64 = 5;

/// A sender of a hundred messages with five keys, at the offsets 0 to 99.
fn hundred(run: &std::sync::Arc<RunIdentity>, topic: Option<[u8; 16]>) -> SenderAccount {
    let ticket = run.register("t").unwrap();
    ticket.raise(100);
    let keys = KeyPlan { spec: KeySpec::RoundRobin(KEYS), seed: 0, share: 0, shares: 1 };
    let mut sender =
        SenderAccount { sent: 100, complete: true, keys: Some(keys), ..SenderAccount::new(ticket.producer, "t") };
    sender.topic_ids.extend(topic);
    sender.acknowledged(0..100, 0, 0);
    sender
}

/// What a log from `start` to `end` leaves to a reader that has read its last messages, from `read` on.
fn settled(senders: &[SenderAccount], log: (i64, i64, Option<[u8; 16]>), read: i64, terms: Terms) -> LedgerReport {
    let run = RunIdentity::new(NONCE);
    let last = senders.last().unwrap().producer;
    senders.iter().for_each(|_| run.register("t").unwrap().raise(100));
    let mut reader = ReaderAccount::new(run, "t", None, false);
    reader.assigned(None, 0, Some(log.0));
    for offset in read..log.1 {
        let identity = Ok((identity(last, offset as u64), true));
        assert!(
            reader.record(&Sighting { partition: 0, offset, at_us: 0, life: 0, identity, altered: false }).is_fresh()
        );
    }
    reader.drain_to(&BTreeMap::from([(0, log.1)]));
    reader.advanced(0, 0, log.1);
    let evidence = LogEvidence {
        log_start: BTreeMap::from([(0, log.0)]),
        log_end: BTreeMap::from([(0, log.1)]),
        topic: log.2,
        ..LogEvidence::default()
    };
    Ledger::new(senders, [&reader]).under(terms).settle(Some(&evidence))
}

fn compact() -> Terms {
    let policy = Policy { compacts: true, ..Policy::default() };
    Terms { policies: BTreeMap::from([("t".to_owned(), policy)]), ..Terms::default() }
}

fn allowed(compacts: Option<bool>) -> Terms {
    let compacts = compacts.map(|compacts| ("t".to_owned(), compacts)).into_iter().collect();
    Terms { allow: BTreeSet::from([Allowed::Superseded]), compacts, ..Terms::default() }
}

/// Superseded, lost and unread messages of all senders.
fn columns(report: &LedgerReport) -> (u64, u64, u64) {
    let sum = |column: fn(&crate::accounting::SentLine) -> u64| report.sheet.sent.iter().map(column).sum();
    (sum(|line| line.superseded), sum(|line| line.lost), sum(|line| line.unread))
}

#[test]
fn compaction_explains_what_is_missing_between_the_ends_of_a_log() {
    let sender = [hundred(&RunIdentity::new(NONCE), Some(OLD))];
    assert_eq!(columns(&settled(&sender, (0, 100, Some(OLD)), 90, compact())), (90, 0, 0));
    assert_eq!(columns(&settled(&sender, (0, 100, None), 90, allowed(Some(true)))), (90, 0, 0));
}

#[test]
fn compaction_moves_neither_the_start_of_a_log_nor_its_end() {
    let sender = [hundred(&RunIdentity::new(NONCE), Some(OLD))];
    let below = settled(&sender, (90, 100, Some(OLD)), 90, compact());
    assert_eq!((columns(&below), below.lost_below_log_start), ((0, 90, 0), 90));
    let some = settled(&sender, (40, 100, Some(OLD)), 90, compact());
    assert_eq!(columns(&some), (50, 40, 0));
    // Cut off after message 49: what stood behind has not been compacted.
    let cut = settled(&sender, (0, 50, Some(OLD)), 45, compact());
    assert_eq!(columns(&cut), (45, 50, 0));
}

#[test]
fn retention_of_a_compacted_topic_lets_messages_expire() {
    let sender = [hundred(&RunIdentity::new(NONCE), Some(OLD))];
    let mut terms = compact();
    terms.allow.insert(Allowed::Expired);
    let report = settled(&sender, (40, 100, Some(OLD)), 90, terms);
    assert_eq!((report.sheet.sent[0].expired, columns(&report)), (40, (50, 0, 0)));
}

#[test]
fn a_topic_that_is_not_compacted_supersedes_nothing() {
    let sender = [hundred(&RunIdentity::new(NONCE), Some(OLD))];
    assert_eq!(columns(&settled(&sender, (0, 100, Some(OLD)), 90, allowed(Some(false)))), (0, 90, 0));
    let unknown = settled(&sender, (0, 100, Some(OLD)), 90, allowed(None));
    assert_eq!((columns(&unknown), unknown.unread_because[&Why::PolicyUnknown]), ((0, 0, 90), 90));
    // Without keys, a topic that is none is not called a compacted one.
    let keyless = [SenderAccount { keys: None, ..sender[0].clone() }];
    assert_eq!(columns(&settled(&keyless, (0, 100, None), 90, allowed(Some(false)))), (0, 90, 0));
    let compacted = settled(&keyless, (0, 100, None), 90, allowed(Some(true)));
    assert_eq!((columns(&compacted), compacted.unread_because[&Why::KeysUnknown]), ((0, 0, 90), 90));
}

#[test]
fn a_topic_made_anew_has_compacted_nothing_of_the_one_before() {
    let both = |before| {
        let run = RunIdentity::new(NONCE);
        [hundred(&run, before), hundred(&run, Some(NEW))]
    };
    let told = settled(&both(Some(OLD)), (0, 100, Some(NEW)), 95, compact());
    assert_eq!((told.sheet.sent[0].lost, columns(&told)), (100, (95, 100, 0)));
    // Who does not know which topic it was, and who was in both, cannot tell; a key's last message of all is lost in either.
    let told = settled(&both(None), (0, 100, None), 95, compact());
    assert_eq!((columns(&told), told.unread_because[&Why::LogUnknown]), ((0, 5, 190), 190));
    let mut through = hundred(&RunIdentity::new(NONCE), Some(OLD));
    through.topic_ids.insert(NEW);
    let told = settled(&[through], (0, 100, Some(NEW)), 100, compact());
    assert_eq!(columns(&told), (0, 5, 95));
}
