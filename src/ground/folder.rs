//! The folder that a file lies in.

use std::path::Path;

/// The folder of a file, which is the present one where its path names none.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
