//! What is kept of a restore, for those who ask where its records went.

use super::folder;
use super::restore_error::RestoreError;
use crate::backup::Archive;
use crate::backup::translation::Translation;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is kept of the restore of a topic.
#[derive(Clone, Debug)]
pub struct KeptTranslation {
    /// The topic in the archive.
    pub from: String,
    /// The manifest that was restored.
    pub manifest: u32,
    /// Where the records of each partition went. Those that were not restored are not there.
    pub tables: BTreeMap<i32, Translation>,
}

/// What is kept of the restore of an archive's topic into this one, below any of these folders. `None` where nothing is.
///
/// # Errors
/// The restore is not complete, several folders keep one, or what is kept cannot be read.
pub fn kept(archive: &Archive, roots: &[PathBuf], topic: &str) -> Result<Option<KeptTranslation>, RestoreError> {
    let mut found = Vec::new();
    for root in roots {
        if let Some(state) = folder::begun(root, topic)?
            && state.asked.archive == archive.id()
        {
            found.push((root.join(topic), state));
        }
    }
    if let [(one, _), (other, _), ..] = &found[..] {
        let reason =
            format!("topic `{topic}` was restored more than once: see {} and {}", one.display(), other.display());
        return Err(RestoreError::refused(reason, "say which with `--state FOLDER`, the folder above the topic's"));
    }
    let Some((folder, state)) = found.pop() else { return Ok(None) };
    if !state.complete {
        let reason = format!("the restore into topic `{topic}` is not complete");
        return Err(RestoreError::refused(reason, "run the same `kscen restore` again to complete it"));
    }
    let tables = tables(&folder)?;
    Ok(Some(KeptTranslation { from: state.asked.from, manifest: state.asked.manifest, tables }))
}

/// Whether the restore into a topic that keeps its state below this folder is complete; `None` where none was begun.
///
/// # Errors
/// What is kept cannot be read.
pub fn completion(root: &Path, topic: &str) -> Result<Option<bool>, RestoreError> {
    Ok(folder::begun(root, topic)?.map(|state| state.complete))
}

/// All tables of a folder.
fn tables(folder: &Path) -> Result<BTreeMap<i32, Translation>, RestoreError> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(RestoreError::state(folder))? {
        let name = entry.map_err(RestoreError::state(folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".offsets")).and_then(|name| name.parse().ok());
        if let Some(number) = number {
            found.insert(number, folder::table(folder, number)?);
        }
    }
    Ok(found)
}
