//! A second opinion: small random histories, told completely, are judged by a quadratic oracle that is obviously right, and by
//! the production ledger from what senders and readers know. A disagreement is shrunk and printed as a test to paste.
//! `scripts/oracle` tries many more; `docs/oracle.md` says what is covered.

mod attacks;
mod found;
mod history;
mod reading;
mod truth;
mod world;

use crate::accounting::{Class, LedgerReport, SentLine};
use history::{Action, Close, Kind, Outcome};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::BTreeMap;
use std::sync::Mutex;
use world::World;

/// Histories that are tried where `KSCEN_ORACLE` does not say how many.
const HISTORIES: u64 = 20_000;

/// What each column has to have been in some history: two that say nothing agree as well.
const COLUMNS: usize = 26;

fn kind(seed: u64) -> Kind {
    Kind::ALL[seed as usize % Kind::ALL.len()]
}

/// Which partitions the readers read to their end.
fn drains(seed: u64) -> u8 {
    (seed / Kind::ALL.len() as u64 % 256) as u8 | if seed.is_multiple_of(3) { 0 } else { 0xff }
}

fn outcome(rng: &mut StdRng) -> Outcome {
    match rng.random_range(0..20u8) {
        0 => Outcome::Failed,
        1 => Outcome::FailedButWritten,
        2 => Outcome::Unknown,
        3 => Outcome::UnknownButWritten,
        4 => Outcome::Aborted,
        5 => Outcome::AckedSomewhere,
        6 => Outcome::AckedNowhere,
        _ => Outcome::Acked,
    }
}

fn actions(kind: Kind, seed: u64) -> Vec<Action> {
    let mut rng = StdRng::seed_from_u64(seed);
    let count = rng.random_range(5..45);
    let mut actions = Vec::with_capacity(count);
    for _ in 0..count {
        let (a, b, c) = (rng.random_range(0..4u8), rng.random_range(0..8u8), rng.random_range(0..8u8));
        let restarts = kind.restarts();
        actions.push(match rng.random_range(0..27u8) {
            0..=6 => Action::Send { sender: a, partition: b, outcome: outcome(&mut rng) },
            7..=10 => Action::Read { reader: a, partition: b, count: c },
            11 => Action::Move { partition: b, to: a, back: c },
            12 => Action::Copy { record: b.wrapping_mul(7), partition: c, intact: rng.random_bool(0.7) },
            13 if !restarts => Action::Stranger { partition: b, torn: a % 2 == 0 },
            14 => Action::Delete { partition: b, share: c },
            15 if restarts => Action::Recreate { partition: b },
            16 if restarts => Action::Truncate { partition: b, keep: c },
            17 if kind == Kind::Compacted => Action::Compact { partition: b },
            18 => Action::AddPartition,
            19 if !restarts => Action::Hang { partition: b },
            20 | 21 => {
                let close = [Close::Commit, Close::Abort, Close::Silence][usize::from(c) % 3];
                Action::Transaction { sender: a, partition: b, count: 1 + c % 3, close }
            }
            22 if !restarts => Action::Reset { partition: b, to: c },
            23 if !restarts => Action::Jump { reader: a, partition: b, to: c },
            25 if kind.has_members() => Action::Late { partition: b, count: 1 + c % 3 },
            24 if kind.readers() == 1 && !kind.has_members() && !restarts => {
                Action::Forge { record: b.wrapping_mul(7), partition: c }
            }
            26 if kind.readers() == 1 && !kind.has_members() && !restarts && kind != Kind::Compacted => {
                Action::Alter { record: b.wrapping_mul(7), partition: c }
            }
            _ => Action::Send { sender: a, partition: b, outcome: Outcome::Acked },
        });
    }
    actions
}

/// Both opinions about a history.
fn judged(kind: Kind, drains: u8, actions: &[Action]) -> (World, LedgerReport) {
    let mut world = World::new(kind);
    actions.iter().for_each(|action| world.act(*action));
    world.end(drains);
    let report = world.ledger_report();
    (world, report)
}

/// What the two say differently about a history.
fn disagreement(kind: Kind, drains: u8, actions: &[Action]) -> Option<String> {
    let (world, report) = judged(kind, drains, actions);
    if let Some(imbalance) = report.sheet.imbalance() {
        return Some(format!("the sheet does not balance: {imbalance}"));
    }
    truth::compare(&world, &report)
}

/// Counts the columns that are anything but empty.
fn cover(report: &LedgerReport, counts: &mut BTreeMap<&'static str, u64>) {
    let sheet = &report.sheet;
    let sum = |of: fn(&SentLine) -> u64| sheet.sent.iter().map(of).sum::<u64>();
    let columns = [
        ("read once", sum(|line| line.read_once)),
        ("duplicated", sum(|line| line.duplicated)),
        ("damaged", sum(|line| line.damaged)),
        ("lost", sum(|line| line.lost)),
        ("unread", sum(|line| line.unread)),
        ("superseded", sum(|line| line.superseded)),
        ("expired", sum(|line| line.expired)),
        ("excused", sum(|line| line.excused)),
        ("owed", sheet.read.owed),
        ("in doubt", sheet.read.in_doubt),
        ("copies", sheet.read.copies),
        ("redelivered", sheet.read.redelivered),
        ("by others", sheet.read.by_others),
        ("phantom", sheet.read.phantom),
        ("foreign", sheet.read.foreign),
        ("corrupted", sheet.read.corrupted),
        ("aborted", sheet.read.aborted),
        ("of others", sheet.read.of_others),
        ("reordered", report.count(Class::Reordered)),
        ("skipped", report.count(Class::Skipped)),
        ("missing from the log", report.lost_missing_from_log),
        ("below the start", report.lost_below_log_start),
        ("in the log", report.lost_in_log_not_read),
        ("unplaced", report.lost_unplaced),
        ("restarts", report.restarts.len() as u64),
        ("not at the end", u64::from(!report.drained)),
    ];
    columns.into_iter().for_each(|(name, count)| *counts.entry(name).or_default() += u64::from(count > 0));
}

/// The history without whatever can be left out.
fn shrink(kind: Kind, drains: u8, mut actions: Vec<Action>) -> Vec<Action> {
    let mut at = 0;
    while at < actions.len() {
        let mut fewer = actions.clone();
        fewer.remove(at);
        if disagreement(kind, drains, &fewer).is_some() {
            (actions, at) = (fewer, 0);
        } else {
            at += 1;
        }
    }
    actions
}

/// A test that fails as the history of this seed does, to be pasted into `found.rs`.
fn as_test(seed: u64, kind: Kind, drains: u8, history: &[Action]) -> String {
    let lines: String = history.iter().map(|action| format!("        Action::{action:?},\n")).collect();
    format!(
        "#[test]\nfn seed_{seed}() {{\n    let history = [\n{lines}    ];\n    \
         assert_eq!(disagreement(Kind::{kind:?}, {drains}, &history), None);\n}}"
    )
}

/// `KSCEN_ORACLE` says how many histories, `KSCEN_SEED` which is the first.
#[test]
fn the_ledger_agrees_with_the_oracle_on_random_histories() {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (histories, first) = (asked("KSCEN_ORACLE").unwrap_or(HISTORIES), asked("KSCEN_SEED").unwrap_or(0));
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let covered: Mutex<BTreeMap<&'static str, u64>> = Mutex::default();
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let covered = &covered;
            scope.spawn(move || {
                let mut counts = BTreeMap::new();
                for seed in (first..first + histories).filter(|seed| seed % threads == thread) {
                    let (kind, drains) = (kind(seed), drains(seed));
                    let history = actions(kind, seed);
                    let (world, report) = judged(kind, drains, &history);
                    cover(&report, &mut counts);
                    if report.sheet.imbalance().is_some() || truth::compare(&world, &report).is_some() {
                        let history = shrink(kind, drains, history);
                        let text = disagreement(kind, drains, &history).unwrap_or_default();
                        panic!("seed {seed}: {text}\n\n{}", as_test(seed, kind, drains, &history));
                    }
                }
                let mut all = covered.lock().expect("no other thread panicked");
                counts.into_iter().for_each(|(name, count)| *all.entry(name).or_default() += count);
            });
        }
    });
    let covered = covered.into_inner().expect("no thread panicked");
    let seconds = began.elapsed().as_secs_f64();
    println!("ledger: {histories} histories from seed {first} agree; {:.0} a second", histories as f64 / seconds);
    println!("histories in which a column was anything but empty: {covered:?}");
    let rare: Vec<_> = covered.iter().filter(|(_, count)| **count < 5).collect();
    let few = histories < 5_000;
    assert!(few || (rare.is_empty() && covered.len() == COLUMNS), "too rare to be a test: {rare:?}");
}

/// A disagreement is shrunk to what it needs, and its test says what it takes to see it again.
#[test]
fn a_history_is_shrunk_to_what_it_needs_and_printed_as_a_test() {
    let needed = Action::Send { sender: 0, partition: 1, outcome: Outcome::Acked };
    let test = as_test(7, Kind::Group, 255, &[needed, Action::Read { reader: 0, partition: 1, count: 1 }]);
    assert!(test.contains("Action::Send { sender: 0, partition: 1, outcome: Acked },\n"), "{test}");
    assert!(test.contains("assert_eq!(disagreement(Kind::Group, 255, &history), None);"), "{test}");
    // Without any disagreement nothing is left out.
    assert_eq!(shrink(Kind::Group, 255, vec![needed; 3]).len(), 3);
}
