use saphyr_parser::Tag;

use super::Scan;
use crate::text::{Problem, Span};

/// Tags: refused.
impl Scan<'_> {
    pub(super) fn tag(&mut self, tag: Option<&Tag>, value: Span) {
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
        let written =
            text[start..].split(|c: char| c.is_whitespace() || "{}[],".contains(c)).next().unwrap_or_default();
        let whole = self.source.slice(Span { start, ..value });
        let whole = whole.lines().next().unwrap_or_default();
        let help = if written.starts_with("!=") {
            format!("for a check write `{{ not: … }}`; for a text write \"{whole}\"")
        } else {
            format!("for a text write it in quotes: \"{whole}\"")
        };
        self.report(
            Problem::new("unknown-tag", format!("`{written}` is a YAML tag, and scenarios have none"))
                .at(self.place(Span { start, end: start + written.len() }))
                .label("everything from `!` to the next space is a tag")
                .help(help),
        );
    }
}
