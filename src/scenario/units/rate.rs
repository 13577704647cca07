use std::fmt;
use std::str::FromStr;

use super::decimal::Decimal;
use super::quantity::written_as_text;
use super::{UnitError, UnitValue};

/// How often something happens, per second: `500/s`, `10k/s`, `1M/s`, `90/m`. Above zero; at most 10^12/s.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

const PREFIXES: [(&str, f64); 3] = [("M", 1e6), ("k", 1e3), ("", 1.0)];
/// Spans of time with their seconds.
const PER: [(&str, f64); 3] = [("s", 1.0), ("m", 60.0), ("h", 3600.0)];
const HIGHEST: f64 = 1e12;

impl UnitValue for Rate {
    const WHAT: &'static str = "a rate";
    const PATTERN: &'static str = r"[0-9]+(\.[0-9]+)?[kM]?/[smh]";
    const EXAMPLES: &'static [&'static str] = &["500/s", "10k/s", "1.5k/s", "1M/s", "90/m", "100/h"];
    const USUAL_UNIT: &'static str = "/s";
    const UNITS: &'static str = "/s, /m, /h, with k or M before them";
    const DESCRIPTION: &'static str =
        "How often per second, minute or hour: 500/s, 10k/s, 1M/s, 90/m, 100/h. k is 1000, M is 1,000,000.";
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = Decimal::cut(text)?;
        if unit.is_empty() {
            return Err(UnitError::NoUnit);
        }
        let (prefix, per) = unit.split_once('/').ok_or(UnitError::Malformed)?;
        let find = |table: &[(&str, f64)], name| {
            table.iter().find(|(known, _)| *known == name).map(|&(_, factor)| factor).ok_or(UnitError::Malformed)
        };
        let rate = number.to_f64() * find(&PREFIXES, prefix)? / find(&PER, per)?;
        if rate <= 0.0 {
            return Err(UnitError::Zero);
        }
        if rate > HIGHEST {
            return Err(UnitError::TooLarge);
        }
        Ok(Self(rate))
    }
}

/// Per second where that is a short number, else per minute or hour: `10k/s`, `1.5/s`, `100/m`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |value: f64| (value * 1000.0).round() / 1000.0;
        let (value, per) = PER
            .iter()
            .map(|&(per, seconds)| (short(self.0 * seconds), per, seconds))
            .find(|&(value, _, seconds)| value / seconds == self.0)
            .map_or((self.0, "s"), |(value, per, _)| (value, per));
        let (prefix, factor) = PREFIXES
            .into_iter()
            .find(|&(_, factor)| value >= factor && short(value / factor) * factor == value)
            .unwrap_or(("", 1.0));
        write!(f, "{}{prefix}/{per}", value / factor)
    }
}

written_as_text!(Rate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        super::super::quantity::check_written_form::<Rate>();
        for (text, rate, printed) in [
            ("500/s", 500.0, "500/s"),
            ("10k/s", 10_000.0, "10k/s"),
            ("1M/s", 1e6, "1M/s"),
            ("90/m", 1.5, "1.5/s"),
            ("100/m", 100.0 / 60.0, "100/m"),
            ("1/h", 1.0 / 3600.0, "1/h"),
            ("0.5/s", 0.5, "0.5/s"),
            ("12345/s", 12_345.0, "12.345k/s"),
        ] {
            let read: Rate = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(read, Rate(rate), "{text}");
            assert_eq!(read.to_string(), printed);
            assert_eq!(printed.parse(), Ok(read));
        }
    }

    #[test]
    fn refuses_with_a_reason() {
        for (text, error) in [
            ("500", UnitError::NoUnit),
            ("500k", UnitError::Malformed),
            ("500/d", UnitError::Malformed),
            ("0/s", UnitError::Zero),
            ("-1/s", UnitError::Negative),
            ("/s", UnitError::Malformed),
            ("99999999M/s", UnitError::TooLarge),
        ] {
            assert_eq!(text.parse::<Rate>(), Err(error), "{text}");
        }
        let error = serde_json::from_value::<Rate>(serde_json::json!(500)).expect_err("no rate");
        assert_eq!(error.to_string(), "`500` has no unit; write 500/s");
    }
}
