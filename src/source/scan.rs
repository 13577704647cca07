use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::agree::{Core, unusable_number};
use super::index::{Entry, Index, Node, Shape};
use super::syntax;
use super::{MAX_DEPTH, MAX_VALUES, SourceText, Span};
use crate::diagnostic::{Place, Problem};

/// Reads the form of a document: where each value stands. Reports everything that is wrong with the form, not only the first.
pub(super) fn scan(source: &Arc<SourceText>) -> Result<Index, Vec<Problem>> {
    let unprintable = syntax::unprintable(source);
    if !unprintable.is_empty() {
        return Err(unprintable);
    }
    let mut scan = Scan::new(source);
    let mut parser = Parser::new_from_str(&source.text);
    while let Some(next) = parser.next_event() {
        let go_on = match next {
            Ok((event, at)) => {
                let span = scan.bytes(at.start, at.end);
                scan.event(event, span)
            }
            Err(error) => {
                let at = scan.byte(*error.marker());
                scan.problems
                    .push(syntax::explain(source, at, error.info()));
                Flow::Stop
            }
        };
        if go_on == Flow::Stop {
            break;
        }
    }
    match scan.root {
        Some(root) if scan.problems.is_empty() => Ok(Index::new(scan.nodes, root)),
        _ if scan.problems.is_empty() => Err(vec![empty(source)]),
        _ => Err(scan.problems),
    }
}

pub(super) fn empty(source: &Arc<SourceText>) -> Problem {
    Problem::new("empty-file", "the file holds no YAML value")
        .at(Place {
            source: Arc::clone(source),
            span: Span { start: 0, end: 0 },
        })
        .help("a scenario starts with `name:` and `steps:`; `kscen new` writes one to begin with")
}

#[derive(PartialEq, Eq)]
enum Flow {
    GoOn,
    Stop,
}

/// The state between two events.
struct Scan<'a> {
    source: &'a Arc<SourceText>,
    /// Byte offset of each character; empty where every character is one byte.
    offsets: Vec<u32>,
    nodes: Vec<Node>,
    open: Vec<Frame>,
    /// By the parser's number: the finished node with its size and height.
    anchors: HashMap<usize, (usize, Extent)>,
    root: Option<usize>,
    documents: usize,
    values: usize,
    /// Where the previous event ended; tags and anchors stand between it and the next one.
    previous_end: usize,
    problems: Vec<Problem>,
}

/// How many values a value holds, itself included, and how deep they nest.
#[derive(Clone, Copy)]
struct Extent {
    size: usize,
    height: usize,
}

/// A sequence or mapping whose end has not come yet.
struct Frame {
    span: Span,
    anchor: usize,
    extent: Extent,
    content: Content,
}

enum Content {
    Sequence(Vec<usize>),
    Mapping {
        entries: Vec<Entry>,
        seen: HashMap<String, Span>,
        key: Key,
    },
}

/// What a mapping waits for.
enum Key {
    /// The next node is a key.
    Awaited,
    /// The next node is this key's value.
    Named(String, Span),
    /// The next node is the value of a key that was refused.
    Refused,
}

impl<'a> Scan<'a> {
    fn new(source: &'a Arc<SourceText>) -> Self {
        let text = &source.text;
        let offsets = if text.is_ascii() {
            Vec::new()
        } else {
            // MAX_BYTES fits u32 by far.
            text.char_indices().map(|(at, _)| at as u32).collect()
        };
        Self {
            source,
            offsets,
            nodes: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            values: 0,
            previous_end: 0,
            problems: Vec::new(),
        }
    }

    /// The parser counts characters, everybody else bytes.
    fn byte(&self, marker: Marker) -> usize {
        let end = self.source.text.len();
        if self.offsets.is_empty() {
            return marker.index().min(end);
        }
        self.offsets
            .get(marker.index())
            .map_or(end, |&at| at as usize)
    }

    fn bytes(&self, start: Marker, end: Marker) -> Span {
        let start = self.byte(start);
        let end = self.byte(end).max(start);
        // Block scalars and mappings end where the next thing begins: leave the white space out.
        let text = self.source.text[start..end].trim_end();
        Span {
            start,
            end: start + text.len(),
        }
    }

    fn place(&self, span: Span) -> Place {
        Place {
            source: Arc::clone(self.source),
            span,
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Flow {
        let flow = match event {
            Event::DocumentStart(_) => self.document(span),
            Event::Scalar(text, style, anchor, tag) => {
                self.tag(tag.as_deref(), span);
                self.scalar(text.into_owned(), style, anchor, span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag.as_deref(), span);
                self.start(Content::Sequence(Vec::new()), anchor, span)
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag.as_deref(), span);
                let content = Content::Mapping {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: Key::Awaited,
                };
                self.start(content, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {
                Flow::GoOn
            }
        };
        self.previous_end = self.previous_end.max(span.end);
        flow
    }

    fn document(&mut self, span: Span) -> Flow {
        self.documents += 1;
        if self.documents == 1 {
            return Flow::GoOn;
        }
        self.problems.push(
            Problem::new("several-documents", "a second document starts here")
                .at(self.place(span))
                .help("write one scenario per file and leave out the `---`"),
        );
        Flow::Stop
    }

    /// Every tag is refused: the language has none, so it is a mistake or a text that wants quotes.
    fn tag(&mut self, tag: Option<&Tag>, value: Span) {
        if tag.is_none() {
            return;
        }
        let text = &self.source.text;
        // A scalar starts with its tag or anchor, a collection behind it.
        let start = match text[value.start..value.end].chars().next() {
            Some('!') => value.start,
            Some('&') => value.start + text[value.start..].find('!').unwrap_or(0),
            _ => {
                let before = &text[self.previous_end.min(value.start)..value.start];
                value.start - before.len() + before.rfind('!').unwrap_or(before.len())
            }
        };
        let written = text[start..]
            .split(|c: char| c.is_whitespace() || "{}[],".contains(c))
            .next()
            .unwrap_or_default();
        let whole = self.source.slice(Span { start, ..value });
        let whole = whole.lines().next().unwrap_or_default();
        let help = if written.starts_with("!=") {
            format!("for a check write `{{ not: … }}`; for a text write \"{whole}\"")
        } else {
            format!("for a text write it in quotes: \"{whole}\"")
        };
        self.problems.push(
            Problem::new(
                "unknown-tag",
                format!("`{written}` is a YAML tag, and scenarios have none"),
            )
            .at(self.place(Span {
                start,
                end: start + written.len(),
            }))
            .label("everything from `!` to the next space is a tag")
            .help(help),
        );
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, anchor: usize, span: Span) -> Flow {
        let plain = style == ScalarStyle::Plain;
        if self.awaits_key() {
            let key = self.key(text, plain, span);
            self.set_key(key);
            return Flow::GoOn;
        }
        let span = match self.open.last() {
            // Nothing is written: point to the key that has no value.
            Some(Frame {
                content:
                    Content::Mapping {
                        key: Key::Named(_, key),
                        ..
                    },
                ..
            }) if plain && text.is_empty() => *key,
            _ => span,
        };
        if plain && let Some(problem) = unusable_number(&text) {
            self.problems.push(problem.at(self.place(span)));
        }
        let extent = Extent { size: 1, height: 0 };
        self.finish(span, Shape::Scalar { text, plain }, anchor, extent)
    }

    fn key(&mut self, text: String, plain: bool, span: Span) -> Key {
        let place = self.place(span);
        if plain && text == "<<" {
            self.problems.push(
                Problem::new("merge-key", "merge keys (`<<`) are not supported")
                    .at(place)
                    .help(
                        "write the keys out, or put shared steps into a fragment and `include` it",
                    ),
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
            self.problems.push(problem);
            return Key::Refused;
        }
        let Some(Frame {
            content: Content::Mapping { seen, .. },
            ..
        }) = self.open.last_mut()
        else {
            return Key::Refused;
        };
        match seen.entry(text.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(span);
                Key::Named(text, span)
            }
            Slot::Occupied(slot) => {
                let (line, column) = self.source.line_col(slot.get().start);
                self.problems.push(
                    Problem::new(
                        "duplicate-key",
                        format!("the key `{text}` is given twice in the same mapping"),
                    )
                    .at(place)
                    .note(format!(
                        "it was first given in line {line}, column {column}"
                    ))
                    .help("keep one of them; several actions of a kind are several list items"),
                );
                Key::Refused
            }
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Frame {
                content: Content::Mapping {
                    key: Key::Awaited,
                    ..
                },
                ..
            })
        )
    }

    fn set_key(&mut self, new: Key) {
        if let Some(Frame {
            content: Content::Mapping { key, .. },
            ..
        }) = self.open.last_mut()
        {
            *key = new;
        }
    }

    fn start(&mut self, content: Content, anchor: usize, span: Span) -> Flow {
        if self.open.len() >= MAX_DEPTH {
            return self.too_deep(span);
        }
        self.open.push(Frame {
            span,
            anchor,
            extent: Extent { size: 1, height: 0 },
            content,
        });
        Flow::GoOn
    }

    fn end(&mut self, span: Span) -> Flow {
        let Some(frame) = self.open.pop() else {
            return Flow::GoOn; // The parser balances starts and ends.
        };
        let (shape, last) = match frame.content {
            Content::Sequence(items) => {
                let last = items.last().copied();
                (Shape::Sequence(items), last)
            }
            Content::Mapping { entries, .. } => {
                let last = entries.last().map(|entry| entry.value);
                (Shape::Mapping(entries), last)
            }
        };
        let closed_by_bracket = self.source.text[frame.span.start..].starts_with(['[', '{']);
        let end = match last {
            Some(last) if !closed_by_bracket => self.nodes[last].span.end,
            _ => span.end,
        };
        let whole = Span {
            start: frame.span.start,
            end: end.max(frame.span.end),
        };
        if self.awaits_key() {
            self.problems.push(
                Problem::new("key-not-text", "a list or mapping is used as a key")
                    .at(self.place(whole))
                    .help(
                        "keys are plain texts; write a text that starts with `{` or `[` in quotes",
                    ),
            );
            self.set_key(Key::Refused);
            return Flow::GoOn;
        }
        self.finish(whole, shape, frame.anchor, frame.extent)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Flow {
        if self.awaits_key() {
            self.problems.push(
                Problem::new("key-not-text", "an alias (`*…`) is used as a key")
                    .at(self.place(span))
                    .help("write the key itself, in quotes if it starts with `*`"),
            );
            self.set_key(Key::Refused);
            return Flow::GoOn;
        }
        let Some(&(target, extent)) = self.anchors.get(&anchor) else {
            self.problems.push(
                Problem::new("recursive-alias", "this alias stands inside its own anchor")
                    .at(self.place(span))
                    .label("the value would contain itself without end"),
            );
            return self.finish(
                span,
                Shape::Sequence(Vec::new()),
                0,
                Extent { size: 1, height: 0 },
            );
        };
        if self.open.len() + extent.height > MAX_DEPTH {
            return self.too_deep(span);
        }
        self.finish(span, Shape::Alias(target), 0, extent)
    }

    /// Hands a complete value to what encloses it.
    fn finish(&mut self, span: Span, shape: Shape, anchor: usize, extent: Extent) -> Flow {
        // What is inside a collection has been counted already, what is behind an alias has not.
        self.values += match shape {
            Shape::Alias(_) => extent.size,
            _ => 1,
        };
        if self.values > MAX_VALUES {
            self.problems.push(
                Problem::new(
                    "too-many-values",
                    format!("the file holds more than {MAX_VALUES} values"),
                )
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
                    entries.push(Entry {
                        key,
                        key_span,
                        value: id,
                    });
                }
            }
        }
        Flow::GoOn
    }

    fn too_deep(&mut self, span: Span) -> Flow {
        self.problems.push(syntax::too_deep(self.place(span)));
        Flow::Stop
    }
}
