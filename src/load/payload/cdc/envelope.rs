//! The envelope around a change.

use super::Table;
use super::tables::{Corpus, write_row};
use crate::accounting::{IDENTITY_FIELD, IDENTITY_HEX};
use std::io::Write;

/// The kind of a change, with Debezium's letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeOp {
    Read,
    Create,
    Update,
    Delete,
}

impl ChangeOp {
    fn letter(self) -> char {
        match self {
            ChangeOp::Read => 'r',
            ChangeOp::Create => 'c',
            ChangeOp::Update => 'u',
            ChangeOp::Delete => 'd',
        }
    }
}

/// A change, before it is written down.
pub(super) struct ChangeEnvelope {
    pub(super) table: Table,
    pub(super) op: ChangeOp,
    pub(super) id: u64,
    /// The row's version after the change; the one that was deleted, in a deletion.
    pub(super) version: u32,
    pub(super) time_ms: i64,
    /// The number of the change: stands for transaction and log position.
    pub(super) position: u64,
    pub(super) seed: u64,
    pub(super) text: (u64, u64),
}

/// Writes the key of a row.
pub(super) fn key(id: u64, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{{\"id\":{id}}}");
}

impl ChangeEnvelope {
    /// Appends the event to the empty `out`; returns where the digits of its identity start.
    pub(super) fn write(&self, corpus: &Corpus, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(IDENTITY_FIELD.as_bytes());
        out.extend_from_slice(b"\":\"");
        let start = out.len();
        out.resize(start + IDENTITY_HEX, b'0');
        let (before, after) = match self.op {
            ChangeOp::Read | ChangeOp::Create => (None, Some(self.version)),
            ChangeOp::Update => (Some(self.version - 1), Some(self.version)),
            ChangeOp::Delete => (Some(self.version), None),
        };
        for (name, version) in [("\",\"before\":", before), (",\"after\":", after)] {
            out.extend_from_slice(name.as_bytes());
            match version {
                Some(version) => write_row(self.table, self.seed, self.id, version, self.text, corpus, out),
                None => out.extend_from_slice(b"null"),
            }
        }
        let lsn = 24_000_000 + self.position * 312;
        let snapshot = if self.op == ChangeOp::Read { "true" } else { "false" };
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            ",\"source\":{{\"version\":\"2.5.4.Final\",\"connector\":\"postgresql\",\"name\":\"dbserver\",\
             \"ts_ms\":{},\"snapshot\":\"{snapshot}\",\"db\":\"app\",\"sequence\":\"[\\\"{}\\\",\\\"{lsn}\\\"]\",\
             \"schema\":\"public\",\"table\":\"{}\",\"txId\":{},\"lsn\":{lsn},\"xmin\":null}},\
             \"op\":\"{}\",\"ts_ms\":{},\"transaction\":null}}",
            self.time_ms - 3,
            lsn - 56,
            self.table.name(),
            700 + self.position,
            self.op.letter(),
            self.time_ms,
        );
        start
    }
}
