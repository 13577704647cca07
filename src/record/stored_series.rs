//! Time lines as they are stored: `[start, length, sample]` in order, in units of 100 ms of the run; fractions are at the edges
//! of faults and steps. The former form, samples by the number of their slice, is read as well.

use super::counts::Counts;
use super::series::{SLICE, SliceSample, TimeLine};
use super::slices::{ConsumeSlice, FlowSlice, ProduceSlice, WriteSlice};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The last tick that a stored slice may reach: that of a year.
const END: u64 = 366 * 24 * 3600 * 10 * SLICE;
/// Most slices of one stored time line.
const MOST: usize = 1_000_000;

/// How samples were stored before they had edges of their own.
pub(super) trait Former {
    /// Length of a sample, in units of 100 ms.
    const SLICES: u64;
}

impl Former for ProduceSlice {
    const SLICES: u64 = 10;
}

impl Former for ConsumeSlice {
    const SLICES: u64 = 10;
}

impl Former for WriteSlice {
    const SLICES: u64 = 1;
}

impl Former for FlowSlice {
    const SLICES: u64 = 1;
}

impl Former for Counts {
    const SLICES: u64 = 1;
}

impl<T: Serialize> Serialize for TimeLine<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let slices = self.stored();
        let mut sequence = serializer.serialize_seq(Some(slices.len()))?;
        for (start, ticks, sample) in slices {
            sequence.serialize_element(&(Units(start), Units(ticks), sample))?;
        }
        sequence.end()
    }
}

impl<'de, T: SliceSample + Former + DeserializeOwned> Deserialize<'de> for TimeLine<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Slices(PhantomData))
    }
}

/// Ticks, stored in units of 100 ms.
struct Units(u64);

impl Serialize for Units {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(SLICE) {
            return serializer.serialize_u64(self.0 / SLICE);
        }
        serializer.serialize_f64(self.0 as f64 / SLICE as f64)
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ticks = f64::deserialize(deserializer)? * SLICE as f64;
        if !(0.0..=END as f64).contains(&ticks) {
            return Err(D::Error::custom("a slice begins before the run or ends after more than a year"));
        }
        Ok(Self(ticks.round() as u64))
    }
}

struct Slices<T>(PhantomData<T>);

impl<T: SliceSample + Former + DeserializeOwned> Slices<T> {
    fn enter<E: Error>(line: &mut TimeLine<T>, start: u64, ticks: u64, sample: T) -> Result<(), E> {
        if line.len() >= MOST {
            return Err(E::custom(format!("a time line has more than {MOST} slices")));
        }
        if line.restore(start, ticks, sample, END) {
            return Ok(());
        }
        Err(E::custom(format!(
            "the slice of {ticks} ms at {start} ms overlaps another, is empty or ends after more than a year"
        )))
    }
}

impl<'de, T: SliceSample + Former + DeserializeOwned> Visitor<'de> for Slices<T> {
    type Value = TimeLine<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of slices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut slices: A) -> Result<Self::Value, A::Error> {
        let mut line = TimeLine::default();
        while let Some((Units(start), Units(ticks), sample)) = slices.next_element::<(Units, Units, T)>()? {
            Self::enter(&mut line, start, ticks, sample)?;
        }
        Ok(line)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut slices: A) -> Result<Self::Value, A::Error> {
        let mut line = TimeLine::default();
        while let Some((number, sample)) = slices.next_entry::<String, T>()? {
            let number: u64 =
                number.parse().map_err(|_| A::Error::custom(format!("`{number}` is not the number of a slice")))?;
            let ticks = T::SLICES * SLICE;
            Self::enter(&mut line, number.saturating_mul(ticks), ticks, sample)?;
        }
        Ok(line)
    }
}

impl<T: JsonSchema> JsonSchema for TimeLine<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("TimeLine_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let sample = generator.subschema_for::<T>();
        schemars::json_schema!({
            "description": "Slices in which something happened, in order: start, length, what happened. Start and length are in units of 100 ms of the run, to the millisecond.",
            "type": "array",
            "items": {
                "type": "array",
                "prefixItems": [{ "type": "number", "minimum": 0 }, { "type": "number", "exclusiveMinimum": 0 }, sample],
                "minItems": 3,
                "maxItems": 3
            }
        })
    }
}
