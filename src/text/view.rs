//! A text as somebody else would read it, with the place in the original of each byte.

use std::ops::Range;

/// Bytes, and where in the original text each of them comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DecodedView {
    bytes: Vec<u8>,
    from: Vec<Range<usize>>,
}

/// What a decoder finds at a place of a view: bytes that stand for the next so many.
type Decoded = Option<(Vec<u8>, usize)>;

/// Reads one encoded character.
type Decoder = fn(&[u8]) -> Decoded;

/// Encodings, each with the bytes that something encoded may begin with.
const ENCODINGS: [([u8; 2], Decoder); 4] =
    [([b'%'; 2], percent), ([b'+', b'%'], form), ([b'\\'; 2], escape), ([b'&'; 2], entity)];
const BREAKS: [u8; 2] = [b'\n', b'\r'];
const QUOTES: [u8; 2] = [b'"', b'\''];

/// Whether `shows` is true of one of the ways to read a text, which are those of a [`DecodedView`]. For large texts: it does not keep
/// where bytes come from.
pub(super) fn any_reading(text: &[u8], shows: &dyn Fn(&[u8]) -> bool) -> bool {
    let again = |text: &[u8], (marks, decoder): ([u8; 2], Decoder)| {
        let read = decoded(text, marks, decoder)?;
        Some((shows(&read), read))
    };
    if shows(text) {
        return true;
    }
    let lines = again(text, (BREAKS, line_break));
    let joined = lines.as_ref().map_or(text, |(_, read)| read);
    let listed = again(joined, (QUOTES, list));
    let escaped = listed.as_ref().and_then(|(_, read)| again(read, ENCODINGS[2]));
    if [&lines, &listed, &escaped].into_iter().flatten().any(|(shown, _)| *shown) {
        return true;
    }
    ENCODINGS.into_iter().any(|encoding| {
        let Some((shown, once)) = again(joined, encoding) else { return false };
        let (in_line, once) = again(&once, (BREAKS, line_break)).unwrap_or((false, once));
        shown || in_line || again(&once, encoding).is_some_and(|(shown, _)| shown)
    })
}

/// A text read in one way; `None` where that changes nothing.
fn decoded(text: &[u8], [mark, other]: [u8; 2], decoder: Decoder) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(found) = memchr::memchr2(mark, other, &text[at..]) {
        at += found;
        match decoder(&text[at..]) {
            Some((bytes, length)) => {
                read.extend_from_slice(&text[kept..at]);
                read.extend(bytes);
                at += length;
                kept = at;
            }
            None => at += 1,
        }
    }
    if kept == 0 {
        return None;
    }
    read.extend_from_slice(&text[kept..]);
    Some(read)
}

impl DecodedView {
    /// The text as it is.
    fn plain(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), from: (0..text.len()).map(|at| at..at + 1).collect() }
    }

    /// The text as one line: line breaks and what indents the next line are left out.
    pub(super) fn joined(text: &str) -> Self {
        Self::plain(text).decoded(line_break)
    }

    /// All ways to read a text. The ones that change nothing are left out.
    pub(super) fn all(text: &str) -> Vec<Self> {
        let mut views = vec![Self::plain(text)];
        let mut add = |view: Self| {
            if !views.contains(&view) {
                views.push(view.clone());
            }
            view
        };
        let joined = if text.contains('\n') { add(Self::joined(text)) } else { Self::plain(text) };
        if text.contains(',') && text.contains(['"', '\'']) {
            let listed = add(joined.decoded(list));
            add(listed.decoded(escape));
        }
        for (marks, decoder) in ENCODINGS {
            if !text.bytes().any(|byte| marks.contains(&byte)) {
                continue;
            }
            // What is sent as a part of something else is encoded twice.
            let once = add(joined.decoded(decoder));
            let once = add(once.decoded(line_break));
            add(once.decoded(decoder));
        }
        views
    }

    fn decoded(&self, decoder: Decoder) -> Self {
        let mut view = Self { bytes: Vec::with_capacity(self.bytes.len()), from: Vec::with_capacity(self.from.len()) };
        let mut at = 0;
        while at < self.bytes.len() {
            match decoder(&self.bytes[at..]) {
                Some((bytes, length)) => {
                    let from = self.origin(at..at + length);
                    view.from.extend(bytes.iter().map(|_| from.clone()));
                    view.bytes.extend(bytes);
                    at += length;
                }
                None => {
                    view.bytes.push(self.bytes[at]);
                    view.from.push(self.from[at].clone());
                    at += 1;
                }
            }
        }
        view
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where a stretch of the view comes from.
    pub(super) fn origin(&self, range: Range<usize>) -> Range<usize> {
        match (self.from.get(range.start), range.end.checked_sub(1).and_then(|last| self.from.get(last))) {
            (Some(first), Some(last)) => first.start..last.end.max(first.start),
            _ => 0..0,
        }
    }
}

fn line_break(rest: &[u8]) -> Decoded {
    if !matches!(rest.first(), Some(b'\n' | b'\r')) {
        return None;
    }
    let length = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | b' ' | b'\t')).count();
    Some((Vec::new(), length))
}

/// The border between two texts of a list.
fn list(rest: &[u8]) -> Decoded {
    let (quote, after) = rest.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
    let after = after.trim_ascii_start().strip_prefix(b",")?.trim_ascii_start().strip_prefix(&[*quote])?;
    Some((Vec::new(), rest.len() - after.len()))
}

fn percent(rest: &[u8]) -> Decoded {
    let digits = rest.strip_prefix(b"%")?.get(..2)?;
    Some((vec![u8::try_from(number(digits, 16)?).ok()?], 3))
}

fn form(rest: &[u8]) -> Decoded {
    if rest.first() == Some(&b'+') { Some((vec![b' '], 1)) } else { percent(rest) }
}

fn escape(rest: &[u8]) -> Decoded {
    let after = rest.strip_prefix(b"\\")?;
    let byte = match after.first()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'0' => 0,
        b'x' => return Some((vec![u8::try_from(number(after.get(1..3)?, 16)?).ok()?], 4)),
        b'u' if after.get(1) == Some(&b'{') => {
            let length = after.iter().position(|byte| *byte == b'}')?;
            return Some((utf8(number(after.get(2..length)?, 16)?)?, length + 2));
        }
        b'u' => {
            let high = number(after.get(1..5)?, 16)?;
            if (0xd800..0xdc00).contains(&high) && after.get(5..7) == Some(b"\\u") {
                let low = number(after.get(7..11)?, 16)?;
                let both = 0x10000 + ((high - 0xd800) << 10) + low.checked_sub(0xdc00)?;
                return Some((utf8(both)?, 12));
            }
            return Some((utf8(high)?, 6));
        }
        other if other.is_ascii_punctuation() => *other,
        _ => return None,
    };
    Some((vec![byte], 2))
}

fn entity(rest: &[u8]) -> Decoded {
    let length = rest.iter().take(10).position(|byte| *byte == b';')?;
    let name = rest.strip_prefix(b"&")?.get(..length - 1)?;
    let bytes = match name {
        b"amp" => vec![b'&'],
        b"lt" => vec![b'<'],
        b"gt" => vec![b'>'],
        b"quot" => vec![b'"'],
        b"apos" => vec![b'\''],
        [b'#', b'x' | b'X', digits @ ..] => utf8(number(digits, 16)?)?,
        [b'#', digits @ ..] => utf8(number(digits, 10)?)?,
        _ => return None,
    };
    Some((bytes, length + 1))
}

fn number(digits: &[u8], base: u32) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.chars().all(|c| c.is_digit(base)))?;
    u32::from_str_radix(digits, base).ok()
}

fn utf8(number: u32) -> Option<Vec<u8>> {
    Some(char::from_u32(number)?.to_string().into_bytes())
}
