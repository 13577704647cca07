//! Text with placeholders.

use super::{LoadError, Number, PayloadSource, Rendered, rendered, with_field};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::Write;

#[derive(Debug, Clone, Copy)]
enum Placeholder {
    Sequence,
    Index,
    Producer,
    TimeMs,
    Random,
    Uuid,
}

/// Names as they stand between `{{` and `}}`.
const PLACEHOLDERS: &[(&str, Placeholder)] = &[
    ("sequence", Placeholder::Sequence),
    ("index", Placeholder::Index),
    ("producer", Placeholder::Producer),
    ("time_ms", Placeholder::TimeMs),
    ("random", Placeholder::Random),
    ("uuid", Placeholder::Uuid),
];

enum Part {
    Text(Vec<u8>),
    Value(Placeholder),
}

/// Text with placeholders.
pub(super) struct PayloadTemplate {
    parts: Vec<Part>,
    has_field: bool,
    rng: StdRng,
}

impl PayloadTemplate {
    pub(super) fn parse(text: &str, seed: u64) -> Result<Self, LoadError> {
        let with = with_field(text.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let has_field = with.is_some();
        let text = with.as_deref().unwrap_or(text);
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err(LoadError::Spec("the payload template has `{{` without `}}`".into()));
            };
            let Some((_, value)) = PLACEHOLDERS.iter().find(|(known, _)| *known == name.trim()) else {
                let known: Vec<_> = PLACEHOLDERS.iter().map(|(name, _)| *name).collect();
                return Err(LoadError::Spec(format!(
                    "the payload template has no placeholder `{}`; there are {}",
                    name.trim(),
                    known.join(", ")
                )));
            };
            parts.push(Part::Text(before.as_bytes().to_vec()));
            parts.push(Part::Value(*value));
            rest = after;
        }
        parts.push(Part::Text(rest.as_bytes().to_vec()));
        Ok(Self { parts, has_field, rng: StdRng::seed_from_u64(seed) })
    }
}

impl PayloadSource for PayloadTemplate {
    fn render(&mut self, message: Number, body: &mut Vec<u8>, _: &mut Vec<u8>) -> Rendered {
        for part in &self.parts {
            // Writing to a vector cannot fail.
            let _ = match part {
                Part::Text(text) => body.write_all(text),
                Part::Value(Placeholder::Sequence) => write!(body, "{}", message.sequence),
                Part::Value(Placeholder::Index) => write!(body, "{}", message.index),
                Part::Value(Placeholder::Producer) => write!(body, "{}", message.producer),
                Part::Value(Placeholder::TimeMs) => write!(body, "{}", message.due_us / 1000),
                Part::Value(Placeholder::Random) => write!(body, "{}", self.rng.random::<u32>()),
                Part::Value(Placeholder::Uuid) => {
                    let (a, b) = (self.rng.random::<u64>(), self.rng.random::<u64>());
                    let (a, b) = (a & !0xf000 | 0x4000, b & !(0b11 << 62) | 0b10 << 62);
                    let (time, version) = (a >> 32, a & 0xffff);
                    write!(
                        body,
                        "{time:08x}-{:04x}-{version:04x}-{:04x}-{:012x}",
                        a >> 16 & 0xffff,
                        b >> 48,
                        b & 0xffff_ffff_ffff
                    )
                }
            };
        }
        rendered(body, self.has_field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_unknown_ones_refused() {
        let number = Number { producer: 2, sequence: 7, index: 16, due_us: 5_000_000 };
        let mut template =
            PayloadTemplate::parse(r#"{"n":{{sequence}},"t":{{ time_ms }},"id":"{{uuid}}"}"#, 1).unwrap();
        let mut body = Vec::new();
        template.render(number, &mut body, &mut Vec::new());
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((value["n"].as_u64(), value["t"].as_u64()), (Some(7), Some(5000)));
        assert_eq!(value["kscen"].as_str().unwrap().len(), crate::accounting::IDENTITY_HEX);
        assert_eq!(value["id"].as_str().unwrap().len(), 36);
        assert!(PayloadTemplate::parse("{{sequenz}}", 1).is_err_and(|error| error.to_string().contains("`sequenz`")));
        assert_eq!(with_field(b"{ }").unwrap().last(), Some(&b'}'));
    }
}
