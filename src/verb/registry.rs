//! The verbs that a language has, as a value.

use super::VerbEntry;

/// The verbs of a language, in the order of the reference.
///
/// Schemas, validation, plans and the reference are handed one: a test, or a program that embeds kscen, brings its own.
#[derive(Clone, Copy)]
pub struct Registry(&'static [VerbEntry]);

impl Registry {
    /// No verbs: for documents that hold no steps.
    pub const EMPTY: Self = Self(&[]);

    /// These verbs.
    pub const fn new(entries: &'static [VerbEntry]) -> Self {
        Self(entries)
    }

    /// The entry of that verb.
    pub fn verb(self, name: &str) -> Option<&'static VerbEntry> {
        self.0.iter().find(|entry| entry.verb == name)
    }

    /// All verbs.
    pub fn iter(self) -> std::slice::Iter<'static, VerbEntry> {
        self.0.iter()
    }
}

impl IntoIterator for Registry {
    type Item = &'static VerbEntry;
    type IntoIter = std::slice::Iter<'static, VerbEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
