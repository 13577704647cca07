//! Size-limited file systems for log directories, visible only to kscen's children.
//!
//! They are mounted in a mount namespace of the spawner thread, which its children inherit. Nothing appears in the
//! machine's own mount table, and when the last of these processes ends, whatever ends it, the kernel takes the file
//! systems away.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::io;
use std::path::{Path, PathBuf};

/// The mount namespace of the calling thread.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    separate: bool,
}

impl Mounts {
    /// Mounts a file system of `bytes` on `folder` and returns a path under which other threads, and other processes
    /// of the same user, see what is in it.
    ///
    /// # Errors
    /// The right to mount is missing, or the folder.
    pub(super) fn limit(&mut self, folder: &Path, bytes: u64) -> io::Result<PathBuf> {
        if !self.separate {
            unshare(CloneFlags::CLONE_NEWNS)?;
            // Without this, mounts would travel back to the machine's own table.
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
            self.separate = true;
        }
        let options = format!("size={bytes},mode=0755");
        mount(Some("kscen"), folder, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))?;
        let root = format!("/proc/{}/task/{}/root", std::process::id(), nix::unistd::gettid());
        Ok(PathBuf::from(root).join(folder.strip_prefix("/").unwrap_or(folder)))
    }

    /// Takes the file system on `folder` away.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn release(&self, folder: &Path) -> io::Result<()> {
        Ok(umount2(folder, MntFlags::MNT_DETACH)?)
    }
}
