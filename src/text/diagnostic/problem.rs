use std::cmp::Ordering;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::render::harmless;
use crate::text::{SourceText, Span};

/// A stretch of a text that somebody wrote.
#[derive(Debug, Clone)]
pub struct Place {
    /// The text.
    pub source: Arc<SourceText>,
    /// The stretch within it.
    pub span: Span,
}

impl Place {
    /// Line and column where it starts, both counted from 1, the column in characters.
    pub fn line_col(&self) -> (usize, usize) {
        self.source.line_col(self.span.start)
    }
}

/// `file:line:column`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_col();
        let name = self.source.name.to_string_lossy();
        write!(f, "{}:{line}:{column}", harmless(&name))
    }
}

/// One problem, located where that is possible.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Names the kind of problem for programs and searches: stable, kebab-case, such as `unknown-verb`.
    pub code: &'static str,
    /// What is wrong, in a lowercase fragment.
    pub message: String,
    /// Where it is wrong; absent where no text is at fault (a missing file).
    pub at: Option<Place>,
    /// What stands under the caret; may be empty.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Facts that help to understand it.
    pub notes: Vec<String>,
}

impl Problem {
    /// An error without place, label, help and notes.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), at: None, label: String::new(), help: None, notes: Vec::new() }
    }

    /// Says where.
    pub fn at(mut self, place: Place) -> Self {
        self.at = Some(place);
        self
    }

    /// Says what stands under the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Says what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a fact.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// By file, line and column; what has no place comes first.
    pub fn by_place(&self, other: &Self) -> Ordering {
        fn key(problem: &Problem) -> Option<(&Path, usize)> {
            let place = problem.at.as_ref()?;
            Some((&place.source.name, place.span.start))
        }
        key(self).cmp(&key(other))
    }
}

/// `file:line:column: error[code]: message`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.at {
            write!(f, "{place}: ")?;
        }
        write!(f, "error[{}]: {}", self.code, harmless(&self.message))
    }
}

impl std::error::Error for Problem {}

/// The machine-readable form: always the same keys, `null` where nothing is known.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let file = self.at.as_ref().map(|place| place.source.name.to_string_lossy());
        let position = self.at.as_ref().map(Place::line_col);
        let mut out = serializer.serialize_struct("Problem", 9)?;
        out.serialize_field("severity", "error")?;
        out.serialize_field("code", self.code)?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("file", &file)?;
        out.serialize_field("line", &position.map(|(line, _)| line))?;
        out.serialize_field("column", &position.map(|(_, column)| column))?;
        out.serialize_field("label", &self.label)?;
        out.serialize_field("help", &self.help)?;
        out.serialize_field("notes", &self.notes)?;
        out.end()
    }
}
