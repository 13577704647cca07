//! The folder for data of a run, and the removal of those that killed runs left behind.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use tempfile::TempDir;

const PREFIX: &str = "kscen-";
/// Held locked by the owner of the folder; a killed process holds no locks.
const OWNER: &str = "owner.lock";

/// A folder below the system's one for temporary files; removed with this value.
pub struct Scratch {
    folder: TempDir,
    _owner: File,
}

impl Scratch {
    /// Makes the folder, after removing those whose owners are gone.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new() -> io::Result<Self> {
        let base = std::env::temp_dir();
        sweep(&base);
        Self::below(&base)
    }

    fn below(base: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base)?;
        // Locked before it has its name: whoever sees the name sees the lock.
        let unnamed = folder.path().join("owner.new");
        let owner = File::create(&unnamed)?;
        owner.try_lock().map_err(io::Error::from)?;
        fs::rename(&unnamed, folder.path().join(OWNER))?;
        Ok(Self { folder, _owner: owner })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of owners that are gone. What cannot be removed is left to the next start, or to their user.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let orphaned = File::open(entry.path().join(OWNER)).is_ok_and(|owner| owner.try_lock().is_ok());
        if orphaned {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_living_owners_stay_and_those_of_dead_ones_go() {
        let base = tempfile::tempdir().expect("a folder");
        let alive = Scratch::below(base.path()).expect("makes a folder");
        let dead = base.path().join("kscen-dead");
        fs::create_dir_all(dead.join("stack-1/kafka-1")).expect("makes a folder");
        File::create(dead.join(OWNER)).expect("writes");
        let foreign = base.path().join("kscen-foreign");
        fs::create_dir(&foreign).expect("makes a folder");
        sweep(base.path());
        assert!(alive.path().is_dir() && foreign.is_dir() && !dead.exists());
    }
}
