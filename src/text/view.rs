//! A text as somebody else would read it, with the place in the original of each byte.

mod dump;

use std::borrow::Cow;
use std::ops::Range;

/// Bytes, and where in the original text each of them comes from.
pub(super) struct DecodedView<'a> {
    bytes: Cow<'a, [u8]>,
    /// As places of 4 bytes: nothing that is looked through is longer. `None` where each comes from its own place, or nobody asks.
    from: Option<Vec<Range<u32>>>,
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

/// Shows every way to read a text to `see`, until that says `false`. A view that changes nothing is left out. Where the places are not
/// asked for (`places`), that takes a small part of the time.
pub(super) fn each_reading(text: &[u8], places: bool, see: &mut dyn FnMut(&DecodedView<'_>) -> bool) {
    let plain = DecodedView { bytes: Cow::Borrowed(text), from: None };
    let go_on = see(&plain) && readings(&plain, places, see);
    if go_on {
        dump::each(text, places, see);
    }
}

/// The readings that go on from place to place. Answers whether to go on.
fn readings(plain: &DecodedView<'_>, places: bool, see: &mut dyn FnMut(&DecodedView<'_>) -> bool) -> bool {
    let lines = plain.decoded(BREAKS, line_break, places);
    let joined = lines.as_ref().unwrap_or(plain);
    let listed = joined.decoded(QUOTES, list, places);
    let escaped = listed.as_ref().and_then(|listed| listed.decoded(ENCODINGS[2].0, ENCODINGS[2].1, places));
    for view in [&lines, &listed, &escaped].into_iter().flatten() {
        if !see(view) {
            return false;
        }
    }
    drop((listed, escaped));
    for (marks, decoder) in ENCODINGS {
        let Some(once) = joined.decoded(marks, decoder, places) else { continue };
        if !see(&once) {
            return false;
        }
        // What is sent as a part of something else is encoded twice.
        let in_line = once.decoded(BREAKS, line_break, places);
        if in_line.as_ref().is_some_and(|view| !see(view)) {
            return false;
        }
        let twice = in_line.as_ref().unwrap_or(&once).decoded(marks, decoder, places);
        if twice.is_some_and(|view| !see(&view)) {
            return false;
        }
    }
    true
}

impl<'a> DecodedView<'a> {
    /// A text as one line: line breaks and what indents the next line are left out.
    pub(super) fn joined(text: &'a [u8]) -> Cow<'a, [u8]> {
        let plain = DecodedView { bytes: Cow::Borrowed(text), from: None };
        match plain.decoded(BREAKS, line_break, false) {
            Some(joined) => Cow::Owned(joined.bytes.into_owned()),
            None => plain.bytes,
        }
    }

    /// The view read in one way more; `None` where that changes nothing.
    fn decoded(&self, [mark, other]: [u8; 2], decoder: Decoder, places: bool) -> Option<DecodedView<'static>> {
        let mut read = Vec::new();
        let mut from = Vec::new();
        let (mut kept, mut at) = (0, 0);
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let keep = |range: Range<usize>, from: &mut Vec<Range<u32>>| match &self.from {
            _ if !places => {}
            Some(known) => from.extend_from_slice(&known[range]),
            None => from.extend(range.map(|at| place(at)..place(at + 1))),
        };
        while let Some(found) = memchr::memchr2(mark, other, &self.bytes[at..]) {
            at += found;
            match decoder(&self.bytes[at..]) {
                Some((bytes, length)) => {
                    read.extend_from_slice(&self.bytes[kept..at]);
                    keep(kept..at, &mut from);
                    if places {
                        let origin = self.origin(at..at + length);
                        from.extend(bytes.iter().map(|_| place(origin.start)..place(origin.end)));
                    }
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
        read.extend_from_slice(&self.bytes[kept..]);
        keep(kept..self.bytes.len(), &mut from);
        Some(DecodedView { bytes: Cow::Owned(read), from: places.then_some(from) })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where a stretch of the view comes from.
    pub(super) fn origin(&self, range: Range<usize>) -> Range<usize> {
        let Some(from) = &self.from else { return range };
        match (from.get(range.start), range.end.checked_sub(1).and_then(|last| from.get(last))) {
            (Some(first), Some(last)) => first.start as usize..last.end.max(first.start) as usize,
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
    if let Some(byte) = after.get(..3).and_then(|digits| u8::try_from(number(digits, 8)?).ok()) {
        return Some((vec![byte], 4));
    }
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
