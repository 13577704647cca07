//! Hides secrets in texts, in whatever form they stand there.
//!
//! A text is searched as it is, with its line breaks removed (a value that a command has folded), with percent signs, backslashes
//! and entities decoded, once and twice, and as dumps of bytes are read. Each of these views remembers where its bytes come from. The
//! digits of base64, base32 and hexadecimal numbers cannot be told from other text, so the secret's own forms are searched for. Upper
//! and lower case count as the same. Where a text was cut, the beginning of a secret is one.

mod forms;
mod search;

use super::short::CUT;
use super::view::each_reading;
use forms::forms;
use search::FormSearch;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Stands where a secret was.
pub(crate) const HIDDEN: &str = "***";
/// Encoded forms of shorter secrets, and lines and beginnings of a secret shorter than this, could be any text.
const TELLING: usize = 4;
/// Of more secrets at once no encoding of an encoding is searched for.
const MOST_TWICE: usize = 100;
/// What half a character is read as.
const UNREADABLE: &str = "\u{fffd}";

/// What is looked for: the secret with what has to stand around it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SecretPattern {
    /// In lower case.
    bytes: Vec<u8>,
    /// Bytes before and after the secret, which stay.
    around: (usize, usize),
}

/// Hides secrets in texts.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    search: Option<Arc<FormSearch>>,
}

impl Redactor {
    /// Hides these values wherever they stand. Empty ones are no secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self::default().and(secrets)
    }

    /// Hides these values as well.
    #[must_use]
    pub fn and<'a>(self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns = self.patterns();
        let secrets: Vec<&str> = secrets.into_iter().collect();
        let twice = secrets.len() <= MOST_TWICE;
        secrets.into_iter().for_each(|secret| forms(secret, twice, &mut patterns));
        Self::of(patterns)
    }

    /// Hides these values as well where they stand as a password: in a URL or after `password`. For values that are also
    /// ordinary words, such as `postgres`.
    #[must_use]
    pub fn and_passwords<'a>(self, passwords: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns = self.patterns();
        for password in passwords.into_iter().filter(|password| !password.is_empty()) {
            for (before, after) in [
                (":", "@"),
                ("password=", ""),
                ("password='", ""),
                ("password=\"", ""),
                ("password\":\"", ""),
                ("password: ", ""),
            ] {
                let bytes = [before, password, after].concat().to_ascii_lowercase().into_bytes();
                patterns.insert(SecretPattern { bytes, around: (before.len(), after.len()) });
            }
        }
        Self::of(patterns)
    }

    fn patterns(self) -> BTreeSet<SecretPattern> {
        self.search.iter().flat_map(|search| search.forms()).cloned().collect()
    }

    fn of(patterns: BTreeSet<SecretPattern>) -> Self {
        let search = (!patterns.is_empty()).then(|| Arc::new(FormSearch::new(patterns.into_iter().collect())));
        Self { search }
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.search.is_none()
    }

    /// Whether a secret stands in a text, as it is or encoded. Of a large text that takes a small part of the time of hiding it.
    pub fn is_in(&self, text: &[u8]) -> bool {
        let Some(search) = &self.search else { return false };
        let mut found = false;
        each_reading(text, false, &mut |view| {
            search.each(view.bytes(), &mut |_| {
                found = true;
                false
            });
            !found
        });
        found
    }

    /// The text without secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replaced(text, hide)
    }

    /// The text with what `instead` writes for each secret in it.
    fn replaced<'a>(&self, text: &'a str, instead: impl Fn(&str, &mut String)) -> Cow<'a, str> {
        let found = self.found(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut shown = String::with_capacity(text.len());
        let mut from = 0;
        for range in found {
            shown.push_str(&text[from..range.start]);
            instead(&text[range.clone()], &mut shown);
            from = range.end;
        }
        shown.push_str(&text[from..]);
        Cow::Owned(shown)
    }

    /// The same for texts that follow each other, such as the lines of a log: a secret may reach from one into the next.
    pub fn lines(&self, lines: &mut [&mut String]) {
        self.hide_in(lines, |whole| self.found(whole));
    }

    /// The same for the last lines of a longer text: what they begin with may be the end of a secret.
    pub fn last_lines(&self, lines: &mut [&mut String]) {
        let Some(search) = &self.search else { return };
        self.hide_in(lines, |whole| {
            let mut found = self.found(whole);
            each_reading(whole.as_bytes(), true, &mut |view| {
                found.extend(search.ended(view.bytes()).map(|length| view.origin(0..length)));
                true
            });
            joined(whole, found)
        });
    }

    /// The last lines of a text. It is cut when nothing secret is in it any more.
    pub fn tail(&self, text: &str, most: usize) -> Vec<String> {
        let shown = self.text(text);
        let lines: Vec<&str> = shown.lines().collect();
        lines[lines.len().saturating_sub(most)..].iter().map(|line| (*line).to_owned()).collect()
    }

    fn hide_in(&self, lines: &mut [&mut String], find: impl Fn(&str) -> Vec<Range<usize>>) {
        if self.is_empty() {
            return;
        }
        // As lines, which a dump is read by; and without anything between them, as a secret may have a space where it was cut.
        for between in ["\n", ""] {
            let texts: Vec<&str> = lines.iter().map(|line| line.as_str()).collect();
            let whole = texts.join(between);
            let found = find(&whole);
            let mut start = 0;
            for line in lines.iter_mut() {
                let end = start + line.len();
                if let Some(shown) = without(&whole, start..end, &found) {
                    **line = shown;
                }
                start = end + between.len();
            }
        }
    }

    /// The text with every byte of a secret but line breaks replaced by an asterisk: places in it stay true.
    pub fn blanked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replaced(text, |secret, shown| {
            shown.extend(secret.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { byte as char } else { '*' }));
        })
    }

    /// Where secrets stand: disjoint, sorted, on the borders of characters.
    fn found(&self, text: &str) -> Vec<Range<usize>> {
        let Some(search) = &self.search else { return Vec::new() };
        let mut found: Vec<Range<usize>> = Vec::new();
        each_reading(text.as_bytes(), true, &mut |view| {
            let mut keep = |range| {
                found.push(view.origin(range));
                true
            };
            search.each(view.bytes(), &mut keep);
            around_cuts(search, view.bytes(), &mut keep);
            true
        });
        joined(text, found)
    }
}

/// Stretches of a text: disjoint, sorted, on the borders of characters.
fn joined(text: &str, mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in found {
        let (mut start, mut end) = (range.start, range.end);
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        while !text.is_char_boundary(end) {
            end += 1;
        }
        let range = start..end;
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// Secrets of which only the beginning is left, because the text was cut behind it, or only the end, because it was cut before it.
fn around_cuts(search: &FormSearch, bytes: &[u8], keep: &mut dyn FnMut(Range<usize>) -> bool) {
    let mut floor = 0;
    let mut marks = memchr::memmem::find_iter(bytes, CUT).peekable();
    while let Some(mark) = marks.next() {
        let (mut at, behind) = (mark, mark + CUT.len());
        // Before it stands perhaps half a character.
        while bytes[..at].ends_with(UNREADABLE.as_bytes()) {
            at -= UNREADABLE.len();
        }
        search.begun(bytes, at, floor).for_each(|range| _ = keep(range));
        let from = bytes.len() - bytes[behind..].trim_ascii_start().len();
        let until = marks.peek().copied().filter(|_| !search.has_mark()).unwrap_or(bytes.len());
        if let Some(length) = search.ended(&bytes[from..until]) {
            keep(from..from + length);
        }
        floor = if search.has_mark() { 0 } else { behind };
    }
}

/// A stretch of a text without what was found in the text; `None` where nothing was found in it.
fn without(text: &str, stretch: Range<usize>, found: &[Range<usize>]) -> Option<String> {
    let (mut shown, mut from) = (String::new(), stretch.start);
    for range in found.iter().filter(|range| range.start < stretch.end && range.end > stretch.start) {
        let range = range.start.max(stretch.start)..range.end.min(stretch.end);
        shown.push_str(&text[from..range.start]);
        hide(&text[range.clone()], &mut shown);
        from = range.end;
    }
    (from > stretch.start).then(|| shown + &text[from..stretch.end])
}

/// A hidden stretch: its line breaks stay.
fn hide(hidden: &str, shown: &mut String) {
    for (number, line) in hidden.split('\n').enumerate() {
        if number > 0 {
            shown.push('\n');
        }
        if !line.is_empty() {
            shown.push_str(HIDDEN);
        }
    }
}

#[cfg(test)]
mod tests;
