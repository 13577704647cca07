//! The effective configuration of clients and brokers, judged by what it means for delivery.

use crate::record::{Record, StepRecord};
use serde::Serialize;
use std::collections::BTreeMap;

/// A property with what its effective value means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JudgedProperty {
    /// Whose property it is: a step or a broker.
    pub owner: String,
    /// Kafka's name of it.
    pub name: String,
    /// The effective value.
    pub value: String,
    /// `✓`, `!` or `✗`.
    pub symbol: &'static str,
    /// `good`, `warn` or `bad`.
    pub tone: &'static str,
    /// What follows from the value.
    pub meaning: &'static str,
}

/// The producer's properties that a reader of a report looks for: Kafka's name, librdkafka's name.
const PRODUCER: &[(&str, &str)] = &[
    ("acks", "request.required.acks"),
    ("enable.idempotence", "enable.idempotence"),
    ("retries", "message.send.max.retries"),
    ("max.in.flight.requests.per.connection", "max.in.flight.requests.per.connection"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("request.timeout.ms", "request.timeout.ms"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("batch.size", "batch.size"),
    ("buffer.memory (KiB)", "queue.buffering.max.kbytes"),
    ("compression.type", "compression.codec"),
    ("retry.backoff.ms", "retry.backoff.ms"),
    ("reconnect.backoff.ms", "reconnect.backoff.ms"),
    ("reconnect.backoff.max.ms", "reconnect.backoff.max.ms"),
    ("max.request.size", "message.max.bytes"),
    ("transactional.id", "transactional.id"),
];

/// The same for consumers.
const CONSUMER: &[(&str, &str)] = &[
    ("group.id", "group.id"),
    ("enable.auto.commit", "enable.auto.commit"),
    ("auto.offset.reset", "auto.offset.reset"),
    ("isolation.level", "isolation.level"),
    ("session.timeout.ms", "session.timeout.ms"),
    ("heartbeat.interval.ms", "heartbeat.interval.ms"),
    ("max.poll.interval.ms", "max.poll.interval.ms"),
    ("partition.assignment.strategy", "partition.assignment.strategy"),
    ("fetch.min.bytes", "fetch.min.bytes"),
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("reconnect.backoff.max.ms", "reconnect.backoff.max.ms"),
];

/// The effective properties of a step's client under Kafka's names, in the order of importance.
pub fn client_properties(step: &StepRecord, config: &BTreeMap<String, String>) -> Vec<(&'static str, String)> {
    let names = if step.produced.is_some() { PRODUCER } else { CONSUMER };
    let value = |name: &str, value: &String| match (name, value.as_str()) {
        ("acks", "-1") => "all".to_owned(),
        ("compression.type", "inherit") => "none".to_owned(),
        ("auto.offset.reset", "smallest" | "beginning") => "earliest".to_owned(),
        ("auto.offset.reset", "largest" | "end") => "latest".to_owned(),
        _ => value.clone(),
    };
    // A reader without a group still has a name for one inside the client.
    let grouped = step.consumed.as_ref().is_none_or(|report| report.group.is_some());
    names
        .iter()
        .filter(|(name, _)| *name != "group.id" || grouped)
        .filter_map(|(name, native)| Some((*name, value(name, config.get(*native)?))))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// Properties that are the run's own, or an address in memory by its nature.
const OWN: [&str; 5] =
    ["client.id", "group.instance.id", "bootstrap.servers", "metadata.broker.list", "builtin.features"];

/// All effective properties of a step's client but the run's own: those that a reader looks for under Kafka's names, the others as the
/// client calls them.
pub fn all_properties(step: &StepRecord, config: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let names = if step.produced.is_some() { PRODUCER } else { CONSUMER };
    let known = client_properties(step, config).into_iter().map(|(name, value)| (name.to_owned(), value));
    // A reader without a group still has a name for one inside the client.
    let is_other =
        |name: &str| name != "group.id" && !OWN.contains(&name) && names.iter().all(|(_, native)| *native != name);
    let others = config.iter().filter(|(name, value)| is_other(name.as_str()) && !value.starts_with("0x"));
    known.chain(others.map(|(name, value)| (name.clone(), value.clone()))).collect()
}

/// What a value means: a symbol of the table's last column.
type Meaning = (&'static str, &'static str);

const GOOD: &str = "good";
const WARN: &str = "warn";
const BAD: &str = "bad";

/// Judges every property that bears on delivery.
pub fn judged(record: &Record) -> Vec<JudgedProperty> {
    let mut found = Vec::new();
    let mut add = |owner: &str, name: &str, value: &str, (tone, meaning): Meaning| {
        let symbol = match tone {
            GOOD => "✓",
            WARN => "!",
            _ => "✗",
        };
        let (owner, name, value) = (owner.to_owned(), name.to_owned(), value.to_owned());
        found.push(JudgedProperty { owner, name, value, symbol, tone, meaning });
    };
    for step in &record.steps {
        let config = match (&step.produced, &step.consumed) {
            (Some(report), _) => &report.effective_config,
            (_, Some(report)) => &report.effective_config,
            _ => continue,
        };
        let properties: BTreeMap<&str, String> = client_properties(step, config).into_iter().collect();
        for (name, value) in &properties {
            let meaning =
                if step.produced.is_some() { of_producer(name, value, &properties) } else { of_consumer(name, value) };
            if let Some(meaning) = meaning {
                add(&step.id, name, value, meaning);
            }
        }
    }
    let brokers = record.environment.as_ref().map_or(record.broker_config.len() as u32, |env| env.brokers);
    for (service, config) in &record.broker_config {
        for (name, value) in config {
            if let Some(meaning) = of_broker(name, value, brokers) {
                add(service, name, value, meaning);
            }
        }
    }
    found
}

fn of_producer(name: &str, value: &str, all: &BTreeMap<&str, String>) -> Option<Meaning> {
    let idempotent = all.get("enable.idempotence").is_some_and(|value| value == "true");
    Some(match (name, value) {
        ("acks", "all") => (GOOD, "the leader answers once all in-sync replicas have the message"),
        ("acks", "1") => {
            (BAD, "the leader answers alone: what it acknowledged is lost if it fails before a follower has it")
        }
        ("acks", _) => (BAD, "nothing is acknowledged: a lost message is not noticed"),
        ("enable.idempotence", "true") => {
            (GOOD, "the broker drops what a retry sends twice, and keeps the order of each partition")
        }
        ("enable.idempotence", _) => (WARN, "a retry whose first attempt was written leaves a duplicate"),
        ("retries", "0") => (BAD, "a transient error is final"),
        ("retries", _) => (GOOD, "transient errors are retried until delivery.timeout.ms"),
        ("max.in.flight.requests.per.connection", "1") => {
            (GOOD, "one request at a time keeps the order of each partition")
        }
        ("max.in.flight.requests.per.connection", _) if idempotent => {
            (GOOD, "with idempotence the order holds with up to five requests in flight")
        }
        ("max.in.flight.requests.per.connection", _) => {
            (WARN, "without idempotence a retry can overtake: more than one request in flight does not keep the order")
        }
        _ => return None,
    })
}

fn of_consumer(name: &str, value: &str) -> Option<Meaning> {
    Some(match (name, value) {
        ("enable.auto.commit", "false") => (GOOD, "offsets are committed by the application, after processing"),
        ("enable.auto.commit", _) => {
            (WARN, "offsets are committed by time: after a crash messages can be skipped or repeated")
        }
        ("auto.offset.reset", "latest") => {
            (WARN, "a group without a committed offset skips what was written before it joined")
        }
        ("auto.offset.reset", _) => {
            (GOOD, "a group without a committed offset misses nothing that the log still holds")
        }
        ("isolation.level", "read_committed") => (GOOD, "messages of aborted transactions are not delivered"),
        _ => return None,
    })
}

fn of_broker(name: &str, value: &str, brokers: u32) -> Option<Meaning> {
    let number: i64 = value.parse().unwrap_or(0);
    Some(match name {
        "default.replication.factor" | "offsets.topic.replication.factor" if number <= 1 && brokers <= 1 => {
            (WARN, "one copy: with its only broker down nothing is available, with its disk gone everything is lost")
        }
        "default.replication.factor" | "offsets.topic.replication.factor" if number <= 1 => {
            (BAD, "one copy although there are several brokers")
        }
        "default.replication.factor" | "offsets.topic.replication.factor" => {
            (GOOD, "a broker can fail without loss of what all in-sync replicas acknowledged")
        }
        "min.insync.replicas" if number <= 1 && brokers <= 1 => {
            (WARN, "acks=all means one copy here: all that a single broker can offer")
        }
        "min.insync.replicas" if number <= 1 => {
            (BAD, "acks=all may mean a single copy: while followers are out of sync the leader alone acknowledges")
        }
        "min.insync.replicas" => (GOOD, "acks=all means at least this many copies"),
        "unclean.leader.election.enable" if value == "true" => {
            (BAD, "an out-of-sync replica may become leader and drop acknowledged messages")
        }
        "unclean.leader.election.enable" => (GOOD, "only in-sync replicas become leader"),
        "auto.create.topics.enable" if value == "true" => {
            (WARN, "a mistyped topic name creates a topic with default settings")
        }
        "auto.create.topics.enable" => (GOOD, "topics exist only where they were created"),
        "log.flush.interval.messages" if number < i64::MAX => {
            (WARN, "forced flushes cost throughput; Kafka relies on replication for durability")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_with_five_in_flight_needs_idempotence() {
        let with = |idempotent: &str| BTreeMap::from([("enable.idempotence", idempotent.to_owned())]);
        let name = "max.in.flight.requests.per.connection";
        assert_eq!(of_producer(name, "5", &with("false")).unwrap().0, WARN);
        assert_eq!(of_producer(name, "5", &with("true")).unwrap().0, GOOD);
        assert_eq!(of_producer(name, "1", &with("false")).unwrap().0, GOOD);
        assert_eq!(of_broker("min.insync.replicas", "1", 3).unwrap().0, BAD);
        assert_eq!(of_broker("min.insync.replicas", "2", 3).unwrap().0, GOOD);
    }
}
