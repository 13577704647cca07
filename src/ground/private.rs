//! Files and folders that only their owner may read, whatever the umask: results, reports, journals and caches hold names, addresses
//! and data of the systems under test.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Mode of a file.
const FILE: u32 = 0o600;
/// Mode of a folder.
const FOLDER: u32 = 0o700;

/// Makes a folder with all that it lies in. What is there already stays as it is.
///
/// # Errors
/// Where one of them cannot be made.
pub fn create_dir_all(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(folder)
}

/// How a file of its own is opened: add what is to be done with it.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE);
    options
}

/// Creates a file, or empties the one that is there and closes it to others.
///
/// # Errors
/// Where it cannot be opened for writing.
pub fn create(path: &Path) -> io::Result<File> {
    let file = options().write(true).create(true).truncate(true).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE))?;
    Ok(file)
}

/// Writes a file in one step: a reader sees the former or the new one, never half of it. Returns its length in bytes.
///
/// # Errors
/// Where it cannot be written as a whole; then the former one is still there.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are their owner's alone.
    let mut file = tempfile::Builder::new().prefix(".kscen-new-").tempfile_in(folder)?;
    {
        let mut writer = io::BufWriter::new(&mut file);
        write(&mut writer)?;
        writer.flush()?;
    }
    let length = file.as_file().metadata()?.len();
    file.persist(path)?;
    Ok(length)
}

/// An error that names the file.
pub fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
}
