//! Figures by partition, as serde writes and reads them.
//!
//! An event is read through a buffer in which the keys of a map are texts, and numbers are not found in them: here they are.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

pub(super) fn serialize<S: Serializer>(map: &BTreeMap<i32, i64>, serializer: S) -> Result<S::Ok, S::Error> {
    map.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<i32, i64>, D::Error> {
    BTreeMap::<String, i64>::deserialize(deserializer)?
        .into_iter()
        .map(|(partition, figure)| {
            let number =
                partition.parse().map_err(|_| D::Error::custom(format!("`{partition}` is not a partition")))?;
            Ok((number, figure))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "event")]
    enum Tagged {
        Read {
            #[serde(with = "super")]
            positions: BTreeMap<i32, i64>,
        },
    }

    #[test]
    fn a_tagged_event_reads_them() {
        let event = Tagged::Read { positions: BTreeMap::from([(0, 7), (11, 3)]) };
        let text = serde_json::to_string(&event).expect("it is written");
        assert_eq!(text, r#"{"event":"Read","positions":{"0":7,"11":3}}"#);
        assert_eq!(serde_json::from_str::<Tagged>(&text).expect("it is read"), event);
        assert!(serde_json::from_str::<Tagged>(r#"{"event":"Read","positions":{"x":7}}"#).is_err());
    }
}
