//! Single situations, and the memory of large ones.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

fn clean_sender(run: &std::sync::Arc<RunIdentity>, messages: u64) -> SenderAccount {
    let ticket = run.register("t").unwrap();
    ticket.raise(messages);
    let mut sender = SenderAccount::new(ticket.producer, "t");
    sender.sent = messages;
    sender.complete = true;
    for sequence in 0..messages {
        sender.acked.insert(sequence);
        sender.offsets.push(0, sequence, sequence as i64);
    }
    sender
}

fn read(reader: &mut ReaderAccount, offset: i64, sequence: u64) -> SightingKind {
    let identity = Ok((identity(0, sequence), true));
    reader.record(&Sighting { partition: 0, offset, at_us: 0, life: 0, identity, altered: false })
}

#[test]
fn a_message_that_was_read_only_with_another_key_is_damaged() {
    let run = RunIdentity::new(NONCE);
    let sender = clean_sender(&run, 3);
    let mut reader = ReaderAccount::new(run, "t", None, false);
    let mut read = |offset, sequence, altered| {
        let identity = Ok((identity(0, sequence), true));
        reader.record(&Sighting { partition: 0, offset, at_us: 0, life: 0, identity, altered })
    };
    assert!(read(0, 0, false).is_fresh());
    assert_eq!(read(1, 0, true), SightingKind::Other(Class::Duplicated), "a copy is one under any key");
    assert_eq!(read(2, 1, true), SightingKind::Other(Class::Corrupted));
    assert_eq!(read(2, 1, true), SightingKind::Other(Class::Redelivered));
    assert_eq!(read(3, 2, true), SightingKind::Other(Class::Corrupted));
    assert!(read(4, 2, false).is_fresh(), "and then as it was sent");
    reader.drain_to(&BTreeMap::from([(0, 5)]));
    let report = Ledger::new([&sender], [&reader]).settle(None);
    let line = &report.sheet.sent[0];
    assert_eq!((line.read_once, line.duplicated, line.damaged, line.lost), (1, 1, 1, 0));
    assert_eq!(found(&report, Class::Corrupted), BTreeSet::from([(0, 1), (0, 2)]));
}

#[test]
fn nothing_is_lost_before_the_drain_is_finished() {
    let run = RunIdentity::new(NONCE);
    let sender = clean_sender(&run, 10);
    let mut reader = ReaderAccount::new(run, "t", None, false);
    (0..8).for_each(|n| assert!(read(&mut reader, n, n as u64).is_fresh()));
    reader.drain_to(&BTreeMap::from([(0, 10), (1, 0)]));
    let report = Ledger::new([&sender], [&reader]).settle(None);
    assert_eq!((report.count(Class::Lost), report.count(Class::Unread), report.drained), (0, 2, false));
    reader.advanced(0, 0, 10);
    let report = Ledger::new([&sender], [&reader]).settle(None);
    assert_eq!((report.count(Class::Lost), report.count(Class::Unread), report.drained), (2, 0, true));
}

#[test]
fn a_new_assignment_excuses_what_it_jumps_over() {
    let run = RunIdentity::new(NONCE);
    let sender = clean_sender(&run, 10);
    let mut reader = ReaderAccount::new(run, "t", Some("g".into()), false);
    reader.elsewhere = true;
    reader.assigned(None, 0, Some(2));
    (2..4).for_each(|n| _ = read(&mut reader, n, n as u64));
    reader.assigned(None, 0, Some(6));
    [6, 9].into_iter().for_each(|n| _ = read(&mut reader, n, n as u64));
    reader.drain_to(&BTreeMap::from([(0, 10)]));
    let evidence = LogEvidence {
        log_start: BTreeMap::from([(0, 0)]),
        found: (0..10).map(|n| ((0, n), (0, n as i64))).collect(),
        ..LogEvidence::default()
    };
    let report = Ledger::new([&sender], [&reader]).settle(Some(&evidence));
    assert_eq!(report.before_start, 2);
    assert_eq!(found(&report, Class::Lost), BTreeSet::from([(0, 4), (0, 5), (0, 7), (0, 8)]));
    assert_eq!(found(&report, Class::Skipped), BTreeSet::from([(0, 7), (0, 8)]));
}

#[test]
fn a_union_of_readers_counts_what_none_of_them_sees_alone() {
    let run = RunIdentity::new(NONCE);
    let sender = clean_sender(&run, 10);
    let mut readers: Vec<_> = (0..2).map(|_| ReaderAccount::new(run.clone(), "t", Some("g".into()), false)).collect();
    (0..6).for_each(|n| _ = read(&mut readers[0], n, n as u64));
    (4..10).for_each(|n| _ = read(&mut readers[1], n, n as u64));
    read(&mut readers[1], 10, 0);
    readers.iter_mut().for_each(|reader| reader.drain_to(&BTreeMap::from([(0, 11)])));
    let report = Ledger::new([&sender], &readers).settle(None);
    assert_eq!(report.count(Class::Lost), 0);
    assert_eq!(report.distinct, 10);
    assert_eq!(report.count(Class::Duplicated), 1);
    assert_eq!(report.count(Class::Redelivered), 2);
}

#[test]
fn a_reader_beside_a_group_hides_nothing_that_the_group_read_twice() {
    let run = RunIdentity::new(NONCE);
    let sender = clean_sender(&run, 10);
    let reader = |group: Option<&str>| ReaderAccount::new(run.clone(), "t", group.map(str::to_owned), false);
    let mut readers = [reader(Some("g")), reader(None), reader(Some("g"))];
    (0..6).for_each(|n| _ = read(&mut readers[0], n, n as u64));
    (4..10).for_each(|n| _ = read(&mut readers[2], n, n as u64));
    read(&mut readers[2], 10, 0);
    (0..10).for_each(|n| _ = read(&mut readers[1], n, n as u64));
    read(&mut readers[1], 10, 0);
    readers.iter_mut().for_each(|reader| reader.drain_to(&BTreeMap::from([(0, 11)])));
    let report = Ledger::new([&sender], &readers).settle(None);
    let of = |class| report.count(class);
    assert_eq!((of(Class::Lost), of(Class::Duplicated), of(Class::Redelivered)), (0, 1, 2));
    let (line, all) = (&report.sheet.sent[0], &report.sheet.read);
    assert_eq!((line.read_once, line.duplicated, all.redelivered, all.by_others), (7, 3, 2, 11));
    assert_eq!(report.sheet.imbalance(), None);
    // Where others wrote to the topic, places say nothing: then the copy that one member of the group had counts as redelivered.
    run.register("t").unwrap().raise(1);
    let other = Ok((identity(1, 0), true));
    readers[1].record(&Sighting { partition: 0, offset: 11, at_us: 0, life: 0, identity: other, altered: false });
    let report = Ledger::new([&sender], &readers).settle(None);
    let all = &report.sheet.read;
    assert_eq!((all.copies, all.redelivered, all.by_others, all.of_others), (1, 3, 10, 1));
    assert_eq!(report.count(Class::Redelivered), 3);
    assert_eq!(report.sheet.imbalance(), None);
}

#[test]
fn what_a_group_gave_to_another_of_its_readers_is_that_ones_to_read_again() {
    let run = RunIdentity::new(NONCE);
    let sender = clean_sender(&run, 10);
    let reader = || ReaderAccount::new(run.clone(), "t", Some("g".into()), false);
    let (mut one, mut two) = (reader(), reader());
    (0..10).for_each(|n| _ = read(&mut one, n, n as u64));
    two.assigned(Some(0), 0, Some(0));
    (0..3).for_each(|n| _ = read(&mut two, n, n as u64));
    let drained = |two: &ReaderAccount| {
        let mut readers = [one.clone(), two.clone()];
        readers.iter_mut().for_each(|reader| reader.drain_to(&BTreeMap::from([(0, 10)])));
        Ledger::new([&sender], &readers).settle(None).drained
    };
    assert!(drained(&two), "it has left its group: what it was given is nobody's");
    two.holds.insert(0);
    assert!(!drained(&two), "more of it may be redelivered");
    two.group = Some("h".into());
    assert!(drained(&two), "readers of two groups are a union");
    two.group = Some("g".into());
    (3..10).for_each(|n| _ = read(&mut two, n, n as u64));
    assert!(drained(&two));
}

#[test]
fn what_lies_behind_the_readers_end_is_not_lost_where_nobody_searched() {
    let run = RunIdentity::new(NONCE);
    let mut sender = clean_sender(&run, 10);
    let mut reader = ReaderAccount::new(run, "t", None, false);
    reader.assigned(None, 0, Some(0));
    (0..6).for_each(|n| _ = read(&mut reader, n, n as u64));
    reader.drain_to(&BTreeMap::from([(0, 6)]));
    let report = Ledger::new([&sender], [&reader]).settle(None);
    assert_eq!((report.count(Class::Lost), report.count(Class::Unread)), (0, 4));
    // The log was searched, and they are not in it.
    let evidence = LogEvidence { log_start: BTreeMap::from([(0, 0)]), ..LogEvidence::default() };
    let report = Ledger::new([&sender], [&reader]).settle(Some(&evidence));
    assert_eq!((report.count(Class::Lost), report.count(Class::Unread)), (4, 0));
    // Nobody knows where they went: only who has searched the log can say that they are in none.
    sender.offsets = AckedOffsets::default();
    let unsearched = Terms { unsearched: BTreeSet::from(["t".to_owned()]), ..Terms::default() };
    for (terms, counts) in [(Terms::default(), (4, 0)), (unsearched, (0, 4))] {
        let report = Ledger::new([&sender], [&reader]).under(terms).settle(None);
        assert_eq!((report.count(Class::Lost), report.count(Class::Unread)), counts);
    }
}

#[test]
fn each_topic_has_evidence_of_its_own() {
    let run = RunIdentity::new(NONCE);
    let sender = |topic: &str| {
        let mut sender = clean_sender(&run, 10);
        topic.clone_into(&mut sender.topic);
        sender
    };
    let senders = [sender("a"), sender("b")];
    let reader = |topic: &str| {
        let mut reader = ReaderAccount::new(run.clone(), topic, None, false);
        reader.assigned(None, 0, Some(0));
        reader.drain_to(&BTreeMap::from([(0, 0)]));
        reader
    };
    // Both readers ended before anything was written. Then `a` was wiped, and `b` was not.
    let readers = [reader("a"), reader("b")];
    let evidence = |producer: u16, written: bool| LogEvidence {
        log_start: BTreeMap::from([(0, 0)]),
        found: (0..10).filter(|_| written).map(|n| ((producer, n), (0, n as i64))).collect(),
        ..LogEvidence::default()
    };
    let each = BTreeMap::from([("a".to_owned(), evidence(0, false)), ("b".to_owned(), evidence(1, true))]);
    let report = Ledger::new(&senders, &readers).searched(&each).settle(None);
    assert_eq!(found(&report, Class::Lost), (0..10).map(|n| (0, n)).collect());
    assert_eq!(found(&report, Class::Unread), (0..10).map(|n| (1, n)).collect());
    assert_eq!(report.lost_missing_from_log, 10);
}

/// What an account needs grows with what is unusual, not with the messages. `KSCEN_MESSAGES` says how many there are; the limits are
/// those of a hundred million.
#[test]
fn accounts_of_many_messages_are_small() {
    let asked = std::env::var("KSCEN_MESSAGES").ok().and_then(|text| text.parse().ok());
    let messages: u64 = asked.unwrap_or(200_000);
    for (name, producers, partitions, keep, limit_mib) in
        [("in order", 1u64, 1u64, 1.0, 4.0), ("1 % lost", 1, 1, 0.99, 40.0), ("8 x 12", 8, 12, 1.0, 90.0)]
    {
        let mut rng = StdRng::seed_from_u64(1);
        let run = RunIdentity::new(NONCE);
        let tickets: Vec<_> = (0..producers).map(|_| run.register("t").unwrap()).collect();
        let mut senders: Vec<_> = tickets.iter().map(|t| SenderAccount::new(t.producer, "t")).collect();
        let mut reader = ReaderAccount::new(run, "t", None, false);
        let (mut ends, mut peak) = (vec![0i64; partitions as usize], 0);
        let started = std::time::Instant::now();
        for n in 0..messages {
            let (producer, sequence) = ((n % producers) as usize, n / producers);
            let partition = rng.random_range(0..partitions) as usize;
            tickets[producer].raise(sequence + 1);
            let sender = &mut senders[producer];
            sender.sent = sequence + 1;
            sender.acked.insert(sequence);
            sender.offsets.push(partition as i32, sequence, ends[partition]);
            if keep == 1.0 || rng.random_bool(keep) {
                let identity = Ok((identity(producer as u16, sequence), true));
                reader.record(&Sighting {
                    partition: partition as i32,
                    offset: ends[partition],
                    at_us: 0,
                    life: 0,
                    identity,
                    altered: false,
                });
            }
            ends[partition] += 1;
            if n % 1_000_000 == 0 {
                peak = peak.max(reader.heap_bytes() + senders.iter().map(SenderAccount::heap_bytes).sum::<usize>());
            }
        }
        reader.drain_to(&ends.iter().enumerate().map(|(p, end)| (p as i32, *end)).collect());
        (0..partitions as i32).for_each(|p| reader.advanced(0, p, ends[p as usize]));
        let report = Ledger::new(&senders, [&reader]).settle(None);
        let mib = peak as f64 / f64::from(1 << 20);
        let ns = started.elapsed().as_nanos() as f64 / messages as f64;
        println!("{name}: {mib:.2} MiB, {ns:.1} ns a message, {} lost", report.count(Class::Lost));
        // The first pages of a bitmap cost the same for few messages.
        let limit_mib = 2.0 + limit_mib * messages as f64 / 1e8;
        assert!(mib < limit_mib, "{name}: {mib} MiB of {limit_mib}");
        assert_eq!(report.count(Class::Lost) + report.distinct, messages);
    }
}
