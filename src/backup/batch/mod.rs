//! Kafka's record batches, format 2, over bytes as they came from a broker or a file.

mod attributes;
mod build;
mod codec;
mod edit;
mod error;
mod header;
mod record;
#[cfg(test)]
mod tests;
mod varint;

pub use attributes::{Attributes, TimeStampType};
pub use build::{BatchKind, Builder};
pub use codec::{Codec, Compressor, UnknownCodec, decompress};
pub use edit::Editor;
pub use error::BatchError;
pub use header::{Batch, Batches, HEADER, Header};
pub use record::{BatchRecord, BatchRecords, Control, Headers, RecordHeader};
