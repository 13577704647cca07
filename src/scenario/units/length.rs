use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::decimal::Decimal;
use super::quantity::written_as_text;
use super::{UnitError, UnitValue};

/// A length of time: `10s`, `1m30s`, `200us`, `1.5s`, `7d`. Zero is allowed, `0s`; the longest is 100 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Length(pub Duration);

/// Units with their nanoseconds, the largest first.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
/// A hundred years: far beyond any run, and safe to add to any clock.
const LONGEST: u64 = 36_525 * UNITS[0].1;

impl UnitValue for Length {
    const WHAT: &'static str = "a duration";
    const PATTERN: &'static str = r"(?=[0-9])([0-9]+(\.[0-9]+)?d)?([0-9]+(\.[0-9]+)?h)?([0-9]+(\.[0-9]+)?m)?([0-9]+(\.[0-9]+)?s)?([0-9]+(\.[0-9]+)?ms)?([0-9]+(\.[0-9]+)?[uµμ]s)?([0-9]+ns)?";
    const EXAMPLES: &'static [&'static str] = &["10s", "1m30s", "500ms", "200us", "1.5s", "1h", "7d"];
    const USUAL_UNIT: &'static str = "s";
    const UNITS: &'static str = "ns, us, ms, s, m, h, d";
    const DESCRIPTION: &'static str =
        "A length of time with its unit: ns, us, ms, s, m (minutes), h or d. Parts add up, the largest first: 1m30s.";
}

/// Parts add up, the largest unit first; only the last part may have a fraction.
impl FromStr for Length {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let mut total: u64 = 0;
        let mut rest = text;
        let mut next_unit = 0;
        loop {
            let (number, after) = Decimal::cut(rest)?;
            let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            let unit = match unit {
                "" => return Err(UnitError::NoUnit),
                "µs" | "μs" => "us", // the micro sign and the Greek letter
                unit => unit,
            };
            let at = UNITS.iter().position(|&(name, _)| name == unit).ok_or(UnitError::Malformed)?;
            if at < next_unit {
                return Err(UnitError::OutOfOrder);
            }
            next_unit = at + 1;
            total = number
                .times(UNITS[at].1)?
                .checked_add(total)
                .filter(|&total| total <= LONGEST)
                .ok_or(UnitError::TooLarge)?;
            if after.is_empty() {
                return Ok(Self(Duration::from_nanos(total)));
            }
            if !number.is_whole() {
                return Err(UnitError::Malformed);
            }
            rest = after;
        }
    }
}

/// The shortest exact form: `1m30s`, `1.5s`, `250us`.
impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        let [day, hour, minute, second, ..] = UNITS.map(|(_, nanos)| u128::from(nanos));
        if nanos < second {
            // The largest unit that is not below one, with up to three decimal places where that is exact.
            for (name, size) in &UNITS[4..] {
                let size = u128::from(*size);
                if nanos >= size && (nanos * 1000).is_multiple_of(size) {
                    return write_decimal(f, nanos, size, name);
                }
            }
        }
        for (name, size) in [("d", day), ("h", hour), ("m", minute)] {
            let part = match name {
                "d" => nanos / size,
                "h" => nanos % day / size,
                _ => nanos % hour / size,
            };
            if part > 0 {
                write!(f, "{part}{name}")?;
            }
        }
        match nanos % minute {
            0 => Ok(()),
            rest => write_decimal(f, rest, second, "s"),
        }
    }
}

fn write_decimal(f: &mut fmt::Formatter<'_>, value: u128, size: u128, unit: &str) -> fmt::Result {
    let fraction = value % size;
    if fraction == 0 {
        return write!(f, "{}{unit}", value / size);
    }
    let width = size.ilog10() as usize;
    let fraction = format!("{fraction:0width$}");
    write!(f, "{}.{}{unit}", value / size, fraction.trim_end_matches('0'))
}

impl From<Duration> for Length {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

written_as_text!(Length);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        super::super::quantity::check_written_form::<Length>();
        for (text, nanos, printed) in [
            ("10s", 10_000_000_000, "10s"),
            ("90s", 90_000_000_000, "1m30s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("200us", 200_000, "200us"),
            ("200µs", 200_000, "200us"),
            ("1500us", 1_500_000, "1.5ms"),
            ("1m30.25s", 90_250_000_000, "1m30.25s"),
            ("0s", 0, "0s"),
            ("1h1ms", 3_600_001_000_000, "1h0.001s"),
            ("1d", 86_400_000_000_000, "1d"),
            ("1234567ns", 1_234_567, "1234.567us"),
        ] {
            let length: Length = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(length.0.as_nanos(), nanos, "{text}");
            assert_eq!(length.to_string(), printed, "{text}");
            assert_eq!(printed.parse(), Ok(length));
        }
    }

    #[test]
    fn refuses_with_a_reason() {
        for (text, error) in [
            ("10", UnitError::NoUnit),
            ("1m30", UnitError::NoUnit),
            ("-5s", UnitError::Negative),
            ("1M", UnitError::Malformed),
            ("s", UnitError::Malformed),
            ("1.s", UnitError::Malformed),
            ("1.5m3s", UnitError::Malformed),
            ("5s1h", UnitError::OutOfOrder),
            ("1s1s", UnitError::OutOfOrder),
            ("200y", UnitError::Malformed),
            ("40000d", UnitError::TooLarge),
            ("99999999999999999999999s", UnitError::TooLarge),
            ("0.5ns", UnitError::TooFine),
            (&format!("0.{}s", "1".repeat(60)), UnitError::TooLarge),
        ] {
            assert_eq!(text.parse::<Length>(), Err(error), "{text}");
        }
        let message =
            |json: serde_json::Value| serde_json::from_value::<Length>(json).expect_err("no duration").to_string();
        assert_eq!(message(serde_json::json!(10)), "`10` has no unit; write 10s");
        assert_eq!(message(serde_json::json!("10")), "`10` has no unit; write 10s");
        assert_eq!(
            message(serde_json::json!("1M")),
            "`1M` is not a duration: write it like 10s (units: ns, us, ms, s, m, h, d)"
        );
        assert_eq!(message(serde_json::json!(true)), "invalid type: boolean `true`, expected a duration such as 10s");
    }
}
