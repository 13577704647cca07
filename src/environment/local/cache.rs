//! The per-user folder of things fetched or made once: jars, class-data archives, database binaries.

use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::ground::private;
use crate::ground::trust::distrust;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// `$KSCEN_CACHE`, `$XDG_CACHE_HOME/kscen` or `~/.cache/kscen`, created where absent.
///
/// # Errors
/// None of the variables is set, or the folder cannot be created.
pub(super) fn cache_dir() -> EnvironmentResult<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = variable("KSCEN_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("kscen")))
        .or_else(|| variable("HOME").map(|dir| dir.join(".cache/kscen")))
        .ok_or_else(|| EnvironmentError::Prerequisite {
            message: "there is no place for the cache: none of KSCEN_CACHE, XDG_CACHE_HOME and HOME is set".to_owned(),
            remedy: "export KSCEN_CACHE=/some/folder".to_owned(),
        })?;
    let dir = std::path::absolute(&dir).unwrap_or(dir);
    private::create_dir_all(&dir).map_err(|error| EnvironmentError::Prerequisite {
        message: format!("the cache folder {} cannot be created: {error}", dir.display()),
        remedy: "export KSCEN_CACHE=/a/writable/folder".to_owned(),
    })?;
    // Jars and programs of it are run.
    match distrust(&dir) {
        Ok(Some(why)) => Err(EnvironmentError::Prerequisite {
            message: format!("the cache is not used: {why}"),
            remedy: "export KSCEN_CACHE=/a/folder/of/your/own".to_owned(),
        }),
        _ => Ok(dir),
    }
}

/// A folder or file of the cache that either exists complete or not at all, and is its owner's alone, whatever the umask and whoever
/// makes it.
///
/// `make` is called with a scratch path beside `path` that does not exist yet, under a lock that keeps other kscen
/// processes out; what it leaves there is renamed to `path`.
///
/// # Errors
/// What `make` reports, or the cache is not writable.
pub(super) async fn once<F>(path: &Path, make: F) -> EnvironmentResult<()>
where
    F: AsyncFnOnce(&Path) -> EnvironmentResult<()>,
{
    if path.exists() {
        return Ok(());
    }
    let failed = |error: io::Error| EnvironmentError::caused(format!("cannot write {}", path.display()), error);
    let parent = path.parent().unwrap_or(Path::new("."));
    private::create_dir_all(parent).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let lock = parent.join(format!(".{name}.lock"));
    let _lock = tokio::task::spawn_blocking(move || exclusive(&lock))
        .await
        .map_err(|error| failed(io::Error::other(error)))?
        .map_err(failed)?;
    if path.exists() {
        return Ok(()); // somebody else made it while we waited
    }
    let scratch = parent.join(format!(".{name}.new"));
    discard(&scratch); // left by a process that was killed; the lock says it is gone
    let made = make(&scratch).await;
    let made = made.and_then(|()| private::close(&scratch).map_err(failed));
    let made = made.and_then(|()| fs::rename(&scratch, path).map_err(failed));
    if made.is_err() {
        discard(&scratch);
    }
    made
}

fn discard(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

fn exclusive(path: &Path) -> io::Result<Flock<File>> {
    let file = private::options().create(true).truncate(false).write(true).open(path)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_thing_is_made_once_and_never_half() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("sub/thing");
        let failed = once(&path, async |scratch: &Path| {
            fs::write(scratch, "half").expect("writable");
            Err(EnvironmentError::failed("no"))
        });
        assert!(failed.await.is_err());
        assert!(!path.exists());
        once(&path, async |scratch: &Path| {
            fs::write(scratch, "whole").expect("writable");
            Ok(())
        })
        .await
        .expect("made");
        once(&path, async |_: &Path| panic!("made twice")).await.expect("there already");
        assert_eq!(fs::read_to_string(&path).expect("there"), "whole");
        // Whatever the umask was, and whatever a tool that made it has set.
        let folder = dir.path().join("sub/folder");
        let made = once(&folder, async |scratch: &Path| {
            fs::create_dir(scratch)
                .and_then(|()| fs::set_permissions(scratch, Permissions::from_mode(0o777)))
                .expect("ours");
            Ok(())
        });
        made.await.expect("made");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&dir.path().join("sub")), mode(&folder), mode(&path)), (0o700, 0o700, 0o600));
    }
}
