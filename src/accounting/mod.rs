//! What happened to every message.
//!
//! A sender keeps a [`SenderAccount`] of outcomes, a reader a [`ReaderAccount`] of what it saw;
//! [`Ledger::settle`] holds one against the other and sorts every difference into a [`Class`].

mod abandoned;
mod acked_offsets;
mod allowance;
pub mod archive;
mod around;
mod beside;
mod bitmap;
mod bodies;
mod bounded;
pub mod changes;
mod claims;
mod class;
mod epochs;
mod identity;
mod incoming;
mod keys;
mod ledger_report;
mod log_evidence;
pub mod matching;
mod named;
mod noted;
mod packed;
mod partition;
pub mod pipelines;
mod reader;
mod run_identity;
mod schedule;
mod sender;
mod settlement;
mod sheet;
mod sighting;
mod standing;
mod stored;
mod terms;

pub use acked_offsets::AckedOffsets;
pub(crate) use around::around;
pub use beside::Beside;
pub use bitmap::PagedBitmap;
pub use changes::Reconciliation;
pub use claims::Claims;
pub use class::Class;
pub use identity::{
    IDENTITY_BYTES, IDENTITY_FIELD, IDENTITY_HEADER, IDENTITY_HEX, Identity, IdentityError, body_crc_around,
    field_position,
};
pub(crate) use keys::KeySource;
pub use keys::{KeyPlan, KeySpec};
pub use ledger_report::{Attribution, ClassReport, LedgerReport, MessageSample, Why};
pub use log_evidence::LogEvidence;
pub(crate) use packed::{read_varint, write_varint};
pub use reader::ReaderAccount;
pub use run_identity::{Positions, ProducerTicket, RunIdentity};
pub use schedule::{Due, Schedule, Stage};
pub use sender::SenderAccount;
pub use settlement::Ledger;
pub use sheet::{ReadLine, SentLine, Sheet};
pub use sighting::{Sighting, SightingKind};
pub use standing::TopicIdBytes;
pub use stored::{ClassCheck, Settlement, Settlements};
pub use terms::{Allowed, Policy, Terms, standing_policies};

#[cfg(test)]
mod tests;
