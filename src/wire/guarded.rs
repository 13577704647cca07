//! Bytes of an answer, read under the suspicion that a length in them lies.
//!
//! The decoders reserve room for as many elements as an array claims to have before they read the first one: four bytes
//! could make them ask for terabytes, which ends the program. No length, count or tag can be larger than what is left
//! of the answer, so that is checked where they are read. In flexible versions they alone are variable-length integers;
//! in the few fixed versions that kscen uses ([`LengthStyle::Fixed`]) they alone are 32 bits wide.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::buf::ByteBuf;

/// A number up to this one may be more than what is left: the number of a tagged field, which is no length.
const HARMLESS: u64 = 64;

/// How an answer writes its lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LengthStyle {
    /// As variable-length integers, plus one (KIP-482).
    Flexible,
    /// As fixed-width integers.
    Fixed,
}

/// What is left of an answer.
pub(super) struct Guarded {
    rest: Bytes,
    shape: LengthStyle,
    /// The variable-length integer that is being read: its value so far, and the bits read.
    value: u64,
    bits: u32,
}

impl Guarded {
    pub(super) fn new(rest: Bytes, shape: LengthStyle) -> Self {
        Self { rest, shape, value: 0, bits: 0 }
    }

    /// The same rest, with lengths of another shape.
    pub(super) fn reshaped(self, shape: LengthStyle) -> Self {
        Self::new(self.rest, shape)
    }

    fn refuse(&self, claimed: u64) -> TryGetError {
        TryGetError { requested: usize::try_from(claimed).unwrap_or(usize::MAX), available: self.rest.len() }
    }
}

impl Buf for Guarded {
    fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.rest
    }

    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        self.rest.split_to(count)
    }

    /// Booleans and the bytes of variable-length integers come through here, and nothing else does. A boolean that is not 0
    /// or 1 only makes the value seem larger than it is.
    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.rest.try_get_u8()?;
        self.value |= u64::from(byte & 0x7f) << self.bits;
        self.bits += 7;
        // Lengths are written plus one.
        if self.shape == LengthStyle::Flexible && self.value > (self.rest.len() as u64 + 1).max(HARMLESS) {
            return Err(self.refuse(self.value));
        }
        if byte < 0x80 {
            (self.value, self.bits) = (0, 0);
        } else if self.bits >= 35 {
            return Err(self.refuse(u64::MAX));
        }
        Ok(byte)
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let value = self.rest.try_get_i32()?;
        match usize::try_from(value) {
            Ok(length) if self.shape == LengthStyle::Fixed && length > self.rest.len() => {
                Err(self.refuse(length as u64))
            }
            _ => Ok(value),
        }
    }
}

impl ByteBuf for Guarded {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.rest.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.rest.split_to(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{MetadataResponse, SaslHandshakeResponse};
    use kafka_protocol::protocol::Decodable;

    #[test]
    fn a_length_beyond_the_answer_is_refused_before_room_is_made() {
        // Throttle time, then 2³² − 1 brokers.
        let mut frame = vec![0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
        frame.extend([0; 64]);
        let error =
            MetadataResponse::decode(&mut Guarded::new(frame.into(), LengthStyle::Flexible), 12).expect_err("too many");
        assert!(error.to_string().contains("only 68 available"), "{error}");
        // An error code, then 2³¹ − 1 mechanisms.
        let frame = vec![0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0];
        let error = SaslHandshakeResponse::decode(&mut Guarded::new(frame.into(), LengthStyle::Fixed), 1)
            .expect_err("too many");
        assert!(error.to_string().contains("2147483647"), "{error}");
    }

    #[test]
    fn a_boolean_that_is_none_does_not_hide_a_length() {
        let mut buffer = Guarded::new(vec![0xff, 0xff, 0x01, 0, 0].into(), LengthStyle::Flexible);
        assert!(buffer.try_get_u8().is_err(), "127 is more than is left");
        let mut buffer = Guarded::new(vec![0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0].into(), LengthStyle::Flexible);
        let read: Vec<_> = (0..5).map(|_| buffer.try_get_u8().is_ok()).collect();
        assert_eq!(read, [true, true, true, true, false], "a fifth byte that goes on");
    }
}
