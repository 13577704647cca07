//! The numbers of a stored file, held against what kscen can have written: whoever renders a result may trust them.

use serde_json::{Number, Value};
use std::fmt;

/// A year: no run is longer.
const YEAR: f64 = 366.0 * 24.0 * 3600.0;
/// No count, size or sum is larger.
const LARGEST: f64 = 1e16;
/// Seconds of a run. A few may lie before its start.
const SECONDS: [&str; 9] =
    ["at", "duration", "started", "prepared", "ended", "requested", "effective", "undone", "ready"];
/// Times in µs that are sums over producers or threads, since the epoch, or may be negative.
const LARGE_US: [&str; 7] =
    ["clock_ahead_us", "sum_us", "time_us", "committed_us", "cpu_us", "queue_full_us", "transaction_wait_us"];
/// Whatever somebody else has said, as it was said: it is shown, and nothing is computed from it.
const FREE: [&str; 3] = ["details", "json", "matrix"];
/// Histograms, whose own reader bounds them.
const OWN: [&str; 1] = ["slices"];
/// Time lines, and the most that one slice can count: the sum of a million slices is still a number.
const LINES: [&str; 2] = ["timeline", "seconds"];
const MOST_IN_SLICE: f64 = 1e12;
/// Lists of which each element is held against others.
const LENGTHS: [(&str, usize); 4] = [("faults", 5_000), ("steps", 50_000), ("services", 1_000), ("lives", 50_000)];

/// A value that no kscen has written.
#[derive(Clone, Debug, PartialEq)]
pub enum OutOfBounds {
    /// A number.
    Number {
        /// Its place, such as `services.0.samples.3.usage.cpu_seconds`.
        field: String,
        /// What stands there.
        value: Number,
        /// The least that can be.
        low: f64,
        /// The most that can be.
        high: f64,
    },
    /// A list with too many elements.
    Length {
        /// Its place.
        field: String,
        /// How many there are.
        length: usize,
        /// How many there can be.
        most: usize,
    },
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { field, value, low, high } => {
                write!(f, "{field} is {value}, which is not within {low} to {high}")
            }
            Self::Length { field, length, most } => write!(f, "{field} has {length} elements, more than {most}"),
        }
    }
}

impl std::error::Error for OutOfBounds {}

/// Looks at every number of a stored value.
///
/// # Errors
/// The first that is out of bounds.
pub fn check(value: &Value) -> Result<(), OutOfBounds> {
    walk(value, "", &mut Vec::new())
}

fn walk<'a>(value: &'a Value, key: &'a str, path: &mut Vec<String>) -> Result<(), OutOfBounds> {
    match value {
        Value::Number(number) => {
            let (low, mut high) = range(key);
            if path.iter().any(|segment| LINES.contains(&segment.as_str())) {
                high = high.min(MOST_IN_SLICE);
            }
            // Whole numbers beyond what an f64 holds exactly are far beyond the bounds as well.
            match number.as_f64() {
                Some(own) if (low..=high).contains(&own) => Ok(()),
                _ => Err(OutOfBounds::Number { field: path.join("."), value: number.clone(), low, high }),
            }
        }
        Value::Array(items) => {
            if let Some((_, most)) = LENGTHS.iter().find(|(name, most)| *name == key && items.len() > *most) {
                return Err(OutOfBounds::Length { field: path.join("."), length: items.len(), most: *most });
            }
            items.iter().enumerate().try_for_each(|(index, item)| step(item, key, index.to_string(), path))
        }
        Value::Object(object) => object
            .iter()
            .filter(|(key, _)| !FREE.contains(&key.as_str()) && !OWN.contains(&key.as_str()))
            .try_for_each(|(key, value)| step(value, key, key.clone(), path)),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn step<'a>(value: &'a Value, key: &'a str, segment: String, path: &mut Vec<String>) -> Result<(), OutOfBounds> {
    path.push(segment);
    let fine = walk(value, key, path);
    path.pop();
    fine
}

fn range(key: &str) -> (f64, f64) {
    match key {
        // Any number is a seed.
        "seed" => (0.0, u64::MAX as f64),
        "cpu_seconds" => (0.0, 1e11),
        "cpus" | "cpu_cores" => (0.0, 1e6),
        key if SECONDS.contains(&key) => (-1e6, YEAR),
        key if key.ends_with("_us") && !LARGE_US.contains(&key) => (0.0, YEAR * 1e6),
        _ => (-LARGEST, LARGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields in µs that are signed, by the schema of results: those count from the epoch, the others from the start of the run.
    fn since_the_epoch(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(object) => {
                let properties = object.get("properties").and_then(Value::as_object).into_iter().flatten();
                let signed = properties.filter(|(name, field)| name.ends_with("_us") && field["format"] == "int64");
                found.extend(signed.map(|(name, _)| name.clone()));
                object.values().for_each(|value| since_the_epoch(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| since_the_epoch(item, found)),
            _ => {}
        }
    }

    #[test]
    fn times_since_the_epoch_are_within_bounds() {
        let schema = serde_json::from_str(include_str!("../../schemas/result.json")).expect("the published schema");
        let mut fields = Vec::new();
        since_the_epoch(&schema, &mut fields);
        assert!(fields.len() > 1, "{fields:?}");
        for field in fields {
            let sample = serde_json::json!({ "samples": [{ field: 1_795_943_572_639_837_i64 }] });
            assert_eq!(check(&sample), Ok(()));
        }
    }
}
