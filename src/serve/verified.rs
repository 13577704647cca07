//! What the verifications of archives have come to, as far as this service made them.

use super::state::{ServeState, SetAside};
use crate::backup::{Level, StoreError};
use crate::ground::lock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Where the documents lie.
const FOLDER: &str = "verified/";

/// What a verification of an archive came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArchiveVerified {
    /// The id of the archive.
    pub archive: String,
    /// How closely it was looked at.
    pub level: Level,
    /// Whether encrypted files were not opened: of them only length and SHA-256 were looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
    /// Whether nothing was wrong.
    pub sound: bool,
    /// When it ended, in ms since the epoch.
    pub at: i64,
    /// The manifest that ruled: what was added later was not looked at.
    pub manifest: u32,
    /// The job that did it.
    pub job: String,
    /// Where damage was found: the last verification since that could not have seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub later: Option<LaterLook>,
}

/// A verification that decides nothing: damage was found by one that looked more closely, or that ended while this was at work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LaterLook {
    /// How closely it looked.
    pub level: Level,
    /// When it ended, in ms since the epoch.
    pub at: i64,
    /// The manifest that ruled.
    pub manifest: u32,
    /// The job that did it.
    pub job: String,
}

impl ArchiveVerified {
    /// The newest manifest that was looked at.
    pub fn newest(&self) -> u32 {
        self.manifest.max(self.later.as_ref().map_or(0, |later| later.manifest))
    }

    /// When it was looked at last, in ms since the epoch.
    pub fn looked(&self) -> i64 {
        self.later.as_ref().map_or(self.at, |later| later.at)
    }

    /// What ends damage, as words of a sentence.
    pub fn remedy(&self) -> String {
        let level = format!("{:?}", self.level).to_lowercase();
        let opened = if self.sealed { "" } else { ", of opened files," };
        format!("only a verification at `{level}`{opened} that finds nothing ends that")
    }

    /// Whether it stays beside one that ended later, which began when `known` was the job of the last one.
    fn outlasts(&self, newer: &Self, known: Option<&str>) -> bool {
        if self.archive != newer.archive {
            return false;
        }
        let meanwhile = known != Some(self.job.as_str());
        if self.sound {
            return meanwhile && newer.sound && newer.manifest < self.manifest;
        }
        let depth = |verified: &Self| (verified.level, !verified.sealed);
        depth(newer) < depth(self) || (newer.sound && meanwhile)
    }

    /// It stays, and this one came later.
    fn beside(&self, newer: Self) -> Self {
        let ArchiveVerified { level, at, manifest, job, .. } = newer;
        let later = if self.sound { None } else { Some(LaterLook { level, at, manifest, job }) };
        Self { later, ..self.clone() }
    }
}

/// The last verification of each archive. Cheap to clone.
#[derive(Clone)]
pub struct VerifiedArchives(Arc<Kept>);

struct Kept {
    state: ServeState,
    table: Mutex<BTreeMap<String, ArchiveVerified>>,
}

impl VerifiedArchives {
    /// What is kept. Where nothing can be read, nothing is known; what is damaged was set aside.
    pub fn read(state: ServeState) -> (Self, Vec<SetAside>) {
        let (found, damaged) = state.read_all::<ArchiveVerified>(FOLDER).unwrap_or_default();
        let name = |file: String| Some(file.strip_prefix(FOLDER)?.strip_suffix(".json")?.to_owned());
        let table = found.into_iter().filter_map(|(file, verified)| Some((name(file)?, verified))).collect();
        (Self(Arc::new(Kept { state, table: Mutex::new(table) })), damaged)
    }

    /// The last one of the archive of this name.
    pub fn of(&self, name: &str) -> Option<ArchiveVerified> {
        lock(&self.0.table).get(name).cloned()
    }

    /// The names of the archives that were verified.
    pub fn names(&self) -> Vec<String> {
        lock(&self.0.table).keys().cloned().collect()
    }

    /// Pruning has written another manifest, of what the one before had: what was looked at, still was.
    pub fn pruned(&self, name: &str, before: u32, after: u32) {
        let mut table = lock(&self.0.table);
        let Some(mut verified) = table.get(name).filter(|verified| verified.newest() == before).cloned() else {
            return;
        };
        match &mut verified.later {
            Some(later) if later.manifest == before => later.manifest = after,
            _ => verified.manifest = after,
        }
        // Where it cannot be kept, nothing has looked at the archive as it is now.
        if self.0.state.write(&file(name), &verified).is_ok() {
            table.insert(name.to_owned(), verified);
        }
    }

    /// Keeps one that began when `known` was the job of the last one, and answers which rules now: damage is over only where something
    /// has looked as closely since, and found nothing.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(
        &self,
        name: &str,
        verified: ArchiveVerified,
        known: Option<&str>,
    ) -> Result<ArchiveVerified, StoreError> {
        let mut table = lock(&self.0.table);
        let ruling = match table.get(name) {
            Some(former) if former.outlasts(&verified, known) => former.beside(verified),
            _ => verified,
        };
        self.0.state.write(&file(name), &ruling)?;
        table.insert(name.to_owned(), ruling.clone());
        Ok(ruling)
    }

    /// Forgets that of an archive that is gone.
    pub fn forget(&self, name: &str) {
        lock(&self.0.table).remove(name);
        // One that stays belongs to no archive: its id tells.
        let _ = self.0.state.remove(&file(name));
    }
}

fn file(name: &str) -> String {
    format!("{FOLDER}{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(level: Level, sound: bool, manifest: u32, job: &str) -> ArchiveVerified {
        let (archive, job) = ("a".to_owned(), job.to_owned());
        ArchiveVerified { archive, level, sealed: false, sound, at: 1, manifest, job, later: None }
    }

    /// Each is begun when the one before has ended.
    fn after(all: &[ArchiveVerified]) -> ArchiveVerified {
        let root = tempfile::tempdir().expect("a folder");
        let kept = VerifiedArchives::read(ServeState::open(root.path()).expect("free")).0;
        for verified in all {
            let known = kept.of("one").map(|known| known.job);
            let ruling = kept.keep("one", verified.clone(), known.as_deref()).expect("kept");
            assert_eq!(kept.of("one"), Some(ruling));
        }
        let last = kept.of("one").expect("kept");
        drop(kept);
        let again = VerifiedArchives::read(ServeState::open(root.path()).expect("free")).0;
        assert_eq!(again.of("one").as_ref(), Some(&last), "it is on disk");
        last
    }

    #[test]
    fn damage_is_over_only_where_something_has_looked_as_closely() {
        use Level::{Deep, Full, Quick};
        let damaged = found(Full, false, 4, "j1");
        let quick = after(&[damaged.clone(), found(Quick, true, 5, "j2")]);
        assert_eq!((quick.sound, quick.level, quick.manifest, quick.newest()), (false, Full, 4, 5));
        assert!(quick.remedy().contains("at `full`"), "{}", quick.remedy());
        // Other damage, which `quick` sees and which is mended, is not all of it.
        assert!(!after(&[damaged.clone(), found(Quick, false, 5, "j2"), found(Quick, true, 5, "j3")]).sound);
        for level in [Full, Deep] {
            assert_eq!(after(&[damaged.clone(), found(level, true, 5, "j2")]), found(level, true, 5, "j2"));
        }
        let shut = ArchiveVerified { sealed: true, ..found(Full, true, 5, "j2") };
        assert!(!after(&[damaged.clone(), shut.clone()]).sound, "nothing was opened");
        let damaged_shut = ArchiveVerified { sealed: true, ..damaged.clone() };
        assert!(after(&[damaged_shut, shut]).sound);
        let other = ArchiveVerified { archive: "b".to_owned(), ..found(Quick, true, 1, "j2") };
        assert!(after(&[damaged, other]).sound, "it is another archive");
    }

    #[test]
    fn what_ended_while_another_looked_is_not_written_over_by_it() {
        let root = tempfile::tempdir().expect("a folder");
        let kept = VerifiedArchives::read(ServeState::open(root.path()).expect("free")).0;
        kept.keep("one", found(Level::Full, true, 5, "j1"), None).expect("kept");
        let late = kept.keep("one", found(Level::Full, true, 4, "j0"), None).expect("kept");
        assert_eq!((late.manifest, late.job.as_str()), (5, "j1"), "of an older manifest");
        kept.keep("one", found(Level::Full, false, 5, "j2"), Some("j1")).expect("kept");
        let late = kept.keep("one", found(Level::Full, true, 5, "j3"), Some("j1")).expect("kept");
        assert!(!late.sound, "it may have read the file before it was damaged");
        kept.pruned("one", 5, 6);
        assert_eq!(kept.of("one").map(|verified| verified.newest()), Some(6));
        let since = kept.keep("one", found(Level::Full, true, 6, "j4"), Some("j2")).expect("kept");
        assert!(since.sound && since.later.is_none());
    }
}
