//! The ends of a topic's partitions.

use super::{ClientRole, ClientSettings, ClientState, KafkaFailure, LogSink, revive};
use crate::text::did_you_mean;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A question that is not answered in this time is asked again, and of whoever answers then.
const TURN: Duration = Duration::from_secs(5);

/// The client library overhears an answer at times: then it is looked again.
const GLANCE: Duration = Duration::from_millis(200);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// How long a topic may be unknown to the brokers that somebody has just made.
const ABSENCE: Duration = Duration::from_secs(5);
/// The client library's name of the error for a topic that is not there.
const UNKNOWN_TOPIC: &str = "UNKNOWN_TOPIC_OR_PART";

impl ConsumerContext for ClientState {}

/// Asks for the first and last offsets of partitions.
pub struct OffsetReader {
    client: BaseConsumer<ClientState>,
}

impl OffsetReader {
    /// A client of its own. With `read_committed`, ends are last stable offsets: messages of open
    /// transactions lie behind them.
    pub fn new(
        properties: &BTreeMap<String, String>,
        read_committed: bool,
        logs: LogSink,
    ) -> Result<Self, KafkaFailure> {
        let mut settings = ClientSettings::new(ClientRole::Admin)?;
        settings.set_all(properties)?;
        settings.set("isolation.level", if read_committed { "read_committed" } else { "read_uncommitted" })?;
        settings.set("group.id", "kscen-offsets")?.set("enable.auto.commit", "false")?;
        let (config, _) = settings.build()?;
        let client = config
            .create_with_context(ClientState::new("offsets", logs))
            .map_err(|error| KafkaFailure::request("create a client", &error))?;
        Ok(Self { client })
    }

    /// The partitions of a topic, once the cluster knows it and every one of them has a leader. Somebody else may be about to make it.
    pub fn partitions(&self, topic: &str, timeout: Duration) -> Result<Vec<i32>, KafkaFailure> {
        Ok(self.look(topic, timeout, timeout)?.into_keys().collect())
    }

    /// The leader of each partition, once all have one. A topic that is not there after a few seconds is not waited for.
    pub fn leaders(&self, topic: &str, timeout: Duration) -> Result<BTreeMap<i32, i32>, KafkaFailure> {
        self.look(topic, timeout, ABSENCE)
    }

    fn look(&self, topic: &str, timeout: Duration, absence: Duration) -> Result<BTreeMap<i32, i32>, KafkaFailure> {
        let deadline = Instant::now() + timeout;
        let mut absent_since = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let failure = match self.look_once(topic, left.min(TURN)) {
                Ok(leaders) => return Ok(leaders),
                Err(failure) => failure,
            };
            let now = Instant::now();
            let is_absent = failure.name() == Some(UNKNOWN_TOPIC);
            absent_since = is_absent.then(|| absent_since.unwrap_or(now));
            let given_up = absent_since.is_some_and(|since: Instant| now.duration_since(since) >= absence);
            if now >= deadline || given_up || failure.is_lasting() {
                return Err(if is_absent { self.missing(topic) } else { failure });
            }
            // Nothing announces a change of metadata; a short pause between questions.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn look_once(&self, topic: &str, limit: Duration) -> Result<BTreeMap<i32, i32>, KafkaFailure> {
        let metadata = self.client.fetch_metadata(Some(topic), limit).map_err(|error| {
            revive(self.client.client());
            KafkaFailure::request(format!("find topic `{topic}`"), &error)
        })?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let Some(found) = found.filter(|found| found.error().is_none() && !found.partitions().is_empty()) else {
            let code = found.and_then(|found| found.error());
            let code = code.unwrap_or(rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
            return Err(KafkaFailure::code(format!("find topic `{topic}`"), code));
        };
        if found.partitions().iter().all(|partition| partition.leader() >= 0) {
            return Ok(found.partitions().iter().map(|found| (found.id(), found.leader())).collect());
        }
        Err(KafkaFailure::Request {
            action: format!("find a leader for every partition of `{topic}`"),
            code: "LEADER_NOT_AVAILABLE".into(),
            detail: "an election is going on or replicas are offline".into(),
        })
    }

    /// The error for a topic that is not there, with the name that may have been meant.
    fn missing(&self, topic: &str) -> KafkaFailure {
        let all = self.client.fetch_metadata(None, TURN).ok();
        let names = all.iter().flat_map(|metadata| metadata.topics()).map(|found| found.name());
        let detail = match did_you_mean(topic, names) {
            Some(similar) => format!("there is no such topic; did you mean `{similar}`?"),
            None => "there is no such topic".to_owned(),
        };
        KafkaFailure::Request { action: format!("find topic `{topic}`"), code: UNKNOWN_TOPIC.into(), detail }
    }

    /// The id of the cluster; `None` where no broker tells it in time.
    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.client.client().fetch_cluster_id(left.min(GLANCE)) {
                None if !left.is_zero() => std::thread::sleep(PAUSE),
                told => return told,
            }
        }
    }

    /// How many members a stable group has; `None` where it is not stable, or cannot be seen.
    pub fn group_members(&self, group: &str, timeout: Duration) -> Option<usize> {
        let list = self.client.fetch_group_list(Some(group), timeout).ok()?;
        let found = list.groups().iter().find(|found| found.name() == group)?;
        (found.state() == "Stable").then(|| found.members().len())
    }

    /// The first offset of each partition.
    pub fn starts(
        &self,
        topic: &str,
        partitions: &[i32],
        timeout: Duration,
    ) -> Result<BTreeMap<i32, i64>, KafkaFailure> {
        self.insist(topic, partitions, Offset::Beginning, timeout)
    }

    /// The offset behind the last message of each partition.
    pub fn ends(&self, topic: &str, partitions: &[i32], timeout: Duration) -> Result<BTreeMap<i32, i64>, KafkaFailure> {
        self.insist(topic, partitions, Offset::End, timeout)
    }

    /// Asks again while leaders move, as they do after a broker has been away.
    fn insist(
        &self,
        topic: &str,
        partitions: &[i32],
        which: Offset,
        timeout: Duration,
    ) -> Result<BTreeMap<i32, i64>, KafkaFailure> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.ask(topic, partitions, which, left.clamp(Duration::from_millis(100), TURN)) {
                Err(failure) if Instant::now() >= deadline || failure.is_lasting() => {
                    return Err(failure);
                }
                Err(_) => {
                    revive(self.client.client());
                    std::thread::sleep(Duration::from_millis(50));
                }
                answer => return answer,
            }
        }
    }

    fn ask(
        &self,
        topic: &str,
        partitions: &[i32],
        which: Offset,
        timeout: Duration,
    ) -> Result<BTreeMap<i32, i64>, KafkaFailure> {
        let failed = |error| KafkaFailure::request(format!("list the offsets of `{topic}`"), &error);
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition_offset(topic, *partition, which).map_err(failed)?;
        }
        // The protocol's special timestamps -1 and -2 stand for the end and the beginning.
        let answer = self.client.offsets_for_times(list, timeout).map_err(failed)?;
        let mut offsets = BTreeMap::new();
        for element in answer.elements() {
            element.error().map_err(failed)?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(element.partition(), offset);
            }
        }
        match partitions.iter().find(|partition| !offsets.contains_key(partition)) {
            None => Ok(offsets),
            Some(partition) => Err(KafkaFailure::Request {
                action: format!("list the offsets of `{topic}`"),
                code: "_NO_OFFSET".into(),
                detail: format!("the broker gave none for partition {partition}"),
            }),
        }
    }
}
