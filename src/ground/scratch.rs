//! Folders for what lasts as long as a process does, its owner's alone whatever the umask; and the removal of those that killed
//! processes left behind, with what runs in their name.

use super::marks::end_marked;
use super::private;
use nix::fcntl::OFlag;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use tempfile::TempDir;

const PREFIX: &str = "kscen-";
/// Held locked by the owner of the folder; a killed process holds no locks.
const OWNER: &str = "owner.lock";
/// The marks of commands that end with the owner, one a line.
const MARKS: &str = "commands";
/// Bytes of that file that are read.
const LONGEST: u64 = 1 << 20;

/// A folder below the system's one for temporary files; removed with this value.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _owner: File,
}

impl Scratch {
    /// Makes the folder.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new() -> io::Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    /// Makes the folder for a command: what carries this mark ends with it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn marked(mark: &str) -> io::Result<Self> {
        let scratch = Self::new()?;
        scratch.mark(mark)?;
        Ok(scratch)
    }

    /// Notes that what carries this mark is not to outlive the owner: where that is killed, the next [`sweep`] ends it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn mark(&self, mark: &str) -> io::Result<()> {
        let mut file = private::options().append(true).create(true).open(self.path().join(MARKS))?;
        file.write_all(format!("{mark}\n").as_bytes())
    }

    fn below(base: &Path) -> io::Result<Self> {
        let mode = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(PREFIX).permissions(mode).tempdir_in(base)?;
        // Locked before it has its name: whoever sees the name sees the lock.
        let unnamed = folder.path().join("owner.new");
        let owner = private::create(&unnamed)?;
        owner.try_lock().map_err(io::Error::from)?;
        fs::rename(&unnamed, folder.path().join(OWNER))?;
        Ok(Self { folder, _owner: owner })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of owners that are gone, and ends the commands that were to end with them. What cannot be removed is left to
/// the next start, or to their user. Answers how many processes were ended.
pub fn sweep() -> usize {
    sweep_below(&std::env::temp_dir())
}

fn sweep_below(base: &Path) -> usize {
    let Ok(entries) = fs::read_dir(base) else { return 0 };
    let mut ended = 0;
    for entry in entries.flatten() {
        let folder = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) || !is_own_folder(&folder) {
            continue;
        }
        // Held until the folder is gone, so that two do not remove it at once.
        let Some(_owner) = owner(&folder).ok().filter(|owner| owner.try_lock().is_ok()) else { continue };
        ended += marks(&folder).lines().filter(|mark| !mark.is_empty()).map(end_marked).sum::<usize>();
        let _ = fs::remove_dir_all(&folder);
    }
    ended
}

fn marks(folder: &Path) -> String {
    let mut text = String::new();
    // What is not there, or cannot be read, names nothing.
    let _ = plain(&folder.join(MARKS)).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    text
}

/// Whether it is a folder of this user: everybody may put something of such a name there.
fn is_own_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw())
}

/// The lock of a folder's owner.
fn owner(folder: &Path) -> io::Result<File> {
    plain(&folder.join(OWNER))
}

/// A plain file, opened without waiting for anybody and without following a link.
fn plain(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
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
        sweep_below(base.path());
        assert!(alive.path().is_dir() && foreign.is_dir() && !dead.exists());
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!((mode(alive.path()), mode(&alive.path().join(OWNER))), (0o700, 0o600));
    }

    /// The shell dies with its kscen; what it has started would live on.
    #[test]
    fn what_a_killed_owner_has_started_ends() {
        let base = tempfile::tempdir().expect("a folder");
        let (alive, dead) = ("alive-9c1f03", "dead-5b20e7");
        let mut sleepers = [alive, dead].map(|mark| {
            let mut command = crate::ground::program("sleep");
            command.arg("1000").env(crate::ground::marks::MARK, mark).spawn().expect("every system has it")
        });
        let owner = Scratch::below(base.path()).expect("made");
        owner.mark(alive).expect("written");
        let killed = base.path().join("kscen-dead");
        fs::create_dir(&killed).expect("made");
        fs::write(killed.join(MARKS), format!("none-of-these\n\n{dead}\n")).expect("written");
        File::create(killed.join(OWNER)).expect("made");
        // The child carries its mark from the moment at which it is another program.
        let mark = crate::ground::marks::marked;
        while mark(alive).is_empty() || mark(dead).is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(sweep_below(base.path()), 1);
        assert!(!killed.exists() && !mark(alive).is_empty());
        assert!(!sleepers[1].wait().expect("ours").success());
        sleepers[0].kill().expect("ours");
        sleepers[0].wait().expect("ours");
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
        sweep_below(base.path());
        assert!(pipe.is_dir() && inner.is_dir() && treasure.path().join(OWNER).is_file());
    }
}
