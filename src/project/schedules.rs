//! Backups that `kscen serve` makes by itself, as `kscen.yaml` names them.

use super::timetable::{Timetable, TimetableError};
use crate::backup::Level;
use crate::ground::some_of;
use crate::scenario::units::Length;
use crate::text::{Origin, Problem, did_you_mean};
use schemars::JsonSchema;
use serde::Deserialize;

/// A backup that is made again and again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduledBackup {
    /// The name of the schedule, and of its archive where `archive` is absent.
    pub name: String,
    /// The environment whose Kafka is backed up.
    pub cluster: String,
    /// Topics: names, and patterns with `*` for any characters.
    #[schemars(length(min = 1))]
    pub topics: Vec<String>,
    /// When: minute, hour, day of the month, month and day of the week, or a word such as `@daily`.
    #[schemars(extend("examples" = ["0 3 * * *", "*/15 * * * *", "@daily"]))]
    pub cron: String,
    /// The time zone that `cron` is in, by its name in the IANA database; UTC where it is absent.
    #[serde(default)]
    #[schemars(extend("examples" = ["Europe/Berlin"]))]
    pub time_zone: Option<String>,
    /// The archive that is written and continued; the name of the schedule where it is absent.
    #[serde(default)]
    pub archive: Option<String>,
    /// How closely the archive is looked at after each backup; `full` where it is absent.
    #[serde(default)]
    pub verify: Option<Level>,
    /// Which generations of the archive stay after a verification that found nothing wrong; all where it is absent.
    #[serde(default)]
    pub retention: Option<ScheduledRetention>,
}

/// Which generations stay. The newest always does; where both are given, a generation goes only if neither keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct ScheduledRetention {
    /// So many, the newest.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub generations: Option<u32>,
    /// Those that ended no longer ago than this.
    #[serde(default)]
    pub age: Option<Length>,
}

impl ScheduledBackup {
    /// When it is due.
    ///
    /// # Errors
    /// See [`Timetable::new`]; what a project has loaded has none.
    pub fn timetable(&self) -> Result<Timetable, TimetableError> {
        Timetable::new(&self.cron, self.time_zone.as_deref())
    }

    /// The archive that it writes.
    pub fn archive(&self) -> &str {
        self.archive.as_deref().unwrap_or(&self.name)
    }
}

/// Whether a schedule and its archive can have this name: it is a folder's, and part of addresses.
fn is_name(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.len() <= 100 && name.chars().all(plain)
}

/// What is wrong with schedules, at their lines. `origin` is their list, and `clusters` the environments that there are.
pub(super) fn faults<'a>(
    schedules: &[ScheduledBackup],
    origin: &Origin,
    clusters: impl Fn() -> Vec<&'a str>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, schedule) in schedules.iter().enumerate() {
        let at = |key: &str| origin.place(&format!("/{index}/{key}"));
        for (key, name) in [("name", Some(&schedule.name)), ("archive", schedule.archive.as_ref())] {
            if let Some(name) = name.filter(|name| !is_name(name)) {
                let problem = Problem::new("bad-archive-name", format!("`{name}` cannot be the name of an archive"));
                let help =
                    "use letters, digits, `-`, `_` and `.`, at most 100, with a letter or digit at the beginning";
                problems.push(problem.at(at(key)).help(help));
            }
        }
        if !clusters().contains(&schedule.cluster.as_str()) {
            let problem =
                Problem::new("unknown-environment", format!("there is no environment `{}`", schedule.cluster));
            let help = match did_you_mean(&schedule.cluster, clusters()) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => format!("there are {}", some_of(clusters())),
            };
            problems.push(problem.at(at("cluster")).help(help));
        }
        match schedule.timetable() {
            Ok(_) => {}
            Err(TimetableError::Cron(why)) => problems.push(
                Problem::new("bad-schedule", format!("`{}` says no time: {why}", schedule.cron)).at(at("cron")).help(
                    "write minute, hour, day of the month, month and day of the week: `0 3 * * *` is three every night",
                ),
            ),
            Err(TimetableError::Zone) => {
                let zone = schedule.time_zone.as_deref().unwrap_or_default();
                let help = "use a name of the IANA database such as `Europe/Berlin`, which this machine has in /usr/share/zoneinfo (package \
                    tzdata), or leave it out for UTC";
                let problem = Problem::new("unknown-time-zone", format!("there is no time zone `{zone}`"));
                problems.push(problem.at(at("time_zone")).help(help));
            }
        }
        problems.extend(twice(&schedules[..index], schedule, origin, index));
    }
    problems
}

/// A schedule whose name, or whose archive, an earlier one has: what one keeps, the other would remove.
fn twice(earlier: &[ScheduledBackup], schedule: &ScheduledBackup, origin: &Origin, index: usize) -> Option<Problem> {
    let first = |is_same: &dyn Fn(&ScheduledBackup) -> bool| earlier.iter().position(is_same);
    let named = first(&|other| other.name == schedule.name);
    let (other, what, key) = match named {
        Some(other) => (other, format!("there is another schedule with the name `{}`", schedule.name), "name"),
        None => {
            let other = first(&|other| other.archive() == schedule.archive())?;
            let key = if schedule.archive.is_some() { "archive" } else { "name" };
            (other, format!("another schedule writes the archive `{}`", schedule.archive()), key)
        }
    };
    let note = format!("the first one is at {}", origin.place(&format!("/{other}")));
    let problem = Problem::new("duplicate-schedule", what).at(origin.place(&format!("/{index}/{key}")));
    Some(problem.note(note).help("give each schedule a name and an archive of its own"))
}
