//! How sets and places are written down: as runs in variable-length numbers, in hexadecimal.

use super::PagedBitmap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Appends a number, seven bits at a time.
pub(super) fn write_varint(code: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        code.push(value as u8 | 0x80);
        value >>= 7;
    }
    code.push(value as u8);
}

/// Reads a number; `None` at the end, and where there is no number.
pub(super) fn read_varint(code: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let byte = code.next()?;
        if shift > 63 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
        shift += 7;
    }
}

/// Bytes as text.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Text as bytes; `None` where it is no hexadecimal.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(value(*pair.first()?)? << 4 | value(*pair.get(1)?)?)).collect()
}

impl Serialize for PagedBitmap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut code = Vec::new();
        let mut last = 0;
        self.for_each_run(|run| {
            write_varint(&mut code, run.start - last);
            write_varint(&mut code, run.end - run.start);
            last = run.end;
        });
        serializer.serialize_str(&to_hex(&code))
    }
}

impl<'de> Deserialize<'de> for PagedBitmap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || de::Error::custom("a set of numbers is damaged");
        let mut code = from_hex(&text).ok_or_else(wrong)?.into_iter().peekable();
        let (mut set, mut last) = (Self::new(), 0u64);
        while code.peek().is_some() {
            let gap = read_varint(&mut code).ok_or_else(wrong)?;
            let length = read_varint(&mut code).ok_or_else(wrong)?;
            let start = last.checked_add(gap).ok_or_else(wrong)?;
            last = start.checked_add(length).ok_or_else(wrong)?;
            // A single bit may stand anywhere; a range that no run can have sent would fill the memory.
            if length > 1 << 40 {
                return Err(wrong());
            }
            set.insert_range(start..last);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    #[test]
    fn sets_come_back_as_they_were() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut set = PagedBitmap::new();
        set.insert_range(5..200_000);
        for _ in 0..1000 {
            set.remove(rng.random_range(0..200_000));
            set.insert(rng.random_range(0..u64::MAX));
        }
        let text = serde_json::to_string(&set).unwrap();
        let back: PagedBitmap = serde_json::from_str(&text).unwrap();
        assert_eq!(back.len(), set.len());
        assert!(back.iter().eq(set.iter()));
        assert!(serde_json::from_str::<PagedBitmap>("\"zz\"").is_err());
        assert!(serde_json::from_str::<PagedBitmap>("\"05\"").is_err(), "a run without a length");
        let full: PagedBitmap = (0..1_000_000).collect();
        assert!(serde_json::to_string(&full).unwrap().len() < 20);
    }
}
