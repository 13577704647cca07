//! The account of changes in the terms of messages, and in words.

use crate::accounting::changes::{ChangeSettlement, Gap, Reconciliation, RowAnomaly, RowClass};
use crate::accounting::{Class, ClassReport, LedgerReport, MessageSample};
use crate::record::{DeliveryRecord, Quantity};
use std::collections::BTreeMap;

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

/// A delivery of changes, by what it was settled from and the account that followed.
pub fn delivery(settlement: &ChangeSettlement, changes: Reconciliation) -> DeliveryRecord {
    let missing = missing(settlement, &changes);
    let ledger = ledger(&changes, changes.drained && missing.is_none());
    DeliveryRecord {
        from: settlement.from.clone(),
        to: settlement.to.clone(),
        drained: ledger.drained,
        missing_evidence: missing,
        stated: settlement.checks.iter().filter_map(|check| check.figure.class()).collect(),
        changes: Some(Box::new(changes)),
        stored: true,
        ledger,
        ..DeliveryRecord::default()
    }
}

/// The first thing that is missing before an account is complete.
fn missing(settlement: &ChangeSettlement, changes: &Reconciliation) -> Option<String> {
    let late = || (!changes.drained).then(|| "the readers did not reach the end of the log in time".to_owned());
    let behind = || {
        let connectors = settlement.connectors.as_deref().unwrap_or_default();
        (changes.unread > 0).then(|| format!("the connector has not read that far: {connectors}"))
    };
    let unjudged = || changes.unjudged.first().map(gap);
    settlement.missing.clone().or_else(late).or_else(behind).or_else(unjudged).or_else(|| nothing_owed(changes))
}

/// The same account in the terms of messages, for whoever compares deliveries of all kinds.
fn ledger(changes: &Reconciliation, complete: bool) -> LedgerReport {
    let mut classes: BTreeMap<Class, ClassReport> = BTreeMap::new();
    for (class, row) in CLASSES {
        let count = changes.count(row);
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
        read: changes.sheet.read,
        distinct: changes.delivered.total().saturating_add(changes.covered_by_snapshot),
        drained: complete && changes.unread == 0 && changes.unjudged.is_empty(),
        classes,
        ..LedgerReport::default()
    }
}

fn sample(anomaly: &RowAnomaly) -> MessageSample {
    MessageSample {
        producer: None,
        sequence: None,
        partition: anomaly.partition,
        offset: anomaly.offset,
        time_us: anomaly.committed_us,
        attribution: None,
    }
}

/// Why something is not judged, with how much of what.
pub fn gap(gap: &Gap) -> String {
    let counted = |count: u64, what: &str| (count > 0).then(|| format!("{} {what}", Quantity::count(count)));
    let parts: Vec<String> =
        [counted(gap.changes, "changes"), counted(gap.records, "records")].into_iter().flatten().collect();
    let what = if parts.is_empty() { "changes".to_owned() } else { parts.join(" and ") };
    let table = gap.table.as_ref().map(|table| format!(" of {table}")).unwrap_or_default();
    format!("{what}{table}: {}", gap.reason)
}

/// Where nothing had to arrive there is nothing to judge: why that is so.
fn nothing_owed(changes: &Reconciliation) -> Option<String> {
    if changes.expected.total() > 0 {
        return None;
    }
    let Some(excuse) = changes.excused.first() else {
        return Some("the senders committed no change".to_owned());
    };
    let more = changes.excused.len() - 1;
    let more = if more > 0 { format!(" (and {more} more reasons)") } else { String::new() };
    let (count, table, reason) = (Quantity::count(excuse.changes), &excuse.table, &excuse.reason);
    Some(format!("none of the senders' changes has to arrive: {count} of {table}, {reason}{more}"))
}

/// The first offenders of a class, by primary key.
pub fn samples(record: &DeliveryRecord, class: Class, most: usize) -> Vec<String> {
    // What is not proved to be lost is shown where `lost` is asked for and unknown.
    let rows: Vec<RowClass> = CLASSES
        .into_iter()
        .filter(|(known, _)| *known == class || (class == Class::Lost && *known == Class::Unread))
        .map(|(_, row)| row)
        .collect();
    let Some(changes) = &record.changes else { return Vec::new() };
    let rows = changes.samples.iter().filter(|sample| rows.contains(&sample.class)).map(ToString::to_string);
    let gaps = changes.unjudged.iter().map(|known| format!("not judged: {}", gap(known)));
    if class == Class::Lost { rows.chain(gaps).take(most).collect() } else { rows.take(most).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::TableName;

    #[test]
    fn a_lost_row_is_named_by_its_key_in_both_accounts() {
        let anomaly = RowAnomaly {
            class: RowClass::Lost,
            table: TableName::new("public", "orders"),
            key: "id=7".to_owned(),
            op: None,
            xid: None,
            lsn: None,
            committed_us: None,
            topic: None,
            partition: None,
            offset: None,
            detail: String::new(),
        };
        let changes = Reconciliation { lost: 1, wrong_content: 2, samples: vec![anomaly], ..Reconciliation::default() };
        let ledger = ledger(&changes, true);
        assert_eq!((ledger.count(Class::Lost), ledger.count(Class::Corrupted)), (1, 2));
        let record =
            DeliveryRecord { drained: true, changes: Some(Box::new(changes)), ledger, ..DeliveryRecord::default() };
        assert_eq!(samples(&record, Class::Lost, 5), ["lost: public.orders id=7"]);
    }
}
