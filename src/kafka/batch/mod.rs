//! The batch calls of librdkafka behind a safe interface.

mod callbacks;
mod consumer;
mod native;
mod producer;
mod queue;

pub use consumer::{BatchConsumer, Incoming};
pub use native::{controller_id, error_name, error_names, keep_connected};
pub(crate) use native::{dump, revive};
pub use producer::{BatchProducer, DeliveryReport, SendOutcome, Submission};
