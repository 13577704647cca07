//! The columns of the tables.

use super::Table;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::Write;

/// Free text to cut columns from: copying is all that a row costs.
pub(super) struct Corpus {
    text: Vec<u8>,
}

const CORPUS: usize = 256 * 1024;
const WORDS: &[&str] = &[
    "the",
    "broker",
    "a",
    "video",
    "shows",
    "how",
    "we",
    "mountain",
    "river",
    "with",
    "friends",
    "and",
    "music",
    "tutorial",
    "part",
    "first",
    "review",
    "kitchen",
    "camera",
    "night",
    "city",
    "great",
    "thanks",
    "for",
    "sharing",
    "this",
    "channel",
    "really",
    "helped",
    "me",
    "understand",
    "never",
    "seen",
    "before",
    "travel",
    "summer",
    "code",
    "garden",
    "light",
    "question",
    "about",
    "minute",
    "sound",
    "quality",
    "please",
    "more",
    "of",
    "these",
    "über",
    "garçon",
    "naïve",
    "東京",
    "live",
    "session",
    "recorded",
    "in",
    "studio",
    "best",
    "moment",
    "is",
    "at",
    "end",
];

impl Corpus {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x636f_7270_7573);
        let mut text = Vec::with_capacity(CORPUS + 16);
        while text.len() < CORPUS {
            text.extend_from_slice(WORDS[rng.random_range(0..WORDS.len())].as_bytes());
            text.extend_from_slice(if rng.random_range(0..12) == 0 { b". " } else { b" " });
        }
        Self { text }
    }

    /// About `length` bytes of text, cut at characters.
    fn cut(&self, from: u64, length: u64) -> &[u8] {
        let length = (length as usize).min(self.text.len() / 2);
        let mut start = (from % (self.text.len() - length) as u64) as usize;
        let mut end = start + length;
        let is_inside = |at: usize| self.text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        while is_inside(start) {
            start += 1;
        }
        while is_inside(end) {
            end += 1;
        }
        &self.text[start..end]
    }
}

/// Numbers that depend on nothing but where they stand (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

/// 2024-01-01 in µs since the epoch.
const NEW_YEAR_US: u64 = 1_704_067_200_000_000;
const YEAR_US: u64 = 31_536_000_000_000;
const COUNTRIES: &[&str] = &["DE", "FR", "US", "BR", "JP", "IN", "NG", "SE"];

/// Appends a row as a JSON object. Timestamps are µs since the epoch, as Debezium writes `timestamp`.
pub(super) fn write_row(
    table: Table,
    seed: u64,
    id: u64,
    version: u32,
    (shortest, longest): (u64, u64),
    corpus: &Corpus,
    out: &mut Vec<u8>,
) {
    // What stays the same over a row's life comes from `fixed`, the rest from `changing`.
    let mut fixed = Numbers(seed ^ id.wrapping_mul(0xd6e8_feb8_6659_fd93));
    let mut changing = Numbers(fixed.next() ^ u64::from(version).wrapping_mul(0xa076_1d64_78bd_642f));
    let created = NEW_YEAR_US + fixed.below(YEAR_US);
    let updated = created + u64::from(version) * 60_000_000;
    let length = shortest + changing.below(longest - shortest);
    let text = corpus.cut(changing.next(), length);
    // Writing to a vector cannot fail.
    let _ = match table {
        Table::Videos => {
            let (channel, seconds) = (fixed.below(50_000), 10 + fixed.below(7200));
            let (title, views) = (corpus.cut(fixed.next(), 40), changing.below(10_000_000));
            let _ = write!(out, "{{\"id\":{id},\"title\":\"");
            out.extend_from_slice(title);
            out.extend_from_slice(b"\",\"description\":\"");
            out.extend_from_slice(text);
            write!(
                out,
                "\",\"url\":\"https://videos.example/{id:08x}\",\"channel_id\":{channel},\"duration_seconds\":{seconds},\
                 \"view_count\":{views},\"like_count\":{},\"is_public\":{},\"created_at\":{created},\"updated_at\":{updated}}}",
                views / 20,
                views % 10 != 0,
            )
        }
        Table::Users => {
            let country = COUNTRIES[fixed.below(COUNTRIES.len() as u64) as usize];
            let _ = write!(
                out,
                "{{\"id\":{id},\"username\":\"user_{id}\",\"email\":\"user_{id}@mail.example\",\"country\":\"{country}\",\"bio\":\""
            );
            out.extend_from_slice(text);
            write!(
                out,
                "\",\"is_active\":{},\"followers\":{},\"settings\":\"{{\\\"theme\\\":\\\"dark\\\",\\\"volume\\\":{}}}\",\
                 \"created_at\":{created},\"updated_at\":{updated}}}",
                changing.below(20) != 0,
                changing.below(100_000),
                changing.below(101),
            )
        }
        Table::Comments => {
            let (video, user) = (1 + fixed.below(1_000_000), 1 + fixed.below(1_000_000));
            let _ = write!(out, "{{\"id\":{id},\"video_id\":{video},\"user_id\":{user},\"parent_id\":");
            let _ = match fixed.below(4) {
                0 if id > 1 => write!(out, "{}", 1 + fixed.below(id - 1)),
                _ => write!(out, "null"),
            };
            out.extend_from_slice(b",\"content\":\"");
            out.extend_from_slice(text);
            write!(
                out,
                "\",\"like_count\":{},\"is_edited\":{},\"created_at\":{created},\"updated_at\":{updated}}}",
                changing.below(5000),
                version > 0,
            )
        }
    };
}
