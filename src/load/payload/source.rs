//! What makes the payloads of one producer, and what it says of each.

use super::IdentityPlace;
use crate::accounting::{IDENTITY_BYTES, IDENTITY_FIELD, IDENTITY_HEX, body_crc_around, field_position};
use std::ffi::CString;

/// Where a message carries its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The first 40 bytes of the payload.
    Prefix,
    /// 80 hexadecimal digits from this position on.
    Field(usize),
    /// A header; the payload stays as it is.
    Header,
    /// Nothing.
    Nowhere,
}

/// A payload that lacks nothing but the values of its identity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rendered {
    pub(crate) carrier: Carrier,
    pub(crate) body_crc: u32,
    /// No payload at all: the message deletes its key.
    pub(crate) tombstone: bool,
}

impl Rendered {
    /// A message without a value, whose identity cannot stand in it.
    pub(super) fn tombstone(place: IdentityPlace) -> Self {
        let carrier = if place == IdentityPlace::None { Carrier::Nowhere } else { Carrier::Header };
        Self { carrier, body_crc: crc32fast::hash(&[]), tombstone: true }
    }
}

/// What a message has besides key and value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Extras {
    /// Headers, in order; `None` is a null value.
    pub(crate) headers: Vec<(CString, Option<Vec<u8>>)>,
    /// The partition, where it is given.
    pub(crate) partition: Option<i32>,
    /// The time stamp in ms since the epoch, where it is given.
    pub(crate) timestamp_ms: Option<i64>,
    /// Whether it has a key, which may be an empty one.
    pub(crate) has_key: bool,
}

/// Makes the payloads of one producer.
pub(crate) trait PayloadSource: Send {
    /// Whether a payload, once made, can be sent again with another identity.
    fn repeats(&self) -> bool {
        false
    }

    /// Whether messages may have [`Extras`].
    fn has_extras(&self) -> bool {
        false
    }

    /// What the message with this number in the whole schedule has besides key and value.
    fn extras(&self, index: u64) -> Option<&Extras> {
        let _ = index;
        None
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

/// A value with room for an identity at its place, and that place: where none is asked for, a field of a JSON object, else a header.
/// `None` where a field is asked for and there is no object.
pub(super) fn with_room(value: &[u8], asked: Option<IdentityPlace>) -> Option<(Vec<u8>, IdentityPlace)> {
    match asked {
        Some(IdentityPlace::Field) => with_field(value).map(|with| (with, IdentityPlace::Field)),
        None => with_room(value, Some(IdentityPlace::Field)).or_else(|| with_room(value, Some(IdentityPlace::Header))),
        Some(IdentityPlace::Prefix) => Some(([&[0; IDENTITY_BYTES], value].concat(), IdentityPlace::Prefix)),
        Some(place @ (IdentityPlace::Header | IdentityPlace::None)) => Some((value.to_vec(), place)),
    }
}

/// Finds the room for an identity in a finished payload and sums up the rest of it.
pub(super) fn rendered(body: &[u8], place: IdentityPlace) -> Rendered {
    let (carrier, body_crc) = match place {
        IdentityPlace::Field => match field_position(body) {
            Some(start) => (Carrier::Field(start), body_crc_around(body, start)),
            None => (Carrier::Header, crc32fast::hash(body)),
        },
        IdentityPlace::Prefix => (Carrier::Prefix, crc32fast::hash(body.get(IDENTITY_BYTES..).unwrap_or_default())),
        IdentityPlace::Header => (Carrier::Header, crc32fast::hash(body)),
        IdentityPlace::None => (Carrier::Nowhere, crc32fast::hash(body)),
    };
    Rendered { carrier, body_crc, tombstone: false }
}
