//! Whether an archive is what it was when it was written.

mod chain;
mod partition;

use super::archive::Archive;
use super::archive_error::ArchiveError;
use super::manifest::{BackupState, KeptPartition, KeptTopic, Manifest};
use crate::ground::{lock, unpoisoned};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Mutex;

/// How closely an archive is looked at. Each level includes those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The chain of manifests, and that every file is there with its length.
    Quick,
    /// The SHA-256 of every file, and the checksum of every batch.
    Full,
    /// Every record is decoded; counts, gaps and transactions are computed again.
    Deep,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ArchiveProblem {
    /// The file.
    pub file: String,
    /// The byte in it from which on it is wrong, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// How closely it was looked at.
    pub level: Level,
    /// The manifest that rules; nothing where there is none that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<u32>,
    /// What that says of the backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<BackupState>,
    /// How many files of batches it lists.
    pub segments: u64,
    /// How many batches were read.
    pub batches: u64,
    /// How many records were read; only `deep` reads them.
    pub records: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// How many files are encrypted and were not opened, because no identity was given: of them only length and SHA-256 were
    /// looked at.
    pub sealed: u64,
    /// What is wrong; empty for a sound archive.
    pub problems: Vec<ArchiveProblem>,
}

impl VerifyReport {
    /// That its newest backup has not come to its end, or lacks something: what is sound may not be all.
    pub fn unfinished(&self) -> Option<&'static str> {
        match self.state? {
            BackupState::Complete => None,
            BackupState::Running => {
                Some("its newest backup is running, or was interrupted: what it has so far was looked at")
            }
            BackupState::Partial => {
                Some("its newest backup lacks something that it was to take: `missing` in its manifest says what")
            }
        }
    }
}

/// So many problems are listed: an archive on a broken disk has one for each batch.
const MOST: usize = 1000;
/// So often it is looked again at an archive that is pruned meanwhile.
const AGAIN: usize = 3;

/// Looks at an archive. `threads` partitions are read at the same time. Backups into it, and prunings, may go on: what it had when it was looked at
/// is what counts.
///
/// # Errors
/// Where the store cannot be read, or this is no archive, or one of a newer version; where records are to be decoded of files that no
/// identity opens. Damage is in the report.
pub fn verify(archive: &Archive, level: Level, threads: usize) -> Result<VerifyReport, ArchiveError> {
    let oldest = || archive.numbers().ok()?.first().copied();
    let (mut before, mut again) = (oldest(), AGAIN);
    loop {
        let looked = look(archive, level, threads);
        let is_sound = looked.as_ref().is_ok_and(|report| report.problems.is_empty());
        if is_sound || again == 0 {
            return looked;
        }
        // What is missed may have been let go of: a pruning removes the oldest manifest first.
        let now = oldest();
        if now == before {
            return looked;
        }
        (before, again) = (now, again - 1);
    }
}

/// Looks at it as it is now.
fn look(archive: &Archive, level: Level, threads: usize) -> Result<VerifyReport, ArchiveError> {
    let mut report = VerifyReport {
        level,
        manifest: None,
        state: None,
        segments: 0,
        batches: 0,
        records: 0,
        bytes: 0,
        sealed: 0,
        problems: Vec::new(),
    };
    let manifest = match archive.newest() {
        Ok(Some((manifest, _))) => manifest,
        Ok(None) => {
            let reason = "no backup into it has written a manifest yet".to_owned();
            return Err(ArchiveError::Absent { place: archive.store().place(), reason });
        }
        Err(error) => {
            report.problems.push(problem(error)?);
            return Ok(report);
        }
    };
    report.manifest = Some(manifest.number);
    report.state = Some(manifest.state);
    report.segments = manifest.segments().count() as u64;
    chain::check(archive, &manifest, &mut report.problems)?;
    if level > Level::Quick {
        read(archive, &manifest, &mut report, threads)?;
    }
    report.problems.sort();
    report.problems.dedup();
    report.problems.truncate(MOST);
    Ok(report)
}

/// Damage as something for a report; what is no damage stays an error.
fn problem(error: ArchiveError) -> Result<ArchiveProblem, ArchiveError> {
    match error {
        ArchiveError::Damaged { file, at, reason } => Ok(ArchiveProblem { file, at, reason }),
        other => Err(other),
    }
}

fn read(archive: &Archive, manifest: &Manifest, report: &mut VerifyReport, threads: usize) -> Result<(), ArchiveError> {
    let all = manifest.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)));
    let waiting: Mutex<VecDeque<(&KeptTopic, &KeptPartition)>> = Mutex::new(all.collect());
    let level = report.level;
    let found: Mutex<Result<&mut VerifyReport, ArchiveError>> = Mutex::new(Ok(report));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let Some((topic, partition)) = lock(&waiting).pop_front() else { return };
                    let looked = partition::check(archive, topic, partition, level);
                    let mut found = lock(&found);
                    match (looked, &mut *found) {
                        (Ok(looked), Ok(report)) => {
                            report.batches += looked.batches;
                            report.records += looked.records;
                            report.bytes += looked.bytes;
                            report.sealed += looked.sealed;
                            report.problems.extend(looked.problems);
                        }
                        (Err(error), Ok(_)) => *found = Err(error),
                        (_, Err(_)) => return,
                    }
                }
            });
        }
    });
    unpoisoned(found.into_inner()).map(|_| ())
}
