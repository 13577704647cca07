//! What happened to every message.
//!
//! A sender keeps a [`SenderAccount`] of outcomes, a reader a [`ReaderAccount`] of what it saw;
//! [`Ledger::settle`] holds one against the other and sorts every difference into a [`Class`].

mod acked_offsets;
mod bitmap;
mod class;
mod identity;
mod incoming;
pub mod injection;
pub mod matching;
mod reader;
mod report;
mod run;
mod scan;
mod sender;
mod settle;

pub use acked_offsets::AckedOffsets;
pub use bitmap::PagedBitmap;
pub use class::Class;
pub use identity::{
    IDENTITY_BYTES, IDENTITY_FIELD, IDENTITY_HEADER, IDENTITY_HEX, Identity, IdentityError, body_crc_around,
    field_position,
};
pub use reader::{ReaderAccount, Seen, Sighting};
pub use report::{Attribution, ClassReport, LedgerReport, Sample};
pub use run::{ProducerTicket, RunIdentity};
pub use scan::{Evidence, read_through, scan};
pub use sender::SenderAccount;
pub use settle::Ledger;

#[cfg(test)]
mod tests;
