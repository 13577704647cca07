//! Records of partitions as their leaders store them: whole batches, byte for byte.

use super::cluster::WireCluster;
use super::connection::{Connection, Pending};
use super::frame::{Malformed, text};
use super::offsets::IsolationLevel;
use super::refusal::{MissingRight, Operation, RightSubject};
use super::topics::TopicId;
use super::wire_error::WireError;
use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};
use std::collections::VecDeque;
use std::time::Duration;

/// The longest answer that is read: a broker sends a first batch whole, however large it is.
const LONGEST: usize = 512 << 20;
/// Beyond the time that a broker may wait for new records, an answer may take this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much a fetch asks for.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Bytes of a whole answer, a first batch that is larger excepted.
    pub total: u32,
    /// Bytes of a partition in an answer, with the same exception.
    pub partition: u32,
    /// How long the broker waits where it has nothing new.
    pub wait: Duration,
    /// What is seen: everything up to the high watermark, or up to the last stable offset, with aborted transactions named.
    pub isolation: IsolationLevel,
}

/// Where to read on in the partitions of a topic.
#[derive(Clone, Debug)]
pub struct FetchPositions {
    /// The topic.
    pub topic: String,
    /// Its id; newer brokers are asked by it, and refuse one that is gone though its name is used again.
    pub id: Option<TopicId>,
    /// Partitions of the broker that is asked, with the offset that is read next.
    pub partitions: Vec<FetchPosition>,
}

/// Where to read on in a partition.
#[derive(Clone, Copy, Debug)]
pub struct FetchPosition {
    /// The partition.
    pub partition: i32,
    /// The offset that is read next.
    pub offset: i64,
    /// The leader epoch that metadata gave: a broker that leads no longer then refuses.
    pub leader_epoch: Option<i32>,
}

/// What a leader sent of a partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The offset behind the last record that is replicated.
    pub high_watermark: i64,
    /// Batches, the first of which holds the offset that was asked for or a later one; the last may be cut off. Empty where
    /// there is nothing.
    pub records: Bytes,
    /// Where read with [`IsolationLevel::Committed`]: aborted transactions that reach into the records, by their producer and
    /// first offset.
    pub aborted: Vec<Aborted>,
}

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Its producer.
    pub producer: i64,
    /// Its first offset in the partition.
    pub first: i64,
}

/// The answer for one partition.
pub type FetchAnswer = ((String, i32), Result<Fetched, WireError>);

/// A connection to one broker that only fetches.
pub struct Fetcher {
    connection: Connection,
    limits: FetchLimits,
    pending: VecDeque<(Pending<FetchRequest>, Vec<FetchPositions>)>,
}

impl Fetcher {
    /// A connection of its own to this broker.
    ///
    /// # Errors
    /// The broker is not listed, or what connecting can end in.
    pub async fn open(cluster: &WireCluster, broker: i32, limits: FetchLimits) -> Result<Self, WireError> {
        let mut connection = cluster.dial(broker).await?;
        connection.expect_up_to(LONGEST);
        Ok(Self { connection, limits, pending: VecDeque::new() })
    }

    /// Whether the connection can still be used: some brokers want a new authentication from time to time.
    pub fn is_fresh(&self) -> bool {
        self.connection.is_fresh()
    }

    /// Asks, and waits for the answer. Not to be used while others are pending.
    ///
    /// ACL: READ on the Topic.
    ///
    /// # Errors
    /// What a request can end in; those of partitions are in the answer.
    pub async fn fetch(&mut self, positions: Vec<FetchPositions>) -> Result<Vec<FetchAnswer>, WireError> {
        self.ask(positions).await?;
        self.answer().await
    }

    /// Asks without waiting, so that the broker reads while the answer before is worked on.
    ///
    /// # Errors
    /// What a request can end in.
    pub async fn ask(&mut self, positions: Vec<FetchPositions>) -> Result<(), WireError> {
        let request = request(&positions, self.limits);
        let pending = self.connection.send(&request, PATIENCE).await?;
        self.pending.push_back((pending, positions));
        Ok(())
    }

    /// The answer to the oldest request that has none yet: one entry for each partition that was asked about and answered.
    /// A broker leaves out partitions that do not fit into an answer only by sending them empty.
    ///
    /// # Errors
    /// What a request can end in; nothing is pending.
    pub async fn answer(&mut self) -> Result<Vec<FetchAnswer>, WireError> {
        let Some((pending, asked)) = self.pending.pop_front() else {
            return Err(super::cluster::never("an answer", "nothing was asked"));
        };
        let answer = self.connection.receive(pending, self.limits.wait + PATIENCE).await?;
        self.read(answer, &asked)
    }

    fn read(&self, answer: FetchResponse, asked: &[FetchPositions]) -> Result<Vec<FetchAnswer>, WireError> {
        MissingRight::check(answer.error_code, None, "fetch from", Operation::Read, RightSubject::Cluster)?;
        let mut answers = Vec::new();
        for found in answer.responses {
            let id = TopicId::read(found.topic_id.into_bytes());
            // Newer answers name the topic by its id alone.
            let positions =
                asked.iter().find(|asked| if id.is_some() { asked.id == id } else { *asked.topic == **found.topic });
            let Some(positions) = positions else {
                return Err(self.connection.malformed("Fetch", Malformed::Missing("the topic that was asked".into())));
            };
            let topic = &positions.topic;
            answers.extend(found.partitions.into_iter().map(|partition| read_partition(topic, partition)));
        }
        Ok(answers)
    }
}

fn request(positions: &[FetchPositions], limits: FetchLimits) -> FetchRequest {
    let size = |bytes: u32| i32::try_from(bytes).unwrap_or(i32::MAX);
    let topics = positions.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|position| {
            FetchPartition::default()
                .with_partition(position.partition)
                .with_fetch_offset(position.offset)
                .with_current_leader_epoch(position.leader_epoch.unwrap_or(-1))
                .with_log_start_offset(-1)
                .with_partition_max_bytes(size(limits.partition))
        });
        FetchTopic::default()
            .with_topic(TopicName(text(&topic.topic)))
            .with_topic_id(topic.id.map_or_else(Default::default, |id| uuid::Uuid::from_bytes(id.bytes())))
            .with_partitions(partitions.collect())
    });
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(i32::try_from(limits.wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(1)
        .with_max_bytes(size(limits.total))
        .with_isolation_level(i8::from(limits.isolation == IsolationLevel::Committed))
        .with_session_epoch(-1)
        .with_topics(topics.collect())
}

fn read_partition(topic: &str, found: PartitionData) -> FetchAnswer {
    let index = found.partition_index;
    let subject = RightSubject::Partition(topic.to_owned(), index);
    let checked = MissingRight::check(found.error_code, None, "fetch from", Operation::Read, subject);
    let fetched = checked.map_err(WireError::from).map(|()| Fetched {
        high_watermark: found.high_watermark,
        records: found.records.unwrap_or_default(),
        aborted: found
            .aborted_transactions
            .unwrap_or_default()
            .into_iter()
            .map(|aborted| Aborted { producer: aborted.producer_id.0, first: aborted.first_offset })
            .collect(),
    });
    ((topic.to_owned(), index), fetched)
}
