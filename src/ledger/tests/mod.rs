mod edges;

use super::*;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const NONCE: u64 = 42;

/// A log as the reader will be given it: one list of deliveries per partition.
#[derive(Clone)]
struct Entry {
    offset: i64,
    identity: Result<(Identity, bool), IdentityError>,
}

fn identity(producer: u16, sequence: u64) -> Identity {
    Identity { nonce: NONCE, producer, sequence, due_us: 0, body_crc: 0, warmup: false }
}

fn pick(rng: &mut impl Rng, pool: &mut Vec<(u16, u64)>, count: usize) -> BTreeSet<(u16, u64)> {
    pool.shuffle(rng);
    pool.split_off(pool.len() - count).into_iter().collect()
}

fn found(report: &LedgerReport, class: Class) -> BTreeSet<(u16, u64)> {
    let samples = report.samples(class);
    assert_eq!(samples.len() as u64, report.count(class), "{class}");
    samples.iter().map(|s| (s.producer.unwrap(), s.sequence.unwrap())).collect()
}

/// Random mixes of every class, injected into a clean log; each must come back by name.
#[test]
fn two_hundred_random_mixes_are_accounted_exactly() {
    for seed in 0..200u64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let producers = rng.random_range(1..5u16);
        let partitions = rng.random_range(1..7i32);
        let each = rng.random_range(1500..2500u64);
        let run = RunIdentity::new(NONCE);
        let mut senders: Vec<SenderAccount> = Vec::new();
        for _ in 0..producers {
            let ticket = run.register().unwrap();
            ticket.raise(each);
            let mut sender = SenderAccount::new(ticket.producer, "t");
            sender.sent = each;
            senders.push(sender);
        }
        let mut pool: Vec<(u16, u64)> = (0..producers).flat_map(|p| (0..each).map(move |s| (p, s))).collect();
        let mut some = |pool: &mut Vec<_>| {
            let count = rng.random_range(0..=100);
            pick(&mut rng, pool, count)
        };
        let lost = some(&mut pool);
        let below_start = some(&mut pool);
        let skipped = some(&mut pool);
        let duplicated = some(&mut pool);
        let redelivered = some(&mut pool);
        let corrupted = some(&mut pool);
        let failed = some(&mut pool);
        let failed_but_written = some(&mut pool);
        let unknown_absent = some(&mut pool);
        let unknown_written = some(&mut pool);
        let aborted_hidden = some(&mut pool);
        let aborted_read = some(&mut pool);
        let reordered = some(&mut pool);
        let (foreign, damaged, invented) =
            (rng.random_range(0..100u64), rng.random_range(0..100u64), rng.random_range(0..100u64));

        // The log, as it would be written: per producer in order, interleaved at random.
        let mut logs: Vec<Vec<Entry>> = vec![Vec::new(); partitions as usize];
        let mut ends = vec![0i64; partitions as usize];
        let mut next = vec![0u64; usize::from(producers)];
        let mut evidence = Evidence::default();
        let mut delayed: HashMap<(u16, i32), Vec<(u16, u64)>> = HashMap::new();
        let mut really_reordered = BTreeSet::new();
        for p in 0..partitions {
            evidence.log_start.insert(p, 200);
            ends[p as usize] = 200;
        }
        while let Some(producer) =
            (0..producers).filter(|p| next[usize::from(*p)] < each).min_by_key(|_| rng.random::<u32>())
        {
            let id = (producer, next[usize::from(producer)]);
            next[usize::from(producer)] += 1;
            let sender = &mut senders[usize::from(producer)];
            let partition = rng.random_range(0..partitions);
            let gap = rng.random_range(0..50) == 0;
            let good = Ok((identity(id.0, id.1), true));
            if failed.contains(&id) {
                sender.failed.insert(id.1);
            } else if unknown_absent.contains(&id) {
                sender.unknown.insert(id.1);
            } else if aborted_hidden.contains(&id) {
                sender.aborted.insert(id.1);
                write(&mut logs, &mut ends, partition, None, gap);
            } else if lost.contains(&id) {
                sender.acked.insert(id.1);
                sender.offsets.push(partition, id.1, 1_000_000);
            } else if below_start.contains(&id) {
                sender.acked.insert(id.1);
                sender.offsets.push(partition, id.1, rng.random_range(100..200));
            } else if skipped.contains(&id) {
                sender.acked.insert(id.1);
                let offset = write(&mut logs, &mut ends, partition, None, gap);
                sender.offsets.push(partition, id.1, offset);
                evidence.found.insert(id, (partition, offset));
            } else if reordered.contains(&id) {
                // Held back until the same producer has written something else to the partition.
                sender.acked.insert(id.1);
                delayed.entry((producer, partition)).or_default().push(id);
            } else {
                match id {
                    _ if unknown_written.contains(&id) => sender.unknown.insert(id.1),
                    _ if failed_but_written.contains(&id) => sender.failed.insert(id.1),
                    _ if aborted_read.contains(&id) => sender.aborted.insert(id.1),
                    _ => sender.acked.insert(id.1),
                };
                let intact = !corrupted.contains(&id);
                let offset = write(&mut logs, &mut ends, partition, Some(good.map(|(i, _)| (i, intact))), gap);
                sender.offsets.push(partition, id.1, offset);
                for late in delayed.remove(&(producer, partition)).unwrap_or_default() {
                    write(&mut logs, &mut ends, partition, Some(Ok((identity(late.0, late.1), true))), false);
                    really_reordered.insert(late);
                }
                if duplicated.contains(&id) {
                    write(&mut logs, &mut ends, partition, Some(good), false);
                }
                if redelivered.contains(&id) {
                    logs[partition as usize].push(Entry { offset, identity: good });
                }
            }
        }
        let mut last: BTreeMap<(u16, i32), Vec<(u16, u64)>> = delayed.into_iter().collect();
        for ((_, partition), late) in &mut last {
            late.sort();
            for id in late {
                write(&mut logs, &mut ends, *partition, Some(Ok((identity(id.0, id.1), true))), false);
            }
        }
        for n in 0..foreign.max(damaged).max(invented) {
            let partition = rng.random_range(0..partitions);
            let at = rng.random_range(0..=logs[partition as usize].len());
            let mut insert = |identity| {
                // An offset of its own between the others: markers left room nowhere, so use the end.
                let offset = ends[partition as usize];
                ends[partition as usize] += 1;
                logs[partition as usize].insert(at, Entry { offset, identity });
            };
            if n < foreign {
                insert(if n % 2 == 0 {
                    Err(IdentityError::Absent)
                } else {
                    Ok((Identity { nonce: 1, ..identity(0, n) }, true))
                });
            }
            if n < damaged {
                insert(Err(IdentityError::Damaged));
            }
            if n < invented {
                let (producer, sequence) =
                    if n % 2 == 0 { (0, each + n * 1_000_000_007) } else { (1000 + n as u16, 3) };
                insert(Ok((identity(producer, sequence), true)));
            }
        }

        let mut reader = ReaderAccount::new(run.clone(), "t", None, true);
        reader.sample_limit = 100_000;
        for (partition, log) in logs.iter().enumerate() {
            reader.assigned(partition as i32, 100);
            for entry in log {
                reader.record(&Sighting {
                    partition: partition as i32,
                    offset: entry.offset,
                    at_us: 5,
                    identity: entry.identity,
                });
            }
            reader.advanced(partition as i32, ends[partition]);
        }
        let ends: BTreeMap<i32, i64> = ends.iter().enumerate().map(|(p, end)| (p as i32, *end)).collect();
        reader.drain_to(&ends);
        let ledger = Ledger::new(&senders, [&reader]).with_samples(100_000);
        let report = ledger.settle(Some(&evidence));

        let union =
            |sets: &[&BTreeSet<(u16, u64)>]| -> BTreeSet<_> { sets.iter().flat_map(|s| s.iter().copied()).collect() };
        assert!(report.drained);
        assert_eq!(found(&report, Class::Lost), union(&[&lost, &below_start, &skipped]), "seed {seed}");
        assert_eq!(report.lost_missing_from_log, lost.len() as u64, "seed {seed}");
        assert_eq!(report.lost_below_log_start, below_start.len() as u64, "seed {seed}");
        assert_eq!(report.lost_in_log_not_read, skipped.len() as u64, "seed {seed}");
        assert_eq!(found(&report, Class::Skipped), skipped, "seed {seed}");
        assert_eq!(found(&report, Class::Duplicated), duplicated, "seed {seed}");
        assert_eq!(found(&report, Class::Redelivered), redelivered, "seed {seed}");
        assert_eq!(found(&report, Class::Reordered), really_reordered, "seed {seed}");
        assert_eq!(found(&report, Class::AbortedRead), aborted_read, "seed {seed}");
        assert_eq!(report.count(Class::Corrupted), corrupted.len() as u64 + damaged, "seed {seed}");
        assert_eq!(report.count(Class::Foreign), foreign, "seed {seed}");
        assert_eq!(report.count(Class::Phantom), invented + failed_but_written.len() as u64, "seed {seed}");
        assert_eq!(report.unknown_read, unknown_written.len() as u64, "seed {seed}");
        assert_eq!(report.count(Class::Unread), 0);
    }
}

/// Appends to a partition; `None` occupies an offset without a delivery.
fn write(
    logs: &mut [Vec<Entry>],
    ends: &mut [i64],
    partition: i32,
    identity: Option<Result<(Identity, bool), IdentityError>>,
    gap: bool,
) -> i64 {
    let end = &mut ends[partition as usize];
    // Transaction markers and compaction leave holes that mean nothing.
    *end += i64::from(gap);
    let offset = *end;
    *end += 1;
    if let Some(identity) = identity {
        logs[partition as usize].push(Entry { offset, identity });
    }
    offset
}
