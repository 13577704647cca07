//! Where kscen keeps what has to outlive a run on this machine.

use super::environments::Kind;
use super::load::Project;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
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

/// A file of an environment. A kept local stack is known by its name alone; other environments are those of one project.
fn file(project: &Project, extension: &str) -> io::Result<PathBuf> {
    let name = &project.name;
    Ok(state_folder()?.join(match project.kind {
        Kind::Local(_) => format!("{name}.{extension}"),
        Kind::Docker(_) | Kind::Remote | Kind::Mock(_) => {
            let place = std::path::absolute(&project.folder)?;
            let place = std::fs::canonicalize(&place).unwrap_or(place);
            format!("{name}-{:08x}.{extension}", crc32fast::hash(place.as_os_str().as_encoded_bytes()))
        }
    }))
}

/// The undo journal of an environment.
///
/// # Errors
/// Where the folder cannot be made.
pub fn journal_path(project: &Project) -> io::Result<PathBuf> {
    file(project, "undo")
}

/// Why an environment cannot be had alone.
#[derive(Debug)]
pub enum Busy {
    /// Another process uses it; its id, where it has written it down.
    Taken(Option<u32>),
    /// The lock file cannot be used.
    Unusable(io::Error),
}

/// The right to be the only run on an environment; it ends with this value, or with the process, whatever ends it.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl RunLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be written.
    pub fn take(project: &Project) -> Result<Self, Busy> {
        let path = file(project, "lock").map_err(Busy::Unusable)?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(Busy::Unusable)?;
        match file.try_lock() {
            Ok(()) => {
                let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                written.map_err(Busy::Unusable)?;
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                Err(Busy::Taken(pid))
            }
            Err(TryLockError::Error(error)) => Err(Busy::Unusable(error)),
        }
    }
}
