//! Units of measured values: how they are written, read and compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The unit of a metric. Numbers of a [`Quantity`] are in the base that the variant names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Duration,
    /// Events per second.
    Rate,
    /// Bytes.
    Bytes,
    /// A share of one; written as a percentage.
    Share,
}

/// A measured number with its unit.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
pub struct Quantity {
    /// In the unit's base.
    pub value: f64,
    /// What it counts.
    pub unit: Unit,
}

impl Quantity {
    /// A quantity.
    pub fn new(value: f64, unit: Unit) -> Self {
        Self { value, unit }
    }

    /// A count.
    pub fn count(value: u64) -> Self {
        // Counts above 2^53 do not occur: the ledger's sequences end before.
        Self::new(value as f64, Unit::Count)
    }

    /// A duration in seconds.
    pub fn seconds(value: f64) -> Self {
        Self::new(value, Unit::Duration)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.value.is_finite() {
            return f.write_str("out of bounds");
        }
        match self.unit {
            Unit::Count => f.write_str(&grouped(self.value)),
            Unit::Duration => f.write_str(&duration(self.value)),
            Unit::Rate => write!(f, "{}/s", short(self.value)),
            Unit::Bytes => f.write_str(&bytes(self.value)),
            Unit::Share => write!(f, "{}%", short(self.value * 100.0)),
        }
    }
}

/// `1,234,567`: whole numbers with separators, others with two digits.
pub fn grouped(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value.fract() != 0.0 {
        return short(value);
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0.0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits below a thousand, whole numbers with separators above.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        magnitude if magnitude >= 1000.0 => grouped(value.round()),
        magnitude if magnitude >= 100.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => trimmed(format!("{value:.1}")),
        magnitude if magnitude >= 1.0 => trimmed(format!("{value:.2}")),
        _ => trimmed(format!("{value:.3}")),
    }
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn duration(seconds: f64) -> String {
    let magnitude = seconds.abs();
    if magnitude == 0.0 {
        "0s".to_owned()
    } else if magnitude < 1e-3 {
        format!("{}us", short(seconds * 1e6))
    } else if magnitude < 1.0 {
        format!("{}ms", short(seconds * 1e3))
    } else if magnitude < 120.0 {
        format!("{}s", short(seconds))
    } else {
        let sign = if seconds < 0.0 { "-" } else { "" };
        format!("{sign}{}", clock(magnitude.round() as u64))
    }
}

/// Whole seconds as `4s`, `5m01s`, `2h05m` or `24h`: at most two units, and none that is zero at the end.
pub fn clock(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, 0, rest) => format!("{rest}s"),
        (0, minutes, 0) => format!("{minutes}m"),
        (0, minutes, rest) => format!("{minutes}m{rest:02}s"),
        (hours, 0, _) => format!("{hours}h"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

fn bytes(value: f64) -> String {
    const UNITS: [(&str, f64); 4] = [("GiB", 1_073_741_824.0), ("MiB", 1_048_576.0), ("KiB", 1024.0), ("B", 1.0)];
    let (name, size) = UNITS.into_iter().find(|(_, size)| value.abs() >= *size).unwrap_or(("B", 1.0));
    format!("{}{name}", short(value / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_like_a_person_would_write_them() {
        let cases = [
            (Quantity::count(1_234_567), "1,234,567"),
            (Quantity::count(0), "0"),
            (Quantity::seconds(0.0384), "38.4ms"),
            (Quantity::seconds(0.000_2), "200us"),
            (Quantity::seconds(2.104), "2.1s"),
            (Quantity::seconds(301.0), "5m01s"),
            (Quantity::seconds(300.0), "5m"),
            (Quantity::seconds(86_400.0), "24h"),
            (Quantity::seconds(-3_905.0), "-1h05m"),
            (Quantity::new(999.7, Unit::Rate), "1000/s"),
            (Quantity::new(12_345.6, Unit::Rate), "12,346/s"),
            (Quantity::new(1536.0, Unit::Bytes), "1.5KiB"),
            (Quantity::new(0.0, Unit::Bytes), "0B"),
            (Quantity::new(0.153, Unit::Share), "15.3%"),
        ];
        for (quantity, expected) in cases {
            assert_eq!(quantity.to_string(), expected);
        }
    }
}
