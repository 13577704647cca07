//! Hides secrets in texts, in whatever form they stand there.
//!
//! A text is searched as it is, with its line breaks removed (a value that a command has folded), and with percent signs, backslashes
//! and entities decoded, once and twice. Each of these views remembers where its bytes come from. Base64 and hexadecimal digits
//! cannot be told from other text, so the secret's own forms are searched for. Where a text was cut, the beginning of a secret is one.

use super::short::CUT;
use super::view::{DecodedView, any_reading};
use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// Stands where a secret was.
pub(crate) const HIDDEN: &str = "***";
/// Encoded forms of shorter secrets, and lines and beginnings of a secret shorter than this, could be any text.
const TELLING: usize = 4;
/// What half a character is read as.
const UNREADABLE: &str = "\u{fffd}";

/// What is looked for: the secret with what has to stand around it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    bytes: Vec<u8>,
    /// Bytes before and after the secret, which stay.
    around: (usize, usize),
}

/// Hides secrets in texts.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    patterns: Vec<Pattern>,
    search: Option<AhoCorasick>,
}

impl Redactor {
    /// Hides these values wherever they stand. Empty ones are no secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self::default().and(secrets)
    }

    /// Hides these values as well.
    #[must_use]
    pub fn and<'a>(self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: BTreeSet<Pattern> = self.patterns.into_iter().collect();
        secrets.into_iter().for_each(|secret| forms(secret, &mut patterns));
        Self::of(patterns.into_iter().collect())
    }

    /// Hides these values as well where they stand as a password: in a URL or after `password`. For values that are also
    /// ordinary words, such as `postgres`.
    #[must_use]
    pub fn and_passwords<'a>(self, passwords: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: BTreeSet<Pattern> = self.patterns.into_iter().collect();
        for password in passwords.into_iter().filter(|password| !password.is_empty()) {
            for (before, after) in [
                (":", "@"),
                ("password=", ""),
                ("password='", ""),
                ("password=\"", ""),
                ("password\":\"", ""),
                ("password: ", ""),
            ] {
                let bytes = [before, password, after].concat().into_bytes();
                patterns.insert(Pattern { bytes, around: (before.len(), after.len()) });
            }
        }
        Self::of(patterns.into_iter().collect())
    }

    fn of(patterns: Vec<Pattern>) -> Self {
        // Memory for the automaton of a few dozen short patterns is always to be had; without it nothing must be shown.
        let search = (!patterns.is_empty())
            .then(|| AhoCorasick::new(patterns.iter().map(|pattern| &pattern.bytes)).expect("a few short patterns"));
        Self { patterns, search }
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.search.is_none()
    }

    /// Whether a secret stands in a text, as it is or encoded. Of a large text that takes a small part of the time of hiding it.
    pub fn is_in(&self, text: &[u8]) -> bool {
        self.search.as_ref().is_some_and(|search| any_reading(text, &|read| search.is_match(read)))
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
        self.hide_in(lines, |whole| {
            let ended = DecodedView::all(whole)
                .into_iter()
                .filter_map(|view| self.ended(view.bytes()).map(|length| view.origin(0..length)));
            joined(whole, self.found(whole).into_iter().chain(ended).collect())
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
        let whole: String = lines.iter().map(|line| line.as_str()).collect();
        let found = find(&whole);
        let mut start = 0;
        for line in lines {
            let end = start + line.len();
            let mut shown = String::new();
            let mut from = start;
            for range in found.iter().filter(|range| range.start < end && range.end > start) {
                let range = range.start.max(start)..range.end.min(end);
                shown.push_str(&whole[from..range.start]);
                hide(&whole[range.clone()], &mut shown);
                from = range.end;
            }
            if from > start {
                shown.push_str(&whole[from..end]);
                **line = shown;
            }
            start = end;
        }
    }

    /// The text with every byte of a secret but line breaks replaced by an asterisk: places in it stay true.
    pub fn blanked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.replaced(text, |secret, shown| {
            shown.extend(secret.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { byte as char } else { '*' }));
        })
    }

    /// Secrets of which only the beginning is left, because the text was cut.
    fn begun(&self, bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
        cuts(bytes).flat_map(move |at| {
            self.patterns.iter().filter_map(move |Pattern { bytes: pattern, around: (before, after) }| {
                let most = (pattern.len() - after).min(at);
                let length =
                    (before + TELLING..=most).rev().find(|length| bytes[..at].ends_with(&pattern[..*length]))?;
                Some(at - length + before..at)
            })
        })
    }

    /// The length of the end of a secret that a text begins with, because it was cut before it.
    fn ended(&self, bytes: &[u8]) -> Option<usize> {
        let lengths = self.patterns.iter().filter_map(|Pattern { bytes: pattern, around: (before, after) }| {
            let most = (pattern.len() - before).min(bytes.len());
            let length = (TELLING + after..=most).rev().find(|length| pattern.ends_with(&bytes[..*length]))?;
            Some(length - after)
        });
        lengths.max()
    }

    /// Where secrets stand: disjoint, sorted, on the borders of characters.
    fn found(&self, text: &str) -> Vec<Range<usize>> {
        let Some(search) = &self.search else { return Vec::new() };
        let mut found: Vec<Range<usize>> = Vec::new();
        for view in DecodedView::all(text) {
            for hit in search.find_overlapping_iter(view.bytes()) {
                let (before, after) = self.patterns[hit.pattern().as_usize()].around;
                found.push(view.origin(hit.start() + before..hit.end() - after));
            }
            found.extend(self.begun(view.bytes()).map(|range| view.origin(range)));
        }
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

/// Where a text was cut: a mark, before it perhaps half a character.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memmem::find_iter(bytes, CUT).map(|mark| {
        let mut at = mark;
        while bytes[..at].ends_with(UNREADABLE.as_bytes()) {
            at -= UNREADABLE.len();
        }
        at
    })
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

/// The forms of a secret that are searched for.
fn forms(secret: &str, patterns: &mut BTreeSet<Pattern>) {
    let mut plain = |bytes: Vec<u8>| {
        if !bytes.is_empty() {
            patterns.insert(Pattern { bytes, around: (0, 0) });
        }
    };
    plain(secret.as_bytes().to_vec());
    plain(DecodedView::joined(secret).bytes().to_vec());
    // The lines of a key or a certificate may be told one by one.
    for line in secret.lines().map(str::trim).filter(|line| line.len() >= 2 * TELLING && line.len() < secret.len()) {
        // What frames it is known to everybody.
        if !line.starts_with("-----") {
            plain(line.as_bytes().to_vec());
        }
    }
    let bytes = secret.as_bytes();
    if bytes.len() < TELLING {
        return;
    }
    let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    plain(hexadecimal.to_uppercase().into_bytes());
    plain(hexadecimal.into_bytes());
    for before in 0..3 {
        // As a part of a longer text the secret may begin at any of three places of a group; the digits that it shares with its
        // neighbours are left out.
        let padded = [&vec![0; before], bytes].concat();
        let skip = [0, 2, 3][before];
        let whole = padded.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            plain(encoded.as_bytes()[skip..whole].to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    const SECRET: &str = "p@ss/w\"ö rd+1";

    fn redactor() -> Redactor {
        Redactor::new([SECRET])
    }

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        let percent = |keep: fn(char) -> bool, upper: bool| -> String {
            let byte = |byte: u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
            let escaped = |c: char| c.to_string().bytes().map(byte).collect::<String>();
            SECRET.chars().map(|c| if keep(c) { c.to_string() } else { escaped(c) }).collect()
        };
        let json = serde_json::to_string(SECRET).expect("a text");
        let ascii: String =
            json.chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", c as u32) }).collect();
        let forms = [
            SECRET.to_owned(),
            percent(|c| c.is_ascii_alphanumeric(), true),
            percent(|c| c.is_ascii_alphanumeric() || c == '+', false),
            percent(|_| false, true),
            percent(|c| c.is_ascii_alphanumeric() || c == ' ', true).replace(' ', "+"),
            percent(|c| c.is_ascii_alphanumeric(), true).replace('%', "%25"),
            json.trim_matches('"').to_owned(),
            ascii.trim_matches('"').to_owned(),
            serde_json::to_string(json.trim_matches('"')).expect("a text").trim_matches('"').to_owned(),
            format!("{SECRET:?}").trim_matches('"').to_owned(),
            SECRET.replace('"', "&quot;").replace('ö', "&#246;").replace('/', "&#x2F;"),
            STANDARD.encode(SECRET),
            STANDARD.encode(format!("user:{SECRET}")),
            STANDARD.encode(format!("us:{SECRET}:more")),
            URL_SAFE_NO_PAD.encode(format!("u:{SECRET}")),
            SECRET.bytes().map(|byte| format!("{byte:02x}")).collect(),
            format!("{}\n{}", &SECRET[..4], &SECRET[4..]),
            format!("{}\r\n   {}", &SECRET[..6], &SECRET[6..]),
            {
                let encoded = STANDARD.encode(SECRET);
                format!("{}\n{}", &encoded[..5], &encoded[5..])
            },
            serde_json::to_string(&[&SECRET[..7], &SECRET[7..]]).expect("texts"),
            format!("'{}', '{}'", &SECRET[..4], &SECRET[4..]),
        ];
        for form in forms {
            let shown = redactor().text(&format!("before {form} after")).into_owned();
            assert!(shown.contains(HIDDEN), "{form} is shown as {shown}");
            assert!(redactor().is_in(format!("before {form} after").as_bytes()), "{form}");
            for part in ["ss/w", "rd+1", "cEBz", "7040", "rd%2B"] {
                assert!(!shown.contains(part), "{form} is shown as {shown}");
            }
            assert!(shown.starts_with("before ") && shown.ends_with(" after") || !form.is_ascii(), "{form}: {shown}");
        }
        for (cut, shown) in [
            ("token p@ss/w\"ö rd…", "token ***…"),
            ("`p%40ss%2f…`, then p@ss/w\"\u{fffd}… and so on", "`***…`, then ***\u{fffd}… and so on"),
            ("p@s… is any text, and so is p@ss/w", "p@s… is any text, and so is p@ss/w"),
        ] {
            assert_eq!(redactor().text(cut), shown);
        }
        let innocent = "nothing 50% \\n &amp; here, and a Zm9v";
        assert_eq!(redactor().text(innocent), innocent);
        assert!(!redactor().is_in(innocent.as_bytes()) && !Redactor::default().is_in(SECRET.as_bytes()));
    }

    #[test]
    fn overlapping_secrets_leave_nothing_and_places_stay() {
        let redactor = Redactor::new(["abcdef", "defghi", ""]);
        assert_eq!(redactor.text("xabcdefghiy"), "x***y");
        assert_eq!(redactor.blanked("é abc\ndef z"), "é ***\n*** z");
        let (mut first, mut second, mut third) = ("x abc".to_owned(), "def y".to_owned(), "fine".to_owned());
        redactor.lines(&mut [&mut first, &mut second, &mut third]);
        assert_eq!([first, second, third], ["x ***", "*** y", "fine"]);
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n";
        assert_eq!(Redactor::new([key]).text("log: kqhkiG9w0BAQEF -----END KEY-----"), "log: *** -----END KEY-----");
    }

    #[test]
    fn the_last_lines_of_a_text_hold_no_end_of_a_secret() {
        let secret = "hunter2-zebra-quartz-9";
        let redactor = Redactor::new([secret]);
        for form in [secret.to_owned(), secret.bytes().map(|byte| format!("{byte:02x}")).collect()] {
            let characters: Vec<char> = form.chars().collect();
            let folded: Vec<String> = characters.chunks(3).map(|chunk| chunk.iter().collect()).collect();
            for count in 2..folded.len() {
                let told = redactor.tail(&(folded.join("\n") + "\nend"), count + 1);
                assert_eq!(told, [vec!["***".to_owned(); count], vec!["end".to_owned()]].concat(), "{form} {count}");
                let mut lines = [&folded[folded.len() - count..], &["end".to_owned()][..]].concat();
                redactor.last_lines(&mut lines.iter_mut().collect::<Vec<_>>());
                assert!(lines[..count].iter().all(|line| line == "***") && lines[count] == "end", "{form} {lines:?}");
            }
        }
        let mut innocent = ["zebra".to_owned(), "quartz".to_owned()];
        redactor.last_lines(&mut innocent.iter_mut().collect::<Vec<_>>());
        assert_eq!(innocent, ["zebra", "quartz"]);
    }

    #[test]
    fn an_ordinary_word_is_hidden_where_it_is_a_password() {
        let redactor = Redactor::default().and_passwords(["postgres"]);
        assert_eq!(
            redactor.text("postgres://postgres:postgres@postgres/postgres?password=postgres"),
            "postgres://postgres:***@postgres/postgres?password=***"
        );
    }
}
