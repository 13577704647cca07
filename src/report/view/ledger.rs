//! Where the messages went.

use super::changes;
use crate::accounting::{Class, ReadLine, SentLine};
use crate::judge::delivery::describe;
use crate::record::{DeliveryRecord, Quantity};
use serde::Serialize;

/// The account between senders and readers.
#[derive(Clone, Debug, Serialize)]
pub struct LedgerView {
    /// Ids of the sending steps.
    pub from: String,
    /// Ids of the reading steps.
    pub to: String,
    /// Why it is not settled; empty where it is.
    pub missing_evidence: String,
    /// Every count, in the order of a message's way.
    pub counts: Vec<ClassCount>,
    /// Where each acknowledged message went, a line for each sender; empty in results without a sheet.
    pub sheet: Vec<SheetLine>,
    /// What everything that was read turned out to be; columns with nothing in them are left out.
    pub read: Vec<ClassCount>,
    /// Whether the columns add up; in words.
    pub balance: String,
    /// The first anomalies.
    pub samples: Vec<String>,
}

/// Where the acknowledged messages of one sender went.
#[derive(Clone, Debug, Serialize)]
pub struct SheetLine {
    /// The step.
    pub step: String,
    /// Acknowledged, then the columns that add up to it, in the order of the templates' heading.
    pub columns: Vec<String>,
}

fn sheet_line(line: &SentLine) -> SheetLine {
    let columns = [
        line.acked,
        line.read_once,
        line.duplicated,
        line.damaged,
        line.lost,
        line.unread,
        line.superseded,
        line.expired,
        line.excused,
    ];
    SheetLine {
        step: line.step.clone(),
        columns: columns.iter().map(|count| Quantity::count(*count).to_string()).collect(),
    }
}

fn read_columns(line: &ReadLine) -> Vec<ClassCount> {
    let columns = [
        ("read", line.read, "plain"),
        ("owed", line.owed, "plain"),
        ("in doubt", line.in_doubt, "plain"),
        ("copies", line.copies, "warn"),
        ("redelivered", line.redelivered, "warn"),
        ("by other readers", line.by_others, "plain"),
        ("phantom", line.phantom, "bad"),
        ("foreign", line.foreign, "plain"),
        ("corrupted", line.corrupted, "bad"),
        ("aborted", line.aborted, "plain"),
        ("of other senders", line.of_others, "plain"),
    ];
    let there = columns.into_iter().filter(|(name, count, _)| *count > 0 || matches!(*name, "read" | "owed"));
    there.map(|(name, count, tone)| ClassCount { name, value: Quantity::count(count).to_string(), tone }).collect()
}

/// One count of the account.
#[derive(Clone, Debug, Serialize)]
pub struct ClassCount {
    /// What is counted.
    pub name: &'static str,
    /// How many.
    pub value: String,
    /// `bad` where it breaks a guarantee, `warn` where it deserves a look, else `plain`.
    pub tone: &'static str,
}

impl LedgerView {
    /// The view of an account.
    pub fn of(delivery: &DeliveryRecord) -> Self {
        // Results of the first version have no sheet.
        if let Some(changes) = delivery.changes.as_ref().filter(|changes| changes.version >= 2) {
            return Self {
                from: delivery.from.join(", "),
                to: delivery.to.join(", "),
                missing_evidence: delivery.missing_evidence.clone().unwrap_or_default(),
                counts: changes::counts(changes),
                sheet: Vec::new(),
                read: Vec::new(),
                balance: String::new(),
                samples: changes::samples(changes),
            };
        }
        let ledger = &delivery.ledger;
        let outcomes = [
            ("sent", ledger.sent, "plain"),
            ("acknowledged", ledger.acked, "plain"),
            ("failed", ledger.failed, "warn"),
            ("unknown", ledger.unknown, "warn"),
            ("aborted", ledger.aborted, "plain"),
            ("read", ledger.read, "plain"),
            ("distinct", ledger.distinct, "plain"),
        ];
        let classes = Class::ALL.into_iter().map(|class| (class.name(), ledger.count(class), tone(class)));
        let counts = outcomes
            .into_iter()
            .chain(classes)
            .filter(|(name, count, _)| *count > 0 || *name != "aborted" && *name != "aborted_read")
            .map(|(name, count, tone)| ClassCount {
                name,
                value: Quantity::count(count).to_string(),
                tone: if count > 0 { tone } else { "plain" },
            })
            .collect();
        let samples = Class::ALL
            .into_iter()
            .flat_map(|class| ledger.samples(class).iter().map(move |sample| describe(class, sample)))
            .collect();
        Self {
            from: delivery.from.join(", "),
            to: delivery.to.join(", "),
            missing_evidence: missing_evidence(delivery),
            sheet: ledger.sheet.sent.iter().map(sheet_line).collect(),
            read: if ledger.sheet.sent.is_empty() { Vec::new() } else { read_columns(&ledger.sheet.read) },
            balance: ledger
                .sheet
                .imbalance()
                .map_or_else(|| "The sheet balances.".to_owned(), |why| format!("THE SHEET DOES NOT BALANCE: {why}")),
            counts,
            samples,
        }
    }
}

fn missing_evidence(delivery: &DeliveryRecord) -> String {
    let unread = delivery.ledger.unread_because.iter().map(|(why, count)| why.describe(*count));
    let all: Vec<String> =
        delivery.missing_evidence.iter().cloned().chain(delivery.incomplete.iter().cloned()).chain(unread).collect();
    all.join("; ")
}

fn tone(class: Class) -> &'static str {
    match class {
        Class::Lost | Class::Corrupted | Class::Phantom | Class::Skipped | Class::AbortedRead => "bad",
        Class::Unread | Class::Duplicated | Class::Redelivered | Class::Reordered => "warn",
        Class::Foreign => "plain",
    }
}
