//! Producer ids, and transactions: what is written under them is written once, or together, or not at all.

use super::cluster::{WireCluster, nobody};
use super::frame::text;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::routing::insist;
use super::wire_error::WireError;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, InitProducerIdResponse,
    ProducerId, TopicName, TransactionalId,
};
use std::time::{Duration, Instant};

/// Kafka's number for coordinators of transactions.
const OF_TRANSACTIONS: i8 = 1;
/// Between two attempts while the transaction before is being completed, which takes a few milliseconds.
const BRIEF: Duration = Duration::from_millis(2);

/// A producer as brokers know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdentity {
    /// Its id.
    pub id: i64,
    /// Its epoch: an older one is refused.
    pub epoch: i16,
}

/// A new producer id, for batches whose repetition the brokers are to recognise.
///
/// ACL: WRITE on some Topic, or IDEMPOTENT_WRITE on the Cluster.
///
/// # Errors
/// A refusal, or no broker answers.
pub async fn new_producer(cluster: &WireCluster) -> Result<ProducerIdentity, WireError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let (deadline, subject) = (cluster.deadline(), RightSubject::Cluster);
    insist(deadline, || cluster.ask_any(&request, deadline, |answer| identity(answer, subject.clone()))).await
}

fn identity(answer: InitProducerIdResponse, subject: RightSubject) -> Result<ProducerIdentity, WireError> {
    let operation = if subject == RightSubject::Cluster { Operation::IdempotentWrite } else { Operation::Write };
    MissingRight::check(answer.error_code, None, "get a producer id from", operation, subject)?;
    Ok(ProducerIdentity { id: answer.producer_id.0, epoch: answer.producer_epoch })
}

/// A producer with a transactional id. One transaction at a time.
pub struct TransactionalProducer {
    cluster: WireCluster,
    id: String,
    identity: ProducerIdentity,
}

impl TransactionalProducer {
    /// Takes the transactional id: an open transaction of it is aborted, and producers that used it before are refused from
    /// now on. A transaction that stays open longer than `limit` is aborted by the coordinator.
    ///
    /// ACL: WRITE on the TransactionalId.
    ///
    /// # Errors
    /// A refusal, or the coordinator does not answer.
    pub async fn begin(cluster: &WireCluster, id: &str, limit: Duration) -> Result<Self, WireError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(id))))
            .with_transaction_timeout_ms(i32::try_from(limit.as_millis()).unwrap_or(i32::MAX))
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let deadline = cluster.deadline();
        let identity = completed(deadline, || async {
            let broker = coordinator(cluster, id, deadline).await?;
            identity(cluster.ask_broker(broker, &request, deadline).await?, subject(id))
        })
        .await?;
        Ok(Self { cluster: cluster.clone(), id: id.to_owned(), identity })
    }

    /// Opens a transaction, or extends the open one, to this partition.
    ///
    /// ACL: WRITE on the TransactionalId and on the Topic.
    ///
    /// # Errors
    /// A refusal, or the coordinator does not answer.
    pub async fn add(&self, topic: &str, partition: i32) -> Result<(), WireError> {
        let topics =
            AddPartitionsToTxnTopic::default().with_name(TopicName(text(topic))).with_partitions(vec![partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(&self.id)))
            .with_v3_and_below_producer_id(ProducerId(self.identity.id))
            .with_v3_and_below_producer_epoch(self.identity.epoch)
            .with_v3_and_below_topics(vec![topics]);
        let deadline = self.cluster.deadline();
        completed(deadline, || async {
            let broker = coordinator(&self.cluster, &self.id, deadline).await?;
            let answer = self.cluster.ask_broker(broker, &request, deadline).await?;
            for found in answer.results_by_topic_v3_and_below.iter().flat_map(|found| &found.results_by_partition) {
                let subject = RightSubject::Partition(topic.to_owned(), found.partition_index);
                MissingRight::check(
                    found.partition_error_code,
                    None,
                    "open a transaction on",
                    Operation::Write,
                    subject,
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Ends the open transaction: each of its partitions gets a marker, which takes an offset that no reader sees.
    ///
    /// # Errors
    /// A refusal, or the coordinator does not answer.
    pub async fn end(&self, commit: bool) -> Result<(), WireError> {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&self.id)))
            .with_producer_id(ProducerId(self.identity.id))
            .with_producer_epoch(self.identity.epoch)
            .with_committed(commit);
        let deadline = self.cluster.deadline();
        completed(deadline, || async {
            let broker = coordinator(&self.cluster, &self.id, deadline).await?;
            let answer = self.cluster.ask_broker(broker, &request, deadline).await?;
            Ok(MissingRight::check(
                answer.error_code,
                None,
                "end a transaction of",
                Operation::Write,
                subject(&self.id),
            )?)
        })
        .await
    }
}

/// The coordinator may still complete the transaction before; that is no error but a matter of milliseconds.
async fn completed<T, F: Future<Output = Result<T, WireError>>>(
    deadline: Instant,
    ask: impl Fn() -> F,
) -> Result<T, WireError> {
    loop {
        let result = insist(deadline, &ask).await;
        let code = result.as_ref().err().and_then(WireError::refusal).map(MissingRight::code);
        if code != Some(ResponseError::ConcurrentTransactions.code()) || Instant::now() + BRIEF >= deadline {
            return result;
        }
        tokio::time::sleep(BRIEF).await;
    }
}

fn subject(id: &str) -> RightSubject {
    RightSubject::Transaction(id.to_owned())
}

async fn coordinator(cluster: &WireCluster, id: &str, deadline: Instant) -> Result<i32, WireError> {
    let request = FindCoordinatorRequest::default().with_key(text(id)).with_key_type(OF_TRANSACTIONS);
    let read = |answer: kafka_protocol::messages::FindCoordinatorResponse| {
        let message = answer.error_message.as_deref();
        MissingRight::check(answer.error_code, message, "find the coordinator of", Operation::Describe, subject(id))?;
        match answer.node_id.0 {
            -1 => Err(nobody(&format!("the coordinator of transactional id `{id}`"), "there is none now")),
            node => Ok(node),
        }
    };
    cluster.ask_any(&request, deadline, read).await
}
