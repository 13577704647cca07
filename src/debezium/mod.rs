//! Debezium's change events: reading them, checking their form, what a connector is told to deliver, and what its values mean.

mod boundary;
mod connector_config;
mod decode;
mod envelope;
mod rules;
mod schema;
mod schema_work;
mod value;

pub use boundary::{TransactionBoundary, xid};
pub use connector_config::{PostgresConnector, marked_name, postgres_config, safe_name, topic_name};
pub use decode::{EventDecoder, Ignored, PlainRecord, ReadEvent, ReadKind};
pub use envelope::{
    BARE_KEY, ChangeEvent, ChangeSource, MOST_ROW, Op, RowImage, RowValues, Snapshot, TableOrigin, TransactionInfo,
};
pub use rules::{
    CaptureRules, Deletes, Duty, Flat, Form, Outbox, PublicationFacts, PublishedRows, Publishing, RulesSource,
    SinkRules, matches_whole, published_as,
};
pub use schema::{EnvelopeSchema, Violation};
pub use value::{
    Agreement, are_of_one_kind, bytes, canonical_json, canonical_text, canonical_value, compare, compare_cells,
    compare_rows, may_be_filled, plain,
};
