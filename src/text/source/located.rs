use std::sync::Arc;

use serde_json::Value;

use super::index::Index;
use crate::ground::input::Fence;
use crate::text::{Place, SourceText, Span};

/// A document: its text, its value, and where each part of the value stands in the text.
#[derive(Debug, Clone)]
pub struct Located {
    /// The text.
    pub source: Arc<SourceText>,
    /// What it says. Pointers below are those of the value as it was read.
    pub value: Value,
    /// Where the files may lie that it names: its own folder, unless its reader says otherwise.
    pub fence: Fence,
    pub(super) index: Arc<Index>,
}

impl Located {
    /// Where the value at a JSON pointer stands.
    #[cfg(test)]
    pub(super) fn span(&self, pointer: &str) -> Option<crate::text::Span> {
        self.index.find(pointer).map(|found| found.node.span)
    }

    /// Where the key stands that introduces the value at a JSON pointer; elements of a list and the root have none.
    #[cfg(test)]
    pub(super) fn key_span(&self, pointer: &str) -> Option<crate::text::Span> {
        self.index.find(pointer)?.key_span
    }

    /// How a scalar is written, without what quotes it: in YAML the same value has many forms. `None` where there is none.
    pub fn written(&self, pointer: &str) -> Option<&str> {
        let text = self.source.slice(self.index.scalar(pointer)?).trim();
        let inner = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
        Some(inner.unwrap_or(text))
    }

    /// The place of a value, or of the nearest enclosing value that exists.
    pub fn place(&self, pointer: &str) -> Place {
        self.nearest(pointer, false)
    }

    /// The place of the key of a value, of the value itself where it has none, or of the nearest enclosing one that exists.
    pub fn key_place(&self, pointer: &str) -> Place {
        self.nearest(pointer, true)
    }

    /// The place of a part of a value as it is written, such as one `${…}` of several; of the whole value where the part is not found.
    pub fn place_within(&self, pointer: &str, part: &str) -> Place {
        let mut place = self.place(pointer);
        if let Some(at) = self.source.slice(place.span).find(part) {
            place.span.start += at;
            place.span.end = place.span.start + part.len();
        }
        place
    }

    fn nearest(&self, pointer: &str, by_key: bool) -> Place {
        let mut pointer = pointer;
        let mut exact = true;
        let span = loop {
            if let Some(found) = self.index.find(pointer) {
                // Where something is missing in a mapping, the mapping's key says more than its content.
                let key = found.key_span.filter(|_| by_key || !exact);
                break key.unwrap_or(found.node.span);
            }
            exact = false;
            match pointer.rfind('/') {
                Some(cut) => pointer = &pointer[..cut],
                None => break Span { start: 0, end: 0 },
            }
        };
        Place { source: Arc::clone(&self.source), span }
    }
}
