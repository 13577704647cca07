//! The folder for data of a run, and the removal of those that killed runs left behind.

use nix::fcntl::OFlag;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
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
        let orphaned = is_own_folder(&entry.path()) && owner(&entry.path()).is_ok_and(|owner| owner.try_lock().is_ok());
        if orphaned {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether it is a folder of this user: everybody may put something of such a name there.
fn is_own_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw())
}

/// The lock of a folder's owner: a plain file, opened without waiting for anybody and without following a link.
fn owner(folder: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = File::options().read(true).custom_flags(flags).open(folder.join(OWNER))?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
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

    #[test]
    fn what_somebody_planted_is_neither_waited_for_nor_followed() {
        let base = tempfile::tempdir().expect("a folder");
        let [pipe, link] = ["kscen-pipe", "kscen-link"].map(|name| base.path().join(name));
        fs::create_dir(&pipe).expect("makes a folder");
        nix::unistd::mkfifo(&pipe.join(OWNER), nix::sys::stat::Mode::S_IRWXU).expect("makes a pipe");
        let treasure = tempfile::tempdir().expect("a folder");
        File::create(treasure.path().join(OWNER)).expect("writes");
        std::os::unix::fs::symlink(treasure.path(), &link).expect("makes a link");
        let inner = base.path().join("kscen-inner");
        fs::create_dir(&inner).expect("makes a folder");
        std::os::unix::fs::symlink(treasure.path().join(OWNER), inner.join(OWNER)).expect("makes a link");
        sweep(base.path());
        assert!(pipe.is_dir() && inner.is_dir() && treasure.path().join(OWNER).is_file());
    }
}
