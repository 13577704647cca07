//! Whose files are taken for instructions or run as code: the user's own and root's, where nobody else can change them.

use nix::unistd::{getegid, geteuid};
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// May be written by everyone.
const OTHERS: u32 = 0o002;
/// May be written by the group.
const GROUP: u32 = 0o020;
/// In such a folder nobody can replace what another user has put there.
const STICKY: u32 = 0o1000;

/// Why a file or folder is not taken: it, what it links to, or the folder that it lies in can be changed by somebody who is neither this
/// user nor root. `None` where nobody else can.
///
/// # Errors
/// Where it cannot be looked at.
pub fn distrust(path: &Path) -> io::Result<Option<String>> {
    let folder = super::folder_of(path);
    let (link, target, around) = (fs::symlink_metadata(path)?, fs::metadata(path)?, fs::metadata(folder)?);
    let shown = path.display();
    if let Some(owner) = stranger(&link).or_else(|| stranger(&target)) {
        return Ok(Some(format!("{shown} belongs to another user (uid {owner})")));
    }
    if is_open(&target) {
        return Ok(Some(format!("{shown} can be written by other users (mode {:o})", target.mode() & 0o7777)));
    }
    if let Some(owner) = stranger(&around) {
        return Ok(Some(format!("{} belongs to another user (uid {owner})", folder.display())));
    }
    if is_open(&around) && around.mode() & STICKY == 0 {
        let mode = around.mode() & 0o7777;
        return Ok(Some(format!("{} can be written by other users (mode {mode:o})", folder.display())));
    }
    Ok(None)
}

/// The owner, where that is neither this user nor root.
fn stranger(of: &Metadata) -> Option<u32> {
    let owner = of.uid();
    (owner != 0 && owner != geteuid().as_raw()).then_some(owner)
}

/// Whether others may write it. The user's own group is taken for the user: many systems give each user one.
fn is_open(of: &Metadata) -> bool {
    of.mode() & OTHERS != 0 || of.mode() & GROUP != 0 && of.gid() != getegid().as_raw() && of.gid() != 0
}

/// A folder that only this user can look into: made with all that it lies in, or closed to others where it is there.
///
/// # Errors
/// Where it is not a folder, or somebody else's: it may have been put there for kscen to find.
pub fn own_folder(folder: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        let text = format!("{} is not a folder of this user (uid {})", folder.display(), found.uid());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn what_others_can_change_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kscen.yaml");
        fs::write(&file, "{}").expect("writable");
        mode(&file, 0o644);
        assert_eq!(distrust(&file).expect("it is there"), None);
        mode(&file, 0o646);
        assert!(
            distrust(&file).expect("it is there").is_some_and(|why| why.contains("kscen.yaml") && why.contains("646"))
        );
        mode(&file, 0o644);
        mode(folder.path(), 0o777);
        assert!(distrust(&file).expect("it is there").is_some(), "the folder is open");
        mode(folder.path(), 0o1777);
        assert_eq!(distrust(&file).expect("it is there"), None, "as in /tmp, others cannot replace it");
        let planted = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &planted).expect("writable");
        mode(&file, 0o666);
        assert!(distrust(&planted).expect("it is there").is_some(), "what a link leads to counts");
    }

    #[test]
    fn a_folder_of_ones_own_is_closed_and_no_link() {
        let base = tempfile::tempdir().expect("a folder");
        let open = base.path().join("open");
        fs::create_dir(&open).expect("writable");
        mode(&open, 0o755);
        own_folder(&open).expect("ours");
        assert_eq!(fs::metadata(&open).expect("there").mode() & 0o777, 0o700);
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&open, &link).expect("writable");
        assert!(own_folder(&link).is_err());
    }
}
