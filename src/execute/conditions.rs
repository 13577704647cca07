//! Reads from the running brokers the settings that a verdict depends on.

use super::run::Run;
use crate::record::EventKind;

/// Broker properties worth keeping in every record.
const PROPERTIES: &[&str] = &[
    "auto.create.topics.enable",
    "broker.heartbeat.interval.ms",
    "broker.session.timeout.ms",
    "compression.type",
    "default.replication.factor",
    "group.initial.rebalance.delay.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.flush.interval.messages",
    "log.retention.bytes",
    "log.retention.hours",
    "log.retention.ms",
    "log.segment.bytes",
    "message.max.bytes",
    "min.insync.replicas",
    "num.io.threads",
    "num.network.threads",
    "offsets.topic.replication.factor",
    "replica.lag.time.max.ms",
    "transaction.state.log.min.isr",
    "transaction.state.log.replication.factor",
    "unclean.leader.election.enable",
];

/// Keeps the effective configuration of every broker. One that does not answer is left out with a warning.
pub(super) async fn note(run: &Run) {
    if run.endpoints.bootstrap.is_empty() {
        return;
    }
    let Ok(admin) = run.admin() else { return };
    match admin.broker_configs().await {
        Ok(configs) => {
            for (broker, mut config) in configs {
                config.retain(|key, _| PROPERTIES.contains(&key.as_str()));
                run.recorder.emit(EventKind::BrokerConfig { service: format!("kafka-{broker}"), config });
            }
        }
        Err(error) => run.recorder.warn(format!("the brokers' configuration cannot be read: {error}")),
    }
}
