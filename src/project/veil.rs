//! The text of a project file that cannot be read or is wrong: the line that is shown of it may hold a credential, in any form.
//!
//! The file may be wrong in any way, so it is not read as YAML here: whatever stands behind the name of a credential, or below it until
//! the next name, is covered.

use super::credentials::{hidden, of_url};
use crate::text::{Problem, Redactor, covered as covered_by, credential_marks};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Hides what looks like a credential in the problems of a text.
pub(super) struct Veil {
    redactor: Redactor,
    covered: Vec<Range<usize>>,
}

/// Where a credential goes on below its name.
struct Open {
    column: usize,
    /// The quotation mark that has not been closed.
    quote: Option<char>,
}

impl Veil {
    /// Over this text.
    pub(super) fn over(text: &str) -> Self {
        let covered = covered(text);
        let mut found = Vec::new();
        for range in &covered {
            values(&text[range.clone()], &mut found);
        }
        let apart = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '{' | '}');
        text.split(apart).filter(|word| word.contains("://")).for_each(|word| of_url(word, &mut found));
        found.retain(|(_, value)| !is_reference(value));
        Self { redactor: hidden(Redactor::default(), found), covered }
    }

    /// What looks like a credential.
    pub(super) fn redactor(self) -> Redactor {
        self.redactor
    }

    /// Problems of one text without its credentials.
    pub(super) fn problems(problems: Vec<Problem>) -> Vec<Problem> {
        let Some(source) = problems.iter().find_map(|problem| Some(Arc::clone(&problem.at.as_ref()?.source))) else {
            return problems;
        };
        let veil = Self::over(&source.text);
        covered_by(
            problems,
            |text| veil.redactor.text(text),
            |text| Cow::Owned(veil.text(&veil.redactor.blanked(text))),
        )
    }

    /// The text with asterisks for what is covered: places in it stay true.
    fn text(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut from = 0;
        for range in &self.covered {
            shown.push_str(&text[from..range.start]);
            for c in text[range.clone()].chars() {
                match c {
                    '\n' | '\r' | ' ' => shown.push(c),
                    _ => shown.extend(std::iter::repeat_n('*', c.len_utf8())),
                }
            }
            from = range.end;
        }
        shown + &text[from..]
    }
}

/// What is covered of a text: disjoint, in order, and nowhere over the end of a line.
fn covered(text: &str) -> Vec<Range<usize>> {
    let anchors: Vec<String> = text.lines().filter_map(|line| alias(&line[behind_name(line, &[])?..])).collect();
    let (mut found, mut start) = (Vec::new(), 0);
    let (mut open, mut key): (Option<Open>, bool) = (None, false);
    for line in text.split_inclusive('\n') {
        let (whole, at) = (start..start + line.trim_end().len(), start);
        start += line.len();
        key |= line.contains("-----BEGIN");
        if key {
            key = !line.contains("-----END");
            found.push(whole);
            continue;
        }
        if let Some(above) = &mut open {
            let goes_on = above.quote.is_some() || column(line) > above.column || !is_named(line);
            above.quote = above.quote.filter(|quote| !line.contains(*quote));
            if goes_on {
                found.push(whole);
                continue;
            }
            open = None;
        }
        match behind_name(line, &anchors) {
            Some(behind) => {
                open = Some(Open { column: column(line), quote: unclosed(&line[behind..]) });
                if !is_reference(line[behind..].trim().trim_matches(['"', '\''])) {
                    found.push(at + behind..whole.end.max(at + behind));
                }
            }
            None => found.extend(of_address(line).map(|range| at + range.start..at + range.end)),
        }
    }
    found
}

/// Where the value begins of the first credential that a line names, or that one of these anchors marks.
fn behind_name(line: &str, anchors: &[String]) -> Option<usize> {
    let small = line.to_ascii_lowercase();
    let names = credential_marks(&small).filter_map(|mark| {
        let rest = &line[mark.end..];
        let rest = rest
            .trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
            .trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
        // A name alone on its line is one whose value follows.
        let behind = rest.strip_prefix([':', '=']).or(rest.is_empty().then_some(rest))?;
        Some(line.len() - behind.len())
    });
    let marked = anchors.iter().filter_map(|anchor| Some(line.find(anchor.as_str())? + anchor.len()));
    let behind = names.chain(marked).min()?;
    Some(behind.min(line.trim_end().len()))
}

/// The anchor that a value refers to.
fn alias(value: &str) -> Option<String> {
    let name = value.trim().strip_prefix('*')?.split([' ', ',', '}', ']']).next()?;
    (!name.is_empty()).then(|| format!("&{name}"))
}

/// The column of the name on a line: what makes it an element of a list stands before.
fn column(line: &str) -> usize {
    let mut rest = line.trim_start();
    while let Some(inner) = ["- ", "? "].iter().find_map(|mark| rest.strip_prefix(mark)) {
        rest = inner.trim_start();
    }
    line.len() - rest.len()
}

/// Whether a line begins with a name.
fn is_named(line: &str) -> bool {
    let line = &line[column(line)..];
    let rest = match line.chars().next() {
        Some(quote @ ('"' | '\'')) => line[1..].split_once(quote).map(|(_, rest)| rest),
        Some(c) if c.is_alphanumeric() || c == '_' => {
            Some(line.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')))
        }
        _ => None,
    };
    let behind = rest.and_then(|rest| rest.trim_start().strip_prefix(':'));
    behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(char::is_whitespace))
}

/// The quotation mark that a value begins with and does not end with.
fn unclosed(value: &str) -> Option<char> {
    let value = value.trim();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    (!value[1..].contains(quote)).then_some(quote)
}

/// Whether a value is a reference and nothing beside it: its name is no secret.
fn is_reference(value: &str) -> bool {
    let name = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_')))
}

/// The password of an address, or all that stands before its host where that is one word.
fn of_address(line: &str) -> Option<Range<usize>> {
    let start = line.find("://")? + 3;
    let end = start + line[start..].rfind('@')?;
    let password = line[start..end].find(':').map_or(start, |colon| start + colon + 1);
    Some(password..end)
}

/// The forms in which a message may repeat what is covered.
fn values(covered: &str, found: &mut Vec<(String, String)>) {
    let mut add = |value: &str| {
        let value = value.trim().trim_matches(['"', '\'']);
        if !value.is_empty() {
            found.push((String::new(), value.to_owned()));
        }
    };
    add(covered);
    let value = covered.trim();
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split(quote).take(1).for_each(&mut add),
        _ => value.split([',', '}', ';', '#']).take(1).for_each(&mut add),
    }
    // `password="…"` within.
    value.split([' ', ',', ';']).filter_map(|word| Some(word.split_once('=')?.1)).for_each(&mut add);
    // What stands beside references.
    if value.contains("${") {
        value.split("${").map(|part| part.split_once('}').map_or(part, |(_, rest)| rest)).for_each(&mut add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Place, SourceText};

    /// The text as problems of it show it, in their source and in their words.
    fn shown(text: &str) -> String {
        let source = Arc::new(SourceText::new("kscen.yaml".into(), text.to_owned()));
        let span = crate::text::Span { start: 0, end: 0 };
        let mut problems = Veil::problems(vec![Problem::new("x", text).at(Place { source, span })]);
        let place = problems.remove(0).at.expect("its place");
        assert_eq!(place.source.text.len(), text.len());
        place.source.text.clone()
    }

    #[test]
    fn no_form_of_a_credential_is_shown() {
        for text in [
            "postgres: { url: 'postgres://app:one-pass@host/app', urll: x }",
            "sasl.password: one-pass",
            "    \"ssl.key.password\" : \"one-pass\", x: y }",
            "config: { sasl.password: one-pass, y: [",
            "sasl.jaas.config: 'Login required username=\"anna\" password=\"one-pass\";'",
            "  api_token='one-pass'",
            "-----BEGIN KEY-----\none-pass\n-----END KEY-----",
            "sasl.password:\n  one-pass",
            "sasl.password:\n\n  # why\n  \"one-pass\"",
            "sasl.password:\none-pass",
            "- sasl.password:\n    one-pass\n  x: y",
            "sasl.password: >-\n  first\n  one-pass\n",
            "sasl.password: |\n\n    name: one-pass",
            "sasl.password: \"${nope}one-pass\"",
            "sasl.password: ${nope}one-pass${env.X}",
            "sasl.password: correct one-pass staple",
            "sasl.password: \"correct\n\nname: one-pass\"",
            "sasl.password: correct,one-pass # x",
            "? sasl.password\n: one-pass",
            "{ sasl.password:\n\"one-pass\" }",
            "sasl.password: !!str &x one-pass",
            "x: &secret-one one-pass\nsasl.password: *secret-one",
            "connect: { url: http://one-pass@host:8083 }",
            "connect: { url: \"http://one-pass@host?x=y\" }",
            "connect: { url: \"http://host/?access_token=one-pass\" }",
            "sasl.password: ${env.X:-one-pass}",
            "Sasl.PASSWORD: one-pass",
            "vars: { db_pw: one-pass }",
            "apikey: one-pass",
            "connect: { url: \"http://u:x?one-pass@host:8083/\" }",
            "connect: { url: \"http://host/?apikey=one-pass\" }",
        ] {
            let shown = shown(text);
            assert!(!shown.contains("one-pass"), "{text}\nis shown as\n{shown}");
        }
    }

    #[test]
    fn what_is_no_credential_is_shown() {
        for text in [
            "sasl.password: ${env.PASSWORD}",
            "sasl.password: \"${env.PASSWORD}\"\nx: y",
            "environments:\n  r:\n    remote: {}\n    kafkaa: { bootstrap: \"b:9092\" }",
        ] {
            assert_eq!(shown(text), text);
        }
        let below = shown("sasl.password: >-\n  one\nbootstrapp: host\n");
        assert_eq!(below, "sasl.password: **\n  ***\nbootstrapp: host\n");
        let list = shown("- sasl.password: one\n  bootstrapp: host\n");
        assert_eq!(list, "- sasl.password: ***\n  bootstrapp: host\n");
    }

    #[test]
    fn a_message_repeats_no_credential() {
        for (text, message) in [
            ("sasl.password:\n  hunter2 secret", "`hunter2 secret` is no number"),
            ("sasl.password: \"${nope}hunter2 secret\"", "${nope}hunter2 secret: what is nope?"),
            ("connect: { url: http://hunter2-secret@host }", "http://hunter2-secret@host is no address"),
        ] {
            let source = Arc::new(SourceText::new("kscen.yaml".into(), text.to_owned()));
            let place = Place { source, span: crate::text::Span { start: 0, end: 0 } };
            for problem in Veil::problems(vec![Problem::new("x", message).at(place), Problem::new("y", message)]) {
                assert!(!problem.message.contains("hunter2"), "{}", problem.message);
            }
        }
    }
}
