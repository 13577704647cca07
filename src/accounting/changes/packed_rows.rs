//! The rows of a delivery of changes as they lie in `accounts.bin`: JSON, compressed.

use super::Reconciliation;
use super::copied::CopiedRows;
use super::not_stored::NotStored;
use super::rows::{ChangeRows, MOST_TEXT, MOST_VALUES};
use crate::accounting::allowance::take_rows;
use crate::accounting::bounded::Unpacked;
use crate::text::Redactor;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::io::{self, BufReader, Read, Write as _};

/// How much is searched for secrets at once, and how much of it once more, since a secret may stand where two stretches meet.
const SEARCHED: usize = 512 << 10;
const TWICE: usize = 32 << 10;
/// How much is unpacked at once.
const PIECE: usize = 64 << 10;

/// Rows, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedRows {
    packed: Vec<u8>,
    /// How many bytes they were before.
    text: u64,
}

impl PackedRows {
    /// Packs rows that were written down.
    ///
    /// # Errors
    /// Where one of them has a secret: what is stored has none, and what is left out of a row would be missing from the account.
    pub fn of(text: &[u8], redactor: &Redactor) -> Result<Self, NotStored> {
        if holds_secret(text, redactor) {
            return Err(NotStored::Secret);
        }
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(2));
        encoder.write_all(text).expect("memory takes what is written");
        Ok(Self { packed: encoder.finish().expect("memory takes what is written"), text: text.len() as u64 })
    }

    /// How many bytes they take.
    pub fn size(&self) -> usize {
        self.packed.len()
    }

    /// How many bytes are gone through when they are settled again.
    pub fn text(&self) -> u64 {
        self.text
    }

    /// Settles them again.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    pub fn reconciliation(&self) -> Result<Reconciliation, String> {
        Ok(ChangeRows::read(self.reader())?.reconcile())
    }

    /// Settles them again, where they are those of a table.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    pub fn table_reconciliation(&self) -> Result<Reconciliation, String> {
        Ok(CopiedRows::read(self.reader())?.reconcile())
    }

    fn reader(&self) -> impl Read {
        BufReader::with_capacity(PIECE, Unpacked::new(&self.packed, MOST_TEXT, MOST_VALUES))
    }
}

fn holds_secret(text: &[u8], redactor: &Redactor) -> bool {
    let mut from = 0;
    while !redactor.is_empty() && from < text.len() {
        let until = text.len().min(from + SEARCHED);
        if redactor.is_in(&text[from..until]) {
            return true;
        }
        from = if until == text.len() { until } else { until - TWICE };
    }
    false
}

impl Serialize for PackedRows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.packed))
    }
}

impl<'de> Deserialize<'de> for PackedRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let packed = STANDARD.decode(text).map_err(|_| de::Error::custom("packed rows are damaged"))?;
        // A few bytes stand for any number of them, in each of the deliveries of a file.
        let mut unpacked = ZlibDecoder::new(packed.as_slice()).take(MOST_TEXT + 1);
        let damaged = io::copy(&mut unpacked, &mut io::sink()).is_err();
        let text = MOST_TEXT + 1 - unpacked.limit();
        take_rows(if damaged { 0 } else { text }).map_err(de::Error::custom)?;
        Ok(Self { packed, text })
    }
}
