use saphyr_parser::ScalarStyle;

use super::{Content, Extent, Flow, Frame, Key, Scan};
use crate::text::source::agree::unusable_number;
use crate::text::source::index::{MappingEntry, Node, NodeShape};
use crate::text::source::syntax;
use crate::text::{MAX_DEPTH, MAX_VALUES, Problem, Span};

/// Values: built as they end, within limits.
impl Scan<'_> {
    pub(super) fn scalar(&mut self, text: String, style: ScalarStyle, anchor: usize, span: Span) -> Flow {
        let plain = style == ScalarStyle::Plain;
        if self.awaits_key() {
            let key = self.key(text, plain, span);
            self.set_key(key);
            return Flow::GoOn;
        }
        let span = match self.open.last() {
            // Nothing is written: point to the key that has no value.
            Some(Frame { content: Content::Mapping { key: Key::Named(_, key), .. }, .. })
                if plain && text.is_empty() =>
            {
                *key
            }
            _ => span,
        };
        if plain && let Some(problem) = unusable_number(&text) {
            self.report(problem.at(self.place(span)));
        }
        let extent = Extent { size: 1, height: 0 };
        self.finish(span, NodeShape::Scalar { text, plain }, anchor, extent)
    }

    pub(super) fn start(&mut self, content: Content, anchor: usize, span: Span) -> Flow {
        if self.open.len() >= MAX_DEPTH {
            return self.too_deep(span);
        }
        self.open.push(Frame { span, anchor, extent: Extent { size: 1, height: 0 }, content });
        Flow::GoOn
    }

    pub(super) fn end(&mut self, span: Span) -> Flow {
        let Some(frame) = self.open.pop() else {
            return Flow::GoOn; // The parser balances starts and ends.
        };
        let (shape, last) = match frame.content {
            Content::Sequence(items) => {
                let last = items.last().copied();
                (NodeShape::Sequence(items), last)
            }
            Content::Mapping { mut entries, .. } => {
                let last = entries.last().map(|entry| entry.value);
                entries.sort_by(|a, b| a.key.cmp(&b.key));
                (NodeShape::Mapping(entries), last)
            }
        };
        let closed_by_bracket = self.source.text[frame.span.start..].starts_with(['[', '{']);
        let end = match last {
            Some(last) if !closed_by_bracket => self.nodes[last].span.end,
            _ => span.end,
        };
        let whole = Span { start: frame.span.start, end: end.max(frame.span.end) };
        if self.awaits_key() {
            self.report(
                Problem::new("key-not-text", "a list or mapping is used as a key")
                    .at(self.place(whole))
                    .help("keys are plain texts; write a text that starts with `{` or `[` in quotes"),
            );
            self.set_key(Key::Refused);
            return Flow::GoOn;
        }
        self.finish(whole, shape, frame.anchor, frame.extent)
    }

    pub(super) fn alias(&mut self, anchor: usize, span: Span) -> Flow {
        if self.awaits_key() {
            self.report(
                Problem::new("key-not-text", "an alias (`*…`) is used as a key")
                    .at(self.place(span))
                    .help("write the key itself, in quotes if it starts with `*`"),
            );
            self.set_key(Key::Refused);
            return Flow::GoOn;
        }
        let Some(&(target, extent)) = self.anchors.get(&anchor) else {
            self.report(
                Problem::new("recursive-alias", "this alias stands inside its own anchor")
                    .at(self.place(span))
                    .label("the value would contain itself without end"),
            );
            return self.finish(span, NodeShape::Sequence(Vec::new()), 0, Extent { size: 1, height: 0 });
        };
        if self.open.len() + extent.height > MAX_DEPTH {
            return self.too_deep(span);
        }
        self.finish(span, NodeShape::Alias(target), 0, extent)
    }

    fn finish(&mut self, span: Span, shape: NodeShape, anchor: usize, extent: Extent) -> Flow {
        // What is inside a collection has been counted already, what is behind an alias has not.
        self.values += match shape {
            NodeShape::Alias(_) => extent.size,
            _ => 1,
        };
        if self.values > MAX_VALUES {
            self.report(
                Problem::new("too-many-values", format!("the file holds more than {MAX_VALUES} values"))
                    .at(self.place(span))
                    .label("reached here")
                    .note("each use of an alias counts with everything it stands for")
                    .help("keep bulk data in a file of its own and name it in the step"),
            );
            return Flow::Stop;
        }
        let id = self.nodes.len();
        self.nodes.push(Node { span, shape });
        if anchor > 0 {
            self.anchors.insert(anchor, (id, extent));
        }
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(id);
            return Flow::GoOn;
        };
        frame.extent.size = frame.extent.size.saturating_add(extent.size);
        frame.extent.height = frame.extent.height.max(extent.height + 1);
        match &mut frame.content {
            Content::Sequence(items) => items.push(id),
            Content::Mapping { entries, key, .. } => {
                if let Key::Named(key, key_span) = std::mem::replace(key, Key::Awaited) {
                    entries.push(MappingEntry { key, key_span, value: id });
                }
            }
        }
        Flow::GoOn
    }

    fn too_deep(&mut self, span: Span) -> Flow {
        self.report(syntax::too_deep(self.place(span)));
        Flow::Stop
    }
}
