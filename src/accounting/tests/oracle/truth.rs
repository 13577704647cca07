//! The oracle: looks through the complete history for each message again.

use super::history::{Kind, Outcome};
use super::world::{Delivery, Form, KEYS, Reader, Record, Sent, What, World, step_of};
use crate::accounting::{Class, LedgerReport, MessageSample, ReadLine, SentLine};
use std::collections::{BTreeMap, BTreeSet};

fn is(record: &Record, sent: &Sent) -> bool {
    matches!(record.what, What::Own { producer, sequence, .. } if producer == sent.producer && sequence == sent.sequence)
}

/// Deliveries of a message: in the form that was sent, as far as the reader can know, or in another. Of two bodies with right
/// checksums the one that came first is the message, and one with another key is a copy of it where it comes later for the first time.
fn of<'a>(reader: &'a Reader, sent: &'a Sent, wanted: bool) -> impl Iterator<Item = &'a Delivery> {
    let all = reader.deliveries.iter().filter(move |delivery| is(&delivery.record, sent));
    let (mut first, mut odd) = (None, BTreeSet::new());
    all.filter(move |delivery| {
        let What::Own { form, .. } = delivery.record.what else { return false };
        if matches!(form, Form::AsSent | Form::Forged) {
            first.get_or_insert(form);
        }
        let body = if form == Form::Altered { Form::AsSent } else { form };
        let as_sent = first == Some(body) && !odd.contains(&delivery.record.uid);
        if form == Form::Altered && !as_sent {
            odd.insert(delivery.record.uid);
        }
        as_sent == wanted
    })
}

/// What became of an acknowledged message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Once,
    Again,
    Damaged,
    Excused,
    Unread,
    Superseded,
    Expired,
    InLog(i32, i64),
    Below,
    Missing,
    Unplaced,
}

fn fate(world: &World, sent: &Sent) -> Fate {
    let times: Vec<usize> = world.readers.iter().map(|reader| of(reader, sent, true).count()).collect();
    let (group, alone) = times.split_at(world.kind.grouped());
    let most = alone.iter().copied().chain([group.iter().sum()]).max().unwrap_or(0);
    match most {
        1 => Fate::Once,
        2.. => Fate::Again,
        0 if world.readers.iter().any(|reader| of(reader, sent, false).next().is_some()) => Fate::Damaged,
        0 => unread(world, sent),
    }
}

/// The fate of a message that nobody has read.
fn unread(world: &World, sent: &Sent) -> Fate {
    let drained = |partition: i32| world.readers.iter().any(|reader| reader.drained.contains(&partition));
    let partitions = 0..world.logs.len() as i32;
    // The log is searched only where somebody has come to an end.
    let found = world.logs.iter().zip(0..).filter(|_| partitions.clone().any(drained)).find_map(|(log, number)| {
        let record = log.records.iter().find(|record| is(record, sent))?;
        Some((number, record.offset))
    });
    let told = sent.told.filter(|told| told.1 >= 0);
    let at = found.or(told);
    if world.kind == Kind::Elsewhere {
        match told.or(found) {
            None => return Fate::Unread,
            Some((partition, offset)) if world.starts.get(&partition).is_some_and(|start| offset < *start) => {
                return Fate::Excused;
            }
            Some(_) => {}
        }
    }
    if let Some((partition, offset)) = at {
        let log = &world.logs[partition as usize];
        if offset >= world.stable(log) && offset < log.end {
            return Fate::Unread;
        }
    }
    let partition = at.or(sent.told).map(|place| place.0);
    if !partition.map_or_else(|| partitions.clone().all(drained), drained) {
        return Fate::Unread;
    }
    if let Some((partition, offset)) = found {
        return Fate::InLog(partition, offset);
    }
    if world.kind == Kind::Compacted {
        let Some((partition, offset)) = at else { return Fate::Unread };
        // Compaction never moves the start of a log.
        let superseded = offset >= world.logs[partition as usize].start
            && world.sent.iter().any(|later| {
                later.outcome.is_acked()
                    && later.sequence % KEYS == sent.sequence % KEYS
                    && later.told.is_some_and(|told| told.0 == partition && told.1 > offset)
            });
        if superseded {
            return Fate::Superseded;
        }
    }
    match at {
        None => Fate::Unplaced,
        Some((partition, offset)) if offset < world.logs[partition as usize].start => match world.kind {
            Kind::Expiring => Fate::Expired,
            _ => Fate::Below,
        },
        Some(_) => Fate::Missing,
    }
}

fn line_of(world: &World, step: &str) -> SentLine {
    let mut line = SentLine { step: step.to_owned(), ..SentLine::default() };
    for sent in world.sent.iter().filter(|sent| step_of(sent.producer) == step) {
        line.sent += 1;
        line.acked += u64::from(sent.outcome.is_acked());
        line.failed += u64::from(sent.outcome.is_failed());
        line.unknown += u64::from(sent.outcome.is_unknown());
        line.aborted += u64::from(sent.outcome == Outcome::Aborted);
        if sent.outcome.is_acked() {
            *match fate(world, sent) {
                Fate::Once => &mut line.read_once,
                Fate::Again => &mut line.duplicated,
                Fate::Damaged => &mut line.damaged,
                Fate::Excused => &mut line.excused,
                Fate::Unread => &mut line.unread,
                Fate::Superseded => &mut line.superseded,
                Fate::Expired => &mut line.expired,
                Fate::InLog(..) | Fate::Below | Fate::Missing | Fate::Unplaced => &mut line.lost,
            } += 1;
        }
    }
    line
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
    let (group, alone) = world.readers.split_at(world.kind.grouped());
    let units: Vec<Vec<&Reader>> =
        [group.iter().collect()].into_iter().chain(alone.iter().map(|one| vec![one])).collect();
    for sent in &world.sent {
        if !world.is_from(sent.producer) {
            let any = |reader: &Reader| of(reader, sent, true).count() + of(reader, sent, false).count();
            line.of_others += world.readers.iter().map(any).sum::<usize>() as u64;
            continue;
        }
        let (mut together, mut separately, mut times) = (BTreeSet::new(), 0, 0);
        for unit in &units {
            let mut places = BTreeSet::new();
            for reader in unit {
                places.extend(distinct(of(reader, sent, true)));
                times += of(reader, sent, true).count() as u64;
                let damaged = distinct(of(reader, sent, false)).len() as u64;
                line.corrupted += damaged;
                line.redelivered += of(reader, sent, false).count() as u64 - damaged;
            }
            separately += places.len() as u64;
            together.extend(places);
        }
        if times == 0 {
            continue;
        }
        *match sent.outcome {
            outcome if outcome.is_acked() => &mut line.owed,
            outcome if outcome.is_failed() => &mut line.phantom,
            outcome if outcome.is_unknown() => &mut line.in_doubt,
            _ => &mut line.aborted,
        } += 1;
        let places = together.len() as u64;
        line.copies += places - 1;
        line.by_others += separately - places;
        line.redelivered += times - separately;
    }
    line
}

/// First sights that came after a later message of the same producer in the partition.
fn reordered(world: &World) -> u64 {
    let mut count = 0;
    for reader in &world.readers {
        let mut seen: BTreeSet<(u16, u64)> = BTreeSet::new();
        let mut last: BTreeMap<(u16, i32), u64> = BTreeMap::new();
        let mut odd = BTreeSet::new();
        for delivery in &reader.deliveries {
            let What::Own { producer, sequence, form } = delivery.record.what else { continue };
            let known = seen.contains(&(producer, sequence));
            let as_sent = form != Form::Altered || known && !odd.contains(&delivery.record.uid);
            if !as_sent {
                odd.insert(delivery.record.uid);
            }
            let intact = form != Form::Damaged && as_sent;
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

type Ids = BTreeSet<(u16, u64)>;

fn ids<'a>(samples: impl Iterator<Item = &'a MessageSample>) -> Ids {
    samples.filter_map(|sample| sample.producer.zip(sample.sequence)).collect()
}

/// Which messages are lost, unread and skipped, and where the lost ones went.
fn attributed(world: &World, report: &LedgerReport) -> Option<String> {
    let (mut lost, mut unread, mut skipped) = (Ids::new(), Ids::new(), Ids::new());
    let mut places = [0; 4];
    for sent in world.sent.iter().filter(|sent| world.is_from(sent.producer) && sent.outcome.is_acked()) {
        let id = (sent.producer, sent.sequence);
        let place = match fate(world, sent) {
            Fate::Unread => {
                unread.insert(id);
                continue;
            }
            Fate::InLog(partition, offset) => {
                let passed = world.passed.iter().any(|(number, range)| *number == partition && range.contains(&offset));
                // What came into the log before the reader was told to begin is not skipped.
                let begun = world.starts.get(&partition).is_some_and(|start| offset >= *start);
                if begun && !passed {
                    skipped.insert(id);
                }
                0
            }
            Fate::Below => 1,
            Fate::Missing => 2,
            Fate::Unplaced => 3,
            _ => continue,
        };
        lost.insert(id);
        places[place] += 1;
    }
    let said = |class| ids(report.samples(class).iter());
    for (class, truth) in [(Class::Lost, &lost), (Class::Unread, &unread)] {
        if said(class) != *truth || report.count(class) != truth.len() as u64 {
            return Some(format!("ledger says {class}: {:?}\n truth {truth:?}", said(class)));
        }
    }
    // What one member of a group left out before another one took over counts as passed over; and offsets of different logs are
    // not compared.
    if world.kind.grouped() == 0 && !world.kind.restarts() {
        if said(Class::Skipped) != skipped {
            return Some(format!("ledger says skipped: {:?}\n truth {skipped:?}", said(Class::Skipped)));
        }
        let said = [
            report.lost_in_log_not_read,
            report.lost_below_log_start,
            report.lost_missing_from_log,
            report.lost_unplaced,
        ];
        if said != places {
            return Some(format!("ledger says lost in the log, below, missing, unplaced: {said:?}\n truth {places:?}"));
        }
    }
    None
}

/// What the ledger says otherwise.
pub(super) fn compare(world: &World, report: &LedgerReport) -> Option<String> {
    let mut partitions = 0..world.logs.len() as i32;
    let drained = partitions.all(|partition| world.readers.iter().any(|reader| reader.drained.contains(&partition)));
    if report.drained != drained {
        return Some(format!("ledger says drained: {}, truth {drained}", report.drained));
    }
    for line in &report.sheet.sent {
        let truth = line_of(world, &line.step);
        if *line != truth {
            return Some(format!("ledger {line:?}\n truth {truth:?}"));
        }
    }
    let mut truth = read_line(world);
    let mut said = report.sheet.read.clone();
    // Second sights are not always told apart into copies and redeliveries: not in a log that started over, at places that were
    // read before; nor between several members, where others' messages stand between. Guarantees treat both alike.
    if world.kind.grouped() > 0 || world.kind.restarts() {
        for line in [&mut truth, &mut said] {
            line.redelivered += std::mem::take(&mut line.copies);
        }
    }
    // Nor is a second damaged form of a message, in a log that started over, told from the first one read again; that there is one is.
    if world.kind.restarts() {
        for line in [&mut truth, &mut said] {
            line.redelivered += line.corrupted.saturating_sub(1);
            line.corrupted = line.corrupted.min(1);
        }
    }
    if said != truth {
        return Some(format!("ledger {said:?}\n truth {truth:?}"));
    }
    let (said, truth) = (report.count(Class::Reordered), reordered(world));
    if said != truth {
        return Some(format!("ledger says {said} reordered, truth is {truth}"));
    }
    let aborted = report.sheet.read.aborted;
    if report.count(Class::AbortedRead) != aborted {
        return Some(format!("{aborted} aborted were read and {} are told", report.count(Class::AbortedRead)));
    }
    attributed(world, report)
}
