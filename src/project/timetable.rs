//! When something is due, by the clock of a time zone.

use crate::ground::plural;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt;

/// The time zone where none is named.
const UTC: &str = "UTC";
/// The fields of an expression.
const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];

/// A cron expression in a time zone. Where clocks go forward, what is due in the hour that is left out is due at its end; where they go
/// back, what is due at a fixed time is due once.
#[derive(Clone, Debug)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
    /// Both as they are shown.
    text: String,
}

/// Why a text is no timetable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimetableError {
    /// The expression cannot be read, or names no time that ever comes.
    Cron(String),
    /// The time zone is not known here.
    Zone,
}

impl Timetable {
    /// From a cron expression of five fields, or a word such as `@daily`, and the name of a time zone; UTC where that is absent.
    ///
    /// # Errors
    /// Which of the two is wrong, and why.
    pub fn new(expression: &str, zone: Option<&str>) -> Result<Self, TimetableError> {
        let name = zone.unwrap_or(UTC);
        let zone = if name == UTC { TimeZone::UTC } else { TimeZone::get(name).map_err(|_| TimetableError::Zone)? };
        let cron = parser().parse(expression).map_err(|error| TimetableError::Cron(reason(expression, &error)))?;
        let timetable = Self { cron, zone, text: format!("{} {name}", expression.trim()) };
        match timetable.after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(timetable),
            None => Err(TimetableError::Cron("it names a day that no year has".to_owned())),
        }
    }

    /// The first time after this one at which something is due.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let due = self.cron.find_next_occurrence(&moment.to_zoned(self.zone.clone()), false).ok()?;
        Some(due.timestamp())
    }
}

/// Five fields: backups are not made every second, and a year that is over never comes again.
fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

/// What is wrong with an expression: with which field, where it is one.
fn reason(expression: &str, error: &CronError) -> String {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let what = plural(fields.len(), "field");
        return format!("it has {what} instead of {}, and is no word such as `@daily`", FIELDS.len());
    }
    for (index, (name, field)) in FIELDS.iter().zip(&fields).enumerate() {
        let mut alone = ["*"; FIELDS.len()];
        alone[index] = field;
        if let Err(error) = parser().parse(&alone.join(" ")) {
            return format!("its {name} is `{field}`: {}", part(&error));
        }
    }
    part(error)
}

/// A message of the parser as part of a sentence.
fn part(error: &CronError) -> String {
    let whole = error.to_string();
    let message = whole.trim_end_matches('.').rsplit(": ").next().unwrap_or_default();
    let mut letters = message.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

impl fmt::Display for TimetableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron(why) => f.write_str(why),
            Self::Zone => f.write_str("its time zone is not known on this machine"),
        }
    }
}

/// `0 3 * * * Europe/Berlin`
impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(expression: &str, zone: &str, from: &str, times: usize) -> Vec<String> {
        let timetable = Timetable::new(expression, Some(zone)).expect("a timetable");
        let first = timetable.after(from.parse().expect("a time"));
        let all = std::iter::successors(first, |moment| timetable.after(*moment));
        all.take(times).map(|moment| moment.to_string()).collect()
    }

    #[test]
    fn what_is_due_follows_the_clock_of_its_time_zone() {
        assert_eq!(
            due("0 3 * * *", "UTC", "2026-11-30T03:00:00Z", 2),
            ["2026-12-01T03:00:00Z", "2026-12-02T03:00:00Z"],
            "the time itself is not after itself"
        );
        assert_eq!(due("@hourly", "UTC", "2026-11-30T03:00:01Z", 1), ["2026-11-30T04:00:00Z"]);
        assert_eq!(due("0 0 29 2 *", "UTC", "2026-11-30T00:00:00Z", 1), ["2028-02-29T00:00:00Z"]);
        // Clocks go forward from two to three, and back from three to two.
        assert_eq!(
            due("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            due("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
    }

    #[test]
    fn what_is_no_timetable_is_refused_with_its_reason() {
        let refused = |expression: &str, zone| Timetable::new(expression, zone).err();
        for expression in ["", "0 3 * *", "0 0 3 * * *", "0 25 * * *", "0 3 * * mon-", "soon", "0 0 30 2 *"] {
            assert!(
                matches!(refused(expression, None), Some(TimetableError::Cron(why)) if !why.is_empty()),
                "{expression}"
            );
        }
        let told = |expression: &str| refused(expression, None).map(|error| error.to_string()).unwrap_or_default();
        assert!(told("0 25 * * *").starts_with("its hour is `25`: "), "{}", told("0 25 * * *"));
        assert!(told("0 3 * *").starts_with("it has 4 fields instead of 5"), "{}", told("0 3 * *"));
        assert_eq!(refused("0 3 * * *", Some("Europe/Berln")), Some(TimetableError::Zone));
    }
}
