//! What a report consists of: bytes under names. Reporters return them, one owner writes them.

use crate::ground::{folder_of, private};
use std::io;
use std::path::{Path, PathBuf};

/// One file of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Path relative to the report's folder.
    pub path: PathBuf,
    /// Content.
    pub bytes: Vec<u8>,
}

impl OutputFile {
    /// A file.
    pub fn new(path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into() }
    }

    /// Writes it under a folder, whole or not at all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join(&self.path);
        private::create_dir_all(folder_of(&path))?;
        private::replace(&path, |writer| writer.write_all(&self.bytes))?;
        Ok(path)
    }
}
