use std::fmt;
use std::str::FromStr;

use super::decimal::Decimal;
use super::quantity::written_as_text;
use super::{UnitError, UnitValue};

/// An amount of data: `512B`, `1KiB`, `1MB`, `2GiB`. KiB, MiB, GiB, TiB count by 1024; kB, MB, GB, TB by 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

/// Units with their bytes, the largest first.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl UnitValue for Bytes {
    const WHAT: &'static str = "an amount of data";
    const PATTERN: &'static str = r"[0-9]+(\.[0-9]+)?([KMGT]iB|[kKMGT]B)|[0-9]+B";
    const EXAMPLES: &'static [&'static str] = &["1KiB", "512B", "1MB", "1.5MiB", "2GiB"];
    const USUAL_UNIT: &'static str = "B";
    const UNITS: &'static str = "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB";
    const DESCRIPTION: &'static str =
        "An amount of data with its unit: B; KiB, MiB, GiB, TiB by 1024; kB, MB, GB, TB by 1000.";
}

impl FromStr for Bytes {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = Decimal::cut(text)?;
        let unit = match unit {
            "" => return Err(UnitError::NoUnit),
            "KB" => "kB",
            unit => unit,
        };
        let &(_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(UnitError::Malformed)?;
        Ok(Self(number.times(size)?))
    }
}

/// Exact, in the unit that makes the number shortest: `1KiB`, `1MB`, `1500B`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = UNITS
            .into_iter()
            .filter(|&(_, size)| self.0 > 0 && self.0.is_multiple_of(size))
            .map(|(unit, size)| (self.0 / size, unit))
            .min_by_key(|(number, _)| *number)
            .unwrap_or((self.0, "B"));
        write!(f, "{number}{unit}")
    }
}

written_as_text!(Bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        super::super::quantity::check_written_form::<Bytes>();
        for (text, bytes, printed) in [
            ("512B", 512, "512B"),
            ("1KiB", 1024, "1KiB"),
            ("1.5KiB", 1536, "1536B"),
            ("1MB", 1_000_000, "1MB"),
            ("1KB", 1000, "1kB"),
            ("2GiB", 2 << 30, "2GiB"),
            ("0B", 0, "0B"),
            ("1024000B", 1_024_000, "1000KiB"),
        ] {
            let read: Bytes = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(read, Bytes(bytes), "{text}");
            assert_eq!(read.to_string(), printed);
        }
        for (text, error) in [
            ("512", UnitError::NoUnit),
            ("1M", UnitError::Malformed),
            ("1mb", UnitError::Malformed),
            ("1.0001KiB", UnitError::TooFine),
            ("0.5B", UnitError::TooFine),
            ("99999999TiB", UnitError::TooLarge),
        ] {
            assert_eq!(text.parse::<Bytes>(), Err(error), "{text}");
        }
    }
}
