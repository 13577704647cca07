//! Where something stands in a file.

use super::Location;
use crate::ground::input::InputError;
use crate::text::{Located, Place};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A node of a document: the root of relative pointers.
#[derive(Clone)]
pub struct Origin {
    /// The document.
    pub document: Arc<Located>,
    /// JSON pointer of the node.
    pub pointer: String,
}

impl Origin {
    /// The root of a document.
    pub fn root(document: Arc<Located>) -> Self {
        Self { document, pointer: String::new() }
    }

    /// The node at a relative pointer.
    #[must_use]
    pub fn at(&self, relative: &str) -> Self {
        Self { document: Arc::clone(&self.document), pointer: format!("{}{relative}", self.pointer) }
    }

    /// The child of that key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.at(&format!("/{}", escape(key)))
    }

    /// The node of another key of the same map.
    #[must_use]
    pub fn beside(&self, key: &str) -> Self {
        let owner = self.pointer.rsplit_once('/').map_or("", |(owner, _)| owner).to_owned();
        Self { document: Arc::clone(&self.document), pointer: owner }.key(key)
    }

    /// Where a file is that the document names: relative to the document's own folder.
    pub fn path(&self, named: &Path) -> PathBuf {
        self.document.source.name.parent().unwrap_or(Path::new("")).join(named)
    }

    /// Reads a file that the document names: a regular file of at most `most` bytes, inside the project unless leaving it is permitted.
    ///
    /// # Errors
    /// Names the file and says why it is not read.
    pub fn read(&self, named: &Path, most: u64) -> Result<Vec<u8>, String> {
        self.document.fence.read(&self.path(named), most).map_err(|error| self.unreadable(named, &error))
    }

    /// The same as text.
    ///
    /// # Errors
    /// Names the file and says why it is not read.
    pub fn read_text(&self, named: &Path, most: u64) -> Result<String, String> {
        String::from_utf8(self.read(named, most)?).map_err(|_| self.unreadable(named, &InputError::NotText))
    }

    /// What to say of a file that the document names and that cannot be read.
    pub fn unreadable(&self, named: &Path, error: &InputError) -> String {
        let remedy = match error {
            InputError::Outside(_) => "; move the file into the project, or permit it with --allow-outside",
            _ => "",
        };
        format!("`{}` cannot be read: {error}{remedy}", self.path(named).display())
    }

    /// The place of the value at a relative pointer.
    pub fn place(&self, relative: &str) -> Place {
        self.document.place(&format!("{}{relative}", self.pointer))
    }

    /// The place of a part of the value at a relative pointer, such as one `${…}` of several.
    pub fn place_within(&self, relative: &str, part: &str) -> Place {
        self.document.place_within(&format!("{}{relative}", self.pointer), part)
    }

    /// The place of the key at a relative pointer.
    pub fn key_place(&self, relative: &str) -> Place {
        self.document.key_place(&format!("{}{relative}", self.pointer))
    }

    /// File, line and column of the value at a relative pointer.
    pub fn location(&self, relative: &str) -> Location {
        location(&self.place(relative))
    }

    /// File, line and column of the key at a relative pointer.
    pub fn key_location(&self, relative: &str) -> Location {
        location(&self.key_place(relative))
    }
}

fn location(place: &Place) -> Location {
    let (line, column) = place.line_col();
    Location { file: place.source.name.to_string_lossy().into_owned(), line, column }
}

/// A key as a segment of a JSON pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
