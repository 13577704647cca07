//! Thin wrappers over librdkafka: configuration, the batch calls, administration.

mod admin;
mod batch;
mod belongings;
mod client;
mod java_names;
mod kafka_failure;
mod logs;
mod offsets;
mod reread;
mod state;
mod topic_name;

pub use admin::{Admin, BrokerView, ClusterView, PartitionLag};
pub(crate) use batch::revive;
pub use batch::{
    BatchConsumer, BatchProducer, DeliveryReport, Incoming, SendOutcome, Submission, controller_id, error_names,
    keep_connected,
};
pub use belongings::{file_of, is_never_of_a_step, is_of_environment};
pub use client::{ClientRole, ClientSettings};
pub use kafka_failure::{KafkaFailure, error_name};
pub use logs::{ClientLog, ClientLogs, LogSink};
pub use offsets::OffsetReader;
pub use reread::{RereadMessage, reread};
pub use state::{AssignmentChange, ClientState, StartAt};
pub use topic_name::unfit_topic_name;
