use std::sync::Arc;

use super::{MAX_DEPTH, SourceText, Span};
use crate::diagnostic::{Place, Problem};

/// Says what a syntax error of the YAML parser means to somebody who writes scenarios.
pub(super) fn explain(source: &Arc<SourceText>, at: usize, info: &str) -> Problem {
    let text = &source.text;
    let place = Place {
        source: Arc::clone(source),
        span: Span {
            start: at,
            end: at + text[at..].chars().next().map_or(0, char::len_utf8),
        },
    };
    if info.contains("recursion limit") {
        return too_deep(place);
    }
    if let Some(span) = unquoted_reference(text, at) {
        return Problem::new(
            "unquoted-reference",
            "a `${…}` inside `{ }` or `[ ]` needs quotes",
        )
        .at(Place { span, ..place })
        .label("YAML takes this `{` for the start of a mapping")
        .help(format!("write \"{}\"", source.slice(span)));
    }
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    if info.contains("tab") && text[line_start..].starts_with(|c: char| c.is_whitespace()) {
        let indent = &text[line_start..at.max(line_start)];
        let tab = line_start + indent.find('\t').unwrap_or(indent.len());
        return Problem::new("tab-indentation", "a tab is used for indentation")
            .at(Place {
                span: Span {
                    start: tab,
                    end: (tab + 1).min(text.len()),
                },
                ..place
            })
            .help("indent with spaces: YAML does not say how wide a tab is");
    }
    let (message, help) = meaning(info, text[at..].chars().next());
    Problem::new("yaml-syntax", message).at(place).help(help)
}

/// A document that nests deeper than anybody can read.
pub(super) fn too_deep(place: Place) -> Problem {
    Problem::new(
        "too-deep",
        format!("the file nests deeper than {MAX_DEPTH} levels"),
    )
    .at(place)
    .label("this is one level too many")
}

/// The `${…}` whose brace the parser stumbled over: it ends plain texts only within `{ }` and `[ ]`.
fn unquoted_reference(text: &str, at: usize) -> Option<Span> {
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[at..]
        .find('\n')
        .map_or(text.len(), |length| at + length);
    // The parser stops at the brace, or just behind it.
    let looked_at = (at + 1).min(line_end);
    let looked_at = (looked_at..=line_end).find(|&end| text.is_char_boundary(end))?;
    let dollar = line_start + text[line_start..looked_at].rfind("${")?;
    let before = &text[line_start..dollar];
    let in_flow = before.contains(['{', '[']) || before.trim().is_empty();
    let quoted = before.matches('"').count() % 2 == 1 || before.matches('\'').count() % 2 == 1;
    if !in_flow || quoted {
        return None;
    }
    let end = text[dollar..line_end]
        .find('}')
        .map(|length| dollar + length + 1)?;
    // Take along what is written directly before and after: `orders-${run.id}-x`.
    let stop = |c: char| c.is_whitespace() || "{}[],:\"'".contains(c);
    let start = dollar
        - text[line_start..dollar]
            .chars()
            .rev()
            .take_while(|&c| !stop(c))
            .map(char::len_utf8)
            .sum::<usize>();
    let end = end
        + text[end..line_end]
            .chars()
            .take_while(|&c| !stop(c))
            .map(char::len_utf8)
            .sum::<usize>();
    Some(Span { start, end })
}

/// Message and remedy for one of the parser's fixed messages.
fn meaning(info: &str, at: Option<char>) -> (String, &'static str) {
    let is = |part: &str| info.contains(part);
    let (message, help) = if is("mapping values are not allowed") {
        (
            "a second `:` in a place where only one can be",
            "put a text that holds `: ` into quotes, or check the indentation of this line",
        )
    } else if is("unknown anchor") || is("anchor or alias") {
        (
            "this names no anchor (`*` uses a value that `&` named before)",
            "put a text that starts with `*` or `&` into quotes",
        )
    } else if is("block scalar") {
        (
            "`>` and `|` start a text of several lines",
            "put a text that starts with `>` or `|` into quotes; for a check write `{ min: … }` or `{ max: … }`",
        )
    } else if is("quoted scalar, found unexpected end of stream") {
        ("a quoted text is not closed", "add the closing quote")
    } else if is("unknown escape") || is("hexadecimal") || is("Unicode character escape") {
        (
            "an unknown escape in a text in double quotes",
            "write `\\\\` for a backslash, or use single quotes, which have no escapes",
        )
    } else if is("trailing content after") {
        (
            "text goes on after the closing quote",
            "put the whole text into quotes; inside double quotes write `\\\"` for a quote",
        )
    } else if is("flow mapping")
        || is("flow sequence")
        || is("misplaced bracket")
        || is("only valid inside")
    {
        (
            "a `{ }` or `[ ]` is not well-formed here",
            "separate entries by commas, close each bracket, and put texts that hold `{ } [ ] ,` into quotes",
        )
    } else if is("expected key")
        || is("indicator")
        || is("indentation")
        || is("simple key")
        || is("block sequence entries")
        || is("mapping keys are not allowed")
    {
        (
            "the indentation or structure does not fit what stands above",
            "align this line with its siblings; list items start with `- `, keys end with `:`",
        )
    } else if is("document start") || is("document-start") {
        (
            "something follows the end of the document",
            "align this line with the keys above it",
        )
    } else if is("unexpected character") {
        return (
            match at {
                Some(c) => format!("a text cannot start with `{c}`"),
                None => "a text cannot start here".to_owned(),
            },
            "put the text into quotes",
        );
    } else {
        return (
            format!("not valid YAML: {info}"),
            "put texts with special characters into quotes, and check the indentation",
        );
    };
    (message.to_owned(), help)
}
