//! Random mixes of every class, injected into a clean log; each must come back by name.

use super::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

type Id = (u16, u64);
type Ids = BTreeSet<Id>;
type SightingKind = Result<(Identity, bool), IdentityError>;

/// A delivery to the reader.
#[derive(Clone)]
struct Entry {
    offset: i64,
    identity: SightingKind,
}

/// What befalls which messages. No message is in two of them.
struct Mix {
    lost: Ids,
    below_start: Ids,
    skipped: Ids,
    duplicated: Ids,
    redelivered: Ids,
    corrupted: Ids,
    failed: Ids,
    failed_but_written: Ids,
    unknown_absent: Ids,
    unknown_written: Ids,
    aborted_hidden: Ids,
    aborted_read: Ids,
    reordered: Ids,
    foreign: u64,
    damaged: u64,
    invented: u64,
}

impl Mix {
    fn draw(rng: &mut StdRng, producers: u16, each: u64) -> Self {
        let mut pool: Vec<Id> = (0..producers).flat_map(|p| (0..each).map(move |s| (p, s))).collect();
        let mut some = || {
            pool.shuffle(rng);
            let count = rng.random_range(0..=100);
            pool.split_off(pool.len() - count).into_iter().collect()
        };
        Self {
            lost: some(),
            below_start: some(),
            skipped: some(),
            duplicated: some(),
            redelivered: some(),
            corrupted: some(),
            failed: some(),
            failed_but_written: some(),
            unknown_absent: some(),
            unknown_written: some(),
            aborted_hidden: some(),
            aborted_read: some(),
            reordered: some(),
            foreign: rng.random_range(0..100),
            damaged: rng.random_range(0..100),
            invented: rng.random_range(0..100),
        }
    }
}

/// The log, as it would be written: per producer in order, interleaved at random.
struct World {
    rng: StdRng,
    each: u64,
    senders: Vec<SenderAccount>,
    logs: Vec<Vec<Entry>>,
    ends: Vec<i64>,
    evidence: LogEvidence,
    /// Held back until the same producer has written something else to the partition.
    delayed: HashMap<(u16, i32), Vec<Id>>,
    really_reordered: Ids,
}

fn intact(id: Id) -> SightingKind {
    Ok((identity(id.0, id.1), true))
}

impl World {
    fn new(mut rng: StdRng, senders: Vec<SenderAccount>, each: u64) -> Self {
        let partitions = rng.random_range(1..7i32);
        Self {
            rng,
            each,
            senders,
            logs: vec![Vec::new(); partitions as usize],
            ends: vec![200; partitions as usize],
            evidence: LogEvidence { log_start: (0..partitions).map(|p| (p, 200)).collect(), ..LogEvidence::default() },
            delayed: HashMap::new(),
            really_reordered: BTreeSet::new(),
        }
    }

    /// Appends to a partition; `None` occupies an offset without a delivery.
    fn write(&mut self, partition: i32, identity: Option<SightingKind>, gap: bool) -> i64 {
        let end = &mut self.ends[partition as usize];
        // Transaction markers and compaction leave holes that mean nothing.
        *end += i64::from(gap);
        let offset = *end;
        *end += 1;
        if let Some(identity) = identity {
            self.logs[partition as usize].push(Entry { offset, identity });
        }
        offset
    }

    fn send_all(&mut self, mix: &Mix) {
        let producers = self.senders.len();
        let mut next = vec![0u64; producers];
        while let Some(producer) =
            (0..producers).filter(|p| next[*p] < self.each).min_by_key(|_| self.rng.random::<u32>())
        {
            self.send(mix, (producer as u16, next[producer]));
            next[producer] += 1;
        }
        let mut last: BTreeMap<(u16, i32), Vec<Id>> = std::mem::take(&mut self.delayed).into_iter().collect();
        for ((_, partition), late) in &mut last {
            late.sort();
            for id in late {
                self.write(*partition, Some(intact(*id)), false);
            }
        }
    }

    fn send(&mut self, mix: &Mix, id: Id) {
        let partition = self.rng.random_range(0..self.logs.len() as i32);
        let gap = self.rng.random_range(0..50) == 0;
        let sender = &mut self.senders[usize::from(id.0)];
        if mix.failed.contains(&id) {
            sender.failed.insert(id.1);
        } else if mix.unknown_absent.contains(&id) {
            sender.unknown.insert(id.1);
        } else if mix.aborted_hidden.contains(&id) {
            sender.aborted.insert(id.1);
            self.write(partition, None, gap);
        } else if mix.lost.contains(&id) {
            sender.acked.insert(id.1);
            sender.offsets.push(partition, id.1, 1_000_000);
        } else if mix.below_start.contains(&id) {
            sender.acked.insert(id.1);
            sender.offsets.push(partition, id.1, self.rng.random_range(100..200));
        } else if mix.skipped.contains(&id) {
            sender.acked.insert(id.1);
            let offset = self.write(partition, None, gap);
            self.senders[usize::from(id.0)].offsets.push(partition, id.1, offset);
            self.evidence.found.insert(id, (partition, offset));
        } else if mix.reordered.contains(&id) {
            sender.acked.insert(id.1);
            self.delayed.entry((id.0, partition)).or_default().push(id);
        } else {
            self.deliver(mix, id, partition, gap);
        }
    }

    fn deliver(&mut self, mix: &Mix, id: Id, partition: i32, gap: bool) {
        let sender = &mut self.senders[usize::from(id.0)];
        match id {
            _ if mix.unknown_written.contains(&id) => sender.unknown.insert(id.1),
            _ if mix.failed_but_written.contains(&id) => sender.failed.insert(id.1),
            _ if mix.aborted_read.contains(&id) => sender.aborted.insert(id.1),
            _ => sender.acked.insert(id.1),
        };
        let seen = Ok((identity(id.0, id.1), !mix.corrupted.contains(&id)));
        let offset = self.write(partition, Some(seen), gap);
        self.senders[usize::from(id.0)].offsets.push(partition, id.1, offset);
        for late in self.delayed.remove(&(id.0, partition)).unwrap_or_default() {
            self.write(partition, Some(intact(late)), false);
            self.really_reordered.insert(late);
        }
        if mix.duplicated.contains(&id) {
            self.write(partition, Some(intact(id)), false);
        }
        if mix.redelivered.contains(&id) {
            self.logs[partition as usize].push(Entry { offset, identity: intact(id) });
        }
    }

    /// Puts in what nobody of the run has sent.
    fn intrude(&mut self, mix: &Mix) {
        for n in 0..mix.foreign.max(mix.damaged).max(mix.invented) {
            let partition = self.rng.random_range(0..self.logs.len());
            let at = self.rng.random_range(0..=self.logs[partition].len());
            let mut insert = |identity| {
                // An offset of its own between the others: markers left room nowhere, so use the end.
                let offset = self.ends[partition];
                self.ends[partition] += 1;
                self.logs[partition].insert(at, Entry { offset, identity });
            };
            if n < mix.foreign {
                let stranger = Ok((Identity { nonce: 1, ..identity(0, n) }, true));
                insert(if n % 2 == 0 { Err(IdentityError::Absent) } else { stranger });
            }
            if n < mix.damaged {
                insert(Err(IdentityError::Damaged));
            }
            if n < mix.invented {
                insert(intact(if n % 2 == 0 { (0, self.each + n * 1_000_000_007) } else { (1000 + n as u16, 3) }));
            }
        }
    }

    fn read(&self, run: &Arc<RunIdentity>) -> ReaderAccount {
        let mut reader = ReaderAccount::new(run.clone(), "t", None, true);
        reader.sample_limit = 100_000;
        for (partition, log) in (0i32..).zip(&self.logs) {
            reader.assigned(None, partition, Some(100));
            for Entry { offset, identity } in log {
                reader.record(&Sighting {
                    partition,
                    offset: *offset,
                    at_us: 5,
                    life: 0,
                    identity: *identity,
                    altered: false,
                });
            }
            // Behind everything stands a marker: what intruded took the last places first, and the client passes it.
            reader.advanced(0, partition, self.ends[partition as usize] + 1);
        }
        reader.drain_to(&(0i32..).zip(self.ends.iter().map(|end| end + 1)).collect());
        reader
    }
}

fn check(report: &LedgerReport, mix: &Mix, reordered: &Ids, seed: u64) {
    let lost: Ids = [&mix.lost, &mix.below_start, &mix.skipped].into_iter().flatten().copied().collect();
    assert!(report.drained);
    assert_eq!(report.sheet.imbalance(), None, "seed {seed}");
    for (class, expected) in [
        (Class::Lost, &lost),
        (Class::Skipped, &mix.skipped),
        (Class::Duplicated, &mix.duplicated),
        (Class::Redelivered, &mix.redelivered),
        (Class::Reordered, reordered),
        (Class::AbortedRead, &mix.aborted_read),
    ] {
        assert_eq!(found(report, class), *expected, "{class}, seed {seed}");
    }
    assert_eq!(report.lost_missing_from_log, mix.lost.len() as u64, "seed {seed}");
    assert_eq!(report.lost_below_log_start, mix.below_start.len() as u64, "seed {seed}");
    assert_eq!(report.lost_in_log_not_read, mix.skipped.len() as u64, "seed {seed}");
    for (class, expected) in [
        (Class::Corrupted, mix.corrupted.len() as u64 + mix.damaged),
        (Class::Foreign, mix.foreign),
        (Class::Phantom, mix.invented + mix.failed_but_written.len() as u64),
        (Class::Unread, 0),
    ] {
        assert_eq!(report.count(class), expected, "{class}, seed {seed}");
    }
    assert_eq!(report.unknown_read, mix.unknown_written.len() as u64, "seed {seed}");
}

#[test]
fn two_hundred_random_mixes_are_accounted_exactly() {
    for seed in 0..200u64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (producers, each) = (rng.random_range(1..5u16), rng.random_range(1500..2500u64));
        let run = RunIdentity::new(NONCE);
        let sender = |_| {
            let ticket = run.register("t").unwrap();
            ticket.raise(each);
            SenderAccount { sent: each, complete: true, ..SenderAccount::new(ticket.producer, "t") }
        };
        let senders = (0..producers).map(sender).collect();
        let mix = Mix::draw(&mut rng, producers, each);
        let mut world = World::new(rng, senders, each);
        world.send_all(&mix);
        world.intrude(&mix);
        let reader = world.read(&run);
        let ledger = Ledger::new(&world.senders, [&reader]).with_samples(100_000);
        check(&ledger.settle(Some(&world.evidence)), &mix, &world.really_reordered, seed);
    }
}
