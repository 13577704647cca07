//! Where the changes of a database went.

use super::ledger::ClassCount;
use crate::accounting::Reconciliation;
use crate::accounting::changes::{Excuse, Gap, NotCompared};
use crate::record::Quantity;

const SNAPSHOT: &str = "covered by a snapshot";

/// How much of the whole that is.
fn share(count: u64, whole: u64) -> String {
    if whole == 0 { String::new() } else { format!(" ({:.1} %)", count as f64 * 100.0 / whole as f64) }
}

/// Every count of an account of changes: what was committed and what became of it, then what was read and what it was.
pub(super) fn counts(changes: &Reconciliation) -> Vec<ClassCount> {
    let (sheet, expected) = (&changes.sheet, &changes.expected);
    let always = [
        ("committed changes", sheet.committed, "plain"),
        ("owed inserts", expected.inserts, "plain"),
        ("owed updates", expected.updates, "plain"),
        ("owed deletes", expected.deletes, "plain"),
        ("read once", sheet.once, "plain"),
        ("duplicated", sheet.duplicated, "warn"),
        (SNAPSHOT, sheet.superseded, "plain"),
        ("lost", sheet.lost, "bad"),
        ("lost rows", changes.lost_rows, "bad"),
        ("unread", sheet.unread, "warn"),
        ("records read", sheet.read, "plain"),
        ("corrupted", sheet.corrupted, "bad"),
        ("phantom", sheet.phantom, "bad"),
        ("foreign", sheet.foreign, "plain"),
        ("tombstones", changes.tombstones, "plain"),
        ("rows of snapshots", sheet.snapshot_rows, "plain"),
        ("values compared", changes.values_compared, "plain"),
        ("values not compared", changes.values_not_compared, "warn"),
    ];
    let sometimes = [
        ("owed truncations", expected.truncations, "plain"),
        ("read damaged", sheet.damaged, "bad"),
        ("excused", sheet.excused, "warn"),
        ("not judged", sheet.unjudged, "warn"),
        ("copies", sheet.copies, "warn"),
        ("redelivered", sheet.redelivered, "warn"),
        ("out of order", changes.out_of_order, "warn"),
        ("missing tombstones", changes.missing_tombstones, "warn"),
        ("records beside", sheet.beside, "plain"),
        ("records not judged", sheet.unjudged_records, "warn"),
    ];
    let whole = changes.whole_transactions.clone().unwrap_or_default();
    let transactions = [
        ("whole transactions", whole.whole, "plain"),
        ("torn transactions", whole.torn, "bad"),
        ("reordered transactions", whole.reordered, "bad"),
        ("open transactions", whole.open, "warn"),
    ];
    let told = if changes.whole_transactions.is_some() { 3 } else { 0 };
    let transactions =
        transactions.into_iter().enumerate().filter(|(place, (_, count, _))| *place < told || *count > 0);
    let sometimes = sometimes.into_iter().filter(|(_, count, _)| *count > 0);
    let count = |(name, count, tone): (&'static str, u64, &'static str)| ClassCount {
        name,
        value: match name {
            SNAPSHOT if count > 0 => format!("{}{}", Quantity::count(count), share(count, expected.total())),
            _ => Quantity::count(count).to_string(),
        },
        tone: if count > 0 { tone } else { "plain" },
    };
    always.into_iter().chain(sometimes).chain(transactions.map(|(_, one)| one)).map(count).collect()
}

/// The first offenders, and everything that was not judged, not owed or not compared, with the reason.
pub(super) fn samples(changes: &Reconciliation) -> Vec<String> {
    let mut lines: Vec<String> = changes.samples.iter().map(ToString::to_string).collect();
    lines.extend(changes.whole_transactions.iter().flat_map(|told| told.samples.clone()));
    lines.extend(changes.unjudged.iter().map(unjudged));
    lines.extend(changes.excused.iter().map(excused));
    lines.extend(changes.not_compared.iter().map(not_compared));
    lines
}

fn unjudged(gap: &Gap) -> String {
    let table = gap.table.as_ref().map(|table| format!(" of {table}")).unwrap_or_default();
    let (changes, records) = (Quantity::count(gap.changes), Quantity::count(gap.records));
    format!("not judged: {changes} changes and {records} records{table}: {}", gap.reason)
}

fn excused(excuse: &Excuse) -> String {
    let op = format!("{:?}", excuse.op).to_lowercase();
    format!("excused: {} × {op} of {}: {}", Quantity::count(excuse.changes), excuse.table, excuse.reason)
}

fn not_compared(values: &NotCompared) -> String {
    let count = Quantity::count(values.values);
    format!("not compared: {count} values of {}.{}: {}", values.table, values.column, values.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::changes::{ChangeSheet, WholeTransactions};
    use crate::database::{RowOp, TableName};

    #[test]
    fn what_is_excused_and_not_compared_is_shown_with_its_reason() {
        let table = TableName::parse("basket");
        let changes = Reconciliation {
            sheet: ChangeSheet { committed: 5, once: 2, excused: 3, ..ChangeSheet::default() },
            excused: vec![Excuse {
                table: table.clone(),
                op: RowOp::Delete,
                reason: "skipped.operations=d".into(),
                changes: 3,
            }],
            not_compared: vec![NotCompared { table, column: "phone".into(), reason: "column.mask".into(), values: 2 }],
            ..Reconciliation::default()
        };
        let lines = samples(&changes);
        assert_eq!(lines[0], "excused: 3 × delete of public.basket: skipped.operations=d");
        assert_eq!(lines[1], "not compared: 2 values of public.basket.phone: column.mask");
        let excused = counts(&changes).into_iter().find(|count| count.name == "excused").expect("it is counted");
        assert_eq!((excused.value.as_str(), excused.tone), ("3", "warn"));
    }

    #[test]
    fn what_a_snapshot_covers_is_shown_with_its_share_and_transactions_where_they_are_told() {
        let counted = |changes: &Reconciliation, name: &str| {
            counts(changes).into_iter().find(|count| count.name == name).map(|count| count.value)
        };
        let mut changes = Reconciliation::default();
        (changes.sheet.superseded, changes.expected.inserts) = (1, 8);
        assert_eq!(counted(&changes, SNAPSHOT).as_deref(), Some("1 (12.5 %)"));
        assert_eq!(counted(&changes, "torn transactions"), None);
        changes.whole_transactions = Some(WholeTransactions {
            whole: 4,
            samples: vec!["transaction 7: torn".into()],
            ..WholeTransactions::default()
        });
        assert_eq!(counted(&changes, "whole transactions").as_deref(), Some("4"));
        assert_eq!(counted(&changes, "torn transactions").as_deref(), Some("0"));
        assert_eq!(samples(&changes), ["transaction 7: torn"]);
    }
}
