//! What each baseline report has to say something about: its scenarios, with what has to hold.

use crate::record::Record;

/// Which of the two reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Throughput, latency, resources.
    Performance,
    /// What happens to messages under failures.
    Delivery,
}

/// A scenario that a report has to say something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The scenario's file without folder and extension.
    pub stem: String,
    /// Heading.
    pub title: String,
    /// What has to hold.
    pub criterion: String,
    /// What happens, before anything is measured.
    pub behaviour: String,
}

/// File, heading, criterion, behaviour.
type Row = (&'static str, &'static str, &'static str, &'static str);

const PERFORMANCE: &[Row] = &[
    (
        "throughput",
        "Throughput (SC-001)",
        "at least 1,000 messages a second acknowledged for 60 s, response time p95 and mean below 100 ms, none lost",
        "CDC messages are offered slightly above 1,000/s, so that the bound means something",
    ),
    (
        "burst",
        "Burst",
        "nothing lost, the backlog drains",
        "5,000 messages a second for 10 s; back-pressure shows as time with a full queue and as schedule delay",
    ),
    (
        "sustained-load",
        "Sustained load",
        "nothing lost, memory and latency do not drift between the first and the last minute",
        "500 messages a second for 5 minutes",
    ),
    (
        "snapshot",
        "Snapshot of 895,000 CDC events (SC-005)",
        "no errors, broker memory below 2 GB, CPU below 80 % of the machine",
        "895,000 snapshot events as fast as they go, then streaming changes",
    ),
    (
        "debezium-snapshot",
        "Debezium's own snapshot of a large table",
        "every row arrives; memory and CPU as above",
        "Debezium reads a large PostgreSQL table while the broker is watched",
    ),
    (
        "startup",
        "Start of the broker (SC-002)",
        "ready within 10 s, cold (fresh data) and warm (existing data)",
        "the broker is started and asked until it answers",
    ),
];

const DELIVERY: &[Row] = &[
    (
        "broker-restart",
        "Broker restart (SC-003)",
        "no acknowledged message is lost; duplicates are counted, with idempotence there are none",
        "the producer buffers while the broker is away, and sends again once it is back",
    ),
    (
        "consumer-restart",
        "Consumer restart (SC-004)",
        "no gap, reading again within 5 s",
        "a member of a group leaves after 40 % and returns; it goes on at the committed offset, which is the next one to read",
    ),
    (
        "consumer-broker-restart",
        "Broker restart under a committing group",
        "the group resumes from its committed offset, none lost",
        "the broker restarts while a group reads and commits",
    ),
    (
        "network-partition",
        "Network partition",
        "no acknowledged message is lost",
        "the broker is paused for 10 s: connections stay open and nothing answers",
    ),
    (
        "debezium-recovery",
        "Debezium offset recovery",
        "all rows arrive, in envelope form",
        "rows are inserted before and after a restart of the connector, which goes on from its stored offset",
    ),
    (
        "debezium-broker-restart",
        "Broker restart during database changes",
        "every row's change arrives",
        "the broker restarts while Debezium streams changes",
    ),
    (
        "consumer-groups",
        "Several consumer groups",
        "each group reads every message",
        "two groups read the same topic, each with offsets of its own",
    ),
    (
        "envelope",
        "Debezium's envelope",
        "every event validates against the schema of the envelope",
        "events of a real connector are captured and validated",
    ),
    (
        "consumer-lag",
        "A reader far behind",
        "lag matches within a sampling interval, none lost",
        "a reader falls behind and catches up",
    ),
    (
        "large-message",
        "Messages at the size limit",
        "just under the topic's limit is delivered, just over it is refused by the broker",
        "the limit is on the batch after compression; the client's own limit is raised",
    ),
    (
        "disk-full",
        "Full disk",
        "a clear error in the log; every acknowledged message survives",
        "a broker with one log directory logs the error and stops; space is freed and it is started again",
    ),
    (
        "controller-loss",
        "Loss of the controller",
        "it recovers; the time is reported",
        "the KRaft controller is killed",
    ),
];

/// The scenarios of a report: those that it has to speak about, then others that ran under its tag.
pub fn expected<'a>(kind: Kind, records: impl Iterator<Item = &'a Record>) -> Vec<Expected> {
    let rows = match kind {
        Kind::Performance => PERFORMANCE,
        Kind::Delivery => DELIVERY,
    };
    let mut all: Vec<Expected> = rows
        .iter()
        .map(|(stem, title, criterion, behaviour)| Expected {
            stem: (*stem).to_owned(),
            title: (*title).to_owned(),
            criterion: (*criterion).to_owned(),
            behaviour: (*behaviour).to_owned(),
        })
        .collect();
    for record in records {
        let stem = super::stem(record);
        let tagged = record.run.tags.iter().any(|tag| match kind {
            Kind::Performance => tag == "performance",
            Kind::Delivery => tag == "delivery" || tag == "edge",
        });
        if tagged && all.iter().all(|known| known.stem != stem) {
            all.push(Expected {
                stem,
                title: record.run.name.clone(),
                criterion: "what the scenario's checks state".to_owned(),
                // The template ends the sentence.
                behaviour: record.run.description.clone().unwrap_or_default().trim().trim_end_matches('.').to_owned(),
            });
        }
    }
    all
}
