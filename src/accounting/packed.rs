//! How sets and places are written down: as runs in variable-length numbers, in hexadecimal.

use super::PagedBitmap;
use super::allowance::{MOST_IN_SET, take_bytes};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::ops::Range;

/// Appends a number, seven bits at a time.
pub(crate) fn write_varint(code: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        code.push(value as u8 | 0x80);
        value >>= 7;
    }
    code.push(value as u8);
}

/// Reads a number; `None` at the end, and where there is no number.
pub(crate) fn read_varint(code: &mut impl Iterator<Item = u8>) -> Option<u64> {
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

/// The runs that were written, ascending; `None` where there is none, which ends them.
fn runs(code: &[u8]) -> impl Iterator<Item = Option<Range<u64>>> + '_ {
    let (mut code, mut last) = (code.iter().copied().peekable(), Some(0u64));
    std::iter::from_fn(move || {
        let from = last?;
        code.peek()?;
        let start = read_varint(&mut code).and_then(|gap| from.checked_add(gap));
        let run = start.and_then(|start| Some(start..start.checked_add(read_varint(&mut code)?)?));
        last = run.as_ref().map(|run| run.end);
        Some(run)
    })
}

impl<'de> Deserialize<'de> for PagedBitmap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || de::Error::custom("a set of numbers is damaged");
        let code = from_hex(&text).ok_or_else(wrong)?;
        // First it is only looked at: what it asks for may be more than there is.
        let mut count = 0u64;
        for run in runs(&code) {
            let run = run.ok_or_else(wrong)?;
            count = count.saturating_add(run.end - run.start);
        }
        if count > MOST_IN_SET {
            return Err(de::Error::custom(format!("a set has more than {MOST_IN_SET} numbers")));
        }
        take_bytes(Self::bytes_of(runs(&code).flatten())).map_err(de::Error::custom)?;
        let mut set = Self::new();
        runs(&code).flatten().for_each(|run| set.insert_range(run));
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
        let hostile = |code: &[u64]| {
            let mut bytes = Vec::new();
            code.iter().for_each(|number| write_varint(&mut bytes, *number));
            serde_json::from_str::<PagedBitmap>(&format!("\"{}\"", to_hex(&bytes))).map_err(|error| error.to_string())
        };
        assert!(hostile(&[0, 1 << 40]).expect_err("a set of 2^40").contains("more than 68719476736 numbers"));
        let bits: Vec<u64> = (0..200_000).flat_map(|_| [65_535, 1]).collect();
        assert!(hostile(&bits).expect_err("a bit in each page").contains("more than 256 MiB"));
        assert_eq!(hostile(&[7, 1 << 36]).expect("the largest set").len(), 1 << 36);
        let full: PagedBitmap = (0..1_000_000).collect();
        assert!(serde_json::to_string(&full).unwrap().len() < 20);
    }
}
