//! Regular expressions as connectors take them: Java's, anchored, in lists.

use crate::ground::lock;
use fancy_regex::Regex;
use std::collections::HashMap;
use std::sync::Mutex;

/// A pattern that has to match the whole text.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    source: String,
    /// `None`: it is not understood here, and whether it matches is not known.
    regex: Option<Regex>,
}

impl Pattern {
    pub(super) fn new(source: &str, case_insensitive: bool) -> Self {
        let flags = if case_insensitive { "(?i)" } else { "" };
        Self { source: source.to_owned(), regex: compiled(format!("{flags}^(?:{source})$")) }
    }

    /// Whether it matches; `None` where that cannot be told.
    pub(super) fn matches(&self, text: &str) -> Option<bool> {
        self.regex.as_ref()?.is_match(text).ok()
    }

    /// The replacement with its groups filled in, where the pattern matches; `None` where that cannot be told.
    pub(super) fn replace(&self, text: &str, replacement: &str) -> Option<Option<String>> {
        let Some(groups) = self.regex.as_ref()?.captures(text).ok()? else { return Some(None) };
        let group = |index: usize| groups.get(index).map_or("", |group| group.as_str());
        let mut out = String::new();
        let mut chars = replacement.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => out.extend(chars.next()),
                '$' if chars.peek() == Some(&'{') => {
                    let name: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    out.push_str(groups.name(&name)?.as_str());
                }
                '$' => {
                    let mut index = usize::try_from(chars.next()?.to_digit(10)?).ok()?;
                    // Java takes further digits while there is such a group.
                    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                        let longer = index * 10 + usize::try_from(digit).ok()?;
                        if longer >= groups.len() {
                            break;
                        }
                        index = longer;
                        chars.next();
                    }
                    out.push_str(group(index));
                }
                c => out.push(c),
            }
        }
        Some(Some(out))
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether it can be told of a text whether it matches.
    pub(super) fn is_understood(&self) -> bool {
        self.regex.is_some()
    }
}

/// Whether a pattern, as connectors take them, matches a whole text; `None` where that cannot be told.
pub fn matches_whole(pattern: &str, text: &str) -> Option<bool> {
    Pattern::new(pattern, false).matches(text)
}

/// Compiled patterns that are kept: a connector's configuration is looked at again and again.
const KEPT: usize = 256;

fn compiled(pattern: String) -> Option<Regex> {
    static KNOWN: Mutex<Option<HashMap<String, Option<Regex>>>> = Mutex::new(None);
    let mut known = lock(&KNOWN);
    let known = known.get_or_insert_default();
    if known.len() > KEPT {
        known.clear();
    }
    known.entry(pattern).or_insert_with_key(|pattern| Regex::new(pattern).ok()).clone()
}

/// A list of patterns.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns(Vec<Pattern>);

impl Patterns {
    /// Patterns with commas between them; `\,` is a comma.
    pub(super) fn list(text: &str) -> Self {
        let mut items = vec![String::new()];
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.peek() == Some(&',') => items.last_mut().expect("there is one").extend(chars.next()),
                ',' => items.push(String::new()),
                c => items.last_mut().expect("there is one").push(c),
            }
        }
        let items = items.iter().map(|item| item.trim()).filter(|item| !item.is_empty());
        Self(items.map(|item| Pattern::new(item, true)).collect())
    }

    /// Whether one matches; `None` where that cannot be told.
    pub(super) fn any(&self, text: &str) -> Option<bool> {
        let mut known = true;
        for pattern in &self.0 {
            match pattern.matches(text) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => known = false,
            }
        }
        known.then_some(false)
    }
}
