//! Batches into partitions, as they are: nothing of them is read or changed here.

use super::cluster::WireCluster;
use super::connection::{Connection, Pending};
use super::frame::{Malformed, text};
use super::refusal::{MissingRight, Operation, RightSubject};
use super::wire_error::WireError;
use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use std::collections::VecDeque;
use std::time::Duration;

/// How long a leader waits for its followers, in ms.
const REPLICATION: i32 = 30_000;
/// How long an answer may take: longer than the leader waits.
const PATIENCE: Duration = Duration::from_secs(40);

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record. A batch that was there already has the offset that it got then, or −1 where the broker
    /// knows only that it had it.
    pub base_offset: i64,
    /// The first offset that exists in the partition, where the broker tells.
    pub log_start: Option<i64>,
}

/// The answer for one partition.
pub type ProduceAnswer = (i32, Result<Appended, WireError>);

/// A connection to one broker that only produces, into one topic. Answers come in the order of the requests.
pub struct ProduceConnection {
    connection: Connection,
    topic: String,
    pending: VecDeque<Pending<ProduceRequest>>,
}

impl ProduceConnection {
    /// A connection of its own to this broker.
    ///
    /// # Errors
    /// The broker is not listed, or what connecting can end in.
    pub async fn open(cluster: &WireCluster, broker: i32, topic: &str) -> Result<Self, WireError> {
        let connection = cluster.dial(broker).await?;
        Ok(Self { connection, topic: topic.to_owned(), pending: VecDeque::new() })
    }

    /// Whether the connection can still be used: some brokers want a new authentication from time to time.
    pub fn is_fresh(&self) -> bool {
        self.connection.is_fresh()
    }

    /// Sends one batch for each of these partitions; all in-sync replicas have to take it. Kafka takes no second batch of
    /// a partition in the same request.
    ///
    /// ACL: WRITE on the Topic.
    ///
    /// # Errors
    /// What a request can end in.
    pub async fn send(&mut self, batches: Vec<(i32, Bytes)>) -> Result<(), WireError> {
        let partitions = batches
            .into_iter()
            .map(|(partition, batch)| PartitionProduceData::default().with_index(partition).with_records(Some(batch)));
        let topic = TopicProduceData::default()
            .with_name(TopicName(text(&self.topic)))
            .with_partition_data(partitions.collect());
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(REPLICATION).with_topic_data(vec![topic]);
        let pending = self.connection.send(&request, PATIENCE).await?;
        self.pending.push_back(pending);
        Ok(())
    }

    /// The answer to the oldest request that has none yet.
    ///
    /// # Errors
    /// What a request can end in; nothing is pending.
    pub async fn answer(&mut self) -> Result<Vec<ProduceAnswer>, WireError> {
        let Some(pending) = self.pending.pop_front() else {
            return Err(super::cluster::never("an answer", "nothing was sent"));
        };
        let answer = self.connection.receive(pending, PATIENCE).await?;
        Ok(read(&self.topic, answer))
    }

    /// The error for an answer that leaves out a partition.
    pub(crate) fn nonsense(&self, partition: i32) -> WireError {
        let subject = RightSubject::Partition(self.topic.clone(), partition);
        self.connection.malformed("Produce", Malformed::Missing(subject.to_string()))
    }
}

fn read(topic: &str, answer: ProduceResponse) -> Vec<ProduceAnswer> {
    let of_topic = answer.responses.into_iter().filter(|found| &**found.name == topic);
    let answers = of_topic.flat_map(|found| found.partition_responses).map(|found| {
        let subject = RightSubject::Partition(topic.to_owned(), found.index);
        let message = found.error_message.as_deref();
        let checked = MissingRight::check(found.error_code, message, "write to", Operation::Write, subject);
        let log_start = Some(found.log_start_offset).filter(|offset| *offset >= 0);
        let stored = Appended { base_offset: found.base_offset, log_start };
        (found.index, checked.map(|()| stored).map_err(WireError::from))
    });
    answers.collect()
}
