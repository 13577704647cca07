//! Markdown with its charts as SVG files beside it.

use super::output::OutputFile;
use super::svg;
use super::templates::Templates;
use super::view::RunView;
use crate::text::Problem;
use serde::Serialize;

#[derive(Serialize)]
struct Page<'a> {
    #[serde(flatten)]
    view: &'a RunView,
    chart: &'a str,
    logs_text: Vec<Excerpt>,
}

#[derive(Serialize)]
struct Excerpt {
    title: String,
    block: String,
}

/// The report of one run: the text, and its chart at `chart`, a path relative to the text.
///
/// # Errors
/// A template that cannot be rendered.
pub fn run(view: &RunView, chart: &str, templates: &Templates) -> Result<(String, Option<OutputFile>), Problem> {
    let file = (!view.timeline.panels.is_empty())
        .then(|| OutputFile::new(chart, svg::file(&view.timeline, &title(view)).into_bytes()));
    let logs_text = view
        .logs
        .iter()
        .filter(|log| !log.lines.is_empty())
        .map(|log| {
            let lines: Vec<String> = log.lines.iter().map(|line| format!("{:>9}  {}", line.at, line.text)).collect();
            Excerpt { title: format!("{}: {}", log.source, log.reason), block: fenced(&lines.join("\n")) }
        })
        .collect();
    let page = Page { view, chart: if file.is_some() { chart } else { "" }, logs_text };
    Ok((templates.render("run.md", &page)?, file))
}

/// Name and cell of a run.
pub fn title(view: &RunView) -> String {
    if view.cell.is_empty() { view.name.clone() } else { format!("{} [{}]", view.name, view.cell) }
}

/// A text that Markdown, GitHub's included, shows as it is: no markup, no HTML, no table cell ends early.
pub fn escape(text: &str) -> String {
    let characters: Vec<char> = text.trim().chars().collect();
    let mut out = String::with_capacity(text.len() + 8);
    for (index, character) in characters.iter().enumerate() {
        let word = |offset: isize| {
            index.checked_add_signed(offset).and_then(|at| characters.get(at)).is_some_and(|c| c.is_alphanumeric())
        };
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            // Inside a word an underscore means nothing.
            '_' if word(-1) && word(1) => out.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '!' => {
                // Before anything but a bracket an exclamation mark means nothing.
                if *character != '!' || characters.get(index + 1) == Some(&'[') {
                    out.push('\\');
                }
                out.push(*character);
            }
            // At the start of a line these begin headings, lists and rules.
            '#' | '-' | '+' | '=' if index == 0 && !word(1) => {
                out.push('\\');
                out.push(*character);
            }
            '.' | ')' if !word(1) && characters[..index].iter().all(char::is_ascii_digit) && index > 0 => {
                out.push('\\');
                out.push(*character);
            }
            // An address stays text, it does not become a link.
            ':' if characters[index..].starts_with(&[':', '/', '/']) => out.push_str("&#58;"),
            '\n' | '\r' | '\t' => out.push(' '),
            control if control.is_control() => {}
            other => out.push(*other),
        }
    }
    out
}

/// A block of code that its content cannot leave.
pub fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let clean: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    format!("{fence}text\n{clean}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let cases = [
            ("max_lag of load_1", "max_lag of load_1"),
            ("_emphasis_ *bold* `code`", "\\_emphasis\\_ \\*bold\\* \\`code\\`"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("a | b\nc", "a \\| b c"),
            ("![x](http://evil)", "\\!\\[x\\](http&#58;//evil)"),
            ("# title", "\\# title"),
            ("- item", "\\- item"),
            ("-5", "-5"),
            ("1. item", "1\\. item"),
            ("2.1s", "2.1s"),
            ("$x$ &amp; \u{1b}[31m", "\\$x\\$ &amp;amp; \\[31m"),
        ];
        for (text, expected) in cases {
            assert_eq!(escape(text), expected);
        }
        assert_eq!(fenced("a\n````\nb"), "`````text\na\n````\nb\n`````");
    }
}
