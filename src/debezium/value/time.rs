//! Dates, times and intervals in the notations of PostgreSQL and Debezium.

use super::modes::Times;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use serde_json::Value;

const EPOCH: Date = jiff::civil::date(1970, 1, 1);
const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;
const MINUTE_US: i64 = 60_000_000;
/// 1582-10-15, in days: earlier dates differ between the calendars of Java and of PostgreSQL.
const GREGORIAN: i64 = -141_427;

/// Days since 1970; none before the Gregorian calendar and beyond the year 9999, whose notations differ.
pub(super) fn date(text: &str) -> Option<i64> {
    let date: Date = text.parse().ok()?;
    let days = date.duration_since(EPOCH).as_secs().div_euclid(86_400);
    (days >= GREGORIAN).then_some(days)
}

/// Microseconds since 1970 by the clock on the wall.
pub(super) fn moment(text: &str) -> Option<i64> {
    let moment: DateTime = text.trim_end_matches('Z').parse().ok()?;
    let us = i64::try_from(moment.duration_since(EPOCH.at(0, 0, 0, 0)).as_micros()).ok()?;
    (us >= GREGORIAN * DAY_US).then_some(us)
}

/// Microseconds since 1970.
pub(super) fn instant(text: &str) -> Option<i64> {
    let us = text.parse::<Timestamp>().ok()?.as_microsecond();
    (us >= GREGORIAN * DAY_US).then_some(us)
}

/// Microseconds since midnight; 24:00:00 has no form of its own in Java.
pub(super) fn time(text: &str) -> Option<i64> {
    let time: Time = text.trim_end_matches('Z').parse().ok()?;
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Some(seconds * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1000)
}

/// A time of day with an offset, as microseconds since midnight in UTC.
pub(super) fn time_tz(text: &str) -> Option<i64> {
    let at = text.find(['+', '-', 'Z'])?;
    let (clock, offset) = text.split_at(at);
    let (sign, offset) = match offset.split_at_checked(1)? {
        ("Z", _) => (0, ""),
        ("+", rest) => (1, rest),
        (_, rest) => (-1, rest),
    };
    let mut seconds = 0;
    for (part, unit) in offset.split(':').zip([3600, 60, 1]) {
        seconds += if part.is_empty() { 0 } else { i64::from(part.parse::<u8>().ok()?) * unit };
    }
    Some((time(clock)? - sign * seconds * 1_000_000).rem_euclid(DAY_US))
}

/// What is counted in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Ms,
    Us,
    Ns,
    Iso,
}

fn unit(times: Times, precision: i32, of_day: bool) -> Unit {
    match times {
        Times::Connect => Unit::Ms,
        Times::Microseconds => Unit::Us,
        Times::Nanoseconds => Unit::Ns,
        Times::IsoString => Unit::Iso,
        Times::AdaptiveMicroseconds if of_day => Unit::Us,
        Times::Adaptive | Times::AdaptiveMicroseconds => {
            if (0..=3).contains(&precision) {
                Unit::Ms
            } else {
                Unit::Us
            }
        }
    }
}

/// Microseconds as they are counted in an event.
pub(super) fn counted(us: i64, times: Times, precision: i32, of_day: bool) -> String {
    match unit(times, precision, of_day) {
        Unit::Ms => us.div_euclid(1000),
        Unit::Us | Unit::Ns | Unit::Iso => us,
    }
    .to_string()
}

/// The count in an event.
pub(super) fn count(value: &Value, times: Times, precision: i32, of_day: bool) -> Option<String> {
    match unit(times, precision, of_day) {
        Unit::Ms | Unit::Us => value.as_i64(),
        Unit::Ns => value.as_i64().filter(|ns| ns % 1000 == 0).map(|ns| ns / 1000),
        Unit::Iso => value.as_str().and_then(if of_day { time } else { moment }),
    }
    .map(|count| count.to_string())
}

/// The days in an event.
pub(super) fn days(value: &Value, times: Times) -> Option<i64> {
    match times {
        Times::IsoString => date(value.as_str()?.trim_end_matches('Z')),
        // Whether a date follows the unit is a matter of the version; a day is no multiple of the other unit within 10,000 years.
        Times::Microseconds | Times::Nanoseconds => {
            let (number, day) = (value.as_i64()?, if times == Times::Microseconds { DAY_US } else { DAY_US * 1000 });
            Some(if number % day == 0 { number / day } else { number })
        }
        Times::Adaptive | Times::AdaptiveMicroseconds | Times::Connect => value.as_i64(),
    }
}

/// An interval: months, days, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interval(pub(super) i64, pub(super) i64, pub(super) i64);

impl Interval {
    /// PostgreSQL's `1 year 2 mons -3 days 04:05:06.7`.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let mut interval = Self::default();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            if word.contains(':') {
                let (sign, clock) = match word.strip_prefix('-') {
                    Some(rest) => (-1, rest),
                    None => (1, word.strip_prefix('+').unwrap_or(word)),
                };
                let mut parts = clock.split(':');
                let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
                add(&mut interval.2, hours.parse().ok()?, sign * HOUR_US)?;
                add(&mut interval.2, minutes.parse().ok()?, sign * MINUTE_US)?;
                add(&mut interval.2, micros(seconds)?, sign)?;
                continue;
            }
            let number: i64 = word.parse().ok()?;
            match words.next()? {
                "year" | "years" => add(&mut interval.0, number, 12)?,
                "mon" | "mons" => add(&mut interval.0, number, 1)?,
                "day" | "days" => add(&mut interval.1, number, 1)?,
                _ => return None,
            }
        }
        Some(interval)
    }

    /// `P1Y2M3DT4H5M6.7S`; every part may have a sign.
    pub(super) fn of_iso(text: &str) -> Option<Self> {
        let mut interval = Self::default();
        let mut rest = text.strip_prefix('P')?;
        let mut in_time = false;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T') {
                (in_time, rest) = (true, after);
                continue;
            }
            let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (number, unit) = (&rest[..end], &rest[end..=end]);
            rest = &rest[end + 1..];
            let whole = || number.parse::<i64>().ok();
            match (unit, in_time) {
                ("Y", false) => add(&mut interval.0, whole()?, 12)?,
                ("M", false) => add(&mut interval.0, whole()?, 1)?,
                ("D", false) => add(&mut interval.1, whole()?, 1)?,
                ("H", true) => add(&mut interval.2, whole()?, HOUR_US)?,
                ("M", true) => add(&mut interval.2, whole()?, MINUTE_US)?,
                ("S", true) => match number.strip_prefix('-') {
                    Some(number) => add(&mut interval.2, micros(number)?, -1)?,
                    None => add(&mut interval.2, micros(number)?, 1)?,
                },
                _ => return None,
            }
        }
        Some(interval)
    }

    /// As Debezium counts it, a month being a twelfth of 365.25 days.
    pub(super) fn microseconds(self) -> f64 {
        ((self.0 as f64) * (365.25 / 12.0) + self.1 as f64) * DAY_US as f64 + self.2 as f64
    }

    pub(super) fn form(self) -> String {
        format!("{} {} {}", self.0, self.1, self.2)
    }
}

/// Adds so many of a unit; none where there is no room for them.
fn add(sum: &mut i64, number: i64, unit: i64) -> Option<()> {
    *sum = sum.checked_add(number.checked_mul(unit)?)?;
    Some(())
}

/// Seconds with a fraction, in microseconds.
fn micros(seconds: &str) -> Option<i64> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let fraction: String = format!("{fraction:0<6}").chars().take(6).collect();
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_one_form_and_end_where_numbers_do() {
        let same = [
            ("1 year 2 mons -3 days 04:05:06.7", "P1Y2M-3DT4H5M6.7S", Interval(14, -3, 14_706_700_000)),
            ("-00:00:01.5", "PT-1.5S", Interval(0, 0, -1_500_000)),
            ("2 years", "P2Y", Interval(24, 0, 0)),
            ("1 mon 1 day", "P1M1D", Interval(1, 1, 0)),
            ("+01:00:00", "PT1H", Interval(0, 0, HOUR_US)),
        ];
        for (text, iso, interval) in same {
            assert_eq!((Interval::of_text(text), Interval::of_iso(iso)), (Some(interval), Some(interval)), "{text}");
        }
        for text in [
            "9223372036854775807 years",
            "9223372036854775807 mons 1 mon",
            "9223372036854775807 days 1 day",
            "9223372036854775807:00:00",
            "2562047788015:60:00",
            "0:0:9223372036854775807",
            "1 week",
            "1:2",
        ] {
            assert_eq!(Interval::of_text(text), None, "{text}");
        }
        for text in [
            "P9223372036854775807Y",
            "PT9223372036854775807H",
            "PT153722867280913M",
            "PT9223372036854775807S",
            "P1W",
            "1Y",
            "PT1Y",
        ] {
            assert_eq!(Interval::of_iso(text), None, "{text}");
        }
        assert_eq!(Interval(1, 1, 1).microseconds(), 31.4375 * DAY_US as f64 + 1.0);
    }

    #[test]
    fn times_of_day_are_those_of_their_offset() {
        assert_eq!(time_tz("00:00:00+01"), Some(23 * HOUR_US));
        assert_eq!(time_tz("23:30:00-00:45:30"), Some(15 * MINUTE_US + 30_000_000));
        assert_eq!(time_tz("12:00:00Z"), Some(12 * HOUR_US));
        for text in ["12:00:00+9223372036854775807", "12:00:00+-1", "12:00:00+999", "12:00:00"] {
            assert_eq!(time_tz(text), None, "{text}");
        }
    }
}
