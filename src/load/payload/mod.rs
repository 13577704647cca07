//! Payloads: what messages carry besides their identity.

pub mod cdc;
mod identity_place;
mod lines;
mod random;
mod record_file;
mod records;
mod sizes;
mod source;
mod template;

use super::LoadError;
pub use identity_place::IdentityPlace;
pub(crate) use lines::MOST_LINES;
pub use record_file::RecordFormat;
pub use records::{RecordFields, RecordOrigin, RecordSet, RecordSpec};
use serde::{Deserialize, Serialize};
pub use sizes::Sizes;
pub(crate) use source::{Carrier, Number, PayloadSource, Rendered};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
pub use template::{MessageTemplate, MessageTemplateError};

/// What messages carry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PayloadSpec {
    /// Random bytes, by default behind a 40-byte identity.
    Random {
        /// Length of the payload in bytes, the identity included.
        size: Sizes,
        /// Share of it, 0 to 1, that repeats and therefore compresses away.
        compressibility: f64,
    },
    /// Always these bytes, by default untouched; the identity goes into a header.
    Fixed(Vec<u8>),
    /// Text with placeholders such as `{{sequence}}`. By default a JSON object gets the identity as its first
    /// field, any other text leaves it to a header.
    Template(String),
    /// The lines of a file, over and over. Identity as with `Template`.
    #[serde(skip)]
    Lines(PathBuf),
    /// Records with their keys, headers, partitions and time stamps, over and over; by default untouched, with the identity in a
    /// header.
    #[serde(skip)]
    Records(RecordSpec),
    /// Change events as Debezium writes them, with the identity as an additional field `kscen`.
    Cdc(cdc::CdcSpec),
}

impl PayloadSpec {
    /// Whether another process can make it: what is read here, from a file or a topic, is read once for all.
    pub(crate) fn travels(&self) -> bool {
        !matches!(self, Self::Lines(_) | Self::Records(_))
    }

    /// The records that are sent, where there are any; read once for all producers. Blocks.
    pub(crate) fn records(
        &self,
        connection: &BTreeMap<String, String>,
        asked: Option<IdentityPlace>,
    ) -> Result<Option<Arc<RecordSet>>, LoadError> {
        match self {
            Self::Records(spec) => RecordSet::read(spec, connection, asked).map(|set| Some(Arc::new(set))),
            _ => Ok(None),
        }
    }

    /// The source for producer number `share` of `shares`; `records` as [`records`](Self::records) gives them.
    pub(crate) fn source(
        &self,
        seed: u64,
        (share, shares): (u64, u64),
        asked: Option<IdentityPlace>,
        records: Option<Arc<RecordSet>>,
    ) -> Result<Box<dyn PayloadSource>, LoadError> {
        let own_seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(share);
        Ok(match self {
            Self::Random { size, compressibility } => {
                Box::new(random::Random::new(*size, *compressibility, own_seed, asked)?)
            }
            Self::Fixed(bytes) => {
                Box::new(lines::PayloadLines::of(vec![bytes.clone()], asked.or(Some(IdentityPlace::Header)))?)
            }
            Self::Template(text) => Box::new(template::PayloadTemplate::parse(text, own_seed, asked)?),
            Self::Lines(path) => Box::new(lines::PayloadLines::read(path, asked)?),
            Self::Records(_) => Box::new(records::TopicRecords::new(
                records.ok_or_else(|| LoadError::Spec("the records were not read".into()))?,
            )),
            Self::Cdc(spec) => Box::new(cdc::CdcStream::new(spec, seed, share, shares)?),
        })
    }
}
