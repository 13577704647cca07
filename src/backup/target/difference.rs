//! The first record that is not the same, and in what.

use super::tally::Plain;
use serde::Serialize;
use std::fmt;

/// How much of a text is shown.
const SHOWN: usize = 60;

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The partition.
    pub partition: i32,
    /// The offset in the source of the record that should be there, where one should.
    pub source: Option<i64>,
    /// The offset in the target of the record that should be there, else of the one that is.
    pub target: i64,
    /// In what: `record`, `offset`, `time`, `kind of time`, `key`, `value`, `headers`.
    pub field: &'static str,
    /// What the archive has.
    pub expected: String,
    /// What the target has.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {}, offset {}", self.partition, self.target)?;
        if let Some(source) = self.source.filter(|source| *source != self.target) {
            write!(f, " (source offset {source})")?;
        }
        write!(f, ": {}: the archive has {}, the target {}", self.field, self.expected, self.found)
    }
}

/// The first difference between records that should be the same ones. `expected` come with their offsets in the source.
pub(super) fn first(partition: i32, expected: &[(i64, Plain)], found: &[Plain]) -> Option<Difference> {
    for index in 0..expected.len().max(found.len()) {
        let differs = |source, target, field, expected, found| {
            Some(Difference { partition, source, target, field, expected, found })
        };
        return match (expected.get(index), found.get(index)) {
            (Some((_, expected)), Some(found)) if expected == found => continue,
            (Some((source, expected)), Some(found)) => {
                let (field, one, two) = compare(expected, found);
                differs(Some(*source), expected.offset, field, one, two)
            }
            (Some((source, expected)), None) => {
                differs(Some(*source), expected.offset, "record", shown(expected), "none".to_owned())
            }
            (None, Some(found)) => differs(None, found.offset, "record", "none".to_owned(), shown(found)),
            (None, None) => None,
        };
    }
    None
}

/// In what two records differ.
fn compare(expected: &Plain, found: &Plain) -> (&'static str, String, String) {
    let kind = |appended| if appended { "the broker's" } else { "the producer's" }.to_owned();
    if expected.offset != found.offset {
        ("offset", expected.offset.to_string(), format!("{} next", found.offset))
    } else if expected.timestamp != found.timestamp {
        ("time", expected.timestamp.to_string(), found.timestamp.to_string())
    } else if expected.appended != found.appended {
        ("kind of time", kind(expected.appended), kind(found.appended))
    } else if expected.key != found.key {
        (
            "key",
            bytes(expected.key.as_deref(), found.key.as_deref()),
            bytes(found.key.as_deref(), expected.key.as_deref()),
        )
    } else if expected.value != found.value {
        let (one, two) = (expected.value.as_deref(), found.value.as_deref());
        ("value", bytes(one, two), bytes(two, one))
    } else {
        ("headers", headers(expected), headers(found))
    }
}

fn shown(record: &Plain) -> String {
    format!("key {}, value {}", bytes(record.key.as_deref(), None), bytes(record.value.as_deref(), None))
}

fn headers(record: &Plain) -> String {
    let all: Vec<String> = record
        .headers
        .iter()
        .map(|(key, value)| format!("{}={}", bytes(Some(key), None), bytes(value.as_deref(), None)))
        .collect();
    format!("[{}]", all.join(", "))
}

/// The bytes as text, from a little before where they differ from others.
fn bytes(bytes: Option<&[u8]>, other: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".to_owned() };
    if bytes.is_empty() {
        return "empty".to_owned();
    }
    let other = other.unwrap_or_default();
    let same = if other.is_empty() { 0 } else { bytes.iter().zip(other).take_while(|(one, two)| one == two).count() };
    let from = same.saturating_sub(SHOWN / 3);
    let part = &bytes[from..bytes.len().min(from + SHOWN)];
    let place = if from > 0 { format!(" from byte {from} on") } else { String::new() };
    let more = if from + SHOWN < bytes.len() { "…" } else { "" };
    format!("`{}`{more}{place}", part.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64) -> Plain {
        let header = |value: Option<&[u8]>| (b"h".to_vec(), value.map(<[u8]>::to_vec));
        Plain {
            offset,
            timestamp: 1000 + offset,
            appended: false,
            key: Some(b"k".to_vec()),
            value: Some(format!("value {offset}").into_bytes()),
            headers: vec![header(Some(b"1")), header(None)],
        }
    }

    /// The first difference after this change to the third of five records.
    fn after(change: impl Fn(&mut Vec<Plain>)) -> Option<(i64, &'static str, String, String)> {
        let expected: Vec<(i64, Plain)> = (0..5).map(|offset| (offset + 100, record(offset))).collect();
        let mut found: Vec<Plain> = (0..5).map(record).collect();
        change(&mut found);
        let difference = first(0, &expected, &found)?;
        Some((difference.target, difference.field, difference.expected, difference.found))
    }

    #[test]
    fn whatever_is_changed_is_named() {
        let text = |text: &str| text.to_owned();
        assert_eq!(after(|_| {}), None);
        let tombstone = after(|found| found[2].value = None);
        assert_eq!(tombstone, Some((2, "value", text("`value 2`"), text("null"))));
        let empty = after(|found| found[2].key = Some(Vec::new()));
        assert_eq!(empty, Some((2, "key", text("`k`"), text("empty"))));
        let order = after(|found| found[2].headers.reverse());
        assert_eq!(order, Some((2, "headers", text("[`h`=`1`, `h`=null]"), text("[`h`=null, `h`=`1`]"))));
        let null = after(|found| found[2].headers[1].1 = Some(Vec::new()));
        assert_eq!(null.map(|found| found.1), Some("headers"));
        assert_eq!(after(|found| found[2].timestamp += 1).map(|found| found.1), Some("time"));
        assert_eq!(after(|found| found[2].appended = true).map(|found| found.1), Some("kind of time"));
        assert_eq!(after(|found| _ = found.remove(2)), Some((2, "offset", text("2"), text("3 next"))));
        assert_eq!(after(|found| _ = found.pop()).map(|found| (found.0, found.1)), Some((4, "record")));
        let more = after(|found| found.push(record(5)));
        assert_eq!(more.map(|found| (found.0, found.2)), Some((5, text("none"))));
    }
}
