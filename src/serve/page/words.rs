//! Times, ages and sizes as a person reads them.

use crate::record::unit::clock;
use crate::record::{Quantity, Unit};
use jiff::Timestamp;
use serde::Serialize;

/// A moment: in words, and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownTime {
    /// `2026-11-30 12:20 UTC`
    pub text: String,
    /// `2026-11-30T12:20:31Z`
    pub iso: String,
}

impl ShownTime {
    /// A moment in ms since the epoch; nothing for one that no calendar has.
    pub fn of(ms: i64) -> Option<Self> {
        let moment = Timestamp::from_millisecond(ms).ok()?;
        let iso = Timestamp::from_second(moment.as_second()).unwrap_or(moment).to_string();
        Some(Self { text: moment.strftime("%Y-%m-%d %H:%M UTC").to_string(), iso })
    }
}

/// A length of time in its largest unit or two: `12s`, `5m01s`, `2h05m`, `3d`.
pub fn length(ms: i64) -> String {
    let seconds = u64::try_from(ms / 1000).unwrap_or(0);
    if seconds < 2 * 86_400 { clock(seconds) } else { format!("{}d", seconds / 86_400) }
}

/// How long ago something was.
pub fn ago(then: i64, now: i64) -> String {
    let passed = now.saturating_sub(then);
    if passed < 60_000 {
        "less than a minute ago".to_owned()
    } else {
        format!("{} ago", length(passed / 60_000 * 60_000))
    }
}

/// When something will be.
pub fn until(then: i64, now: i64) -> String {
    let left = then.saturating_sub(now);
    if left < 60_000 { "in less than a minute".to_owned() } else { format!("in {}", length(left / 60_000 * 60_000)) }
}

/// `3.4MiB`
pub fn bytes(bytes: u64) -> String {
    Quantity::new(bytes as f64, Unit::Bytes).to_string()
}

/// `12,345`
pub fn count(count: u64) -> String {
    Quantity::count(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_like_a_person_would_say_them() {
        let noon = "2026-11-30T12:00:00Z".parse::<Timestamp>().expect("a time").as_millisecond();
        let shown = ShownTime::of(noon + 31_250).expect("a time");
        assert_eq!((shown.text.as_str(), shown.iso.as_str()), ("2026-11-30 12:00 UTC", "2026-11-30T12:00:31Z"));
        assert_eq!(ShownTime::of(i64::MAX), None);
        for (passed, words) in
            [(0, "less than a minute ago"), (61, "1m ago"), (7_500, "2h05m ago"), (260_000, "3d ago")]
        {
            assert_eq!(ago(noon - passed * 1000, noon), words);
        }
        assert_eq!(until(noon + 3_600_000, noon), "in 1h");
        assert_eq!(until(noon - 5, noon), "in less than a minute");
        assert_eq!((length(1_900), length(-5)), ("1s".to_owned(), "0s".to_owned()));
        assert_eq!((bytes(3_565_158), count(12_345)), ("3.4MiB".to_owned(), "12,345".to_owned()));
    }
}
