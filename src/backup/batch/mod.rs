//! Kafka's record batches, format 2, over bytes as they came from a broker or a file.

mod attributes;
mod batch_error;
mod build;
mod codec;
mod edit;
mod header;
mod record;
#[cfg(test)]
mod tests;
mod varint;

#[cfg(test)]
pub use attributes::Attributes;
pub use attributes::TimeStampType;
pub use batch_error::BatchError;
pub use build::{BatchKind, Builder};
pub(in crate::backup) use codec::LARGEST;
pub use codec::{Codec, Compressor, UnknownCodec, decompress};
pub use edit::Editor;
pub use header::{Batch, Batches, HEADER, Header};
#[cfg(test)]
pub use record::RecordHeader;
pub use record::{BatchRecord, Control};
