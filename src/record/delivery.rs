//! The account of messages between senders and readers.

use crate::accounting::{Class, LedgerReport, Reconciliation};
use crate::scenario::Guarantee;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Senders, readers, and where each message went.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryRecord {
    /// Ids of the sending steps; their union was sent.
    pub from: Vec<String>,
    /// Ids of the reading steps; their union was read.
    pub to: Vec<String>,
    /// Whether the readers had reached the log's end when it was settled; if not, unread messages are unknown, not lost.
    pub drained: bool,
    /// Why it was not drained.
    pub missing_evidence: Option<String>,
    /// What is not known about senders that were named: which of them did not run, or were given up before their end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
    /// The guarantee by which it was judged, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarantee: Option<Guarantee>,
    /// The classes that its check states; beside a guarantee these are added to what it forbids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stated: Vec<Class>,
    /// For changes of a database: what became of each row's change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Box<Reconciliation>>,
    /// Whether what it was settled from is among the accounts beside the result. Older versions stored less, or nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stored: bool,
    /// The counts and the first samples of each class.
    pub ledger: LedgerReport,
}
