//! What makes the payloads of one producer, and what it says of each.

use crate::accounting::{IDENTITY_FIELD, IDENTITY_HEX, body_crc_around, field_position};

/// Where a message carries its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The first 40 bytes of the payload.
    Prefix,
    /// 80 hexadecimal digits from this position on.
    Field(usize),
    /// A header; the payload stays as it is.
    Header,
}

/// A payload that lacks nothing but the values of its identity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rendered {
    pub(crate) carrier: Carrier,
    pub(crate) body_crc: u32,
    /// No payload at all: the message deletes its key.
    pub(crate) tombstone: bool,
}

/// Makes the payloads of one producer.
pub(crate) trait PayloadSource: Send {
    /// Whether a payload, once made, can be sent again with another identity.
    fn repeats(&self) -> bool {
        false
    }

    /// Appends the payload of a message to the empty `body` and its own key, if it has one, to `key`.
    fn render(&mut self, message: Number, body: &mut Vec<u8>, key: &mut Vec<u8>) -> Rendered;
}

/// Which message is being made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    /// The producer within the run.
    pub(crate) producer: u16,
    /// The producer's count.
    pub(crate) sequence: u64,
    /// The count in the whole schedule.
    pub(crate) index: u64,
    /// When it is due, in µs since the epoch.
    pub(crate) due_us: i64,
}

/// The text with room for an identity as first field, if it is a JSON object.
pub(super) fn with_field(text: &[u8]) -> Option<Vec<u8>> {
    let rest = text.trim_ascii_start().strip_prefix(b"{").filter(|rest| !rest.starts_with(b"{"))?;
    let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
    let mut with = format!("{{\"{IDENTITY_FIELD}\":\"{}\"{comma}", "0".repeat(IDENTITY_HEX)).into_bytes();
    with.extend_from_slice(rest);
    Some(with)
}

/// Finds the room for an identity in a finished payload and sums up the rest of it.
pub(super) fn rendered(body: &[u8], has_field: bool) -> Rendered {
    match field_position(body).filter(|_| has_field) {
        Some(start) => {
            Rendered { carrier: Carrier::Field(start), body_crc: body_crc_around(body, start), tombstone: false }
        }
        None => Rendered { carrier: Carrier::Header, body_crc: crc32fast::hash(body), tombstone: false },
    }
}
