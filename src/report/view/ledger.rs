//! Where the messages went.

use crate::judge::delivery::describe;
use crate::ledger::Class;
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
    pub counts: Vec<Count>,
    /// The first anomalies.
    pub samples: Vec<String>,
}

/// One count of the account.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
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
            .map(|(name, count, tone)| Count {
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
            missing_evidence: delivery.missing_evidence.clone().unwrap_or_default(),
            counts,
            samples,
        }
    }
}

fn tone(class: Class) -> &'static str {
    match class {
        Class::Lost | Class::Corrupted | Class::Phantom | Class::Skipped | Class::AbortedRead => "bad",
        Class::Unread | Class::Duplicated | Class::Redelivered | Class::Reordered => "warn",
        Class::Foreign => "plain",
    }
}
