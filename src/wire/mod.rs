//! Kafka's own protocol, for what librdkafka cannot ask, does not tell, or answers without the error codes.
//!
//! A [`WireCluster`] has one connection for each broker, with the security settings of the other clients; a `Dialer` makes
//! single ones. Each file below is a few questions. Every answer's error codes are read, those of single items, too: a thing
//! that the principal may not see is a [`MissingRight`] that names the missing right, and never an empty or absent one.
//!
//! | question | right that it needs |
//! |---|---|
//! | [`survey()`] | none |
//! | [`brokers::describe`] | none; DESCRIBE on the Cluster for what is authorised there |
//! | [`topics::describe`], [`topics::list`] | DESCRIBE on each Topic (the list leaves out others in silence) |
//! | [`visibility::of_topics`] | DESCRIBE on Topic `*` |
//! | [`roles::leader`], [`roles::follower`] | DESCRIBE on the Topic |
//! | [`roles::quorum_leader`], [`roles::voters`] | DESCRIBE on the Cluster |
//! | [`software::of_broker`] | none |
//! | [`groups::coordinator`] | DESCRIBE on the Group |
//! | [`groups::describe`] | DESCRIBE on each Group; for groups of the new protocol on their members' Topics, too |
//! | [`groups::list`] | DESCRIBE on the Cluster, else the list is marked as incomplete |
//! | [`committed::of`], [`committed::all`] | DESCRIBE on the Group and on the Topic |
//! | [`remaining::count`] | READ on the Topic |
//! | [`removal::remove`] | READ on the Group |
//! | [`offsets::list`] | DESCRIBE on the Topic |
//! | [`epochs::ends`] | DESCRIBE on the Topic |
//! | [`fetch::Fetcher`] | READ on the Topic |
//! | [`producers::describe`] | READ on the Topic |
//! | [`configs::of_topic`] | DESCRIBE_CONFIGS on the Topic |
//! | [`configs::of_broker`] | DESCRIBE_CONFIGS on the Cluster |
//! | [`produce::ProduceConnection`] | WRITE on the Topic |
//! | [`transactions::new_producer`] | WRITE on some Topic, or IDEMPOTENT_WRITE on the Cluster |
//! | [`transactions::TransactionalProducer`] | WRITE on the TransactionalId and on the Topic |
//! | [`deletion::before`] | DELETE on the Topic |
//! | [`creation::create`] | CREATE on the Topic or on the Cluster |
//! | [`creation::configure`] | ALTER_CONFIGS on the Topic |
//! | [`commit::offsets`] | READ on the Group and on the Topic |
//! | [`acls::of_topic`] | DESCRIBE on the Cluster |
//! | [`acls::create`] | ALTER on the Cluster |
//! | [`reassignments::list`] | DESCRIBE on the Cluster |
//! | [`reassignments::alter`] | ALTER on the Cluster |
//!
//! Requests are sent in versions that Kafka 2.8 and newer know.

pub mod acls;
pub(crate) mod address;
pub mod brokers;
mod cluster;
pub mod commit;
pub mod committed;
pub mod configs;
mod connection;
pub mod creation;
pub mod deletion;
pub mod epochs;
pub mod error_names;
pub mod fetch;
mod frame;
pub mod groups;
mod guarded;
mod members;
#[cfg(test)]
pub(crate) mod memory;
pub mod offsets;
pub(crate) mod probe;
pub mod produce;
pub mod producers;
pub mod reassignments;
mod refusal;
pub mod remaining;
pub mod removal;
pub mod roles;
mod room;
mod routing;
mod sasl;
mod scram;
#[cfg(test)]
pub(crate) mod scripted;
mod security;
pub mod software;
mod survey;
pub mod topics;
pub mod transactions;
pub mod visibility;
mod wire_error;

pub use cluster::WireCluster;
pub use refusal::{MissingRight, Operation};
pub use survey::{AdvertisedFault, survey};
pub use wire_error::WireError;

#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod tests;

/// Whether bytes are the answer of a broker whose kind and version the first two of them name: for fuzzing.
pub(crate) fn is_answer(bytes: &[u8]) -> bool {
    let [kind, version, frame @ ..] = bytes else { return false };
    let (oldest, newest, read) = frame::READERS[usize::from(*kind) % frame::READERS.len()];
    read(bytes::Bytes::copy_from_slice(frame), (oldest + i16::from(*version)).min(newest))
}
