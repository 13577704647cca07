//! The oracle: looks through the complete history for each message anew.

use super::history::{Kind, Outcome};
use super::world::{Delivery, Record, Sent, What, World};
use crate::accounting::{Class, LedgerReport, ReadLine, SentLine};
use std::collections::{BTreeMap, BTreeSet};

fn is(record: &Record, sent: &Sent, wanted: bool) -> bool {
    matches!(record.what, What::Own { producer, sequence, intact } if producer == sent.producer && sequence == sent.sequence && intact == wanted)
}

/// Deliveries of a message, in the form that was sent or in another.
fn of<'a>(deliveries: &'a [Delivery], sent: &'a Sent, intact: bool) -> impl Iterator<Item = &'a Delivery> {
    deliveries.iter().filter(move |delivery| is(&delivery.record, sent, intact))
}

fn line_of(world: &World, producer: u16) -> SentLine {
    let mut line = SentLine { step: format!("s{producer}"), ..SentLine::default() };
    let group = matches!(world.kind, Kind::Group | Kind::GroupRestarts);
    for sent in world.sent.iter().filter(|sent| sent.producer == producer) {
        line.sent += 1;
        match sent.outcome {
            Outcome::Acked => line.acked += 1,
            Outcome::Failed | Outcome::FailedButWritten => line.failed += 1,
            Outcome::Unknown | Outcome::UnknownButWritten => line.unknown += 1,
            Outcome::Aborted => line.aborted += 1,
        }
        if sent.outcome != Outcome::Acked {
            continue;
        }
        let times: Vec<usize> = world.readers.iter().map(|reader| of(&reader.deliveries, sent, true).count()).collect();
        let most = if group { times.iter().sum() } else { times.iter().copied().max().unwrap_or(0) };
        let damaged = world.readers.iter().any(|reader| of(&reader.deliveries, sent, false).next().is_some());
        match most {
            1 => line.read_once += 1,
            2.. => line.duplicated += 1,
            0 if damaged => line.damaged += 1,
            0 => *unread(world, sent, &mut line) += 1,
        }
    }
    line
}

/// The column of a message that nobody has read.
fn unread<'a>(world: &World, sent: &Sent, line: &'a mut SentLine) -> &'a mut u64 {
    let found = world.logs.iter().zip(0..).find_map(|(log, number)| {
        let record = log.records.iter().find(|record| is(record, sent, true) || is(record, sent, false))?;
        Some((number, record.offset))
    });
    let Some((partition, offset)) = found.or(sent.place) else { return &mut line.unread };
    let log = &world.logs[partition as usize];
    let before = |(partition, offset): (i32, i64)| world.starts.get(&partition).is_some_and(|start| offset < *start);
    if world.kind == Kind::Elsewhere && sent.place.is_some_and(before) {
        return &mut line.excused;
    }
    if log.open.is_some_and(|open| offset >= open && offset < log.end) {
        return &mut line.unread;
    }
    if !world.readers.iter().any(|reader| reader.drained.contains(&partition)) {
        return &mut line.unread;
    }
    let superseded = world.kind == Kind::Compacted
        && found.is_none()
        && world.sent.iter().any(|later| {
            later.outcome == Outcome::Acked
                && later.sequence % 3 == sent.sequence % 3
                && later.place.is_some_and(|place| place.0 == partition && place.1 > offset)
        });
    if superseded { &mut line.superseded } else { &mut line.lost }
}

fn distinct<'a>(deliveries: impl Iterator<Item = &'a Delivery>) -> BTreeSet<usize> {
    deliveries.map(|delivery| delivery.record.uid).collect()
}

/// What was read, looked through message by message.
fn read_line(world: &World) -> ReadLine {
    let mut line = ReadLine::default();
    for reader in &world.readers {
        line.read += reader.deliveries.len() as u64;
        for (wanted, column) in [(What::Foreign, &mut line.foreign), (What::Torn, &mut line.corrupted)] {
            let all = || reader.deliveries.iter().filter(|delivery| delivery.record.what == wanted);
            let places = distinct(all()).len() as u64;
            *column += places;
            line.redelivered += all().count() as u64 - places;
        }
    }
    let group = matches!(world.kind, Kind::Group | Kind::GroupRestarts);
    for sent in &world.sent {
        if !world.is_from(sent.producer) {
            let any = |reader: &super::world::Reader| {
                of(&reader.deliveries, sent, true).count() + of(&reader.deliveries, sent, false).count()
            };
            line.of_others += world.readers.iter().map(any).sum::<usize>() as u64;
            continue;
        }
        let (mut together, mut separately, mut times) = (BTreeSet::new(), 0, 0);
        for reader in &world.readers {
            let places = distinct(of(&reader.deliveries, sent, true));
            times += of(&reader.deliveries, sent, true).count() as u64;
            separately += places.len() as u64;
            together.extend(places);
            let damaged = distinct(of(&reader.deliveries, sent, false)).len() as u64;
            line.corrupted += damaged;
            line.redelivered += of(&reader.deliveries, sent, false).count() as u64 - damaged;
        }
        if times == 0 {
            continue;
        }
        *match sent.outcome {
            Outcome::Acked => &mut line.owed,
            Outcome::Failed | Outcome::FailedButWritten => &mut line.phantom,
            Outcome::Unknown | Outcome::UnknownButWritten => &mut line.in_doubt,
            Outcome::Aborted => &mut line.aborted,
        } += 1;
        let places = together.len() as u64;
        line.copies += places - 1;
        match group {
            true => line.redelivered += times - places,
            false => {
                line.by_others += separately - places;
                line.redelivered += times - separately;
            }
        }
    }
    line
}

/// First sights that came after a later message of the same producer in the partition.
fn reordered(world: &World) -> u64 {
    let mut count = 0;
    for reader in &world.readers {
        let mut seen: BTreeSet<(u16, u64)> = BTreeSet::new();
        let mut last: BTreeMap<(u16, i32), u64> = BTreeMap::new();
        for delivery in &reader.deliveries {
            let What::Own { producer, sequence, intact } = delivery.record.what else { continue };
            let first = intact && seen.insert((producer, sequence));
            if !intact || first {
                let highest = last.entry((producer, delivery.partition)).or_insert(sequence);
                count += u64::from(first && sequence < *highest && world.is_from(producer));
                *highest = (*highest).max(sequence);
            }
        }
    }
    count
}

/// What the ledger says otherwise.
pub(super) fn compare(world: &World, report: &LedgerReport) -> Option<String> {
    for line in &report.sheet.sent {
        let producer = line.step[1..].parse().unwrap_or(0);
        let truth = line_of(world, producer);
        if *line != truth {
            return Some(format!("ledger {line:?}\n truth {truth:?}"));
        }
    }
    let mut truth = read_line(world);
    let mut said = report.sheet.read.clone();
    // Second sights are not always told apart into copies and redeliveries: not in a log that started over, at places that were
    // read before; nor between several members, where others' messages stand between. Guarantees treat both alike.
    if matches!(world.kind, Kind::Group | Kind::Restarts | Kind::GroupRestarts) {
        for line in [&mut truth, &mut said] {
            line.redelivered += std::mem::take(&mut line.copies);
        }
    }
    // Nor is a second damaged form of a message, in a log that started over, told from the first one read again; that there is one is.
    if matches!(world.kind, Kind::Restarts | Kind::GroupRestarts) {
        for line in [&mut truth, &mut said] {
            line.redelivered += line.corrupted.saturating_sub(1);
            line.corrupted = line.corrupted.min(1);
        }
    }
    if said != truth {
        return Some(format!("ledger {said:?}\n truth {truth:?}"));
    }
    let (said, truth) = (report.count(Class::Reordered), reordered(world));
    (said != truth).then(|| format!("ledger says {said} reordered, truth is {truth}"))
}
