//! `expect: archive`.

use super::Checked;
use crate::backup::manifest::{BackupState, Manifest};
use crate::backup::{Archive, ArchiveError, Level, verify};
use crate::record::{Demand, Observed, Quantity, Unit, demand};
use crate::scenario::predicate::Predicate;
use crate::scenario::units::{Count, Share};
use crate::text::Problem;
use crate::verb::{CheckContext, StepContext, StepError};
use crate::verbs::archives::{check_identity, check_place, open};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;

/// An archive of this run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSubject {
    /// Its name, or `s3://BUCKET/PREFIX`.
    pub name: String,
    /// Records in it; markers of transactions and aborted data are records, too.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    records: Option<Value>,
    /// Offsets that it answers for and that have no record.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    gaps: Option<Value>,
    /// How many bytes its files are smaller than uncompressed batches.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Share>>")]
    saved: Option<Value>,
    /// How many backups into it wrote something: each is a state to go back to.
    #[serde(default)]
    #[schemars(with = "Option<Predicate<Count>>")]
    generations: Option<Value>,
    /// How far its last backup got.
    #[serde(default)]
    state: Option<BackupState>,
    /// Whether it is as it was written: `false` expects damage.
    #[serde(default)]
    sound: Option<bool>,
    /// How closely `sound` looks. `full` where absent.
    #[serde(default)]
    level: Option<Level>,
    /// The file with the age identity that opens an encrypted archive, relative to the scenario.
    #[serde(default)]
    identity: Option<PathBuf>,
}

impl ArchiveSubject {
    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        check_place(&format!("{pointer}/name"), &self.name, cx);
        check_identity(&format!("{pointer}/identity"), self.identity.as_deref(), cx);
        let numbers = [
            ("records", Unit::Count, &self.records),
            ("gaps", Unit::Count, &self.gaps),
            ("saved", Unit::Share, &self.saved),
            ("generations", Unit::Count, &self.generations),
        ];
        let none = numbers.iter().all(|(_, _, value)| value.is_none());
        if none && self.state.is_none() && self.sound.is_none() {
            cx.report(pointer, Problem::new("nothing-expected", format!("`archive: {}` states no check", self.name)));
        }
        if self.level.is_some() && self.sound.is_none() {
            let problem = Problem::new("nothing-expected", "`level` has no effect without `sound`");
            cx.report(&format!("{pointer}/level"), problem.help("add `sound: true`"));
        }
        for (field, unit, value) in numbers {
            if let Some(Err(error)) = value.as_ref().map(|value| demand(unit, value)) {
                cx.report(&format!("{pointer}/{field}"), Problem::new("bad-value", error));
            }
        }
    }

    pub fn look(&self, pointer: &str, cx: &StepContext) -> Result<Vec<Checked>, StepError> {
        let archive = open(cx, &self.name, self.identity.as_deref())?;
        let manifest = archive.as_ref().map_err(Clone::clone).and_then(Archive::current);
        let mut checked = Vec::new();
        let of = |read: &dyn Fn(&Manifest) -> Observed| match &manifest {
            Ok(manifest) => read(manifest),
            Err(error) => unread(error),
        };
        let numbers: [(&str, Unit, &Option<Value>, Observed); 4] = [
            ("records", Unit::Count, &self.records, of(&|manifest| count(manifest.records()))),
            ("gaps", Unit::Count, &self.gaps, of(&|manifest| count(missing(manifest)))),
            ("saved", Unit::Share, &self.saved, of(&saved)),
            ("generations", Unit::Count, &self.generations, of(&|manifest| count(manifest.generation.into()))),
        ];
        for (field, unit, wanted, observed) in numbers {
            let Some(wanted) = wanted else { continue };
            let demand = demand(unit, wanted).map_err(|error| StepError::broken("bad-value", error))?;
            let subject = format!("archive {} {field}", self.name);
            checked.push(Checked::new(subject, demand, observed, format!("{pointer}/{field}")));
        }
        if let Some(state) = self.state {
            let word = |state: BackupState| format!("{state:?}").to_lowercase();
            let observed = of(&|manifest| Observed::Text(word(manifest.state)));
            let subject = format!("archive {} state", self.name);
            checked.push(Checked::new(subject, Demand::Text(word(state)), observed, format!("{pointer}/state")));
        }
        if let Some(sound) = self.sound {
            let report = archive.and_then(|archive| verify(&archive, self.level.unwrap_or(Level::Full), 1));
            let (observed, samples) = match report {
                Ok(report) => {
                    let told = report.problems.iter().take(5).map(|problem| match problem.at {
                        Some(at) => format!("{} at byte {at}: {}", problem.file, problem.reason),
                        None => format!("{}: {}", problem.file, problem.reason),
                    });
                    (Observed::Flag(report.problems.is_empty()), told.collect())
                }
                Err(error) if error.is_damage() => (Observed::Flag(false), vec![error.to_string()]),
                Err(error) => (unread(&error), Vec::new()),
            };
            let subject = format!("archive {} is sound", self.name);
            let check = Checked::new(subject, Demand::Flag(sound), observed, format!("{pointer}/sound"));
            checked.push(Checked { samples, ..check });
        }
        Ok(checked)
    }
}

/// What cannot be read: an archive that is not there is nothing to observe.
fn unread(error: &ArchiveError) -> Observed {
    match error {
        ArchiveError::Absent { .. } => Observed::nothing(error.to_string()),
        error => Observed::unknown(error.to_string()),
    }
}

fn count(number: u64) -> Observed {
    Observed::Number(Quantity::count(number))
}

fn missing(manifest: &Manifest) -> u64 {
    manifest.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.missing).sum()
}

fn saved(manifest: &Manifest) -> Observed {
    let uncompressed: u64 = manifest.segments().map(|(_, _, segment)| segment.uncompressed).sum();
    if uncompressed == 0 {
        return Observed::nothing("the archive holds no bytes");
    }
    let share = 1.0 - manifest.bytes() as f64 / uncompressed as f64;
    Observed::Number(Quantity::new(share, Unit::Share))
}
