//! A fleet of workers whose clocks are apart and move, behind links that hold back, lose, double and reorder frames: told in time that is
//! not waited for, to the very code that merges what workers of a run tell.

use super::far::{AGE, Far, Mishap, SECOND_NS};
use super::history::History;
use super::{Accounts, found_as_injected};
use crate::accounting::Class;
use crate::load::afar::{Death, FarUnit, JournalEntry};
use crate::record::RunClock;
use crate::worker::code::Delta;
use crate::worker::frame::FrameKind;
use crate::worker::merge::{Merge, Next};
use crate::worker::message::{Up, heard};
use crate::worker::watching::worst_two;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::time::Instant;

/// All of them.
struct Fleet<'a> {
    workers: Vec<Far>,
    merge: Merge,
    /// The worker of each unit.
    places: Vec<usize>,
    /// Units of which the last was heard.
    over: BTreeSet<FarUnit>,
    accounts: &'a Accounts,
    unaccounted: Vec<String>,
}

impl<'a> Fleet<'a> {
    fn new(rng: &mut StdRng, workers: usize, mishaps: bool, accounts: &'a Accounts, units: usize) -> Self {
        let mut merge = Merge::default();
        (0..workers).for_each(|worker| merge.expect(worker));
        let mut far = Vec::new();
        for _ in 0..workers {
            // Half of the links are good ones.
            let mishap = (mishaps && rng.random()).then(|| (Mishap::draw(rng), rng.random_range(0..40)));
            far.push(Far::new(rng, mishap));
        }
        let places = (0..units).map(|_| rng.random_range(0..workers)).collect();
        let mut fleet = Self { workers: far, merge, places, over: BTreeSet::new(), accounts, unaccounted: Vec::new() };
        fleet.allows();
        fleet
    }

    fn allows(&mut self) {
        self.merge.allow(worst_two(self.workers.iter().map(|far| far.known.apart_ns())));
    }

    /// Something happens at a time, in the place of its unit.
    fn happens(&mut self, at_ns: u64, entry: &JournalEntry) {
        let far = &mut self.workers[self.places[entry.unit as usize]];
        let stamp_ns = far.stamp_ns(at_ns);
        far.waiting.push(JournalEntry { stamp_ns, ..entry.clone() });
    }

    /// Takes in what has arrived of a worker, as long as that can be relied on.
    fn hears(&mut self, worker: usize) {
        loop {
            let far = &mut self.workers[worker];
            if far.is_dead || far.is_done {
                return;
            }
            match far.reader.read() {
                Ok(None) => return,
                Ok(Some(frame)) if frame.kind == FrameKind::Delta => {
                    let delta = Delta::decode(&frame.body).expect("a delta");
                    let at_once = self.merge.add_moved(worker, (delta.upto_ns, delta.entries), far.known.moved_ns());
                    at_once.expect("in the order of time").into_iter().for_each(|next| self.enters(next));
                }
                Ok(Some(frame)) => {
                    assert_eq!(heard::<Up>(&frame).expect("a message"), Up::Done);
                    far.is_done = true;
                }
                Err(error) => self.loses(worker, error.to_string()),
            }
        }
    }

    fn loses(&mut self, worker: usize, why: String) {
        self.workers[worker].is_dead = true;
        let known_us = self.merge.told_ns(worker) / 1000;
        let death = Death { worker: format!("worker {}", worker + 1), why, at_us: known_us, known_us };
        self.merge.lose(worker, death);
    }

    fn enters_all(&mut self) {
        while let Some(next) = self.merge.next() {
            self.enters(next);
        }
    }

    fn enters(&mut self, next: Next) {
        match next {
            Next::Event(unit, event) => {
                if event.is_last() {
                    self.over.insert(unit);
                }
                self.accounts.hear(unit, event);
            }
            Next::Lost(worker, death) => {
                let lost = (0..self.places.len()).filter(|unit| self.places[*unit] == worker);
                let lost = lost.filter(|unit| !self.over.contains(&(*unit as FarUnit)));
                self.unaccounted.extend(lost.map(|unit| self.accounts.hearers[unit].lost(&death)));
            }
        }
    }

    /// Nobody tells anything any more.
    fn ends(&mut self) {
        for worker in 0..self.workers.len() {
            if !self.workers[worker].is_dead {
                self.workers[worker].tells(u64::MAX - 1);
                self.workers[worker].ends();
                self.hears(worker);
                if !self.workers[worker].is_dead && !self.workers[worker].is_done {
                    self.loses(worker, "its stream ended".to_owned());
                }
            }
        }
        self.merge.ends();
        self.enters_all();
    }
}

/// Tells a history by a fleet; between two things that happen `apart_ns` pass, or what passes in the history itself.
fn told<'a>(
    history: &History,
    (workers, mishaps): (usize, bool),
    apart_ns: Option<u64>,
    accounts: &'a Accounts,
    seed: u64,
) -> Fleet<'a> {
    let mut rng = StdRng::seed_from_u64(seed);
    let units = history.producers + history.members + 1;
    let mut fleet = Fleet::new(&mut rng, workers, mishaps, accounts, units);
    let mut second = AGE;
    for (number, entry) in (1..).zip(&history.told) {
        let at_ns = AGE * SECOND_NS + apart_ns.map_or(entry.stamp_ns, |apart_ns| number * apart_ns);
        while second <= at_ns / SECOND_NS {
            fleet.workers.iter_mut().for_each(|far| far.is_asked(&mut rng, second));
            fleet.allows();
            second += 1;
        }
        fleet.happens(at_ns, entry);
        for worker in 0..workers {
            if !fleet.workers[worker].is_dead && rng.random_range(0..8) == 0 {
                let upto_ns = fleet.workers[worker].stamp_ns(at_ns);
                fleet.workers[worker].tells(upto_ns);
                fleet.hears(worker);
            }
        }
        fleet.enters_all();
    }
    fleet.ends();
    fleet
}

/// A history of a fleet of so many workers.
fn drawn(workers: usize, clean: bool, seed: u64) -> History {
    let (rng, steps) = (StdRng::seed_from_u64(seed), i32::try_from(workers).expect("a small number") + 20);
    History::of(rng, (workers * 6 / 10, workers * 4 / 10), steps..2 * steps, clean)
}

/// What lies further apart than answers to pings are slow is entered as in one process, however far clocks have moved: accounts, figures,
/// and each anomaly by its identity.
fn is_exact(workers: usize, seeds: u64) {
    let start = RunClock::at_origin(Instant::now(), 0);
    let (mut anomalies, mut furthest_ns) = (0_u64, 0_u64);
    for seed in 0..seeds {
        let history = drawn(workers, seed % 4 == 3, seed);
        let whole = Accounts::new(&history, start);
        history.told.iter().for_each(|entry| whole.hear(entry.unit, entry.event.clone()));
        let merged = Accounts::new(&history, start);
        let fleet = told(&history, (workers, false), Some(20_000_000), &merged, seed);
        let worst_ns = fleet.workers.iter().map(|far| far.wrong_ns(AGE * SECOND_NS)).max();
        furthest_ns = furthest_ns.max(worst_ns.unwrap_or(0));
        for reader in 0..2 {
            let [one, all] = [&whole, &merged].map(|accounts| accounts.settled(reader, &history.ends()));
            assert_eq!(one, all, "seed {seed}, reader {reader}");
            found_as_injected(&history, reader, &all, seed);
            anomalies += all.classes.values().map(|found| found.count).sum::<u64>();
        }
        assert_eq!(whole.figures(), merged.figures(), "seed {seed}");
    }
    assert!(anomalies > 50 && furthest_ns > 20_000_000, "{anomalies} anomalies, clocks wrong by {furthest_ns} ns");
}

/// Whatever befalls frames, and whatever the clocks say: a stream that cannot be relied on is a death that is told, one that is late is
/// none, and nobody calls anything of it lost, copied, damaged or a phantom.
fn is_never_false(workers: usize, seeds: u64) {
    let start = RunClock::at_origin(Instant::now(), 0);
    let (mut deaths, mut late, mut unaccounted) = (0, 0, 0);
    for seed in 0..seeds {
        let history = drawn(workers, true, seed);
        let accounts = Accounts::new(&history, start);
        let fleet = told(&history, (workers, true), None, &accounts, seed);
        for (number, far) in (1..).zip(&fleet.workers) {
            assert_eq!(far.is_dead, far.has_to_die(), "seed {seed}: worker {number}: {:?}", far.mishap);
            deaths += u32::from(far.is_dead);
            late += u32::from(far.befell && !far.is_dead);
        }
        for reader in 0..2 {
            let report = accounts.settled(reader, &history.ends());
            for class in [Class::Lost, Class::Phantom, Class::Duplicated, Class::Corrupted, Class::Skipped] {
                assert_eq!(report.count(class), 0, "seed {seed}, reader {reader}: {class}");
            }
            assert_eq!(report.sheet.imbalance(), None, "seed {seed}, reader {reader}");
        }
        assert!(fleet.unaccounted.iter().all(|text| text.contains("known")), "{:?}", fleet.unaccounted);
        unaccounted += fleet.unaccounted.len();
    }
    assert!(deaths > 3 && late > 0 && unaccounted > 3, "{deaths} deaths, {late} late, {unaccounted} unaccounted");
}

#[test]
fn ten_workers_on_clocks_that_drift_give_the_accounts_of_one_process() {
    is_exact(10, 12);
}

#[test]
fn a_hundred_workers_on_clocks_that_drift_give_the_accounts_of_one_process() {
    is_exact(100, 2);
}

#[test]
fn ten_workers_behind_bad_links_call_nothing_by_a_false_name() {
    is_never_false(10, 12);
}

#[test]
fn a_hundred_workers_behind_bad_links_call_nothing_by_a_false_name() {
    is_never_false(100, 2);
}

#[test]
#[ignore = "minutes: `cargo test --release -- --ignored a_hundred_workers_over_and_over`"]
fn a_hundred_workers_over_and_over() {
    is_exact(100, 100);
    is_never_false(100, 100);
}
