use std::collections::hash_map::Entry as Slot;

use super::{Content, Frame, Key, Scan};
use crate::text::source::agree::Core;
use crate::text::{Problem, Span};

/// Keys: plain texts, each once.
impl Scan<'_> {
    pub(super) fn key(&mut self, text: String, plain: bool, span: Span) -> Key {
        let place = self.place(span);
        if plain && text == "<<" {
            self.report(
                Problem::new("merge-key", "merge keys (`<<`) are not supported")
                    .at(place)
                    .help("write the keys out, or put shared steps into a fragment"),
            );
            return Key::Refused;
        }
        if plain && !matches!(Core::of(&text), Core::Text) {
            let problem = if text.is_empty() {
                Problem::new("key-not-text", "a key is missing before `:`").at(place)
            } else {
                Problem::new("key-not-text", format!("the key `{text}` is not a text"))
                    .at(place)
                    .help(format!("write it in quotes: \"{text}\""))
            };
            self.report(problem);
            return Key::Refused;
        }
        let Some(Frame { content: Content::Mapping { seen, .. }, .. }) = self.open.last_mut() else {
            return Key::Refused;
        };
        match seen.entry(text.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(span);
                Key::Named(text, span)
            }
            Slot::Occupied(slot) => {
                let (line, column) = self.source.line_col(slot.get().start);
                self.report(
                    Problem::new("duplicate-key", format!("the key `{text}` is given twice in the same mapping"))
                        .at(place)
                        .note(format!("it was first given in line {line}, column {column}"))
                        .help("keep one of them; several actions of a kind are several list items"),
                );
                Key::Refused
            }
        }
    }

    pub(super) fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { content: Content::Mapping { key: Key::Awaited, .. }, .. }))
    }

    pub(super) fn set_key(&mut self, new: Key) {
        if let Some(Frame { content: Content::Mapping { key, .. }, .. }) = self.open.last_mut() {
            *key = new;
        }
    }
}
