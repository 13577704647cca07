//! The forms in which a secret is searched for.
//!
//! What a decoder can tell from other text is decoded in the text: see [`DecodedView`]. The digits of base64, base32 and hexadecimal
//! numbers it cannot, so these forms of the secret are made, and those of a form once more. Titles are put on one line before they are
//! searched, and commands cut the line break at the end of a file: a secret is one without that, too.

use super::{SecretPattern, TELLING};
use crate::text::one_line;
use crate::text::view::DecodedView;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;

/// Longer secrets are not searched for in an encoding of an encoding, nor in UTF-16: there would be more to search for than text to search.
const LONGEST_TWICE: usize = 512;
const BASE16: &[u8; 16] = b"0123456789abcdef";
/// The digits of base32 (RFC 4648, section 6), of which lower-case ones count as well.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Adds the forms of a secret, `twice` also in an encoding of an encoding.
pub(super) fn forms(secret: &str, twice: bool, patterns: &mut BTreeSet<SecretPattern>) {
    let mut plain = |mut bytes: Vec<u8>| {
        if !bytes.is_empty() {
            bytes.make_ascii_lowercase();
            patterns.insert(SecretPattern { bytes, around: (0, 0) });
        }
    };
    plain(secret.as_bytes().to_vec());
    plain(DecodedView::joined(secret.as_bytes()).to_vec());
    for form in on_one_line(secret) {
        plain(form.into_bytes());
    }
    // The lines of a key or a certificate may be told one by one.
    for line in secret.lines().map(str::trim).filter(|line| line.len() >= 2 * TELLING && line.len() < secret.len()) {
        // What frames it is known to everybody.
        if !line.starts_with("-----") {
            plain(line.as_bytes().to_vec());
        }
    }
    if secret.len() < TELLING {
        return;
    }
    let trimmed = secret.trim();
    let is_short = twice && secret.len() <= LONGEST_TWICE;
    // As other systems write it: some encode that.
    for wide in wide(trimmed).into_iter().filter(|_| is_short && trimmed.len() >= TELLING) {
        encoded(&wide).into_iter().for_each(&mut plain);
        plain(wide);
    }
    let mut once: Vec<Vec<u8>> = encoded(secret.as_bytes());
    if trimmed.len() < secret.len() && trimmed.len() >= TELLING {
        once.extend(encoded(trimmed.as_bytes()));
    }
    for once in once {
        if is_short {
            encoded(&once).into_iter().for_each(&mut plain);
        }
        plain(once);
    }
}

/// The text as it stands on one line: without the white space around it, its line breaks as spaces, its runs of white space as one. What
/// is left of it has to say something.
fn on_one_line(secret: &str) -> impl Iterator<Item = String> {
    let spaced = secret.replace(['\n', '\r'], " ");
    let single = one_line(secret);
    let trimmed = [secret.trim().to_owned(), spaced.trim().to_owned(), spaced, single];
    trimmed.into_iter().filter(move |form| form.len() >= TELLING)
}

/// The text in UTF-16, its low bytes first and last.
fn wide(text: &str) -> [Vec<u8>; 2] {
    [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes]
        .map(|bytes| text.encode_utf16().flat_map(bytes).collect())
}

/// What the bytes are in each encoding, also as a part of something longer: without the digits that they share with their neighbours.
fn encoded(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hexadecimal: Vec<u8> =
        bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| BASE16[usize::from(digit)]).collect();
    // Alike where case does not count, and not where they are encoded again.
    let mut all = vec![hexadecimal.to_ascii_uppercase(), hexadecimal];
    for before in 0..3 {
        let padded = [&vec![0; before], bytes].concat();
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            all.push(own(encoded.as_bytes(), before, bytes.len(), 6));
        }
    }
    for before in 0..5 {
        let padded = [&vec![0; before], bytes].concat();
        all.push(own(&base32(&padded), before, bytes.len(), 5));
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|form| form.len() >= TELLING);
    all
}

/// The digits that say nothing but what stands behind so many bytes, where each has so many bits.
fn own(digits: &[u8], before: usize, length: usize, bits: usize) -> Vec<u8> {
    let (from, to) = ((before * 8).div_ceil(bits), (before + length) * 8 / bits);
    digits.get(from..to).unwrap_or_default().to_vec()
}

fn base32(bytes: &[u8]) -> Vec<u8> {
    let mut digits = Vec::with_capacity((bytes.len() * 8).div_ceil(5));
    let (mut held, mut bits) = (0_usize, 0);
    for byte in bytes {
        (held, bits) = (held << 8 | usize::from(*byte), bits + 8);
        while bits >= 5 {
            bits -= 5;
            digits.push(BASE32[held >> bits & 31]);
        }
        held &= 31;
    }
    if bits > 0 {
        digits.push(BASE32[held << (5 - bits) & 31]);
    }
    digits
}
