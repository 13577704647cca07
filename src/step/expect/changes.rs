//! `expect: delivery` from `sql` steps: every row's change against the events that the readers saw.

use crate::database::{Lsn, TableName};
use crate::debezium::{Expectation, ReadEvent, ReadKind, Reconciliation, RowAnomaly, RowClass, reconcile};
use crate::execute::{LiveStep, Run};
use crate::ledger::{Class, ClassReport, LedgerReport, Sample};
use crate::record::DeliveryRecord;
use crate::step::StepError;
use crate::step::connector::redactor;
use crate::step::consume::{Capture, Reader};
use crate::step::sql::{Claims, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause between two looks at readers and connectors.
const GLANCE: Duration = Duration::from_millis(150);
/// Offenders kept of each class.
const SAMPLES: usize = 50;

/// Each class of the ledger with what it means for a row's change.
const CLASSES: [(Class, RowClass); 7] = [
    (Class::Lost, RowClass::Lost),
    (Class::Unread, RowClass::Unread),
    (Class::Duplicated, RowClass::Duplicated),
    (Class::Redelivered, RowClass::Redelivered),
    (Class::Reordered, RowClass::OutOfOrder),
    (Class::Corrupted, RowClass::WrongContent),
    (Class::Phantom, RowClass::Phantom),
];

/// Time for changes on their way once a later one has arrived.
const GRACE: Duration = Duration::from_secs(2);

/// What is held against the account.
struct Evidence<'a> {
    claims: &'a Claims,
    captures: &'a [Arc<Capture>],
    drained: bool,
    confirmed: Option<Lsn>,
}

/// Waits for the senders, then until every change has arrived, and settles what became of each.
pub(super) async fn settle(
    run: &Arc<Run>,
    from: Vec<String>,
    to: Vec<String>,
    deadline: Instant,
) -> Result<DeliveryRecord, StepError> {
    for id in &from {
        while run.live.get(id).is_some() && run.live.record(id).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let claims = claims(run, &from);
    let live: Vec<Arc<dyn LiveStep>> = to.iter().filter_map(|id| run.live.get(id)).collect();
    let readers: Vec<&Reader> = live.iter().filter_map(|step| step.as_any().downcast_ref()).collect();
    let captures: Vec<Arc<Capture>> = readers.iter().filter_map(|reader| reader.capture().cloned()).collect();
    let mut missing = (captures.len() < to.len()).then(|| "not every reader did start".to_owned());
    let mut passed_since: Option<Instant> = None;
    let (mut changes, drained) = loop {
        // Asked before the readers are drained: what the connector has confirmed is in the log by then.
        // Of a reader that has ended it says nothing.
        let confirmed = if readers.iter().all(|reader| reader.is_running()) { confirmed(run).await } else { None };
        let patience = deadline.saturating_duration_since(Instant::now());
        let mut drained = true;
        for reader in &readers {
            drained &= reader.drain(patience).await?;
        }
        let late = Instant::now() >= deadline;
        let evidence = Evidence { claims: &claims, captures: &captures, drained, confirmed };
        let passed = drained && evidence.passed(run).await?;
        if !late && !passed {
            tokio::time::sleep(GLANCE).await;
            continue;
        }
        let changes = evidence.reconcile(run).await?;
        let since = *passed_since.get_or_insert_with(Instant::now);
        // Partitions are written side by side: a later change may be in the log a moment before an earlier one.
        if late || changes.lost + changes.unread == 0 || since.elapsed() >= GRACE {
            if !drained {
                missing.get_or_insert_with(|| "the readers did not reach the end of the log in time".to_owned());
            }
            break (changes, drained);
        }
        tokio::time::sleep(GLANCE).await;
    };
    for replay in &changes.replays {
        run.recorder.note(format!(
            "{} changes came a second time, from {}-{}@{}: the connector went back to {} and repeated up to {}",
            replay.events, replay.topic, replay.partition, replay.first_offset, replay.from, replay.to
        ));
    }
    if changes.unread > 0 {
        let states = states(run).await;
        run.recorder.warn(format!("{} changes have not arrived: {states}", changes.unread));
        missing.get_or_insert_with(|| format!("the connector has not come so far: {states}"));
    }
    if changes.missing_tombstones > 0 {
        let count = changes.missing_tombstones;
        run.recorder.warn(format!("{count} deletes were not followed by a tombstone"));
    }
    let mut undecodable = 0;
    for capture in &captures {
        undecodable += capture.events(|read| {
            changes.samples.extend(read.undecodable_samples.iter().take(SAMPLES).map(|text| unreadable(text)));
            read.undecodable
        });
    }
    let ledger = ledger(&changes, &captures, undecodable, drained && missing.is_none());
    Ok(DeliveryRecord {
        drained: ledger.drained,
        from,
        to,
        missing_evidence: missing,
        changes: Some(Box::new(changes)),
        ledger,
    })
}

/// Lets a reader wait for what the connector still has to send of the changes committed so far, at most until `deadline`: the end of
/// the log says nothing about those.
pub(in crate::step) async fn arrive(
    run: &Run,
    capture: &Arc<Capture>,
    reader: &Reader,
    deadline: Instant,
) -> Result<(), StepError> {
    let everything = Claims { unattributed: true, ..Claims::default() };
    let captures = [Arc::clone(capture)];
    while run.changes.is_open().await && Instant::now() < deadline {
        let confirmed = confirmed(run).await;
        let drained = reader.drain(deadline.saturating_duration_since(Instant::now())).await?;
        let evidence = Evidence { claims: &everything, captures: &captures, drained, confirmed };
        if evidence.passed(run).await? {
            return Ok(());
        }
        tokio::time::sleep(GLANCE).await;
    }
    Ok(())
}

fn claims(run: &Run, from: &[String]) -> Claims {
    let mut all = Claims::default();
    for id in from {
        let live = run.live.get(id);
        if let Some(writer) = live.as_ref().and_then(|step| step.as_any().downcast_ref::<Writer>()) {
            let claims = writer.claims();
            all.transactions.extend(claims.transactions);
            all.unattributed |= claims.unattributed;
        }
    }
    all
}

/// How far every connector of the run has confirmed; a slot that is gone delivers nothing any more.
async fn confirmed(run: &Run) -> Option<Lsn> {
    let captures = run.changes.captures();
    if captures.is_empty() {
        return None;
    }
    let slots = run.database().ok()?.connect().await.ok()?.slots().await.ok()?;
    captures
        .values()
        .map(|capture| match slots.iter().find(|slot| slot.name == capture.slot) {
            Some(slot) => slot.confirmed_flush_lsn,
            None => Some(Lsn(u64::MAX)),
        })
        .min()
        .flatten()
}

/// What the connectors of the run say about themselves.
async fn states(run: &Run) -> String {
    let mut words = Vec::new();
    for name in run.changes.captures().keys() {
        let Ok(connect) = run.connect() else { continue };
        words.push(match connect.status(name).await {
            Ok(status) => match status.failure() {
                Some(failure) => redactor(&connect, name).await.text(&failure.to_string()),
                None => status.to_string(),
            },
            Err(error) => error.to_string(),
        });
    }
    if words.is_empty() { "no connector of this run captures".to_owned() } else { words.join("; ") }
}

impl Evidence<'_> {
    /// Whether the readers have seen the last change or a later one, or the connector has passed it.
    async fn passed(&self, run: &Run) -> Result<bool, StepError> {
        self.with(run, |expectation, events| {
            expectation.last_change().is_none_or(|last| furthest(events) >= Some(last) || self.confirmed >= Some(last))
        })
        .await
    }

    /// What became of every change.
    async fn reconcile(&self, run: &Run) -> Result<Reconciliation, StepError> {
        self.with(run, reconcile).await
    }

    async fn with<R>(
        &self,
        run: &Run,
        look: impl Fn(&Expectation<'_>, &[ReadEvent]) -> R,
    ) -> Result<R, StepError> {
        let tombstones = run.changes.captures().values().all(|capture| capture.tombstones);
        let tables: Option<BTreeSet<TableName>> =
            self.captures.iter().map(|capture| table_of(capture.topic())).collect();
        let read = run.changes.read(|transactions, window| {
            let expectation = Expectation {
                transactions,
                window,
                claimed: (!self.claims.unattributed).then_some(&self.claims.transactions),
                tables: tables.as_ref(),
                drained: self.drained,
                confirmed: self.confirmed,
                tombstones,
                samples: SAMPLES,
            };
            all_events(self.captures, Vec::new(), &mut |events| look(&expectation, events))
        });
        read.await
            .map_err(|error| StepError::broken("account", format!("what the database committed cannot be read: {error}")))?
            .ok_or_else(|| StepError::broken("account", "no `sql` step has run, so nothing is known of what was committed"))
    }
}

/// The events of all readers, one reader after the other; rows of one table are never spread over readers of different topics.
fn all_events<R>(captures: &[Arc<Capture>], events: Vec<ReadEvent>, look: &mut dyn FnMut(&[ReadEvent]) -> R) -> R {
    match captures {
        [] => look(&events),
        // One reader is the usual case and needs no copy.
        [only] if events.is_empty() => only.events(|read| look(read.events)),
        [first, rest @ ..] => {
            let mut events = events;
            first.events(|read| events.extend_from_slice(read.events));
            all_events(rest, events, look)
        }
    }
}

/// The table whose changes a topic holds, by Debezium's naming `PREFIX.SCHEMA.TABLE`.
fn table_of(topic: &str) -> Option<TableName> {
    let mut parts = topic.rsplitn(3, '.');
    let (table, schema, _prefix) = (parts.next()?, parts.next()?, parts.next()?);
    Some(TableName::new(schema, table))
}

fn furthest(events: &[ReadEvent]) -> Option<Lsn> {
    events
        .iter()
        .filter_map(|event| match &event.kind {
            ReadKind::Change(change) => change.source.lsn,
            _ => None,
        })
        .max()
}

fn unreadable(text: &str) -> RowAnomaly {
    RowAnomaly {
        class: RowClass::WrongContent,
        table: TableName::new("", ""),
        key: String::new(),
        op: None,
        xid: None,
        lsn: None,
        committed_us: None,
        topic: None,
        partition: None,
        offset: None,
        detail: text.to_owned(),
    }
}

/// The same account in the terms of messages, for whoever compares deliveries of all kinds.
fn ledger(changes: &Reconciliation, captures: &[Arc<Capture>], undecodable: u64, complete: bool) -> LedgerReport {
    let mut classes: BTreeMap<Class, ClassReport> = BTreeMap::new();
    for (class, row) in CLASSES {
        let count = changes.count(row) + if row == RowClass::WrongContent { undecodable } else { 0 };
        if count > 0 {
            let samples = changes.samples.iter().filter(|sample| sample.class == row).map(sample).collect();
            classes.insert(class, ClassReport { count, samples });
        }
    }
    if changes.foreign > 0 {
        classes.insert(Class::Foreign, ClassReport { count: changes.foreign, samples: Vec::new() });
    }
    let expected = changes.expected.total();
    LedgerReport {
        sent: expected,
        acked: expected,
        read: captures.iter().map(|capture| capture.events(|read| read.events.len() as u64 + read.undecodable)).sum(),
        distinct: changes.delivered.total() + changes.covered_by_snapshot,
        drained: complete && changes.unread == 0,
        classes,
        ..LedgerReport::default()
    }
}

fn sample(anomaly: &RowAnomaly) -> Sample {
    Sample {
        producer: None,
        sequence: None,
        partition: anomaly.partition,
        offset: anomaly.offset,
        time_us: anomaly.committed_us,
        attribution: None,
    }
}

/// The first offenders of a class, by primary key.
pub(super) fn samples(record: &DeliveryRecord, class: Class, most: usize) -> Vec<String> {
    // What is not proved to be lost is shown where `lost` is asked for and unknown.
    let rows: Vec<RowClass> = CLASSES
        .into_iter()
        .filter(|(known, _)| *known == class || (class == Class::Lost && *known == Class::Unread))
        .map(|(_, row)| row)
        .collect();
    let all = record.changes.iter().flat_map(|changes| &changes.samples);
    all.filter(|sample| rows.contains(&sample.class)).take(most).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_follow_from_topics() {
        assert_eq!(table_of("cdc-20240101.public.orders"), Some(TableName::new("public", "orders")));
        assert_eq!(table_of("a.b.sales.items"), Some(TableName::new("sales", "items")));
        assert_eq!(table_of("orders"), None);
    }

    #[test]
    fn a_lost_row_is_named_by_its_key_in_both_accounts() {
        let anomaly = RowAnomaly {
            class: RowClass::Lost,
            table: TableName::new("public", "orders"),
            key: "id=7".to_owned(),
            ..unreadable("")
        };
        let changes = Reconciliation { lost: 1, samples: vec![anomaly], ..Reconciliation::default() };
        let ledger = ledger(&changes, &[], 2, true);
        assert_eq!((ledger.count(Class::Lost), ledger.count(Class::Corrupted)), (1, 2));
        let record = DeliveryRecord {
            from: Vec::new(),
            to: Vec::new(),
            drained: true,
            missing_evidence: None,
            changes: Some(Box::new(changes)),
            ledger,
        };
        assert_eq!(samples(&record, Class::Lost, 5), ["lost: public.orders id=7"]);
    }
}
