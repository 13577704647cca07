//! Integers of variable length, zigzag-encoded, as records hold them.

/// Reads one at the front and moves past it; `None` where the bytes end or the number is too long.
pub(super) fn read(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

/// Reads one that is a length or -1: `Some(None)` for -1.
pub(super) fn read_length(bytes: &mut &[u8]) -> Option<Option<usize>> {
    match read(bytes)? {
        -1 => Some(None),
        length => usize::try_from(length).ok().map(Some),
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Appends one.
#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
pub(super) fn write(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

/// How many bytes it takes.
pub(super) fn size(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}
