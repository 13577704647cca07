//! Debezium's change events: reading them, checking their form, and holding them against the database's own account.

mod connector_config;
mod decode;
mod envelope;
mod latency;
mod reconcile;
mod reconciliation;
mod schema;
mod snapshot;
mod value;

pub use connector_config::{PostgresConnector, postgres_config, safe_name};
pub use decode::{DecodeError, EventDecoder, Ignored, ReadEvent, ReadKind};
pub use envelope::{ChangeEvent, Op, Origin, Row, RowImage, Snapshot, Source, TransactionInfo};
pub use latency::{Arrival, CdcLatency, LatencySummary, arrivals, cdc_latency};
pub use reconcile::{Expectation, reconcile};
pub use reconciliation::{ChangeCounts, Reconciliation, Replay, RowAnomaly, RowClass};
pub use schema::{ENVELOPE_SCHEMA, EnvelopeSchema, Violation};
