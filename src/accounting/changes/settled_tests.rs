//! Changes that are settled for good before others have come.

use super::history_tests::{World, envelope, read, rules, world};

use super::stored_tests::all_read;
use super::*;
use crate::database::{CommittedTransaction, Lsn};
use crate::debezium::{ReadEvent, ReadKind};
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};

const BUDGET: SettlingBudget = SettlingBudget { records: 1_000, changes: 1_000 };

/// Settles what can be of the first transactions and records, then holds the rest, and what comes `later`, against each other.
fn in_two_turns(world: &World, records: usize, later: Vec<ReadEvent>) -> (Reconciliation, usize) {
    let rules = rules();
    let (mut transactions, mut events) = (world.transactions.clone(), read(&world.records));
    let rest = events.split_off(records);
    let mut past = SettledPast::default();
    past.settle(&rules, None, &mut transactions, &mut events, BUDGET);
    events.extend(rest.into_iter().chain(later));
    (settled(&rules, &past, &transactions, &events), past.len())
}

fn settled(
    rules: &crate::debezium::CaptureRules,
    past: &SettledPast,
    transactions: &[CommittedTransaction],
    events: &[ReadEvent],
) -> Reconciliation {
    let connectors = [ScopedConnector { confirmed: Some(Lsn(u64::MAX)), ..ScopedConnector::of(rules) }];
    let result = reconcile(&Expectation { settled: Some(past), ..all_read(transactions, &connectors) }, events);
    assert_eq!(result.sheet.imbalance(), None, "{result:?}");
    result
}

/// A record behind all others.
fn behind(world: &World, mut record: ReadEvent) -> ReadEvent {
    record.offset = world.records.len() as i64 + 7;
    record
}

#[test]
fn whatever_is_settled_early_the_account_is_the_same() {
    let mut early = 0;
    for seed in 0..60 {
        let rng = &mut StdRng::seed_from_u64(seed);
        let world = world(rng);
        let all = settled(&rules(), &SettledPast::default(), &world.transactions, &read(&world.records));
        let (in_turns, count) = in_two_turns(&world, rng.random_range(0..=world.records.len()), Vec::new());
        assert_eq!(in_turns, all, "seed {seed}");
        early += count;
    }
    assert!(early > 500, "{early}");
}

#[test]
fn what_is_lost_ends_what_is_settled_and_stays_lost() {
    let rng = &mut StdRng::seed_from_u64(7);
    let mut world = world(rng);
    let lost = world.records.len() / 2;
    let lost = (lost..).find(|index| world.records[*index].1.as_ref().is_some_and(|value| value["op"] != "d")).unwrap();
    world.records.remove(lost);
    let (result, count) = in_two_turns(&world, world.records.len(), Vec::new());
    assert_eq!((result.lost, result.sheet.lost), (1, 1), "{result:?}");
    assert!(count > 0 && (count as u64) < result.sheet.committed, "{count}");
}

#[test]
fn a_copy_of_what_is_settled_is_one_and_another_text_is_not_judged() {
    let world = world(&mut StdRng::seed_from_u64(3));
    let first = world.records.iter().position(|record| record.1.is_some()).unwrap();
    let copy = behind(&world, read(&world.records)[first].clone());
    let (result, count) = in_two_turns(&world, world.records.len(), vec![copy]);
    assert_eq!((result.duplicated, result.sheet.duplicated, result.sheet.copies), (1, 1, 1), "{count}: {result:?}");
    assert_eq!(result.unjudged, []);

    let mut other = world.records[first].clone();
    other.1.as_mut().unwrap()["after"]["name"] = json!("another");
    let other = behind(&world, read(&[other]).remove(0));
    let (result, _) = in_two_turns(&world, world.records.len(), vec![other]);
    assert_eq!((result.sheet.unjudged_records, result.wrong_content), (1, 0));
    assert!(result.unjudged[0].reason.contains("another text"), "{:?}", result.unjudged);

    // The same record read again, by its offset.
    let again = read(&world.records)[first].clone();
    let (result, _) = in_two_turns(&world, world.records.len(), vec![again]);
    assert_eq!((result.redelivered, result.duplicated), (1, 0));

    // At a position at which nothing was committed.
    let invented = (json!({"id": 99}), Some(envelope("c", 99, Some("x"), 700, 1_001, "false")), None);
    let (result, _) = in_two_turns(&world, world.records.len(), vec![behind(&world, read(&[invented]).remove(0))]);
    assert_eq!(result.phantom, 1);
}

#[test]
fn a_tombstone_of_a_row_that_lives_is_never_passed_over() {
    let (mut living, mut buried) = (0, 0);
    for seed in 0..20 {
        let world = world(&mut StdRng::seed_from_u64(seed));
        let changes = world.transactions.iter().flat_map(|transaction| &transaction.changes);
        let rows: BTreeMap<&str, bool> = changes.clone().map(|change| (&*change.key, change.after.is_some())).collect();
        let deleted: HashSet<&str> =
            changes.filter(|change| change.after.is_none()).map(|change| change.key.as_str()).collect();
        for (key, lives) in rows {
            let id: i64 = key["id=".len()..].parse().unwrap();
            let tombstone = behind(&world, read(&[(json!({ "id": id }), None, None)]).remove(0));
            let (result, count) = in_two_turns(&world, world.records.len(), vec![tombstone]);
            assert!(count > 0);
            // That of a delete may come again.
            let open = !deleted.contains(key);
            assert_eq!(result.phantom + result.sheet.unjudged_records, u64::from(open), "{key}: {result:?}");
            living += u64::from(lives && open);
            buried += u64::from(!lives);
        }
    }
    assert!(living > 5 && buried > 5, "{living} {buried}");
}

/// Compaction may have taken its delete away, or the reader begun behind that.
#[test]
fn a_tombstone_of_a_row_that_nobody_saw_says_nothing() {
    let world = world(&mut StdRng::seed_from_u64(3));
    let tombstone = behind(&world, read(&[(json!({ "id": 1_000_000 }), None, None)]).remove(0));
    let (result, count) = in_two_turns(&world, world.records.len(), vec![tombstone]);
    assert!(count > 0);
    assert_eq!((result.phantom, result.sheet.unjudged_records), (0, 0), "{result:?}");
}

/// Where all topics go into one, it has the ends of transactions as well.
#[test]
fn changes_whose_transactions_are_judged_are_not_settled_early() {
    let world = world(&mut StdRng::seed_from_u64(3));
    let (mut transactions, mut events) = (world.transactions.clone(), read(&world.records));
    let end = json!({"status": "END", "id": "700:1", "event_count": 1, "data_collections": []});
    let end = behind(&world, read(&[(json!({"id": "700:1"}), Some(end), None)]).remove(0));
    assert!(matches!(end.kind, ReadKind::Boundary(_)));
    let mut past = SettledPast::default();
    past.settle(&rules(), None, &mut transactions, &mut events.clone(), BUDGET);
    assert!(!past.is_empty());
    let (mut past, mut transactions) = (SettledPast::default(), world.transactions.clone());
    events.push(end);
    past.settle(&rules(), None, &mut transactions, &mut events, BUDGET);
    assert!(past.is_empty());
}

#[test]
fn a_snapshot_of_a_table_with_settled_changes_is_not_judged() {
    let world = world(&mut StdRng::seed_from_u64(3));
    let row = (json!({"id": 1}), Some(envelope("r", 1, Some("x"), 700, 90_000, "incremental")), None);
    let row = behind(&world, read(&[row]).remove(0));
    let (result, count) = in_two_turns(&world, world.records.len(), vec![row]);
    assert!(count > 0 && result.unjudged.iter().any(|gap| gap.reason.contains("snapshot")), "{result:?}");
}
