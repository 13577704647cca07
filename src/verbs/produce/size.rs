//! `size:` of `produce`.

use crate::load::payload::Sizes;
use crate::scenario::units::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Size of a value where nothing says otherwise.
const USUAL: u64 = 1024;
/// The longest value is so many times as long as 99 % of them are at most, where nothing says otherwise.
const TAIL: u64 = 4;

/// How long values are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// All alike.
    Fixed(Bytes),
    /// Between two lengths, or half and 99 % of them at most that long.
    Spread(Spread),
}

/// How sizes are spread: evenly from `min` to `max`, or log-normally, so that half of the values have at most `p50` and 99 % at most `p99`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The shortest; with `max`.
    #[serde(default)]
    pub min: Option<Bytes>,
    /// The longest; with `p99` four times as much by default.
    #[serde(default)]
    pub max: Option<Bytes>,
    /// Half of the values are at most that long; with `p99`.
    #[serde(default)]
    pub p50: Option<Bytes>,
    /// 99 % of the values are at most that long.
    #[serde(default)]
    pub p99: Option<Bytes>,
}

impl Default for Size {
    fn default() -> Self {
        Self::Fixed(Bytes(USUAL))
    }
}

impl Size {
    /// The shortest value that is sure to come, and the longest.
    pub fn bounds(self) -> (u64, u64) {
        match self {
            Self::Fixed(size) => (size.0, size.0),
            Self::Spread(Spread { min, max, p50, p99 }) => {
                let most = max.or(p99.map(|p99| Bytes(p99.0.saturating_mul(TAIL)))).unwrap_or_default();
                (min.or(p50).unwrap_or_default().0, most.0)
            }
        }
    }

    /// As the load wants it.
    ///
    /// # Errors
    /// Numbers that are no distribution, or that this machine cannot address.
    pub fn sizes(self) -> Result<Sizes, String> {
        let bytes = |bytes: u64| usize::try_from(bytes).map_err(|error| error.to_string());
        let most = bytes(self.bounds().1)?;
        match self {
            Self::Fixed(size) => Ok(Sizes::Fixed(bytes(size.0)?)),
            Self::Spread(Spread { min: Some(min), max: Some(max), p50: None, p99: None }) if min <= max => {
                Ok(Sizes::Uniform(bytes(min.0)?, most))
            }
            Self::Spread(Spread { min: None, max, p50: Some(median), p99: Some(p99) })
                if median.0 > 0 && median < p99 && max.is_none_or(|max| p99 <= max) =>
            {
                Ok(Sizes::LogNormal { median: bytes(median.0)?, p99: bytes(p99.0)?, most })
            }
            Self::Spread(_) => {
                Err("sizes are spread from `min` to a larger `max`, or have a `p50` and a larger `p99` (and a `max` \
                                    beyond that)"
                    .to_owned())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let spread = value.is_object();
        let read = if spread {
            serde_json::from_value(value).map(Self::Spread)
        } else {
            serde_json::from_value(value).map(Self::Fixed)
        };
        read.map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let spread = generator.subschema_for::<Spread>();
        let bytes = generator.subschema_for::<Bytes>();
        json_schema!({ "if": { "type": "object" }, "then": spread, "else": bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sizes(value: Value) -> Result<Sizes, String> {
        serde_json::from_value::<Size>(value).map_err(|error| error.to_string())?.sizes()
    }

    #[test]
    fn sizes_are_alike_or_spread() {
        assert_eq!(sizes(json!("2KiB")), Ok(Sizes::Fixed(2048)));
        assert_eq!(sizes(json!({ "min": "100B", "max": "1KiB" })), Ok(Sizes::Uniform(100, 1024)));
        let skewed = |most| Ok(Sizes::LogNormal { median: 1024, p99: 2048, most });
        assert_eq!(sizes(json!({ "p50": "1KiB", "p99": "2KiB" })), skewed(8192));
        assert_eq!(sizes(json!({ "p50": "1KiB", "p99": "2KiB", "max": "3KiB" })), skewed(3072));
        for wrong in [
            json!({}),
            json!({ "min": "2KiB", "max": "1KiB" }),
            json!({ "p50": "2KiB", "p99": "1KiB" }),
            json!({ "p50": "1KiB", "p99": "2KiB", "max": "1KiB" }),
            json!({ "p50": "1KiB" }),
            json!({ "mean": "1KiB" }),
            json!(1024),
        ] {
            assert!(sizes(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
