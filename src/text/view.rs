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
        let decoders: [(&str, Decoder); 4] = [("%", percent), ("+%", form), ("\\", escape), ("&", entity)];
        for (marks, decoder) in decoders {
            if !text.contains(|c| marks.contains(c)) {
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
