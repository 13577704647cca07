//! Bytes and bits as text.

/// PostgreSQL's `\x…`.
pub(super) fn bytea(text: &str) -> Option<Vec<u8>> {
    hex(text.strip_prefix("\\x")?)
}

pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// Either alphabet, with or without padding.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    let (mut out, mut bits, mut held) = (Vec::with_capacity(body.len() * 3 / 4), 0u32, 0u32);
    for byte in body.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        (bits, held) = ((bits << 6 | u32::from(six)) & 0xFFF, held + 6);
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    // A single character of base64 is no byte.
    (body.len() % 4 != 1).then_some(out)
}

/// The bytes of a bit string as Debezium writes them: the last bit is the lowest of the first byte, zeros at the end are left out.
pub(super) fn bits(text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; text.len().div_ceil(8)];
    for (index, bit) in text.bytes().rev().enumerate() {
        match bit {
            b'1' => bytes[index / 8] |= 1 << (index % 8),
            b'0' => {}
            _ => return None,
        }
    }
    Some(without_zeros(bytes))
}

pub(super) fn without_zeros(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// Bytes in one form.
pub(super) fn form(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
