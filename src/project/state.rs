//! Where kscen keeps what has to outlive a run on this machine.

use super::load::Project;
use std::io;
use std::path::PathBuf;

/// The folder for state of this user: `$XDG_STATE_HOME/kscen`, or `~/.local/state/kscen`.
///
/// # Errors
/// Where it cannot be made.
pub fn state_folder() -> io::Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "neither XDG_STATE_HOME nor HOME is set"))?;
    let folder = base.join("kscen");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The undo journal of an environment: the same for every run on it, whatever project file names it.
///
/// # Errors
/// Where the folder cannot be made.
pub fn journal_path(project: &Project) -> io::Result<PathBuf> {
    let place = std::path::absolute(&project.folder)?;
    let key = crc32fast::hash(place.to_string_lossy().as_bytes());
    Ok(state_folder()?.join(format!("{}-{key:08x}.undo", project.name)))
}
