//! Reading partitions from one offset to their ends: every message once, with everything that it has.

use super::client::{ClientRole, ClientSettings};
use super::kafka_failure::KafkaFailure;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message, Timestamp};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How long a poll waits.
const TURN: Duration = Duration::from_millis(200);
/// So long nothing may come before the reading is given up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A message with everything that it has.
pub struct RereadMessage<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time stamp in ms since the epoch; -1 for none.
    pub timestamp: i64,
    /// Whether the broker set the time stamp.
    pub appended: bool,
    /// Its key; `None` for null.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` for null.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

/// Reads partitions from these offsets to where they end, those of aborted transactions included, and hands over each message.
/// Where `take` breaks, its partition is read no further.
///
/// Blocks; not for a thread that timers or sockets need.
///
/// # Errors
/// A wrong property, a refusal, or no answer for long.
pub fn reread(
    properties: &BTreeMap<String, String>,
    topic: &str,
    from: &BTreeMap<i32, i64>,
    mut take: impl FnMut(RereadMessage<'_>) -> ControlFlow<()>,
) -> Result<(), KafkaFailure> {
    let consumer = consumer(properties)?;
    let failed = |error: &KafkaError| KafkaFailure::request("read the topic again", error);
    let mut list = TopicPartitionList::new();
    for (partition, offset) in from {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(|error| failed(&error))?;
    }
    consumer.assign(&list).map_err(|error| failed(&error))?;
    let mut open: BTreeSet<i32> = from.keys().copied().collect();
    let (mut last, mut trouble) = (Instant::now(), None);
    while !open.is_empty() {
        match consumer.poll(TURN) {
            None => {}
            Some(Ok(message)) => {
                last = Instant::now();
                let partition = message.partition();
                if open.contains(&partition) && take(seen(&message)).is_break() {
                    open.remove(&partition);
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                last = Instant::now();
                open.remove(&partition);
            }
            Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_final) => return Err(failed(&error)),
            Some(Err(error)) => trouble = Some(error),
        }
        if last.elapsed() > PATIENCE {
            let silent = KafkaError::NoMessageReceived;
            return Err(failed(trouble.as_ref().unwrap_or(&silent)));
        }
    }
    Ok(())
}

fn consumer(properties: &BTreeMap<String, String>) -> Result<BaseConsumer, KafkaFailure> {
    let mut settings = ClientSettings::new(ClientRole::Consumer)?;
    settings.set_all(properties)?;
    for (name, value) in [
        ("group.id", "kscen-reread"), // never joined, and nothing is committed
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("isolation.level", "read_uncommitted"),
        ("auto.offset.reset", "error"),
        ("check.crcs", "true"),
        ("statistics.interval.ms", "0"),
    ] {
        settings.set(name, value)?;
    }
    let (config, _) = settings.build()?;
    config.create().map_err(|error| KafkaFailure::request("create the consumer", &error))
}

/// Whether asking again does not help.
fn is_final(code: rdkafka::types::RDKafkaErrorCode) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::OffsetOutOfRange
            | Code::AutoOffsetReset
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::BadMessage
            | Code::Fatal
    )
}

fn seen<'a>(message: &'a BorrowedMessage<'_>) -> RereadMessage<'a> {
    let (timestamp, appended) = match message.timestamp() {
        Timestamp::NotAvailable => (-1, false),
        Timestamp::CreateTime(time) => (time, false),
        Timestamp::LogAppendTime(time) => (time, true),
    };
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    RereadMessage {
        partition: message.partition(),
        offset: message.offset(),
        timestamp,
        appended,
        key: message.key(),
        value: message.payload(),
        headers: headers.map(|header| (header.key.as_bytes(), header.value)).collect(),
    }
}
