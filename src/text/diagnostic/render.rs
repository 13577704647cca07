use std::borrow::Cow;

use annotate_snippets::{AnnotationKind, Element, Level, Origin, Renderer, Snippet};

use super::{Place, Problem};

/// Writes problems the way a compiler does, sorted by file, line and column; columns count from 1.
///
/// ```text
/// error[unknown-verb]: unknown verb `prodcue`
///   --> load.yaml:7:5
///    |
///  7 |     prodcue:
///    |     ^^^^^^^ did you mean `produce`?
/// ```
pub fn render(problems: &[Problem], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by(|a, b| a.by_place(b));
    let mut out = String::new();
    for problem in sorted {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&render_one(problem, &renderer));
        out.push('\n');
    }
    out
}

fn render_one(problem: &Problem, renderer: &Renderer) -> String {
    let title = Level::ERROR.primary_title(harmless(&problem.message)).id(problem.code);
    let excerpt = problem.at.as_ref().filter(|place| place.source.shown).map(Excerpt::of);
    let name = problem.at.as_ref().map(|place| place.source.name.to_string_lossy());
    let mut elements: Vec<Element<'_>> = Vec::new();
    if let (None, Some(place), Some(name)) = (&excerpt, &problem.at, &name) {
        let (line, column) = place.line_col();
        elements.push(Origin::path(harmless(name)).line(line).char_column(column).into());
    }
    if let (Some(excerpt), Some(name)) = (&excerpt, &name) {
        let mut annotation = AnnotationKind::Primary.span(excerpt.start..excerpt.end);
        if !problem.label.is_empty() {
            annotation = annotation.label(harmless(&problem.label));
        }
        elements.push(
            Snippet::source(excerpt.line.as_str())
                .path(harmless(name))
                .line_start(excerpt.number)
                .fold(false)
                .annotation(annotation)
                .into(),
        );
    }
    for note in &problem.notes {
        elements.push(Level::NOTE.message(harmless(note)).into());
    }
    if let Some(help) = &problem.help {
        elements.push(Level::HELP.message(harmless(help)).into());
    }
    let group =
        if elements.is_empty() { annotate_snippets::Group::with_title(title) } else { title.elements(elements) };
    let drawn = renderer.render(&[group]);
    match (&excerpt, &name) {
        (Some(excerpt), Some(name)) => excerpt.with_true_column(drawn, &harmless(name)),
        _ => drawn,
    }
}

/// The one source line that is shown, with the stretch to underline in it.
struct Excerpt {
    line: String,
    number: usize,
    column: usize,
    start: usize,
    end: usize,
}

impl Excerpt {
    /// At most so many characters are shown before, within and after the marked stretch.
    const SHOWN: usize = 60;

    fn of(place: &Place) -> Self {
        let source = &place.source;
        let (number, column) = source.line_col(place.span.start);
        let range = source.line_range(number);
        let text = &source.text[range.clone()];
        // A stretch of several lines is shown by its first one.
        let start = place.span.start.clamp(range.start, range.end) - range.start;
        let last = text.trim_end().len().max(start);
        let end = place.span.end.saturating_sub(range.start).clamp(start, last);
        let (before, rest) = text.split_at(start);
        let (marked, after) = rest.split_at(end - start);

        let mut line = String::new();
        match before.char_indices().rev().nth(Self::SHOWN - 1) {
            Some((cut, _)) if cut > 0 => {
                line.push('…');
                line.push_str(&visible(&before[cut..]));
            }
            _ => line.push_str(&visible(before)),
        }
        let start = line.len();
        line.push_str(&shortened(marked));
        let end = line.len();
        // Behind a cut stretch nothing more is worth showing.
        if !line.ends_with('…') {
            line.push_str(&shortened(after));
        }
        Self { line, number, column, start, end }
    }

    /// The drawing counts columns in the excerpt; where that was cut from a longer line, it is told the file's.
    fn with_true_column(&self, drawn: String, name: &str) -> String {
        let shown = self.line[..self.start].chars().count() + 1;
        if shown == self.column {
            return drawn;
        }
        let Some((title, rest)) = drawn.split_once("--> ") else {
            return drawn;
        };
        let place = |column| format!("{name}:{}:{column}", self.number);
        format!("{title}--> {}", rest.replacen(&place(shown), &place(self.column), 1))
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(Excerpt::SHOWN) {
        Some((cut, _)) => visible(&text[..cut]) + "…",
        None => visible(text),
    }
}

/// One visible character for each character, so that columns stay true.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c != '\t' && is_harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// A text that comes from outside, made safe to show on a terminal: control characters and those that reorder text are written as
/// escapes. Line breaks stay.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && is_harmful(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c != '\n' && is_harmful(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A JSON text that says the same and is safe to show: what is harmful in it stands in its texts, which can say it by escapes.
pub fn harmless_json(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c != '\n' && is_harmful(c);
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harmful(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A text that kscen has painted itself, made safe to show: its own colours stay where they are wanted, every other control
/// sequence is written as an escape.
pub fn for_terminal(text: &str, color: bool) -> Cow<'_, str> {
    let harmful = |c: char| c != '\n' && c != '\t' && is_harmful(c);
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(harmful) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let painted = if color { painting(from) } else { 0 };
        let length = if painted > 0 {
            out.push_str(&from[..painted]);
            painted
        } else {
            let c = from.chars().next().unwrap_or_default();
            out.extend(c.escape_default());
            c.len_utf8()
        };
        rest = &from[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The length of a sequence that only chooses a colour, bold, dim or underlined: text that hides or blinks is nobody's here.
fn painting(text: &str) -> usize {
    let Some((numbers, _)) = text.strip_prefix("\u{1b}[").and_then(|rest| rest.split_once('m')) else { return 0 };
    let fine = |number: &str| {
        matches!(number.parse::<u8>(), Ok(0..=2 | 4 | 30..=38 | 90..=97)) || number == "5" || number.is_empty()
    };
    let extended = numbers.strip_prefix("38;5;").is_some_and(|number| number.parse::<u8>().is_ok());
    let plain =
        !numbers.starts_with("5") && numbers.len() < 12 && numbers.split(';').all(fine) && !numbers.contains("38");
    if extended || plain { "\u{1b}[".len() + numbers.len() + 1 } else { 0 }
}

/// Control characters, and characters that take no room, are not seen, or change the order of what stands around them.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::text::{SourceText, Span};

    fn place(text: &str, marked: &str) -> Place {
        let start = text.find(marked).expect("the text holds it");
        Place {
            source: Arc::new(SourceText::new(PathBuf::from("a.yaml"), text.to_owned())),
            span: Span { start, end: start + marked.len() },
        }
    }

    #[test]
    fn problems_are_sorted_and_drawn() {
        let text = "name: x\nstpes:\n  - wait: 5s\n";
        let problems = [
            Problem::new("second", "later").at(place(text, "wait: 5s")),
            Problem::new("unknown-key", "unknown key `stpes`")
                .at(place(text, "stpes"))
                .label("not a key of a scenario")
                .note("keys are `name`, `steps`")
                .help("did you mean `steps`?"),
            Problem::new("no-file", "no such file").help("look elsewhere"),
        ];
        let expected = "\
error[no-file]: no such file
 |
 = help: look elsewhere

error[unknown-key]: unknown key `stpes`
 --> a.yaml:2:1
  |
2 | stpes:
  | ^^^^^ not a key of a scenario
  |
  = note: keys are `name`, `steps`
  = help: did you mean `steps`?

error[second]: later
 --> a.yaml:3:5
  |
3 |   - wait: 5s
  |     ^^^^^^^^
";
        assert_eq!(render(&problems, false), expected);
        assert_eq!(problems[1].to_string(), "a.yaml:2:1: error[unknown-key]: unknown key `stpes`");
        let json = serde_json::to_value(&problems[1]).expect("a problem is plain data");
        assert_eq!(json["line"], 2);
        assert_eq!(json["column"], 1);
        assert_eq!(json["file"], "a.yaml");
        assert_eq!(json["code"], "unknown-key");
    }

    #[test]
    fn hostile_text_is_shown_safely() {
        let text = "é: \u{1b}[2J\u{202e}x";
        let problem = Problem::new("bad", "a \u{1b}[31m \u{9b} message").at(place(text, "x"));
        let shown = render(&[problem], false);
        assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{shown:?}");
        assert!(shown.contains("--> a.yaml:1:9"), "{shown}");
    }

    #[test]
    fn json_says_the_same_without_harm() {
        let value = serde_json::json!(["\u{1b}[2J", "\u{202e}\u{9b}\u{ad}", "\u{e0041}", "é\n\"\\"]);
        let text = serde_json::to_string_pretty(&value).expect("plain data");
        let shown = harmless_json(&text);
        assert!(!shown.contains(|c| c != '\n' && is_harmful(c)) && shown.contains("\\udb40\\udc41"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("still JSON"), value);
    }

    #[test]
    fn only_colours_reach_the_terminal() {
        let own = "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m \u{1b}[32mok\u{1b}[0m\n\tdone";
        assert_eq!(for_terminal(own, true), own);
        assert_eq!(for_terminal("\u{1b}[32mok", false), "\\u{1b}[32mok");
        for hostile in [
            "\u{1b}[2J",
            "\u{1b}]0;title\u{7}",
            "\u{1b}[8m",
            "\u{1b}[5m",
            "\u{1b}[31;8m",
            "\u{9b}2J",
            "a\rb",
            "\u{202e}",
            "a\u{ad}b",
            "\u{e0041}",
            "\u{1b}[38;2;0m",
        ] {
            let shown = for_terminal(hostile, true);
            assert!(!shown.contains(is_harmful), "{shown:?}");
        }
    }

    #[test]
    fn long_lines_are_trimmed() {
        let text = format!("{}WRONG{}", "a".repeat(500_000), "b".repeat(500_000));
        let shown = render(&[Problem::new("bad", "m").at(place(&text, "WRONG"))], false);
        assert!(shown.len() < 2_000, "{}", shown.len());
        assert!(shown.contains("WRONG") && shown.contains("--> a.yaml:1:500001\n"), "{shown}");
    }
}
