//! Thin wrappers over librdkafka: configuration, the batch calls, administration.

mod admin;
mod batch;
mod client;
mod error;
mod logs;
mod offsets;
mod roles;
mod state;

pub use admin::{
    Admin, BrokerView, ClusterView, ConfigSource, ConfigValue, GroupDescription, GroupMember, PartitionLag,
    PartitionOffsets, PartitionView, TopicView,
};
pub(crate) use batch::revive;
pub use batch::{
    BatchConsumer, BatchProducer, Incoming, Outcome, Problem, Report, Submission, controller_id, keep_connected,
};
pub use client::{ClientSettings, Role};
pub use error::{KafkaFailure, error_name};
pub use logs::{ClientLog, ClientLogs, LogSink};
pub use offsets::OffsetReader;
pub use state::{ClientState, GroupView, Rebalance, StartAt};
