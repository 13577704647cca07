//! The connectors whose events readers may have: their effective configuration, and how far they have come.

use crate::accounting::changes::ScopedConnector;
use crate::connect::{ConnectClient, ConnectorConfig, ConnectorOffset};
use crate::database::{Lsn, ReplicationSlot, Session};
use crate::debezium::{CaptureRules, PublicationFacts, plain};
use crate::verb::SharedRun;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long Kafka Connect may take to say how a connector is configured; it may be the one that a fault has stopped.
const ANSWER: Duration = Duration::from_secs(3);
/// Debezium's default name of a publication.
const PUBLICATION: &str = "dbz_publication";

/// A connector with what is known of it.
pub(super) struct KnownConnector {
    /// What it is told to deliver.
    pub(super) rules: CaptureRules,
    confirmed: Option<Lsn>,
    stored: Option<Lsn>,
    streaming_from: Option<Lsn>,
}

impl KnownConnector {
    /// All connectors of PostgreSQL: those of the run, and others that Kafka Connect has.
    pub(super) async fn of(run: &SharedRun) -> Vec<Self> {
        let captures = run.changes.captures();
        let mut configs: BTreeMap<String, ConnectorConfig> =
            captures.iter().map(|(name, capture)| (name.clone(), capture.config.clone())).collect();
        // What Kafka Connect has is what works; where it does not answer, what it was given.
        if let Ok(effective) = tokio::time::timeout(ANSWER, effective(run)).await {
            // One that is gone, and whose work another one with its prefix goes on with, has left its records to that one.
            let prefix = |config: &ConnectorConfig| config.get("topic.prefix").cloned();
            let taken: Vec<Option<String>> = effective.values().map(prefix).collect();
            configs.retain(|name, config| effective.contains_key(name) || !taken.contains(&prefix(config)));
            configs.extend(effective);
        }
        let session = match run.database() {
            Ok(database) => database.connect().await.ok(),
            Err(_) => None,
        };
        let mut all = Vec::new();
        for (name, config) in configs {
            let publication = publication(session.as_ref(), &config).await;
            let capture = captures.get(&name);
            let mut rules = CaptureRules::of(&name, &config, publication);
            // What it wrote before has the form of its settings then.
            rules.modes.guessed = capture.is_some_and(|capture| capture.reconfigured);
            all.push(Self {
                rules,
                confirmed: None,
                stored: None,
                streaming_from: capture.and_then(|capture| capture.streaming_from),
            });
        }
        all
    }

    /// Asks the database how far each has confirmed; a slot that is gone delivers nothing any more. `matters`: whether the answer says
    /// anything about what readers have.
    pub(super) async fn ask(known: &mut [Self], run: &SharedRun, matters: bool) {
        known.iter_mut().for_each(|known| (known.confirmed, known.stored) = (None, None));
        if let (true, Ok(connect)) = (matters, run.connect()) {
            // Older versions of Kafka Connect do not tell it.
            let stored = tokio::time::timeout(ANSWER, ask_connect(known, &connect)).await;
            stored.unwrap_or_default();
        }
        let Some(database) = run.database().ok().filter(|_| matters && !known.is_empty()) else { return };
        let Ok(session) = database.connect().await else { return };
        let Ok(slots) = session.slots().await else { return };
        for known in known {
            let Some(name) = &known.rules.slot else { continue };
            let begun = known.stored.is_some() || known.streaming_from.is_some();
            known.confirmed = passed_by(slots.iter().find(|slot| slot.name == *name), begun);
        }
    }

    /// For an account.
    pub(super) fn connector(&self) -> ScopedConnector<'_> {
        let Self { rules, confirmed, stored, streaming_from } = self;
        ScopedConnector { rules, confirmed: *confirmed, stored: *stored, streaming_from: *streaming_from }
    }
}

/// How far a slot's connector has come, which is known to have `begun` to stream or not.
fn passed_by(slot: Option<&ReplicationSlot>, begun: bool) -> Option<Lsn> {
    match slot {
        // One that is made for a snapshot confirms its own beginning, while the rows of before are still being read.
        Some(slot) => slot.confirmed_flush_lsn.filter(|_| begun || slot.active),
        // Nothing comes any more through one that is gone; one that has not been made yet has passed nothing.
        None => begun.then_some(Lsn(u64::MAX)),
    }
}

/// The position that Kafka Connect has stored of each: of the last record that the brokers had taken with all before it.
async fn ask_connect(known: &mut [KnownConnector], connect: &ConnectClient) {
    for known in known.iter_mut().filter(|known| !known.rules.connector.is_empty()) {
        let Ok(offsets) = connect.offsets(&known.rules.connector).await else { continue };
        known.stored = offsets.iter().filter_map(streamed_to).max();
    }
}

/// The position in the log that a stored place tells; none while it is one of a snapshot.
fn streamed_to(place: &ConnectorOffset) -> Option<Lsn> {
    let offset = place.offset.as_ref()?;
    let in_snapshot = offset.get("snapshot").is_some_and(|word| !word.is_null() && plain(word) != "false");
    offset.get("lsn")?.as_u64().map(Lsn).filter(|_| !in_snapshot)
}

async fn effective(run: &SharedRun) -> BTreeMap<String, ConnectorConfig> {
    let mut configs = BTreeMap::new();
    let Ok(connect) = run.connect() else { return configs };
    for name in connect.list().await.unwrap_or_default() {
        if let Ok(config) = connect.config(&name).await
            && config.get("connector.class").is_some_and(|class| class.ends_with("PostgresConnector"))
        {
            configs.insert(name, config);
        }
    }
    configs
}

async fn publication(session: Option<&Session>, config: &ConnectorConfig) -> PublicationFacts {
    let Some(session) = session else { return PublicationFacts::Unknown };
    let name = config.get("publication.name").map_or(PUBLICATION, String::as_str);
    match session.publication(name).await {
        Ok(Some(publication)) => PublicationFacts::Known(publication),
        // A connector without its publication does not stream: what it owes is unread.
        Ok(None) | Err(_) => PublicationFacts::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_slot_that_nobody_reads_yet_has_passed_nothing() {
        let slot = |active: bool| ReplicationSlot {
            name: "s".to_owned(),
            plugin: Some("pgoutput".to_owned()),
            active,
            active_pid: None,
            restart_lsn: Some(Lsn(5)),
            confirmed_flush_lsn: Some(Lsn(7)),
            retained_bytes: None,
            lag_bytes: None,
            wal_status: None,
        };
        for (slot, begun, passed) in [
            // While its snapshot is read, and before it exists.
            (Some(slot(false)), false, None),
            (None, false, None),
            (Some(slot(true)), false, Some(Lsn(7))),
            (Some(slot(false)), true, Some(Lsn(7))),
            (None, true, Some(Lsn(u64::MAX))),
        ] {
            assert_eq!(passed_by(slot.as_ref(), begun), passed, "{slot:?} {begun}");
        }
    }

    #[test]
    fn a_place_within_a_snapshot_says_nothing_of_the_log() {
        let place = |offset: serde_json::Value| ConnectorOffset {
            partition: serde_json::Map::new(),
            offset: offset.as_object().cloned(),
        };
        assert_eq!(streamed_to(&place(json!({"lsn": 7, "lsn_proc": 7, "txId": 3}))), Some(Lsn(7)));
        assert_eq!(streamed_to(&place(json!({"lsn": 7, "snapshot": false}))), Some(Lsn(7)));
        for snapshot in [json!(true), json!("INITIAL"), json!("initial")] {
            let offset = json!({"lsn": 7, "snapshot": snapshot, "last_snapshot_record": true});
            assert_eq!(streamed_to(&place(offset)), None);
        }
        assert_eq!(streamed_to(&place(json!(null))), None);
    }
}
