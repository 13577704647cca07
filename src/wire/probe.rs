//! One question to one process of this machine: whether it is ready, many times a second.
//!
//! A cluster's client would negotiate, keep connections and follow advertised addresses. Each of these questions is one
//! exchange on a new connection, in a version that Kafka 2.4 and newer know.

use super::address::BrokerAddress;
use super::connection::Dialer;
use super::frame::{ApiCall, text};
use super::refusal::{MissingRight, Operation, RightSubject};
use super::wire_error::WireError;
use kafka_protocol::messages::{ApiVersionsRequest, FindCoordinatorRequest, MetadataRequest};
use std::time::Duration;

/// A broker's view of its cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProbedBroker {
    /// Id of the cluster that answered.
    pub(crate) cluster: Option<String>,
    /// Node ids of brokers that are alive and not fenced.
    pub(crate) brokers: Vec<i32>,
}

/// Asks the broker on a local port for its view of the cluster.
///
/// # Errors
/// Nobody listens, nobody answers within `limit`, or the answer is [not Kafka's](WireError::Malformed).
pub(crate) async fn view(port: u16, limit: Duration) -> Result<ProbedBroker, WireError> {
    let request = MetadataRequest::default().with_topics(Some(Vec::new())).with_allow_auto_topic_creation(false);
    let answer = ask(port, &request, limit).await?;
    let mut brokers: Vec<i32> = answer.brokers.iter().map(|broker| broker.node_id.0).collect();
    brokers.sort_unstable();
    Ok(ProbedBroker { cluster: answer.cluster_id.map(|id| id.to_string()), brokers })
}

/// Asks for the coordinator of a group. The first question makes Kafka create the topic of committed offsets.
///
/// # Errors
/// See [`view`]; while there is none, one that [passes](WireError::is_passing).
pub(crate) async fn coordinator(port: u16, group: &str, limit: Duration) -> Result<i32, WireError> {
    let answer = ask(port, &FindCoordinatorRequest::default().with_key(text(group)), limit).await?;
    super::groups::read_coordinator(group, &answer)
}

/// Asks which requests are understood, which controllers answer, too.
///
/// # Errors
/// See [`view`].
pub(crate) async fn answers(port: u16, limit: Duration) -> Result<(), WireError> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("kscen"))
        .with_client_software_version(text(env!("CARGO_PKG_VERSION")));
    let answer = ask(port, &request, limit).await?;
    Ok(MissingRight::check(answer.error_code, None, "ask the versions of", Operation::Describe, RightSubject::Cluster)?)
}

async fn ask<R: ApiCall>(port: u16, request: &R, limit: Duration) -> Result<R::Answer, WireError> {
    Dialer::plaintext().ask_once(&BrokerAddress::local(port), request, R::OLDEST, limit).await
}
