//! What stands around the payload of a message: its key and its headers.

use super::IDENTITY_HEADER;
use std::sync::LazyLock;

/// Fifteen bits of the CRC-32 of a key and of headers, in their order; as many as the identity has room for, so that one change
/// in 32,768 goes unseen. The header of the identity is left out, as it holds this sum. No key and an empty one, no value and an
/// empty one are different, and no bytes can move from one field to the next unseen. Never 0, which an identity has that says nothing of
/// them.
pub(crate) fn around<'a>(key: Option<&[u8]>, headers: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> u16 {
    let mut headers = headers.into_iter().filter(|(name, _)| *name != IDENTITY_HEADER.as_bytes()).peekable();
    if key.is_none() && headers.peek().is_none() {
        return *NOTHING;
    }
    sum(key, headers)
}

/// The sum of most messages: neither key nor headers.
static NOTHING: LazyLock<u16> = LazyLock::new(|| sum(None, []));

fn sum<'a>(key: Option<&[u8]>, headers: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> u16 {
    let mut fields = Fields { hasher: crc32fast::Hasher::new(), held: [0; HELD], length: 0 };
    fields.add(key);
    for (name, value) in headers {
        fields.add(Some(name));
        fields.add(value);
    }
    fields.sum()
}

/// Bytes that are summed up in one call: each call costs as much as dozens of bytes.
const HELD: usize = 64;

/// Fields one behind the other, each with its length before it, which is -1 where there is none.
struct Fields {
    hasher: crc32fast::Hasher,
    held: [u8; HELD],
    length: usize,
}

impl Fields {
    fn add(&mut self, field: Option<&[u8]>) {
        let length = field.map_or(-1, |field| field.len() as i64);
        self.push(&length.to_le_bytes());
        self.push(field.unwrap_or_default());
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.length + bytes.len() > HELD {
            self.hasher.update(&self.held[..self.length]);
            self.length = 0;
            if bytes.len() > HELD {
                return self.hasher.update(bytes);
            }
        }
        self.held[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn sum(mut self) -> u16 {
        self.hasher.update(&self.held[..self.length]);
        ((self.hasher.finalize() >> 17) as u16).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changes_around_a_payload_changes_the_sum() {
        type Header = (&'static [u8], Option<&'static [u8]>);
        let (a, b): (Header, Header) = ((b"a", Some(b"1")), (b"b", Some(b"2")));
        let all: [(Option<&[u8]>, &[Header]); 12] = [
            (None, &[]),
            (Some(b""), &[]),
            (Some(b"k"), &[]),
            (Some(b"l"), &[]),
            (None, &[a]),
            (Some(b"k"), &[a]),
            (Some(b"k"), &[b]),
            (Some(b"k"), &[a, b]),
            (Some(b"k"), &[b, a]),
            (Some(b"k"), &[a, a]),
            (Some(b"k"), &[(b"a", None)]),
            (Some(b"k"), &[(b"a1", Some(b""))]),
        ];
        let sums: std::collections::BTreeSet<u16> =
            all.iter().map(|(key, headers)| around(*key, headers.iter().copied())).collect();
        assert_eq!(sums.len(), all.len());
        // Fields of any length, the same as byte by byte.
        let long: Vec<u8> = (0..200).collect();
        for length in 0..long.len() {
            let (key, value) = (&long[..length], &long[length..]);
            let mut plain = Vec::new();
            for field in [key, b"h", value] {
                plain.extend_from_slice(&(field.len() as i64).to_le_bytes());
                plain.extend_from_slice(field);
            }
            let expected = ((crc32fast::hash(&plain) >> 17) as u16).max(1);
            assert_eq!(around(Some(key), [(b"h".as_slice(), Some(value))]), expected, "{length}");
        }
        assert_eq!(around(None, []), ((crc32fast::hash(&[0xff; 8]) >> 17) as u16).max(1));
        let with_identity = [(IDENTITY_HEADER.as_bytes(), Some(b"any".as_slice())), a];
        assert_eq!(around(Some(b"k"), with_identity), around(Some(b"k"), [a]));
    }
}
