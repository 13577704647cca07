use std::sync::Arc;

use super::{MAX_DEPTH, MAX_PROBLEMS};
use crate::text::{Place, Problem, SourceText, Span};

/// Says what a syntax error of a YAML parser means to somebody who writes scenarios.
pub(super) fn explain(source: &Arc<SourceText>, at: usize, info: &str) -> Problem {
    let text = &source.text;
    let place = Place {
        source: Arc::clone(source),
        span: Span { start: at, end: at + text[at..].chars().next().map_or(0, char::len_utf8) },
    };
    if info.contains("recursion limit") {
        return too_deep(place);
    }
    if let Some(span) = unquoted_reference(text, at) {
        return Problem::new("unquoted-reference", "a `${…}` inside `{ }` or `[ ]` needs quotes")
            .at(Place { span, ..place })
            .label("YAML takes this `{` for the start of a mapping")
            .help(format!("write \"{}\"", source.slice(span)));
    }
    if info.contains("tab")
        && let Some(tab) = indenting_tab(text, at)
    {
        return Problem::new("tab-indentation", "a tab is used for indentation")
            .at(Place { span: Span { start: tab, end: tab + 1 }, ..place })
            .help("indent with spaces: YAML does not say how wide a tab is");
    }
    let (message, help) = meaning(info, text[at..].chars().next());
    Problem::new("yaml-syntax", message).at(place).help(help)
}

/// The characters that YAML does not allow in a file (specification 1.2.2, section 5.1), and those that only some readers take for
/// line breaks.
pub(super) fn unprintable(source: &Arc<SourceText>) -> Vec<Problem> {
    let allowed = |c: char| match c {
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        '\t' | '\n' | '\r' | ' '..='~' => true,
        c => c >= '\u{a0}',
    };
    let found = source.text.char_indices().filter(|&(_, c)| !allowed(c));
    found
        .take(MAX_PROBLEMS)
        .map(|(at, c)| {
            Problem::new("control-character", format!("the invisible character U+{:04X} in the file", u32::from(c)))
                .at(Place { source: Arc::clone(source), span: Span { start: at, end: at + c.len_utf8() } })
                .help(format!(
                    "remove it, or write it as an escape in a text in double quotes: \"\\u{:04x}\"",
                    u32::from(c)
                ))
        })
        .collect()
}

/// A document that nests deeper than anybody can read.
pub(super) fn too_deep(place: Place) -> Problem {
    Problem::new("too-deep", format!("the file nests deeper than {MAX_DEPTH} levels"))
        .at(place)
        .label("this is one level too many")
}

/// The tab that indents the line of an error, or the line after it: the parser may stop before the line break.
fn indenting_tab(text: &str, at: usize) -> Option<usize> {
    let mut start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    for line in text[start..].split_inclusive('\n').take(2) {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if line[indent..].starts_with('\t') {
            return Some(start + indent);
        }
        start += line.len();
    }
    None
}

/// The `${…}` whose brace the parser stumbled over, as braces end plain texts within `{ }` and `[ ]`. Takes along what is written
/// directly before and after: `orders-${run.id}-x`.
fn unquoted_reference(text: &str, at: usize) -> Option<Span> {
    let dollar = text[..at].strip_suffix('$')?.len();
    let closing = text[at..].strip_prefix('{')?.find(['}', '\n'])? + at + 1;
    if text[closing..].starts_with('\n') {
        return None;
    }
    let ends = |c: char| c.is_whitespace() || "{}[],\"'".contains(c);
    let start = text[..dollar].char_indices().rev().find(|&(_, c)| ends(c)).map_or(0, |(at, c)| at + c.len_utf8());
    let end = text[closing + 1..].find(ends).map_or(text.len(), |length| closing + 1 + length);
    Some(Span { start, end })
}

/// What the parser's fixed messages mean: parts of them, message, remedy. The first row that fits counts.
const MEANINGS: &[(&[&str], &str, &str)] = &[
    (
        &["mapping values are not allowed"],
        "a second `:` in a place where only one can be",
        "put a text that holds `: ` into quotes, or check the indentation of this line",
    ),
    (
        &["unknown anchor", "anchor or alias"],
        "this names no anchor (`*` uses a value that `&` named before)",
        "put a text that starts with `*` or `&` into quotes",
    ),
    (
        &["block scalar"],
        "`>` and `|` start a text of several lines",
        "put a text that starts with `>` or `|` into quotes; for a check write `{ min: … }` or `{ max: … }`",
    ),
    (
        &["comments must be separated"],
        "`#` starts a comment only after a space",
        "put a space before `#`, or the text that holds it into quotes",
    ),
    (
        &["comment intercepting"],
        "a comment stands within a text of several lines",
        "move the comment above the text, or check the indentation of this line",
    ),
    (&["quoted scalar, found unexpected end of stream"], "a quoted text is not closed", "add the closing quote"),
    (
        &["unknown escape", "hexadecimal", "Unicode character escape"],
        "an unknown escape in a text in double quotes",
        "write `\\\\` for a backslash, or use single quotes, which have no escapes",
    ),
    (
        &["trailing content after"],
        "text goes on after the closing quote",
        "put the whole text into quotes; inside double quotes write `\\\"` for a quote",
    ),
    (
        &["flow mapping", "flow construct", "flow sequence", "misplaced bracket", "node content", "only valid inside"],
        "a `{ }` or `[ ]` is not well-formed here",
        "separate entries by commas, close each bracket, and put texts that hold `{ } [ ] ,` into quotes",
    ),
    (
        &[
            "expected key",
            "indicator",
            "indentation",
            "simple key",
            "block sequence entries",
            "mapping keys are not allowed",
        ],
        "the indentation or structure does not fit what stands above",
        "align this line with its siblings; list items start with `- `, keys end with `:`",
    ),
    (
        &["document start", "document-start"],
        "something follows the end of the document",
        "align this line with the keys above it",
    ),
];

/// Message and remedy for one of the parser's fixed messages.
fn meaning(info: &str, at: Option<char>) -> (String, &'static str) {
    if let Some((_, message, help)) = MEANINGS.iter().find(|(parts, ..)| parts.iter().any(|part| info.contains(part))) {
        return ((*message).to_owned(), help);
    }
    if info.contains("unexpected character") {
        let message = match at {
            Some('`') => "a text cannot start with a backtick".to_owned(),
            Some(c) => format!("a text cannot start with `{c}`"),
            None => "a text cannot start here".to_owned(),
        };
        return (message, "put the text into quotes");
    }
    (format!("not valid YAML: {info}"), "put texts with special characters into quotes, and check the indentation")
}
