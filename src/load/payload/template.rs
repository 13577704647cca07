//! Text with placeholders.

use super::source::{Number, PayloadSource, Rendered, rendered, with_room};
use super::{IdentityPlace, LoadError};
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

#[derive(Debug)]
enum Part {
    Text(Vec<u8>),
    Value(Placeholder),
}

/// What is wrong with a text with placeholders.
#[derive(Debug, PartialEq)]
pub enum MessageTemplateError {
    /// `{{` without `}}`.
    Open,
    /// Nothing has this name.
    Unknown(String),
}

impl std::fmt::Display for MessageTemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => f.write_str("there is `{{` without `}}`; `{{{{` stands for the two braces themselves"),
            Self::Unknown(name) => {
                let known: Vec<_> = MessageTemplate::names().collect();
                write!(f, "there is no placeholder `{name}`; there are {}", known.join(", "))
            }
        }
    }
}

/// Text with placeholders such as `{{index}}`; `{{{{` stands for two braces.
#[derive(Debug)]
pub struct MessageTemplate {
    parts: Vec<Part>,
    rng: StdRng,
}

impl MessageTemplate {
    /// The names of placeholders.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PLACEHOLDERS.iter().map(|(name, _)| *name)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// A placeholder that does not exist, or is not closed.
    pub(crate) fn parse(text: &str, seed: u64) -> Result<Self, MessageTemplateError> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            parts.push(Part::Text(before.as_bytes().to_vec()));
            if let Some(after) = after.strip_prefix("{{") {
                parts.push(Part::Text(b"{{".to_vec()));
                rest = after;
                continue;
            }
            let (name, after) = after.split_once("}}").ok_or(MessageTemplateError::Open)?;
            let found = PLACEHOLDERS.iter().find(|(known, _)| *known == name.trim());
            parts.push(Part::Value(found.ok_or_else(|| MessageTemplateError::Unknown(name.trim().to_owned()))?.1));
            rest = after;
        }
        parts.push(Part::Text(rest.as_bytes().to_vec()));
        Ok(Self { parts, rng: StdRng::seed_from_u64(seed) })
    }

    /// Checks a text.
    ///
    /// # Errors
    /// As [`MessageTemplate::parse`].
    pub fn check(text: &str) -> Result<(), MessageTemplateError> {
        Self::parse(text, 0).map(|_| ())
    }

    /// The text, where it has no placeholder.
    pub(crate) fn fixed(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text for a message.
    pub(crate) fn write(&mut self, message: Number, out: &mut Vec<u8>) {
        for part in &self.parts {
            // Writing to a vector cannot fail.
            let _ = match part {
                Part::Text(text) => out.write_all(text),
                Part::Value(Placeholder::Sequence) => write!(out, "{}", message.sequence),
                Part::Value(Placeholder::Index) => write!(out, "{}", message.index),
                Part::Value(Placeholder::Producer) => write!(out, "{}", message.producer),
                Part::Value(Placeholder::TimeMs) => write!(out, "{}", message.due_us / 1000),
                Part::Value(Placeholder::Random) => write!(out, "{}", self.rng.random::<u32>()),
                Part::Value(Placeholder::Uuid) => {
                    let (a, b) = (self.rng.random::<u64>(), self.rng.random::<u64>());
                    let (a, b) = (a & !0xf000 | 0x4000, b & !(0b11 << 62) | 0b10 << 62);
                    let (time, version) = (a >> 32, a & 0xffff);
                    write!(
                        out,
                        "{time:08x}-{:04x}-{version:04x}-{:04x}-{:012x}",
                        a >> 16 & 0xffff,
                        b >> 48,
                        b & 0xffff_ffff_ffff
                    )
                }
            };
        }
    }
}

/// Payloads from a text with placeholders.
pub(super) struct PayloadTemplate {
    template: MessageTemplate,
    place: IdentityPlace,
}

impl PayloadTemplate {
    pub(super) fn parse(text: &str, seed: u64, asked: Option<IdentityPlace>) -> Result<Self, LoadError> {
        // Room before the text is made when a message is.
        let prefixed = asked == Some(IdentityPlace::Prefix);
        let room = if prefixed { Some(IdentityPlace::None) } else { asked };
        let (text, place) = with_room(text.as_bytes(), room)
            .ok_or_else(|| LoadError::Spec("`identity: field` needs a template that is a JSON object".into()))?;
        let template = MessageTemplate::parse(&String::from_utf8_lossy(&text), seed)
            .map_err(|error| LoadError::Spec(format!("the payload template: {error}")))?;
        Ok(Self { template, place: if prefixed { IdentityPlace::Prefix } else { place } })
    }
}

impl PayloadSource for PayloadTemplate {
    fn render(&mut self, message: Number, body: &mut Vec<u8>, _: &mut Vec<u8>) -> Rendered {
        if self.place == IdentityPlace::Prefix {
            body.resize(crate::accounting::IDENTITY_BYTES, 0);
        }
        self.template.write(message, body);
        rendered(body, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::{IDENTITY_BYTES, IDENTITY_HEX};
    use crate::load::payload::Carrier;

    const NUMBER: Number = Number { producer: 2, sequence: 7, index: 16, due_us: 5_000_000 };

    fn body(text: &str, asked: Option<IdentityPlace>) -> (Vec<u8>, Carrier) {
        let mut template = PayloadTemplate::parse(text, 1, asked).expect("a template");
        let mut body = Vec::new();
        let rendered = template.render(NUMBER, &mut body, &mut Vec::new());
        (body, rendered.carrier)
    }

    #[test]
    fn placeholders_are_filled_and_unknown_ones_refused() {
        let (body, _) = body(r#"{"n":{{sequence}},"t":{{ time_ms }},"id":"{{uuid}}"}"#, None);
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((value["n"].as_u64(), value["t"].as_u64()), (Some(7), Some(5000)));
        assert_eq!(value["kscen"].as_str().unwrap().len(), IDENTITY_HEX);
        assert_eq!(value["id"].as_str().unwrap().len(), 36);
        assert_eq!(MessageTemplate::check("{{sequenz}}"), Err(MessageTemplateError::Unknown("sequenz".to_owned())));
        assert_eq!(MessageTemplate::check("{{sequence"), Err(MessageTemplateError::Open));
        assert_eq!(super::super::source::with_field(b"{ }").unwrap().last(), Some(&b'}'));
    }

    #[test]
    fn the_identity_stands_where_it_is_asked_for() {
        let text = r#"{"n":{{index}}}"#;
        let plain = br#"{"n":16}"#.to_vec();
        assert_eq!(body(text, Some(IdentityPlace::Header)), (plain.clone(), Carrier::Header));
        assert_eq!(body(text, Some(IdentityPlace::None)), (plain.clone(), Carrier::Nowhere));
        let (prefixed, carrier) = body(text, Some(IdentityPlace::Prefix));
        assert_eq!((&prefixed[IDENTITY_BYTES..], carrier), (plain.as_slice(), Carrier::Prefix));
        assert!(matches!(body(text, None).1, Carrier::Field(_)));
        assert_eq!(body("n={{index}}", None), (b"n=16".to_vec(), Carrier::Header));
        assert!(PayloadTemplate::parse("n={{index}}", 1, Some(IdentityPlace::Field)).is_err());
    }

    #[test]
    fn four_braces_are_two() {
        let mut out = Vec::new();
        MessageTemplate::parse("a {{{{index}} {{index}}", 1).expect("a template").write(NUMBER, &mut out);
        assert_eq!(out, b"a {{index}} 16");
    }
}
