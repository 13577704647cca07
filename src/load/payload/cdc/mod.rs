//! Change events as Debezium's PostgreSQL connector writes them (JSON converter without schemas).
//!
//! Each producer changes rows of its own, so that the events of a row come from one producer in
//! order. A row is a pure function of seed, id and version: an update's `before` is what the event
//! before it left behind, without anything but the version being remembered.

mod envelope;
mod rows;
mod tables;

use super::{Carrier, IdentityPlace, LoadError, Number, PayloadSource, Rendered};
use crate::accounting::body_crc_around;
use envelope::{ChangeEnvelope, ChangeOp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rows::Rows;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tables::Corpus;

/// A table whose changes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Titles, descriptions, counters.
    Videos,
    /// Accounts and profiles.
    Users,
    /// Texts that refer to a video and a user.
    Comments,
}

impl Table {
    /// The table's name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Table::Videos => "videos",
            Table::Users => "users",
            Table::Comments => "comments",
        }
    }
}

/// Which changes are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CdcSpec {
    /// The table.
    pub table: Table,
    /// So many events, in all producers together, are snapshot reads (`op: r`) before changes are
    /// streamed; `u64::MAX` streams nothing.
    pub snapshot_rows: u64,
    /// Shares of inserts, updates and deletes among streamed changes. A delete is followed by a
    /// tombstone.
    pub mix: [f64; 3],
    /// Smallest and largest event in bytes; updates carry the row twice.
    pub size: (usize, usize),
}

impl CdcSpec {
    /// Streamed changes of a table, a quarter inserts, 70 % updates, 5 % deletes, 1 to 10 KB.
    pub fn streaming(table: Table) -> Self {
        Self { table, snapshot_rows: 0, mix: [0.25, 0.70, 0.05], size: (1000, 10_000) }
    }

    /// Whether such events can be made.
    ///
    /// # Errors
    /// Sizes or shares that no stream of changes can have.
    pub fn check(&self) -> Result<(), LoadError> {
        let (smallest, largest) = self.size;
        if smallest < FRAME.1 + 50 || largest < smallest {
            return Err(LoadError::Spec(format!(
                "change events between {smallest} and {largest} bytes are not possible: the envelope alone has about {}",
                FRAME.1
            )));
        }
        if self.mix.iter().any(|share| *share < 0.0) || self.mix[0] <= 0.0 && self.snapshot_rows == 0 {
            return Err(LoadError::Spec(
                "a stream of changes needs a share of inserts or a snapshot to start from".into(),
            ));
        }
        Ok(())
    }
}

/// The changes that one producer sends.
pub(super) struct CdcStream {
    spec: CdcSpec,
    rows: Rows,
    corpus: Corpus,
    rng: StdRng,
    seed: u64,
    /// The key that the next message deletes.
    tombstone: Option<u64>,
    position: u64,
    /// Bytes of free text in a row: from, to.
    text: (u64, u64),
}

/// What an event is long without its free text, at least and at most: identity, source, other columns.
const FRAME: (usize, usize) = (590, 850);

impl CdcStream {
    pub(super) fn new(spec: &CdcSpec, seed: u64, share: u64, shares: u64) -> Result<Self, LoadError> {
        spec.check()?;
        let (smallest, largest) = spec.size;
        let least = smallest - FRAME.0;
        // An update holds two rows, a snapshot one.
        let rows = if spec.snapshot_rows == u64::MAX { 1 } else { 2 };
        let most = ((largest - FRAME.1) / rows).saturating_sub(150 * (rows - 1)).max(least + 1);
        Ok(Self {
            spec: spec.clone(),
            rows: Rows::new(share, shares),
            corpus: Corpus::new(seed),
            rng: StdRng::seed_from_u64(seed ^ share.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            seed,
            tombstone: None,
            position: 0,
            text: (least as u64, most as u64),
        })
    }

    fn choose(&mut self, index: u64) -> (ChangeOp, u64, u32) {
        if index < self.spec.snapshot_rows {
            let id = self.rows.insert();
            return (ChangeOp::Read, id, 0);
        }
        let [insert, update, delete] = self.spec.mix;
        let draw = self.rng.random::<f64>() * (insert + update + delete);
        let existing = if draw < insert { None } else { self.rows.pick(&mut self.rng) };
        match existing {
            None => (ChangeOp::Create, self.rows.insert(), 0),
            Some(place) if draw < insert + update => {
                let (id, version) = self.rows.update(place);
                (ChangeOp::Update, id, version)
            }
            Some(place) => {
                let (id, version) = self.rows.delete(place);
                (ChangeOp::Delete, id, version)
            }
        }
    }
}

impl PayloadSource for CdcStream {
    fn render(&mut self, message: Number, body: &mut Vec<u8>, key: &mut Vec<u8>) -> Rendered {
        if let Some(id) = self.tombstone.take() {
            envelope::key(id, key);
            return Rendered::tombstone(IdentityPlace::Header);
        }
        let (op, id, version) = self.choose(message.index);
        self.position += 1;
        let envelope = ChangeEnvelope {
            table: self.spec.table,
            op,
            id,
            version,
            time_ms: message.due_us / 1000,
            position: self.position,
            seed: self.seed,
            text: self.text,
        };
        let start = envelope.write(&self.corpus, body);
        envelope::key(id, key);
        if op == ChangeOp::Delete {
            self.tombstone = Some(id);
        }
        Rendered { carrier: Carrier::Field(start), body_crc: body_crc_around(body, start), tombstone: false }
    }
}

#[cfg(test)]
mod tests;
