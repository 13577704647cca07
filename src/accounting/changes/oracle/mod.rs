//! Random tables, settings and histories through a small model of Debezium that shares no code with the reconciliation: what it sends is
//! damaged in one known way, and the sheet names exactly that. A disagreement is shrunk and printed as a test to paste. `scripts/oracle` tries
//! many more; `docs/oracle.md` says what is covered.

mod account;
mod datum;
mod world;

use super::{ChangeSheet, Reconciliation, RowClass};
use crate::database::Lsn;
use crate::debezium::{ChangeEvent, RowImage};
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use world::{Sent, World};

/// Histories that are tried where `KSCEN_ORACLE_CHANGES` does not say how many.
const HISTORIES: u64 = 20_000;

/// Damages what was sent in one way; what the sheet has to say beyond a faultless one, and the row that it has to name.
fn damage(
    rng: &mut StdRng,
    world: &World,
    sent: &mut Vec<Sent>,
    sheet: &mut ChangeSheet,
) -> (Option<usize>, Option<(RowClass, Sent)>) {
    let ours: Vec<usize> = (0..sent.len()).filter(|index| sent[*index].table != usize::MAX).collect();
    let Some(index) = ours.choose(rng).copied() else { return (None, None) };
    let chosen = sent[index].clone();
    match rng.random_range(0..7) {
        0 => {
            sent.remove(index);
            (sheet.once, sheet.read, sheet.owed) = (sheet.once - 1, sheet.read - 1, sheet.owed - 1);
            // Before the reader has come to the end, nothing is lost.
            let class = if world.drained { RowClass::Lost } else { RowClass::Unread };
            *if world.drained { &mut sheet.lost } else { &mut sheet.unread } = 1;
            (None, Some((class, chosen)))
        }
        1 => {
            sent.insert(rng.random_range(index + 1..=sent.len()), chosen.clone());
            (sheet.once, sheet.duplicated, sheet.copies) = (sheet.once - 1, 1, 1);
            sheet.read += 1;
            (None, Some((RowClass::Duplicated, chosen)))
        }
        2 | 3 => {
            let plain = if world.settings.masked { "w" } else { "v" };
            if world.settings.masked && world.settings.excluded {
                return damage_id(&mut sent[index].event, sheet, chosen);
            }
            // Another value could be that of another row without key in the same record of the log.
            let mates = |other: &&Sent| other.key.is_empty() && other.event.source.lsn == chosen.event.source.lsn;
            let alone = sent.iter().filter(mates).count() < 2;
            let event = &mut sent[index].event;
            if !alone {
                return damage_id(event, sheet, chosen);
            }
            let Some(after) = &event.after else { return (None, None) };
            let mut row = after.row();
            let Some(changed) = another(&row[plain]) else { return damage_id(event, sheet, chosen) };
            row.insert(plain.to_owned(), changed);
            event.after = Some(RowImage::of(&row));
            corrupted(sheet);
            (None, Some((RowClass::WrongContent, chosen)))
        }
        4 => damage_id(&mut sent[index].event, sheet, chosen),
        5 => {
            let mut event = chosen.event.clone();
            event.source.lsn = Some(Lsn(chosen.event.source.lsn.unwrap().0 + 1));
            sent.insert(index, Sent { event, ..chosen.clone() });
            sheet.phantom = 1;
            sheet.read += 1;
            (None, Some((RowClass::Phantom, chosen)))
        }
        _ => {
            sheet.redelivered = 1;
            sheet.read += 1;
            (Some(index), None)
        }
    }
}

/// Another value of the same kind; of a null any value is another.
fn another(value: &Value) -> Option<Value> {
    match value {
        Value::Number(n) => {
            let changed = n.as_f64().unwrap() + 86_400_000_000_000.0;
            Some(if changed.fract() == 0.0 { json!(changed as i64) } else { json!(changed) })
        }
        Value::Bool(flag) => Some(json!(!flag)),
        _ => None,
    }
}

fn damage_id(
    event: &mut ChangeEvent,
    sheet: &mut ChangeSheet,
    chosen: Sent,
) -> (Option<usize>, Option<(RowClass, Sent)>) {
    event.source.tx_id = Some(1);
    corrupted(sheet);
    (None, Some((RowClass::WrongContent, chosen)))
}

fn corrupted(sheet: &mut ChangeSheet) {
    (sheet.once, sheet.damaged, sheet.owed, sheet.corrupted) = (sheet.once - 1, 1, sheet.owed - 1, 1);
}

/// What the two say differently about the history of a seed without some of its operations.
fn disagreement(seed: u64, left_out: &BTreeSet<u32>) -> Option<String> {
    let world = World::random(seed, left_out);
    let rng = &mut StdRng::seed_from_u64(!seed);
    let mut sent = world.sent.clone();
    let owed = sent.iter().filter(|sent| sent.table != usize::MAX).count() as u64;
    let mut expected = ChangeSheet {
        committed: owed + world.excused + world.unjudged,
        once: owed,
        excused: world.excused,
        unjudged: world.unjudged,
        read: sent.len() as u64,
        owed,
        foreign: world.foreign,
        ..ChangeSheet::default()
    };
    let damaged = if rng.random_bool(0.8) { damage(rng, &world, &mut sent, &mut expected) } else { (None, None) };
    let result = world.settle(&sent, damaged.0);
    // With a row filter what is missing may have been filtered.
    let missing = |class| matches!(class, RowClass::Lost | RowClass::Unread);
    let filtered = world.settings.filtered
        && !world.knows_filter()
        && matches!(&damaged.1, Some((class, sent)) if missing(*class) && sent.table == 0);
    if filtered {
        (expected.lost, expected.unread, expected.unjudged) = (0, 0, expected.unjudged + 1);
    }
    if let Some(imbalance) = result.sheet.imbalance() {
        return Some(format!("the sheet does not balance: {imbalance}"));
    }
    if result.sheet != expected {
        return Some(format!("the sheet is {:?}\n   truth is {expected:?}", result.sheet));
    }
    if let Some(why) = differs_in_turns(rng, &world, (&sent, damaged.0), &result) {
        return Some(why);
    }
    let (class, row) = damaged.1.filter(|_| !filtered)?;
    let Some(sample) = result.samples.iter().find(|sample| sample.class == class).filter(|_| result.count(class) == 1)
    else {
        return Some(format!("{class:?} is told {} times, truth is once", result.count(class)));
    };
    let named = sample.key == row.key && sample.op == Some(row.op) && sample.lsn == row.event.source.lsn;
    // Of equal rows without key any may be the one; a phantom's key is written as in the event.
    let fits = named || row.key.is_empty() || class == RowClass::Phantom;
    (!fits).then(|| format!("{class:?} is told of {sample:?}, truth is `{}`", row.key))
}

/// What the account says differently where changes are settled for good while others are still to come.
fn differs_in_turns(
    rng: &mut StdRng,
    world: &World,
    (sent, twice): (&[Sent], Option<usize>),
    result: &Reconciliation,
) -> Option<String> {
    let (in_turns, settled) = world.settle_in_turns(rng, sent, twice);
    let figures = |result: &Reconciliation| {
        let classes: Vec<u64> = RowClass::ALL.into_iter().map(|class| result.count(class)).collect();
        let values = (result.values_compared, result.values_not_compared, result.transactions, result.lost_rows);
        format!("{:?} {classes:?} {:?} {:?} {values:?}", result.sheet, result.expected, result.delivered)
    };
    let (once, turns) = (figures(result), figures(&in_turns));
    (once != turns).then(|| format!("with {settled} changes settled before the end\n   it is {turns}\n   not   {once}"))
}

/// Leaves out whatever the disagreement does not need.
fn shrink(seed: u64) -> BTreeSet<u32> {
    let mut left_out = BTreeSet::new();
    for operation in 1..=World::random(seed, &left_out).drawn {
        left_out.insert(operation);
        if disagreement(seed, &left_out).is_none() {
            left_out.remove(&operation);
        }
    }
    left_out
}

fn as_test(seed: u64, left_out: &BTreeSet<u32>) -> String {
    let list: Vec<String> = left_out.iter().map(u32::to_string).collect();
    format!(
        "#[test]\nfn seed_{seed}() {{\n    assert_eq!(disagreement({seed}, &BTreeSet::from([{}])), None);\n}}",
        list.join(", ")
    )
}

/// `KSCEN_ORACLE_CHANGES` says how many histories, `KSCEN_SEED` which is the first.
#[test]
fn a_random_history_has_exactly_the_damage_that_was_done_to_it() {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (histories, first) = (asked("KSCEN_ORACLE_CHANGES").unwrap_or(HISTORIES), asked("KSCEN_SEED").unwrap_or(0));
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (first..first + histories).filter(|seed| seed % threads == thread) {
                    if disagreement(seed, &BTreeSet::new()).is_some() {
                        let left_out = shrink(seed);
                        let world = World::random(seed, &left_out);
                        let why = disagreement(seed, &left_out).unwrap_or_default();
                        let history = format!("{:?}\n{:#?}", world.settings, world.transactions);
                        panic!("seed {seed}: {why}\n{history}\n\n{}", as_test(seed, &left_out));
                    }
                }
            });
        }
    });
    let rate = histories as f64 / began.elapsed().as_secs_f64();
    println!("changes: {histories} histories from seed {first} agree; {rate:.0} a second");
}

/// Most of what is well is settled before the end.
#[test]
fn most_changes_are_settled_while_others_are_still_to_come() {
    let (mut all, mut early) = (0, 0);
    for seed in 0..400 {
        let world = World::random(seed, &BTreeSet::new());
        let mut rng = StdRng::seed_from_u64(seed);
        early += world.settle_in_turns(&mut rng, &world.sent, None).1;
        all += world.sent.len();
    }
    assert!(early * 10 > all, "{early} of {all}");
}

/// The operations that are left stay what they were, and the test names those that are not.
#[test]
fn leaving_out_operations_leaves_the_others_as_they_were() {
    let whole = World::random(3, &BTreeSet::new());
    assert!(whole.drawn > 1);
    let none = World::random(3, &(1..=whole.drawn).collect());
    assert!(none.sent.is_empty() && none.transactions.iter().all(|transaction| transaction.changes.is_empty()));
    let without_last = World::random(3, &BTreeSet::from([whole.drawn]));
    let keys = |world: &World| world.sent.iter().map(|sent| sent.key.clone()).collect::<Vec<_>>();
    assert!(keys(&whole).starts_with(&keys(&without_last)));
    assert!(
        as_test(3, &BTreeSet::from([1, 2])).contains("assert_eq!(disagreement(3, &BTreeSet::from([1, 2])), None);")
    );
}
