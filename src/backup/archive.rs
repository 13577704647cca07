//! An archive in a store: its label, and its chain of manifests.

use super::archive_error::ArchiveError;
use super::digest::Digest;
use super::keys::Identities;
use super::manifest::{Manifest, is_id};
use super::names::LABEL;
use super::store::{self, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the label and each manifest begin with.
pub const FORMAT: &str = "kscen-archive";
/// The version of the format that this kscen writes, and the newest that it reads.
pub const VERSION: u64 = 1;
/// The folder of the manifests.
const MANIFESTS: &str = "manifests/";
/// The longest manifest that is read: about 500 bytes a segment, so that 30 TB fit.
const LONGEST: u64 = 256 << 20;

/// What `archive.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Label {
    /// `kscen-archive`.
    pub format: String,
    /// The version of the format: 1.
    pub version: u64,
    /// What tells it from every other archive.
    pub id: String,
}

/// An archive. Cheap to clone.
#[derive(Clone)]
pub struct Archive {
    store: Arc<dyn Store>,
    label: Label,
    identities: Identities,
}

impl Archive {
    /// Opens an archive.
    ///
    /// # Errors
    /// [`ArchiveError::Absent`], [`ArchiveError::Newer`], [`ArchiveError::Damaged`], or the store's.
    pub fn open(store: Arc<dyn Store>) -> Result<Self, ArchiveError> {
        let absent = |reason: &str| ArchiveError::Absent { place: store.place(), reason: reason.to_owned() };
        let bytes = match store::read(&*store, LABEL, 1 << 16) {
            Err(error) if error.is_absent() => return Err(absent("it has no `archive.json`")),
            read => read?,
        };
        let label: Label = decode(&store.path(LABEL), &bytes)?;
        if !is_id(&label.id) {
            return Err(ArchiveError::damaged(&store.path(LABEL), format!("`{}` is no id", label.id)));
        }
        Ok(Self { store, label, identities: Identities::default() })
    }

    /// Makes an empty archive of a place that has none, under this id.
    ///
    /// # Errors
    /// [`ArchiveError::Absent`] where other things lie there, [`ArchiveError::Busy`] where another made one meanwhile, or the
    /// store's.
    pub fn create(store: Arc<dyn Store>, id: &str) -> Result<Self, ArchiveError> {
        if let Some(other) = store.list("")?.first() {
            let reason = format!("it has no `archive.json`, but other files, such as `{}`", other.name);
            return Err(ArchiveError::Absent { place: store.place(), reason });
        }
        let label = Label { format: FORMAT.to_owned(), version: VERSION, id: id.to_owned() };
        match store.put_new(LABEL, &encode(&label)) {
            Err(error) if error.exists() => {
                let reason = "another backup has just made it an archive".to_owned();
                Err(ArchiveError::Busy { place: store.place(), reason })
            }
            made => Ok(made.map(|()| Self { store, label, identities: Identities::default() })?),
        }
    }

    /// The same, whose encrypted files are opened with these.
    #[must_use]
    pub fn with_identities(self, identities: Identities) -> Self {
        Self { identities, ..self }
    }

    /// What opens its encrypted files.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// What tells it from others.
    pub fn id(&self) -> &str {
        &self.label.id
    }

    /// Where it lies.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The numbers of the manifests that are there, ascending.
    ///
    /// # Errors
    /// The store's, or a name that no manifest has.
    pub fn numbers(&self) -> Result<Vec<u32>, ArchiveError> {
        Ok(self.files()?.into_iter().map(|(number, _)| number).collect())
    }

    /// The number of the newest manifest, and how many bytes its file has, without a look into it. `None` in a new archive.
    ///
    /// # Errors
    /// See [`Archive::numbers`].
    pub fn newest_file(&self) -> Result<Option<(u32, u64)>, ArchiveError> {
        Ok(self.files()?.pop())
    }

    /// The manifests that are there, ascending: their numbers, and the bytes of their files.
    fn files(&self) -> Result<Vec<(u32, u64)>, ArchiveError> {
        let mut files = Vec::new();
        for entry in self.store.list(MANIFESTS)? {
            let number = entry.name.strip_prefix(MANIFESTS).and_then(|name| name.strip_suffix(".json"));
            let number = number.filter(|number| number.len() == 8).and_then(|number| number.parse().ok());
            let strange = || ArchiveError::damaged(&self.store.path(&entry.name), "no manifest has this name");
            files.push((number.ok_or_else(strange)?, entry.bytes));
        }
        Ok(files)
    }

    /// One manifest, and the digest of its file.
    ///
    /// # Errors
    /// [`ArchiveError::Newer`], [`ArchiveError::Damaged`], or the store's.
    pub fn manifest(&self, number: u32) -> Result<(Manifest, Digest), ArchiveError> {
        let name = manifest_name(number);
        let bytes = store::read(&*self.store, &name, LONGEST)?;
        let path = self.store.path(&name);
        let manifest: Manifest = decode(&path, &bytes)?;
        if manifest.archive != self.label.id {
            let reason = format!("it belongs to archive {}, this is {}", manifest.archive, self.label.id);
            return Err(ArchiveError::damaged(&path, reason));
        }
        if manifest.number != number {
            return Err(ArchiveError::damaged(&path, format!("it says that it is number {}", manifest.number)));
        }
        match manifest.fault() {
            Some(reason) => Err(ArchiveError::damaged(&path, reason)),
            None => Ok((manifest, Digest::of(&bytes))),
        }
    }

    /// The manifest that rules, and its digest, after the whole chain before it was checked. `None` in a new archive.
    ///
    /// # Errors
    /// See [`Archive::manifest`]; [`ArchiveError::Damaged`] where a link of the chain does not hold.
    pub fn newest(&self) -> Result<Option<(Manifest, Digest)>, ArchiveError> {
        let mut last: Option<(Manifest, Digest)> = None;
        for number in self.numbers()? {
            let (manifest, digest) = self.manifest(number)?;
            let path = || self.store.path(&manifest_name(number));
            match &last {
                Some((before, _)) if number != before.number + 1 => {
                    let reason = format!("it is missing, although manifest {number} exists");
                    return Err(ArchiveError::damaged(&self.store.path(&manifest_name(before.number + 1)), reason));
                }
                Some((before, digest)) if manifest.previous.as_ref() != Some(digest) => {
                    let reason = format!("it does not follow number {} as that is now", before.number);
                    return Err(ArchiveError::damaged(&path(), reason));
                }
                // Old generations may have been pruned: the first that is left names one that is gone.
                None if number == 1 && manifest.previous.is_some() => {
                    return Err(ArchiveError::damaged(&path(), "it is the first, and names one before it"));
                }
                _ => {}
            }
            last = Some((manifest, digest));
        }
        Ok(last)
    }

    /// The manifest that rules.
    ///
    /// # Errors
    /// See [`Archive::newest`]; [`ArchiveError::Absent`] where no backup has come so far as to write one.
    pub fn current(&self) -> Result<Manifest, ArchiveError> {
        let reason = || "no backup into it has written a manifest yet".to_owned();
        let absent = || ArchiveError::Absent { place: self.store.place(), reason: reason() };
        Ok(self.newest()?.ok_or_else(absent)?.0)
    }

    /// Writes a manifest under its number. Returns its digest.
    ///
    /// # Errors
    /// [`ArchiveError::Busy`] where there is one of this number already; [`ArchiveError::Damaged`] where no archive can say what it
    /// says, or the store's.
    pub fn commit(&self, manifest: &Manifest) -> Result<Digest, ArchiveError> {
        let name = manifest_name(manifest.number);
        // What the brokers said is in it: an archive that nobody could read, or that has forgotten records, is not written.
        if let Some(reason) = manifest.fault().or_else(|| manifest.disorder()) {
            return Err(ArchiveError::damaged(&self.store.path(&name), reason));
        }
        let bytes = encode(manifest);
        match self.store.put_new(&name, &bytes) {
            Err(error) if error.exists() => {
                let reason = format!("{name} was written meanwhile");
                Err(ArchiveError::Busy { place: self.store.place(), reason })
            }
            written => Ok(written.map(|()| Digest::of(&bytes))?),
        }
    }
}

/// The name of a manifest.
pub fn manifest_name(number: u32) -> String {
    format!("{MANIFESTS}{number:08}.json")
}

fn encode(document: &impl Serialize) -> Vec<u8> {
    // A document of texts, numbers and maps can always be written.
    let mut bytes = serde_json::to_vec_pretty(document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Decodes the label or a manifest, after its format and version are known to be right.
fn decode<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, ArchiveError> {
    #[derive(Deserialize)]
    struct Head {
        format: Option<String>,
        version: Option<u64>,
    }
    let at = |error: serde_json::Error| {
        ArchiveError::damaged(file, format!("line {}, column {}: {error}", error.line(), error.column()))
    };
    let head: Head = serde_json::from_slice(bytes).map_err(at)?;
    if head.format.as_deref() != Some(FORMAT) {
        return Err(ArchiveError::damaged(file, format!("its `format` is not `{FORMAT}`")));
    }
    match head.version {
        Some(1..=VERSION) => serde_json::from_slice(bytes).map_err(at),
        Some(version) if version > VERSION => Err(ArchiveError::Newer { file: file.to_owned(), version }),
        _ => Err(ArchiveError::damaged(file, "it names no version of the format")),
    }
}
