//! The folder in which a restore of one topic keeps what it needs to go on after a crash.

use super::request::{Keep, Offsets, Renamed, RestorePoint, RestoreRequest, RestoredGroups};
use super::restore_error::RestoreError;
use crate::backup::manifest::KeptPartition;
use crate::backup::translation::Translation;
use crate::ground::input::{self, InputError};
use crate::ground::private;
use crate::kafka::unfit_topic_name;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file with the state.
const FILE: &str = "restore.json";
/// The longest file of it that is read: 40 million runs of offsets.
const LONGEST: u64 = 1 << 30;

/// What was asked for, as far as another answer would put other records at other offsets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RestoreTerms {
    pub(super) archive: String,
    /// The manifest that the restore reads, whatever is added to the archive later.
    pub(super) manifest: u32,
    cluster: String,
    pub(super) from: String,
    to: String,
    partitions: Option<BTreeSet<i32>>,
    until: RestorePoint,
    offsets: Offsets,
    isolation: Keep,
}

impl RestoreTerms {
    pub(super) fn new(archive: &str, manifest: u32, cluster: &str, topic: &Renamed, request: &RestoreRequest) -> Self {
        Self {
            archive: archive.to_owned(),
            manifest,
            cluster: cluster.to_owned(),
            from: topic.from.clone(),
            to: topic.to.clone(),
            partitions: topic.partitions.clone(),
            until: request.until,
            offsets: request.offsets,
            isolation: request.isolation,
        }
    }

    /// The request again, as far as it decides which records are where.
    pub(super) fn request(&self, groups: RestoredGroups, state: &Path) -> RestoreRequest {
        let renamed = Renamed { from: self.from.clone(), to: self.to.clone(), partitions: self.partitions.clone() };
        RestoreRequest {
            until: self.until,
            offsets: self.offsets,
            isolation: self.isolation,
            groups,
            ..RestoreRequest::new(vec![renamed], state.to_owned())
        }
    }

    /// Whether this is the same restore, but for what was added to the archive meanwhile.
    fn continues(&self, before: &Self) -> bool {
        Self { manifest: before.manifest, ..self.clone() } == *before
    }
}

/// How far the restore of a topic is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RestoreState {
    pub(super) asked: RestoreTerms,
    /// What tells this restore from others in the target: part of its transactional ids.
    pub(super) id: String,
    /// The id of the topic that was made, or found where the restore appends.
    pub(super) topic: Option<String>,
    /// Where the partitions of the target began.
    pub(super) starts: BTreeMap<i32, i64>,
    /// The configuration that the topic has to have in the end; `None` where the topic was not made by the restore.
    pub(super) settings: Option<BTreeMap<String, String>>,
    /// Whether the retention was left off in the end.
    #[serde(default)]
    pub(super) held: bool,
    /// Whether the ACLs that name the topic were given.
    #[serde(default)]
    pub(super) acls: bool,
    /// The groups whose offsets were set.
    #[serde(default)]
    pub(super) groups: Vec<String>,
    /// Whether everything is there.
    pub(super) complete: bool,
}

/// The folder of one topic, for one restore at a time.
pub(super) struct StateFolder {
    path: PathBuf,
    /// Its lock lasts as long as the file is open.
    _lock: File,
}

impl StateFolder {
    /// The folder for this topic below the restore's.
    ///
    /// # Errors
    /// It cannot be made, or another restore is at work with it.
    pub(super) fn open(root: &Path, topic: &str) -> Result<Self, RestoreError> {
        let path = place(root, topic)?;
        private::create_dir_all(&path).map_err(RestoreError::state(&path))?;
        // Beside the folder, which is emptied where a restore begins again.
        let lock = root.join(format!("{topic}.lock"));
        let open = private::options().create(true).truncate(false).write(true).open(&lock);
        let file = open.map_err(RestoreError::state(&lock))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _lock: file }),
            Err(TryLockError::WouldBlock) => {
                let reason = format!("another restore into the topic `{topic}` is running with {}", path.display());
                Err(RestoreError::refused(reason, "wait until it is over, or end it"))
            }
            Err(TryLockError::Error(error)) => Err(RestoreError::state(&lock)(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the state. When this returns, it survives a power cut.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn write(&self, state: &RestoreState) -> Result<(), RestoreError> {
        let path = self.path.join(FILE);
        let bytes = serde_json::to_vec_pretty(state).map_err(|error| RestoreError::state(&path)(error.into()))?;
        put(&path, &bytes).map_err(RestoreError::state(&path))
    }

    /// Removes what a restore into a topic that is gone has left.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn clear(&self) -> Result<(), RestoreError> {
        let clear = || -> io::Result<()> {
            for entry in std::fs::read_dir(&self.path)? {
                std::fs::remove_file(entry?.path())?;
            }
            Ok(())
        };
        clear().map_err(RestoreError::state(&self.path))
    }
}

/// The folder of a topic. An archive may call a topic whatever it likes.
///
/// # Errors
/// No topic has such a name.
fn place(root: &Path, topic: &str) -> Result<PathBuf, RestoreError> {
    match unfit_topic_name(topic) {
        Some(why) => {
            let reason = format!("`{topic}` cannot be a topic: {why}");
            Err(RestoreError::refused(reason, "give it another name"))
        }
        None => Ok(root.join(topic)),
    }
}

/// What the folder of a topic says of its restore; `None` where there is no such folder.
///
/// # Errors
/// It cannot be read.
pub(super) fn begun(root: &Path, topic: &str) -> Result<Option<RestoreState>, RestoreError> {
    let path = place(root, topic)?.join(FILE);
    let bytes = match input::read(&path, LONGEST) {
        Err(InputError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| RestoreError::state(&path)(error.into()))?,
    };
    serde_json::from_slice(&bytes).map_err(|error| RestoreError::state(&path)(error.into())).map(Some)
}

/// What an earlier attempt at the same restore left.
///
/// # Errors
/// It cannot be read, or is another restore's.
pub(super) fn attempt(root: &Path, topic: &str, asked: &RestoreTerms) -> Result<Option<RestoreState>, RestoreError> {
    let Some(state) = begun(root, topic)? else { return Ok(None) };
    if !asked.continues(&state.asked) {
        let reason = format!("{} belongs to a restore with other options", place(root, topic)?.join(FILE).display());
        let remedy = "repeat the command as it was to go on with it, or give another state folder to begin again";
        return Err(RestoreError::refused(reason, remedy));
    }
    Ok(Some(state))
}

/// The topics of which a restore keeps its state here.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn topics(root: &Path) -> Result<Vec<String>, RestoreError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(root)? {
            let entry = entry?;
            if entry.path().join(FILE).is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(RestoreError::state(root)),
    }
}

/// The file that tells where the records of a partition went.
pub(super) fn table_path(folder: &Path, partition: i32) -> PathBuf {
    folder.join(format!("{partition}.offsets"))
}

/// What the files tell of these partitions.
///
/// # Errors
/// One of them cannot be read, or is damaged.
pub(super) fn tables<'a>(
    folder: &Path,
    partitions: impl Iterator<Item = &'a KeptPartition>,
) -> Result<BTreeMap<i32, Translation>, RestoreError> {
    partitions.map(|partition| Ok((partition.partition, table(folder, partition.partition)?))).collect()
}

/// What the file of a partition tells.
///
/// # Errors
/// It cannot be read, or is damaged.
pub(super) fn table(folder: &Path, partition: i32) -> Result<Translation, RestoreError> {
    let path = table_path(folder, partition);
    let bytes = input::read(&path, LONGEST).map_err(|error| RestoreError::state(&path)(error.into()))?;
    let unsound = |error| RestoreError::state(&path)(io::Error::new(io::ErrorKind::InvalidData, error));
    Translation::from_bytes(&bytes).map_err(unsound)
}

/// The same, where there is one already.
///
/// # Errors
/// It cannot be read, or is damaged.
pub(super) fn kept_table(folder: &Path, partition: i32) -> Result<Option<Translation>, RestoreError> {
    if table_path(folder, partition).exists() { table(folder, partition).map(Some) } else { Ok(None) }
}

/// Writes a file whole or not at all.
///
/// # Errors
/// The system's.
pub(super) fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = private::create(&part)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    std::fs::rename(&part, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_not_called_like_another_folder() {
        let root = tempfile::tempdir().expect("a folder");
        let state = root.path().join("state");
        for name in ["../treasure", "/treasure", "..", "a/b", "a\n", ""] {
            let refused = StateFolder::open(&state, name).err().expect(name).to_string();
            assert!(refused.contains("cannot be a topic"), "{refused}");
            assert!(begun(&state, name).is_err(), "{name}");
        }
        assert_eq!(std::fs::read_dir(root.path()).expect("a folder").count(), 0, "nothing was made");
    }

    #[test]
    fn a_second_restore_into_a_topic_is_refused_while_the_first_is_at_work() {
        let root = tempfile::tempdir().expect("a folder");
        let first = StateFolder::open(root.path(), "orders").expect("alone");
        let second = StateFolder::open(root.path(), "orders").err().expect("refused");
        assert!(second.to_string().contains("another restore into the topic `orders`"), "{second}");
        assert!(StateFolder::open(root.path(), "others").is_ok());
        drop(first);
        assert!(StateFolder::open(root.path(), "orders").is_ok());
    }
}
