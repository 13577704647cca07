//! A folder for archives that fills up.

use super::spawner::limit_folder;
use super::stack::cannot_write;
use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::ground::private;

use std::path::{Path, PathBuf};

/// Where it is in the folder of a stack.
pub(super) fn folder(run_dir: &Path) -> PathBuf {
    run_dir.join("archives")
}

/// Makes it a file system of `bytes`, and returns the path that shows it to this process.
///
/// # Errors
/// [`EnvironmentError::Unsupported`] without the right to mount.
pub(super) async fn limited(run_dir: &Path, bytes: u64) -> EnvironmentResult<PathBuf> {
    let folder = folder(run_dir);
    private::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
    limit_folder(folder, bytes).await.map_err(|error| EnvironmentError::Unsupported {
        message: format!(
            "a size limit for the folder of archives needs a file system of its own, and mounting one failed: {error}; run as \
             root (in a container, with --cap-add SYS_ADMIN)"
        ),
    })
}
