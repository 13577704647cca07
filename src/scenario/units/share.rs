use std::fmt;
use std::str::FromStr;

use super::decimal::Decimal;
use super::quantity::written_as_text;
use super::{UnitError, UnitValue};

/// A part of a whole from 0 to 1, written in percent: `15%`, `99.9%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Share(pub f64);

impl UnitValue for Share {
    const WHAT: &'static str = "a share";
    const PATTERN: &'static str = r"(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%";
    const EXAMPLES: &'static [&'static str] = &["15%", "0.1%", "99.9%", "100%"];
    const USUAL_UNIT: &'static str = "%";
    const UNITS: &'static str = "%, from 0% to 100%";
    const DESCRIPTION: &'static str = "A part of a whole in percent, from 0% to 100%.";
}

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = Decimal::cut(text)?;
        match unit {
            "" => return Err(UnitError::NoUnit),
            "%" => {}
            _ => return Err(UnitError::Malformed),
        }
        let share = number.percent();
        if share > 1.0 {
            return Err(UnitError::TooLarge);
        }
        Ok(Self(share))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nine places undo the rounding of the division by 100.
        write!(f, "{}%", (self.0 * 100.0 * 1e9).round() / 1e9)
    }
}

written_as_text!(Share);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        super::super::quantity::check_written_form::<Share>();
        for (text, share) in [("15%", 0.15), ("0%", 0.0), ("100%", 1.0), ("99.9%", 0.999)] {
            assert_eq!(text.parse(), Ok(Share(share)), "{text}");
            assert_eq!(Share(share).to_string(), text);
        }
        for (text, error) in [
            ("15", UnitError::NoUnit),
            ("150%", UnitError::TooLarge),
            ("-1%", UnitError::Negative),
            ("15%%", UnitError::Malformed),
        ] {
            assert_eq!(text.parse::<Share>(), Err(error), "{text}");
        }
        let error = serde_json::from_value::<Share>(serde_json::json!(0.5)).expect_err("no share");
        assert_eq!(error.to_string(), "`0.5` has no unit; write 0.5%");
    }
}
