//! A histogram as few numbers: what one slice of a latency series holds.

use super::latency::{LIMIT_US, histogram};
use super::series::SliceSample;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HdrDeserializer, Serializer as _, V2Serializer};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use std::borrow::Cow;
use std::fmt;

/// Most bytes of one stored histogram: a varint for each of its 3,500 buckets is far less.
const MOST: usize = 64 * 1024;
/// More latencies of one slice than this are not those of messages.
const MOST_COUNTED: u64 = u32::MAX as u64;

/// The sum of counts; the largest number where it is larger still, as counts in a stored file can be anything.
pub(crate) fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

/// `(value in µs, how many)` by value, ascending; a value stands for its bucket of an HDR histogram with 1 % resolution. There
/// are thousands of them in a run, each of some hundred pairs: both numbers have 32 bits, and nothing is reserved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(Box<[(u32, u32)]>);

/// The largest number where it is larger still. Latencies end at an hour, which is below that.
fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Counts {
    /// What a histogram holds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let recorded = histogram.iter_recorded();
        Self(recorded.map(|value| (short(value.value_iterated_to()), short(value.count_at_value()))).collect())
    }

    /// Adds them to a histogram.
    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        for (value, count) in &self.0 {
            histogram.saturating_record_n(u64::from(*value), u64::from(*count));
        }
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        sum(self.0.iter().map(|(_, count)| u64::from(*count)))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Values that need not be those of buckets, and counts that are bounded.
    fn checked(values: &[(u64, u64)]) -> Result<Self, String> {
        let mut histogram = histogram();
        for (value, count) in values {
            if *value > LIMIT_US || *count > MOST_COUNTED {
                return Err(format!("a latency of {value} us, counted {count} times, is out of bounds"));
            }
            histogram.saturating_record_n(*value, *count);
        }
        Self::bounded(&histogram)
    }

    fn bounded(histogram: &Histogram<u64>) -> Result<Self, String> {
        match sum(histogram.iter_recorded().map(|value| value.count_at_value())) {
            ..=MOST_COUNTED => Ok(Self::of(histogram)),
            _ => Err(format!("a slice counts more than {MOST_COUNTED} latencies")),
        }
    }

    fn decoded(text: &str) -> Result<Self, String> {
        if text.len() > MOST {
            return Err(format!("a histogram has more than {MOST} bytes"));
        }
        let bytes = STANDARD.decode(text).map_err(|error| format!("a histogram is not base64: {error}"))?;
        // Whoever decodes it would reserve what its head asks for.
        let own = encoded(&histogram())?;
        let head = |bytes: &[u8]| bytes.get(8..40).map(<[u8]>::to_vec);
        if bytes.get(..4) != own.get(..4) || head(&bytes) != head(&own) {
            return Err("a histogram is not one of 1 us to 1 hour with 1 % resolution".to_owned());
        }
        let histogram: Histogram<u64> = HdrDeserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| format!("a histogram cannot be decoded: {error}"))?;
        Self::bounded(&histogram)
    }
}

fn encoded(histogram: &Histogram<u64>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(histogram, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

impl SliceSample for Counts {
    fn follow(&mut self, later: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&later.0);
            return;
        }
        let mut sums = Vec::with_capacity(self.0.len() + later.0.len());
        let (mut left, mut right) = (self.0.iter().peekable(), later.0.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            match a.0.cmp(&b.0) {
                std::cmp::Ordering::Less => sums.extend(left.next()),
                std::cmp::Ordering::Greater => sums.extend(right.next()),
                std::cmp::Ordering::Equal => {
                    sums.push((a.0, a.1.saturating_add(b.1)));
                    left.next();
                    right.next();
                }
            }
        }
        sums.extend(left.chain(right));
        self.0 = sums.into_boxed_slice();
    }

    fn beside(&mut self, other: &Self) {
        self.follow(other);
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut whole = histogram();
        self.add_to(&mut whole);
        serializer.serialize_str(&STANDARD.encode(encoded(&whole).map_err(ser::Error::custom)?))
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Stored)
    }
}

struct Stored;

impl<'de> Visitor<'de> for Stored {
    type Value = Counts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an HDR histogram in base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Counts, E> {
        Counts::decoded(text).map_err(E::custom)
    }

    /// The former form: pairs of value and count.
    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Counts, A::Error> {
        let mut values = Vec::new();
        while let Some(pair) = pairs.next_element::<(u64, u64)>()? {
            values.push(pair);
        }
        Counts::checked(&values).map_err(A::Error::custom)
    }
}

impl JsonSchema for Counts {
    fn schema_name() -> Cow<'static, str> {
        "Histogram".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "An HDR histogram in us, 1 us to 1 hour with two significant digits, in its V2 encoding and base64.",
            "type": "string"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_being_stored_and_hostile_ones_are_refused() {
        assert_eq!((sum([1, 2]), sum([u64::MAX, 1])), (3, u64::MAX));
        let mut whole = histogram();
        for value in [0, 1, 77, 5_000, 5_001, 123_456_789, LIMIT_US] {
            whole.saturating_record_n(value, value % 7 + 1);
        }
        let counts = Counts::of(&whole);
        let text = serde_json::to_string(&counts).expect("plain data");
        assert_eq!(serde_json::from_str::<Counts>(&text).expect("its own form"), counts);
        let mut again = histogram();
        counts.add_to(&mut again);
        assert_eq!(Counts::of(&again), counts, "a value stands for its bucket");
        let mut twice = counts.clone();
        twice.follow(&counts);
        assert_eq!(twice.total(), 2 * counts.total());

        assert_eq!(serde_json::from_str::<Counts>("[[800,3],[900,1]]").expect("the former form").total(), 4);
        // A histogram that would take gigabytes: five digits, up to the largest number.
        let mut bytes = encoded(&histogram()).expect("encodes");
        bytes[12..16].copy_from_slice(&5u32.to_be_bytes());
        bytes[24..32].copy_from_slice(&u64::MAX.to_be_bytes());
        for hostile in [
            format!("{:?}", STANDARD.encode(bytes)),
            "\"!!\"".to_owned(),
            "\"\"".to_owned(),
            "[[18446744073709551615,1]]".to_owned(),
            "[[1,18446744073709551615]]".to_owned(),
        ] {
            assert!(serde_json::from_str::<Counts>(&hostile).is_err(), "{hostile}");
        }
    }
}
