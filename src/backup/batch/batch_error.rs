//! What can be wrong with a batch.

use super::codec::Codec;
use std::fmt;

/// Why bytes are not a sound batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// The bytes end inside of a batch.
    CutShort {
        /// How many bytes the batch needs.
        needed: u64,
        /// How many there are.
        left: u64,
    },
    /// The length field cannot be true.
    Length(i32),
    /// Another format than 2.
    Magic(i8),
    /// The checksum does not fit the bytes.
    Checksum {
        /// What the batch says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// No codec has this number.
    UnknownCodec(i16),
    /// The compressed records cannot be read.
    Codec {
        /// With this codec.
        codec: Codec,
        /// What it said.
        reason: String,
    },
    /// The records come to more than a batch can hold in memory.
    TooLarge {
        /// The bytes that are accepted.
        limit: usize,
    },
    /// A record does not fit the batch.
    Record {
        /// Which one, from 0.
        index: u32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The records do not fill the batch as its header says.
    Count {
        /// What the header says.
        stated: i32,
        /// What is wrong.
        reason: &'static str,
    },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort { needed, left } => {
                write!(f, "the batch needs {needed} bytes, and only {left} are left")
            }
            Self::Length(length) => write!(f, "the length field says {length}, which no batch has"),
            Self::Magic(magic) => write!(f, "the batch has format {magic}; only format 2 is known"),
            Self::Checksum { stored, computed } => {
                write!(f, "the checksum of the batch is {stored:08x}, its bytes give {computed:08x}")
            }
            Self::UnknownCodec(id) => write!(f, "the batch is compressed with codec {id}, which is not known"),
            Self::Codec { codec, reason } => write!(f, "the {codec} data of the batch cannot be read: {reason}"),
            Self::TooLarge { limit } => {
                write!(f, "the batch, or its records uncompressed, take more than {limit} bytes")
            }
            Self::Record { index, reason } => write!(f, "record {index} of the batch: {reason}"),
            Self::Count { stated, reason } => write!(f, "the header of the batch counts {stated} records, {reason}"),
        }
    }
}

impl std::error::Error for BatchError {}
