//! The identity that every message carries: who sent it, as which number, in which run, and when it was due.
//!
//! Forty bytes, little endian: magic (4), CRC-32 of bytes 8..40 (4), run nonce (8), sequence (8),
//! due time in µs since the epoch (8), producer (2), flags (2: bit 0 warm-up, bits 1..15 the sum of key and headers),
//! CRC-32 of the body (4).
//! They stand at the front of an opaque payload, as 80 hexadecimal digits in a JSON field, or in a header.

/// Length of the binary form.
pub const IDENTITY_BYTES: usize = 40;
/// Length of the textual form.
pub const IDENTITY_HEX: usize = IDENTITY_BYTES * 2;
/// Name of the JSON field that carries the textual form.
pub const IDENTITY_FIELD: &str = "kscen";
/// Name of the header that carries the binary form.
pub const IDENTITY_HEADER: &str = "kscen";

const MAGIC: [u8; 4] = *b"ksn1";
const FIELD_START: &[u8] = b"\"kscen\":\"";

/// Who sent a message, as which number, in which run, and when it was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Tells one run's messages from another's.
    pub nonce: u64,
    /// The producer within the run.
    pub producer: u16,
    /// The producer's own count, from 0 without gaps.
    pub sequence: u64,
    /// When the schedule wanted it sent, in µs since the epoch on the run's own clock.
    pub due_us: i64,
    /// CRC-32 of everything in the payload that is not the identity.
    pub body_crc: u32,
    /// Fifteen bits over the key and the headers other than the identity's, see [`super::around`]; 0 where they are not compared.
    pub around: u16,
    /// Sent to warm up: counts for integrity, not for latency.
    pub warmup: bool,
}

/// Why bytes are not a valid identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityError {
    /// There is none: somebody else's message.
    Absent,
    /// It is there, but its own checksum is wrong.
    Damaged,
}

impl Identity {
    /// The binary form.
    pub fn encode(&self) -> [u8; IDENTITY_BYTES] {
        let mut bytes = [0; IDENTITY_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.nonce.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.due_us.to_le_bytes());
        bytes[32..34].copy_from_slice(&self.producer.to_le_bytes());
        bytes[34..36].copy_from_slice(&(self.around << 1 | u16::from(self.warmup)).to_le_bytes());
        bytes[36..40].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the binary form.
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        let Some(bytes) = bytes.first_chunk::<IDENTITY_BYTES>() else {
            return Err(IdentityError::Absent);
        };
        if bytes[0..4] != MAGIC {
            return Err(IdentityError::Absent);
        }
        if u32_at(bytes, 4) != crc32fast::hash(&bytes[8..]) {
            return Err(IdentityError::Damaged);
        }
        Ok(Self {
            nonce: u64_at(bytes, 8),
            sequence: u64_at(bytes, 16),
            due_us: u64_at(bytes, 24) as i64,
            producer: u16::from_le_bytes([bytes[32], bytes[33]]),
            body_crc: u32_at(bytes, 36),
            around: u16::from_le_bytes([bytes[34], bytes[35]]) >> 1,
            warmup: bytes[34] & 1 == 1,
        })
    }

    /// Writes the textual form over `field`, which must be [`IDENTITY_HEX`] bytes long.
    pub fn write_hex(&self, field: &mut [u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (pair, byte) in field.chunks_exact_mut(2).zip(self.encode()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
    }

    /// Reads the textual form.
    pub fn decode_hex(field: &[u8]) -> Result<Self, IdentityError> {
        let Some(field) = field.first_chunk::<IDENTITY_HEX>() else {
            return Err(IdentityError::Damaged);
        };
        let mut bytes = [0; IDENTITY_BYTES];
        for (byte, pair) in bytes.iter_mut().zip(field.chunks_exact(2)) {
            let (high, low) = (digit(pair[0]), digit(pair[1]));
            if high | low > 15 {
                return Err(IdentityError::Damaged);
            }
            *byte = high << 4 | low;
        }
        // In a field of that name, even a broken magic is damage and not absence.
        Self::decode(&bytes).map_err(|_| IdentityError::Damaged)
    }

    /// Finds and checks the identity in a payload, as prefix or as JSON field. The flag tells
    /// whether the rest of the payload matches its checksum.
    pub fn find(payload: &[u8]) -> Result<(Self, bool), IdentityError> {
        match Self::decode(payload) {
            Ok(identity) => {
                let intact = crc32fast::hash(&payload[IDENTITY_BYTES..]) == identity.body_crc;
                return Ok((identity, intact));
            }
            Err(IdentityError::Damaged) => return Err(IdentityError::Damaged),
            Err(IdentityError::Absent) => {}
        }
        let Some(start) = field_position(payload) else {
            return Err(IdentityError::Absent);
        };
        let identity = Self::decode_hex(&payload[start..])?;
        let intact = body_crc_around(payload, start) == identity.body_crc;
        Ok((identity, intact))
    }
}

/// Where the textual identity starts in a JSON payload.
pub fn field_position(payload: &[u8]) -> Option<usize> {
    memchr::memmem::find(payload, FIELD_START).map(|at| at + FIELD_START.len())
}

/// The checksum of a JSON payload without its identity field, which starts at `start`.
pub fn body_crc_around(payload: &[u8], start: usize) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&payload[..start]);
    hasher.update(payload.get(start + IDENTITY_HEX..).unwrap_or_default());
    hasher.finalize()
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => 0xff,
    }
}

fn u64_at(bytes: &[u8; IDENTITY_BYTES], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn u32_at(bytes: &[u8; IDENTITY_BYTES], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Identity = Identity {
        nonce: 77,
        producer: 3,
        sequence: 123_456_789,
        due_us: 1_700_000_000_000_000,
        body_crc: 9,
        around: 0x7ffe,
        warmup: true,
    };

    #[test]
    fn every_single_flipped_bit_is_noticed() {
        let body = b"the body";
        let identity = Identity { body_crc: crc32fast::hash(body), ..SAMPLE };
        let mut payload = identity.encode().to_vec();
        payload.extend_from_slice(body);
        assert_eq!(Identity::find(&payload), Ok((identity, true)));
        for bit in 0..payload.len() * 8 {
            let mut damaged = payload.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Identity::find(&damaged), Ok((identity, true)), "bit {bit}");
        }
    }

    #[test]
    fn json_field() {
        let mut payload = format!("{{\"a\":1,\"kscen\":\"{}\",\"b\":2}}", "0".repeat(IDENTITY_HEX)).into_bytes();
        let start = field_position(&payload).unwrap();
        let identity = Identity { body_crc: body_crc_around(&payload, start), ..SAMPLE };
        identity.write_hex(&mut payload[start..start + IDENTITY_HEX]);
        assert_eq!(Identity::find(&payload), Ok((identity, true)));
        payload[3] ^= 1;
        assert_eq!(Identity::find(&payload), Ok((identity, false)));
        payload[start] = b'x';
        assert_eq!(Identity::find(&payload), Err(IdentityError::Damaged));
        assert_eq!(Identity::find(b"{}"), Err(IdentityError::Absent));
    }
}
