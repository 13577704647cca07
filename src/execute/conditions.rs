//! Reads from the running brokers the settings that a verdict depends on.

use crate::environment::ServiceId;
use crate::record::EventKind;
use crate::verb::SharedRun;

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
pub(super) async fn note(run: &SharedRun) {
    if run.endpoints.bootstrap.is_empty() {
        return;
    }
    let Ok(admin) = run.admin() else { return };
    let warn = |error| run.recorder.warn(format!("the brokers' configuration cannot be read: {error}"));
    let brokers = match admin.cluster().await {
        Ok(view) => view.brokers,
        Err(error) => return warn(error),
    };
    for broker in brokers {
        match admin.broker_config(broker.id).await {
            Ok(config) => {
                let config = config
                    .into_iter()
                    .filter(|(key, _)| PROPERTIES.contains(&key.as_str()))
                    .filter_map(|(key, value)| Some((key, value.value?)))
                    .collect();
                let services = run.environment.services();
                let named = services.into_iter().find(|service| service.node_id == Some(broker.id));
                let service = named
                    .map_or_else(|| ServiceId::Broker(broker.id.unsigned_abs()).to_string(), |service| service.name);
                run.recorder.emit(EventKind::BrokerConfig { service, config });
            }
            Err(error) => warn(error),
        }
    }
}
