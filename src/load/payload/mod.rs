//! Payloads: what messages carry besides their identity.

pub mod cdc;
mod lines;
mod random;
mod source;
mod template;

use super::LoadError;
pub(crate) use lines::MOST_LINES;
pub(crate) use source::{Carrier, Number, PayloadSource, Rendered};
use source::{rendered, with_field};
use std::path::PathBuf;

/// What messages carry.
#[derive(Debug, Clone, PartialEq)]
pub enum PayloadSpec {
    /// Random bytes behind a 40-byte identity.
    Random {
        /// Length of the payload in bytes, the identity included.
        size: usize,
        /// Share of it, 0 to 1, that repeats and therefore compresses away.
        compressibility: f64,
    },
    /// Always these bytes, untouched; the identity goes into a header.
    Fixed(Vec<u8>),
    /// Text with placeholders such as `{{sequence}}`. A JSON object gets the identity as its first
    /// field, any other text leaves it to a header.
    Template(String),
    /// The lines of a file, over and over. Identity as with `Template`.
    Lines(PathBuf),
    /// Change events as Debezium writes them, with the identity as an additional field `kscen`.
    Cdc(cdc::CdcSpec),
}

impl PayloadSpec {
    /// The source for producer number `share` of `shares`.
    pub(crate) fn source(&self, seed: u64, share: u64, shares: u64) -> Result<Box<dyn PayloadSource>, LoadError> {
        let own_seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(share);
        Ok(match self {
            Self::Random { size, compressibility } => Box::new(random::Random::new(*size, *compressibility, own_seed)?),
            Self::Fixed(bytes) => Box::new(lines::Lines::of(vec![bytes.clone()], false)),
            Self::Template(text) => Box::new(template::PayloadTemplate::parse(text, own_seed)?),
            Self::Lines(path) => Box::new(lines::Lines::read(path)?),
            Self::Cdc(spec) => Box::new(cdc::CdcStream::new(spec, seed, share, shares)?),
        })
    }
}
