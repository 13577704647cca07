mod keys;
mod nodes;
mod tags;

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser};

use super::MAX_PROBLEMS;
use super::index::{Index, MappingEntry, Node};
use super::syntax;
use crate::text::{Place, Problem, SourceText, Span};

/// Reads the form of a document: where each value stands. Reports everything that is wrong with the form, not only the first.
pub(super) fn scan(source: &Arc<SourceText>) -> Result<Index, Vec<Problem>> {
    /// Forgiven mistakes, each of which costs another pass, and the size up to which passes are cheap.
    const PASSES: usize = 20;
    const CHEAP: usize = 64 * 1024;

    let unprintable = syntax::unprintable(source);
    if !unprintable.is_empty() {
        return Err(unprintable);
    }
    // Who leaves out the quotes of one `${…}` leaves them out of all: forgive each, so that all are reported at once.
    let mut forgiven = Vec::new();
    let mut text = source.text.clone();
    loop {
        let mut scan = Scan::new(source);
        scan.run(&text);
        let unquoted = scan.problems.last().filter(|p| p.code == "unquoted-reference");
        if let Some(span) = unquoted.and_then(|problem| Some(problem.at.as_ref()?.span))
            && forgiven.len() < PASSES
            && text.len() <= CHEAP
        {
            let masked = text[span.start..span.end].replace('{', "(").replace('}', ")");
            text.replace_range(span.start..span.end, &masked);
            forgiven.extend(scan.problems.pop());
            continue;
        }
        if forgiven.is_empty() && scan.problems.is_empty() {
            let root = scan.root.ok_or_else(|| vec![empty(source)])?;
            return Ok(Index::new(scan.nodes, root));
        }
        forgiven.append(&mut scan.problems);
        forgiven.sort_by(Problem::by_place);
        return Err(with_rest(forgiven, scan.unreported));
    }
}

/// Says how many problems are not listed.
pub(super) fn with_rest(mut listed: Vec<Problem>, unlisted: usize) -> Vec<Problem> {
    if let Some(last) = listed.last_mut().filter(|_| unlisted > 0) {
        let note = format!("and {unlisted} more problems in this file");
        last.notes.push(note);
    }
    listed
}

/// A file without content.
pub(super) fn empty(source: &Arc<SourceText>) -> Problem {
    Problem::new("empty-file", "the file holds no YAML value")
        .at(Place { source: Arc::clone(source), span: Span { start: 0, end: 0 } })
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
    /// Problems beyond `MAX_PROBLEMS`.
    unreported: usize,
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
    Mapping { entries: Vec<MappingEntry>, seen: HashMap<String, Span>, key: Key },
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
            unreported: 0,
        }
    }

    /// Reads a text with the same places as the source's.
    fn run(&mut self, text: &str) {
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            let flow = match next {
                Ok((event, at)) => {
                    let span = self.bytes(at.start, at.end);
                    self.event(event, span)
                }
                Err(error) => {
                    let at = self.byte(*error.marker());
                    self.report(syntax::explain(self.source, at, error.info()));
                    Flow::Stop
                }
            };
            if flow == Flow::Stop {
                break;
            }
        }
    }

    fn report(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.unreported += 1;
        }
    }

    fn byte(&self, marker: Marker) -> usize {
        let end = self.source.text.len();
        if self.offsets.is_empty() {
            return marker.index().min(end);
        }
        self.offsets.get(marker.index()).map_or(end, |&at| at as usize)
    }

    fn bytes(&self, start: Marker, end: Marker) -> Span {
        let start = self.byte(start);
        let end = self.byte(end).max(start);
        // Block scalars and mappings end where the next thing begins: leave the white space out.
        let text = self.source.text[start..end].trim_end();
        Span { start, end: start + text.len() }
    }

    fn place(&self, span: Span) -> Place {
        Place { source: Arc::clone(self.source), span }
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
                let content = Content::Mapping { entries: Vec::new(), seen: HashMap::new(), key: Key::Awaited };
                self.start(content, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Flow::GoOn,
        };
        self.previous_end = self.previous_end.max(span.end);
        flow
    }

    fn document(&mut self, span: Span) -> Flow {
        self.documents += 1;
        if self.documents == 1 {
            return Flow::GoOn;
        }
        self.report(
            Problem::new("several-documents", "a second document starts here")
                .at(self.place(span))
                .help("write one scenario per file and leave out the `---`"),
        );
        Flow::Stop
    }
}
