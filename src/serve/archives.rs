//! The archives that requests may name: each lies below one root. No request holds a path.

use super::age::age;
use super::problem::HttpProblem;
use super::verified::{ArchiveVerified, VerifiedArchives};
use crate::backup::manifest::{BackupState, Manifest};
use crate::backup::{Archive, ArchiveError, Identities, Store, discard, folders_at, store_at};
use crate::ground::lock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The longest name.
const LONGEST: usize = 200;
/// What is wrong with an archive that is not where it was.
const GONE: &str = "it is not there any more, though this service has verified it and did not delete it: see that its place is mounted; to \
    forget it, delete it here";

/// The archives below a root. Cheap to clone; its functions read files, and are not for threads that run tasks.
#[derive(Clone)]
pub struct Archives(Arc<Root>);

struct Root {
    /// A folder, or `s3://BUCKET/PREFIX`.
    place: String,
    identities: Identities,
    verified: VerifiedArchives,
    /// What the newest manifest of each archive says, which is never changed under its number.
    known: Mutex<BTreeMap<String, (String, ArchiveEntry)>>,
}

/// What an archive is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveState {
    /// No backup into it has written a manifest yet.
    Empty,
    /// A backup is at work, or was interrupted.
    Running,
    /// Everything up to the cut of its newest backup is there.
    Complete,
    /// Something is missing of what the newest backup was to take.
    Partial,
    /// It cannot be read: see `problem`.
    Unreadable,
}

/// An archive. Times are in ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArchiveEntry {
    /// Its name.
    pub name: String,
    /// What it is worth.
    pub state: ArchiveState,
    /// Why it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What tells it from others, whatever they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How many backups were made into it.
    pub generations: u32,
    /// The number of its newest manifest, 0 where there is none.
    pub manifest: u32,
    /// When that was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<i64>,
    /// How many seconds ago that was. Nothing where it is still to come, as after a clock that was ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// The id of the cluster that its topics come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Its topics.
    pub topics: Vec<ArchiveTopic>,
    /// How many records it has.
    pub records: u64,
    /// How many bytes its segments take.
    pub bytes: u64,
    /// What is missing, and why, where it is partial.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Whether records are encrypted.
    pub encrypted: bool,
    /// The last verification of it by this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<ArchiveVerified>,
}

/// A topic of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArchiveTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// How many records there are of it.
    pub records: u64,
    /// How many bytes its segments take.
    pub bytes: u64,
}

impl Archives {
    /// Those below this place.
    pub fn new(place: &str, identities: Identities, verified: VerifiedArchives) -> Self {
        let place = place.trim_end_matches('/').to_owned();
        Self(Arc::new(Root { place, identities, verified, known: Mutex::default() }))
    }

    /// Where they lie.
    pub fn place(&self) -> &str {
        &self.0.place
    }

    /// What their verifications came to.
    pub fn verified(&self) -> &VerifiedArchives {
        &self.0.verified
    }

    /// The place of an archive, whether it is there or not.
    ///
    /// # Errors
    /// No archive has such a name, or it is a link: 400.
    pub fn store(&self, name: &str) -> Result<Arc<dyn Store>, HttpProblem> {
        check_name(name)?;
        let place = format!("{}/{name}", self.0.place);
        if !place.contains("://") && Path::new(&place).is_symlink() {
            let detail = format!("archive `{name}` is a link, and leads somewhere else");
            return Err(HttpProblem::bad("archive-name", detail).help("choose another name"));
        }
        store_at(&place).map_err(|reason| HttpProblem::unavailable("archives", reason))
    }

    /// Opens an archive.
    ///
    /// # Errors
    /// There is none (404), its name is none (400), or it cannot be read (503).
    pub fn open(&self, name: &str) -> Result<Archive, HttpProblem> {
        match Archive::open(self.store(name)?) {
            Ok(archive) => Ok(archive.with_identities(self.0.identities.clone())),
            Err(ArchiveError::Absent { .. }) => Err(absent(name)),
            Err(error) => Err(HttpProblem::unavailable("archive-unreadable", error.to_string())),
        }
    }

    /// All of them, by their names, with those that are gone.
    ///
    /// # Errors
    /// The place cannot be read: 503.
    pub fn list(&self) -> Result<Vec<ArchiveEntry>, HttpProblem> {
        let names = folders_at(&self.0.place).map_err(|reason| HttpProblem::unavailable("archives", reason))?;
        let names: BTreeSet<String> = names.into_iter().chain(self.0.verified.names()).collect();
        let mut found = Vec::new();
        for name in names.into_iter().filter(|name| check_name(name).is_ok()) {
            found.extend(self.show(&name)?);
        }
        Ok(found)
    }

    /// One of them; `None` where there is no archive of this name. One that was verified is there until this service deletes it: where it
    /// is gone all the same, that is told.
    ///
    /// # Errors
    /// No archive has such a name: 400.
    pub fn show(&self, name: &str) -> Result<Option<ArchiveEntry>, HttpProblem> {
        let (store, verified) = (self.store(name)?, self.0.verified.of(name));
        let mut entry = match (Archive::open(store), &verified) {
            (Ok(archive), _) => {
                let id = archive.id().to_owned();
                self.look(name, &archive).unwrap_or_else(|error| unreadable(name, Some(id), error.to_string()))
            }
            (Err(ArchiveError::Absent { .. }), None) => return Ok(None),
            (Err(ArchiveError::Absent { .. }), Some(known)) => {
                unreadable(name, Some(known.archive.clone()), GONE.to_owned())
            }
            (Err(error), _) => unreadable(name, None, error.to_string()),
        };
        entry.age = entry.written.and_then(|written| age(written, now()));
        entry.verified = verified.filter(|verified| match &entry.id {
            Some(id) => *id == verified.archive,
            // Of the archive whose label cannot be read the worst is taken for true.
            None => !verified.sound,
        });
        Ok(Some(entry))
    }

    fn look(&self, name: &str, archive: &Archive) -> Result<ArchiveEntry, ArchiveError> {
        let newest = archive.newest_file()?;
        // One that is cut off is not the one that was read.
        let mark = format!("{}/{newest:?}", archive.id());
        if let Some((known, entry)) = lock(&self.0.known).get(name)
            && *known == mark
        {
            return Ok(entry.clone());
        }
        let entry = match newest {
            Some((number, _)) => entry(name, &archive.manifest(number)?.0),
            None => ArchiveEntry { id: Some(archive.id().to_owned()), ..nothing(name, ArchiveState::Empty) },
        };
        lock(&self.0.known).insert(name.to_owned(), (mark, entry.clone()));
        Ok(entry)
    }

    /// Removes one of them, or forgets one that is gone.
    ///
    /// # Errors
    /// There is none (404), another program writes into it (409), or it cannot be removed (503).
    pub fn remove(&self, name: &str) -> Result<(), HttpProblem> {
        let archive = match self.open(name) {
            Err(problem) if problem.status == 404 && self.0.verified.of(name).is_some() => {
                self.0.verified.forget(name);
                return Ok(());
            }
            opened => opened?,
        };
        match discard(&archive) {
            Err(error @ ArchiveError::Busy { .. }) => return Err(HttpProblem::conflict("busy", error.to_string())),
            removed => removed.map_err(|error| HttpProblem::unavailable("archive-unreadable", error.to_string()))?,
        }
        self.0.verified.forget(name);
        lock(&self.0.known).remove(name);
        let place = format!("{}/{name}", self.0.place);
        if !place.contains("://") {
            // Only empty folders and a lock are left; a name that stays taken is told by the next backup into it.
            let _ = std::fs::remove_dir_all(place);
        }
        Ok(())
    }
}

/// Holds a name against what archives may be called.
///
/// # Errors
/// It is none: 400.
pub fn check_name(name: &str) -> Result<(), HttpProblem> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let begins = name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    if begins && name.len() <= LONGEST && name.chars().all(legal) {
        return Ok(());
    }
    let detail = format!("`{}` cannot be the name of an archive", super::clusters::shown(name));
    let help = format!(
        "use ASCII letters, digits, `.`, `_` and `-`, at most {LONGEST}, with a letter or digit at the beginning; paths are not taken"
    );
    Err(HttpProblem::bad("archive-name", detail).help(help))
}

/// The problem that there is no such archive.
pub fn absent(name: &str) -> HttpProblem {
    HttpProblem::absent("unknown-archive", format!("there is no archive `{name}`")).help("GET /api/backups lists them")
}

fn nothing(name: &str, state: ArchiveState) -> ArchiveEntry {
    ArchiveEntry {
        name: name.to_owned(),
        state,
        problem: None,
        id: None,
        generations: 0,
        manifest: 0,
        written: None,
        age: None,
        cluster: None,
        topics: Vec::new(),
        records: 0,
        bytes: 0,
        missing: Vec::new(),
        encrypted: false,
        verified: None,
    }
}

fn unreadable(name: &str, id: Option<String>, problem: String) -> ArchiveEntry {
    ArchiveEntry { problem: Some(problem), id, ..nothing(name, ArchiveState::Unreadable) }
}

fn entry(name: &str, manifest: &Manifest) -> ArchiveEntry {
    let state = match manifest.state {
        BackupState::Running => ArchiveState::Running,
        BackupState::Complete => ArchiveState::Complete,
        BackupState::Partial => ArchiveState::Partial,
    };
    let topics = manifest.topics.iter().map(|topic| {
        let segments = || topic.partitions.iter().flat_map(|partition| &partition.segments);
        ArchiveTopic {
            name: topic.name.clone(),
            partitions: topic.partitions.len(),
            records: segments().map(|segment| segment.records).sum(),
            bytes: segments().map(|segment| segment.length()).sum(),
        }
    });
    ArchiveEntry {
        id: Some(manifest.archive.clone()),
        generations: manifest.generation,
        manifest: manifest.number,
        written: Some(manifest.written),
        cluster: Some(manifest.cluster.id.clone()),
        topics: topics.collect(),
        records: manifest.records(),
        bytes: manifest.bytes(),
        missing: manifest.missing.clone(),
        encrypted: !manifest.request.recipients.is_empty(),
        ..nothing(name, state)
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::state::ServeState;

    fn archives(root: &Path) -> Archives {
        let verified = VerifiedArchives::read(ServeState::open(&root.join("state")).expect("free")).0;
        Archives::new(root.join("archives").to_str().expect("text"), Identities::default(), verified)
    }

    #[test]
    fn a_name_is_no_path() {
        for name in ["a", "orders-20261130T101500Z-0123", "A.b_c-d", "0"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "a".repeat(LONGEST + 1);
        for name in [
            "", ".", "..", "../a", "a/b", "a\\b", "/a", ".hidden", "-a", "a b", "a\0", "ä", "s3://b/c", "%2e%2e", &long,
        ] {
            let problem = check_name(name).expect_err(name);
            assert_eq!(problem.status, 400, "{name}");
        }
    }

    #[test]
    fn archives_are_listed_shown_and_removed_and_other_folders_left_alone() {
        let root = tempfile::tempdir().expect("a folder");
        let archives = archives(root.path());
        assert_eq!(archives.list().expect("nothing is there yet"), []);
        Archive::create(archives.store("one").expect("a place"), "0123456789abcdef0123456789abcdef").expect("made");
        let at = |name: &str| root.path().join("archives").join(name);
        std::fs::create_dir(at("other")).expect("a folder");
        std::fs::write(at("other").join("file"), "x").expect("written");
        std::fs::create_dir(at("broken")).expect("a folder");
        std::fs::write(at("broken").join("archive.json"), "{").expect("written");
        std::os::unix::fs::symlink(at("one"), at("link")).expect("a link");
        let listed = archives.list().expect("listed");
        let found: Vec<_> = listed.iter().map(|entry| (entry.name.as_str(), entry.state)).collect();
        assert_eq!(found, [("broken", ArchiveState::Unreadable), ("one", ArchiveState::Empty)]);
        assert!(listed[0].problem.as_ref().is_some_and(|problem| problem.contains("archive.json")));
        assert_eq!(archives.show("link").expect_err("a link").status, 400);
        assert_eq!(archives.show("other").expect("readable"), None);
        assert_eq!(archives.remove("other").expect_err("no archive").status, 404);
        let lease = archives.store("one").expect("a place").lease().expect("free");
        assert_eq!(archives.remove("one").expect_err("in use").status, 409);
        drop(lease);
        archives.remove("one").expect("removed");
        assert!(!at("one").exists() && at("other").join("file").exists());
    }
    #[test]
    fn what_a_verification_found_is_told_of_an_archive_that_cannot_be_read_or_is_gone() {
        let root = tempfile::tempdir().expect("a folder");
        let archives = archives(root.path());
        let (id, at) = ("0123456789abcdef0123456789abcdef", root.path().join("archives/one"));
        Archive::create(archives.store("one").expect("a place"), id).expect("made");
        std::fs::create_dir_all(at.join("manifests")).expect("a folder");
        std::fs::write(at.join("manifests/00000001.json"), "{").expect("written");
        let (level, job) = (crate::backup::Level::Full, "j".to_owned());
        let (archive, sealed, later) = (id.to_owned(), false, None);
        let verified = ArchiveVerified { archive, level, sealed, sound: false, at: 1, manifest: 1, job, later };
        archives.verified().keep("one", verified, None).expect("kept");
        let shown = |archives: &Archives| {
            let entry = archives.show("one").expect("a name").expect("it is known");
            assert_eq!(archives.list().expect("listed"), std::slice::from_ref(&entry));
            (entry.state, entry.id, entry.verified.map(|verified| verified.sound), entry.problem.expect("told"))
        };
        let (state, known, sound, problem) = shown(&archives);
        assert_eq!((state, known.as_deref(), sound), (ArchiveState::Unreadable, Some(id), Some(false)));
        assert!(problem.contains("00000001.json"), "{problem}");
        std::fs::write(at.join("archive.json"), "{").expect("written");
        let (state, known, sound, _) = shown(&archives);
        assert_eq!((state, known, sound), (ArchiveState::Unreadable, None, Some(false)), "its label is damaged");
        std::fs::remove_dir_all(root.path().join("archives")).expect("removed");
        let (state, _, sound, problem) = shown(&archives);
        assert_eq!((state, sound), (ArchiveState::Unreadable, Some(false)));
        assert!(problem.contains("not there any more"), "{problem}");
        archives.remove("one").expect("forgotten");
        assert_eq!((archives.list().expect("listed"), archives.show("one").expect("a name")), (vec![], None));
    }
}
