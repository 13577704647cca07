//! Where something stands in a file.

use crate::diagnostic::Place;
use crate::record::Location;
use crate::source::Located;
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
