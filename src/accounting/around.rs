//! What stands around the payload of a message: its key and its headers.

use super::IDENTITY_HEADER;

/// Fifteen bits of the CRC-32 of a key and of headers, in their order; as many as the identity has room for, so that one change
/// in 32,768 goes unseen. The header of the identity is left out, as it holds this sum. No key and an empty one, no value and an
/// empty one are different, and no bytes can move from one field to the next unseen. Never 0, which an identity has that says nothing of
/// them.
pub(crate) fn around<'a>(key: Option<&[u8]>, headers: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> u16 {
    let mut hasher = crc32fast::Hasher::new();
    add(&mut hasher, key);
    for (name, value) in headers {
        if name != IDENTITY_HEADER.as_bytes() {
            add(&mut hasher, Some(name));
            add(&mut hasher, value);
        }
    }
    ((hasher.finalize() >> 17) as u16).max(1)
}

/// A field with its length before it, which is -1 where there is none.
fn add(hasher: &mut crc32fast::Hasher, field: Option<&[u8]>) {
    let length = field.map_or(-1, |field| field.len() as i64);
    hasher.update(&length.to_le_bytes());
    hasher.update(field.unwrap_or_default());
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
        let with_identity = [(IDENTITY_HEADER.as_bytes(), Some(b"any".as_slice())), a];
        assert_eq!(around(Some(b"k"), with_identity), around(Some(b"k"), [a]));
    }
}
