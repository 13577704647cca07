//! Random tables, settings and histories through a small model of Debezium that shares no code with the reconciliation: what it sends is
//! damaged in one known way, and the sheet names exactly that.

mod datum;
mod world;

use super::{ChangeSheet, RowClass};
use crate::database::Lsn;
use crate::debezium::{ChangeEvent, RowImage};
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use world::{Sent, World};

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
            (sheet.once, sheet.lost, sheet.read, sheet.owed) = (sheet.once - 1, 1, sheet.read - 1, sheet.owed - 1);
            (None, Some((RowClass::Lost, chosen)))
        }
        1 => {
            sent.insert(rng.random_range(index + 1..=sent.len()), chosen.clone());
            (sheet.once, sheet.duplicated, sheet.copies) = (sheet.once - 1, 1, 1);
            sheet.read += 1;
            (None, Some((RowClass::Duplicated, chosen)))
        }
        2 | 3 => {
            let plain = if world.settings.masked { "w" } else { "v" };
            // Another value could be that of another row without key in the same record of the log.
            let mates = |other: &&Sent| other.key.is_empty() && other.event.source.lsn == chosen.event.source.lsn;
            let alone = sent.iter().filter(mates).count() < 2;
            let event = &mut sent[index].event;
            if !alone {
                return damage_id(event, sheet, chosen);
            }
            let Some(after) = &event.after else { return (None, None) };
            let mut row = after.row();
            // Another value of the same kind; of a null any value is another.
            let changed = match &row[plain] {
                Value::Number(n) => json!(n.as_f64().unwrap() + 86_400_000_000_000.0),
                Value::Bool(flag) => json!(!flag),
                _ => return damage_id(event, sheet, chosen),
            };
            row.insert(
                plain.to_owned(),
                if changed.as_f64().is_some_and(|n| n.fract() == 0.0) {
                    json!(changed.as_f64().unwrap() as i64)
                } else {
                    changed
                },
            );
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

fn one(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::random(&mut rng);
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
    let damaged = if rng.random_bool(0.8) { damage(&mut rng, &world, &mut sent, &mut expected) } else { (None, None) };
    let result = world.settle(&sent, damaged.0);
    // With a row filter what is missing may have been filtered.
    let filtered = world.settings.filtered && matches!(&damaged.1, Some((RowClass::Lost, sent)) if sent.table == 0);
    if filtered {
        (expected.lost, expected.unjudged) = (0, expected.unjudged + 1);
    }
    let why = || format!("seed {seed}: {:?}\n{:#?}\n{:#?}", world.settings, result, world.transactions);
    assert_eq!(result.sheet.imbalance(), None, "{}", why());
    assert_eq!(result.sheet, expected, "{}", why());
    if let Some((class, row)) = damaged.1.filter(|_| !filtered) {
        assert_eq!(result.count(class), 1, "{}", why());
        let sample = result.samples.iter().find(|sample| sample.class == class).unwrap();
        let keyless = row.key.is_empty();
        let named = sample.key == row.key && sample.op == Some(row.op) && sample.lsn == row.event.source.lsn;
        // Of equal rows without key any may be the one; a phantom's key is written as in the event.
        assert!(named || keyless || class == RowClass::Phantom, "{}: {sample:?}", why());
    }
}

#[test]
fn a_random_history_has_exactly_the_damage_that_was_done_to_it() {
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (0..20_000u64).filter(|seed| seed % threads == thread).for_each(one));
        }
    });
}
