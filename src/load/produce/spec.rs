//! What to send.

use crate::accounting::{KeySpec, RunIdentity, Schedule};
use crate::kafka::LogSink;
use crate::load::PayloadSpec;
use crate::load::afar::Afar;
use crate::load::payload::IdentityPlace;
use crate::record::Detail;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whose acknowledgement a message needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Acks {
    /// Nobody's: written to the socket counts as acknowledged.
    None,
    /// The leader's.
    Leader,
    /// That of all in-sync replicas.
    #[default]
    All,
}

/// Sending in transactions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransactionSpec {
    /// Messages in each.
    pub per: u64,
    /// Share of transactions, 0 to 1, that are aborted.
    pub abort_share: f64,
    /// `transactional.id`; producers after the first append their number.
    pub id: String,
}

/// What to send, to where, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProduceSpec {
    /// The name of the step; names threads and log lines.
    pub name: String,
    /// Where to.
    pub topic: String,
    /// When.
    pub schedule: Schedule,
    /// Clients that share the schedule: producer k of n sends messages k, k+n, k+2n, …
    pub producers: usize,
    /// The payloads.
    pub payload: PayloadSpec,
    /// The keys.
    pub key: KeySpec,
    /// Where messages carry their identity; as the payload has it where nothing is said.
    pub identity: Option<IdentityPlace>,
    /// Headers of every message, besides the identity's: texts with placeholders. They cost the zero-copy path.
    pub headers: Vec<(String, String)>,
    /// The acknowledgements.
    pub acks: Acks,
    /// Whether the broker sorts out repeated batches.
    pub idempotent: bool,
    /// In transactions, if at all.
    pub transaction: Option<TransactionSpec>,
    /// Properties of the connection: `bootstrap.servers`, security.
    pub connection: BTreeMap<String, String>,
    /// Properties of the producer: compression, linger and whatever else.
    pub config: BTreeMap<String, String>,
    /// The run that the messages belong to.
    #[serde(skip)]
    pub run: Arc<RunIdentity>,
    /// Decides everything that is random.
    pub seed: u64,
    /// Where client log lines go.
    #[serde(skip)]
    pub logs: LogSink,
    /// What the time line keeps apart.
    #[serde(skip)]
    pub detail: Detail,
    /// Other processes, in which its producers run.
    #[serde(skip)]
    pub afar: Option<Arc<dyn Afar>>,
}
