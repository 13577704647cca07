//! A fresh read of the log, to say where lost messages went missing.

use crate::accounting::{Identity, LogEvidence, PagedBitmap};
use crate::kafka::{
    BatchConsumer, ClientRole, ClientSettings, ClientState, Incoming, KafkaFailure, LogSink, OffsetReader,
};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Reads the whole of `topic` with a client of its own and looks for the `missing` sequences (by
/// producer) of the run with this `nonce`. Blocks, at most for `limit`; fails if the end is not
/// reached by then, because half a read proves nothing.
pub fn scan(
    connection: &BTreeMap<String, String>,
    topic: &str,
    nonce: u64,
    missing: &HashMap<u16, PagedBitmap>,
    read_committed: bool,
    limit: Duration,
) -> Result<LogEvidence, KafkaFailure> {
    let mut found = HashMap::new();
    let log = read_through(connection, topic, read_committed, limit, |message| {
        let Ok((identity, _)) = Identity::of(message) else { return };
        let wanted = missing.get(&identity.producer).is_some_and(|set| set.contains(identity.sequence));
        if wanted && identity.nonce == nonce {
            found.entry((identity.producer, identity.sequence)).or_insert((message.partition, message.offset));
        }
    })?;
    Ok(LogEvidence { log_start: log.start, log_end: log.end, found, topic: None })
}

/// Where the partitions of a topic begin and end.
pub struct LogBounds {
    /// The first offset of each.
    pub start: BTreeMap<i32, i64>,
    /// The offset behind the last message of each.
    pub end: BTreeMap<i32, i64>,
}

/// Reads the whole of `topic`, as far as it reaches now, with a client of its own. Blocks, at most for `limit`.
pub fn read_through(
    connection: &BTreeMap<String, String>,
    topic: &str,
    read_committed: bool,
    limit: Duration,
    mut see: impl FnMut(&Incoming<'_>),
) -> Result<LogBounds, KafkaFailure> {
    let deadline = Instant::now() + limit;
    let logs = LogSink::default();
    let offsets = OffsetReader::new(connection, read_committed, logs.clone())?;
    let partitions = offsets.partitions(topic, limit)?;
    let log_start = offsets.starts(topic, &partitions, limit)?;
    let ends = offsets.ends(topic, &partitions, limit)?;
    let mut settings = ClientSettings::new(ClientRole::Consumer)?;
    settings.set_all(connection)?;
    settings.set("group.id", "kscen-scan")?.set("enable.auto.commit", "false")?;
    settings.set("auto.offset.reset", "earliest")?;
    settings.set("isolation.level", if read_committed { "read_committed" } else { "read_uncommitted" })?;
    let mut consumer = BatchConsumer::new(&settings.build()?.0, ClientState::new("scan", logs))?;
    let metadata = consumer.client().fetch_metadata(Some(topic), limit);
    metadata.map_err(|error| KafkaFailure::request("fetch metadata", &error))?;
    consumer.assign(topic, &log_start)?;

    let mut reached = log_start.clone();
    while ends.iter().any(|(partition, end)| reached.get(partition).is_none_or(|at| at < end)) {
        if Instant::now() >= deadline {
            return Err(KafkaFailure::Request {
                action: format!("read `{topic}` from its beginning"),
                code: "_TIMED_OUT".into(),
                detail: format!("the end was not reached within {} s", limit.as_secs()),
            });
        }
        let count = consumer.read(
            Duration::from_millis(100),
            |batch| {
                for message in batch {
                    reached.insert(message.partition, message.offset + 1);
                    see(message);
                }
            },
            |_| {},
        );
        if count == 0 {
            // The client also passes what it does not deliver, such as the markers of transactions.
            reached.extend(consumer.positions(topic, partitions.iter().copied()));
        }
    }
    Ok(LogBounds { start: log_start, end: ends })
}
