//! Dumps of bytes as `od`, `xxd`, `hexdump` and lists of numbers show them: line by line, groups of digits, perhaps behind an offset and
//! before the bytes as characters.

use super::DecodedView;
use std::borrow::Cow;
use std::ops::Range;

/// Bytes that a group of digits stands for.
type Group = fn(&[u8], &mut Vec<u8>) -> bool;
/// A row of a dump.
#[derive(Default)]
struct Row {
    /// Bytes, with the place of the group that stands for them.
    groups: Vec<(Range<usize>, Vec<u8>)>,
    /// Whether an offset stood before it.
    has_offset: bool,
}

impl Row {
    fn size(&self) -> usize {
        self.groups.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// A single group may be any number in a text; behind several the same bytes may stand as characters.
    fn may_be_repeated(&self) -> bool {
        self.has_offset || self.groups.len() > 1
    }
}

/// Reads a line.
type Kind = fn(&[u8]) -> Row;

/// The kinds of dumps: bytes in order, words of a machine whose lowest byte comes first, octal and decimal numbers, characters.
const KINDS: [Kind; 5] = [
    |line| longest(line, hexadecimal),
    |line| longest(line, reversed),
    |line| longest(line, octal),
    |line| longest(line, decimal),
    columns,
];
/// Fewer bytes of a dump say nothing.
const LEAST: usize = 4;
/// A group that is longer than the next is an offset from this length on.
const OFFSET: usize = 6;
/// What stands between groups.
const APART: [bool; 256] = {
    let (mut apart, marks) = ([false; 256], b" \t\r\n\x0b\x0c,:;-<>[](){}|'\"");
    let mut number = 0;
    while number < marks.len() {
        apart[marks[number] as usize] = true;
        number += 1;
    }
    apart
};
/// So wide is a character of `od -c`.
const COLUMN: usize = 4;

/// Shows what dumps in a text stand for, each kind in turn, until `see` says `false`. Where the places are asked for each byte comes from
/// its group and all that follows in its line, where the same bytes may stand as characters.
pub(super) fn each(text: &[u8], places: bool, see: &mut dyn FnMut(&DecodedView<'_>) -> bool) {
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    for kind in KINDS {
        let (mut bytes, mut from) = (Vec::new(), Vec::new());
        let mut start = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let end = start + line.trim_ascii_end().len();
            let row = kind(line.trim_ascii_end());
            let whole = row.may_be_repeated();
            for (at, group) in row.groups {
                if places {
                    let to = if whole { end } else { start + at.end };
                    from.extend(group.iter().map(|_| place(start + at.start)..place(to)));
                }
                bytes.extend(group);
            }
            start += line.len();
        }
        let view = DecodedView { bytes: Cow::Owned(bytes), from: places.then_some(from) };
        if view.bytes.len() >= LEAST && !see(&view) {
            return;
        }
    }
}

/// The longest row of groups of a line.
fn longest(line: &[u8], read: Group) -> Row {
    let (mut best, mut row) = (Row::default(), Row::default());
    let mut offset: Option<usize> = None;
    for (at, group) in groups(line) {
        let mut bytes = Vec::new();
        if read(group, &mut bytes) {
            if offset.take().is_some_and(|length| length >= OFFSET && length > group.len()) {
                row = Row { groups: Vec::new(), has_offset: true };
            }
            offset = row.groups.is_empty().then_some(group.len());
            row.groups.push((at..at + group.len(), bytes));
            continue;
        }
        offset = None;
        let done = std::mem::take(&mut row);
        if done.size() > best.size() {
            best = done;
        }
    }
    if row.size() > best.size() { row } else { best }
}

/// The columns of a line that has nothing but them, perhaps behind an offset. An empty one is a space.
fn columns(line: &[u8]) -> Row {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let start = if digits >= OFFSET { digits } else { 0 };
    let (cells, rest) = line[start..].as_chunks::<COLUMN>();
    let read = cells.iter().enumerate().map(|(number, cell)| {
        let mut bytes = Vec::new();
        let shown = cell.trim_ascii_start();
        let fits = if shown.is_empty() {
            bytes.push(b' ');
            true
        } else {
            character(shown, &mut bytes)
        };
        fits.then_some((start + number * COLUMN..start + (number + 1) * COLUMN, bytes))
    });
    let groups = if rest.is_empty() { read.collect::<Option<_>>().unwrap_or_default() } else { Vec::new() };
    Row { groups, has_offset: start > 0 }
}

/// What stands between white space and punctuation of a line, with its place; without what says that a number is hexadecimal.
fn groups(line: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    line.split(|byte| APART[usize::from(*byte)]).filter_map(move |group| {
        let start = at;
        at += group.len() + 1;
        let bare = group.strip_prefix(b"0x").or_else(|| group.strip_prefix(b"0X")).unwrap_or(group);
        (!bare.is_empty()).then_some((start, bare))
    })
}

fn hexadecimal(group: &[u8], bytes: &mut Vec<u8>) -> bool {
    let (pairs, rest) = group.as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    rest.is_empty()
        && pairs
            .iter()
            .all(|[high, low]| digit(*high).zip(digit(*low)).map(|(high, low)| bytes.push(high << 4 | low)).is_some())
}

fn reversed(group: &[u8], bytes: &mut Vec<u8>) -> bool {
    let fits = [4, 8, 16].contains(&group.len()) && hexadecimal(group, bytes);
    bytes.reverse();
    fits
}

fn octal(group: &[u8], bytes: &mut Vec<u8>) -> bool {
    group.len() == 3 && number(group, 8, bytes)
}

fn decimal(group: &[u8], bytes: &mut Vec<u8>) -> bool {
    group.len() <= 3 && number(group, 10, bytes)
}

/// One character, or what `od -c` shows where there is none.
fn character(group: &[u8], bytes: &mut Vec<u8>) -> bool {
    match group {
        [byte] => bytes.push(*byte),
        [b'\\', b'n'] => bytes.push(b'\n'),
        [b'\\', b'r'] => bytes.push(b'\r'),
        [b'\\', b't'] => bytes.push(b'\t'),
        [b'\\', b'0'] => bytes.push(0),
        _ => return octal(group, bytes),
    }
    true
}

fn number(digits: &[u8], base: u32, bytes: &mut Vec<u8>) -> bool {
    let number = super::number(digits, base).and_then(|number| u8::try_from(number).ok());
    number.map(|byte| bytes.push(byte)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read out of a text, in each way.
    fn read(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        each(text.as_bytes(), false, &mut |view| {
            found.push(String::from_utf8_lossy(view.bytes()).into_owned());
            true
        });
        found
    }

    #[test]
    fn dumps_are_read() {
        let plain = "hunter2 zebra quartz";
        for dump in [
            "0000000 68 75 6e 74 65 72 32 20 7a 65 62 72 61 20 71 75\n0000020 61 72 74 7a\n0000024\n",
            "00000000: 6875 6e74 6572 3220 7a65 6272 6120 7175  hunter2 zebra qu\n00000010: 6172 747a                                artz\n",
            "00000000  68 75 6e 74 65 72 32 20  7a 65 62 72 61 20 71 75  |hunter2 zebra qu|\n00000010  61 72 74 7a                                       |artz|\n00000014\n",
            "0000000 7568 746e 7265 2032 657a 7262 2061 7571\n0000020 7261 7a74\n0000024\n",
            "0000000 746e7568 20327265 7262657a 75712061\n0000020 7a747261\n",
            "0000000 150 165 156 164 145 162 062 040 172 145 142 162 141 040 161 165\n0000020 141 162 164 172\n",
            "[104, 117, 110, 116, 101, 114, 50, 32, 122, 101, 98, 114, 97, 32, 113, 117, 97, 114, 116, 122]",
            "<Buffer 68 75 6e 74 65 72 32 20 7a 65 62 72 61 20 71 75 61 72 74 7a>",
            "key: 68:75:6E:74:65:72:32:20:7A:65:62:72:61:20:71:75:61:72:74:7A",
            "{ 0x68, 0x75, 0x6e, 0x74, 0x65, 0x72, 0x32, 0x20, 0x7a, 0x65, 0x62, 0x72, 0x61, 0x20, 0x71, 0x75, 0x61, 0x72, 0x74, 0x7a }",
        ] {
            assert!(read(dump).iter().any(|found| found.contains(plain)), "{dump}: {:?}", read(dump));
        }
        let characters = "0000000   h   u   n   t   e   r   2       z   e   b   r   a       q   u\n0000020   a   r   t   z   \"  \\n 303 274\n0000030\n";
        assert!(
            read(characters).iter().any(|found| found.contains("hunter2 zebra quartz\"\nü")),
            "{:?}",
            read(characters)
        );
        assert_eq!(read("nothing of the kind, at all"), Vec::<String>::new());
        assert_eq!(read(""), Vec::<String>::new());
    }

    #[test]
    fn a_byte_comes_from_its_group_and_the_rest_of_its_line() {
        let text = "00000000: 6875 6e74  hunt\n00000004: 6572 3220  er2 \n";
        each(text.as_bytes(), true, &mut |view| {
            let at = view.bytes().windows(6).position(|bytes| bytes == b"unter2");
            if let Some(at) = at {
                assert_eq!(&text[view.origin(at..at + 6)], &text[10..text.len() - 2]);
            }
            at.is_none()
        });
    }
}
