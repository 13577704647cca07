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
    /// Whether nothing was wrong.
    pub sound: bool,
    /// When it ended, in ms since the epoch.
    pub at: i64,
    /// The manifest that ruled: what was added later was not looked at.
    pub manifest: u32,
    /// The job that did it.
    pub job: String,
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
        if let Some(verified) = self.of(name).filter(|verified| verified.manifest == before) {
            // Where it cannot be kept, nothing has looked at the archive as it is now.
            let _ = self.keep(name, ArchiveVerified { manifest: after, ..verified });
        }
    }

    /// Keeps one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, name: &str, verified: ArchiveVerified) -> Result<(), StoreError> {
        let mut table = lock(&self.0.table);
        self.0.state.write(&file(name), &verified)?;
        table.insert(name.to_owned(), verified);
        Ok(())
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
