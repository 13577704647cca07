//! The connectors whose events readers may have: their effective configuration, and how far they have come.

use crate::accounting::changes::ScopedConnector;
use crate::connect::{ConnectClient, ConnectorConfig, ConnectorOffset};
use crate::database::{Lsn, ReplicationSlot, Session};
use crate::debezium::{CaptureRules, PublicationFacts, plain};
use crate::verb::{Capture, SharedRun};
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
    made_at: Option<Lsn>,
}

impl KnownConnector {
    /// All connectors of PostgreSQL: those of the run, and others that Kafka Connect has. One whose records have several forms is there once
    /// for each.
    pub(super) async fn of(run: &SharedRun) -> Vec<Self> {
        let captures = run.changes.captures();
        // What Kafka Connect has is what works; where it does not answer, what it was given.
        let effective = tokio::time::timeout(ANSWER, effective(run)).await.ok();
        let session = match run.database() {
            // Row filters have values in them.
            Ok(database) => database.reading().connect().await.ok(),
            Err(_) => None,
        };
        let mut all = Vec::new();
        for (name, Told { config, former }) in told(&captures, effective) {
            let publication = publication(session.as_ref(), &config).await;
            let capture = captures.get(&name);
            let (streaming_from, made_at) =
                capture.map_or((None, None), |capture| (capture.streaming_from, capture.made_at));
            let rules = CaptureRules::each(&name, &config, &former, &publication);
            let known = |rules| Self { rules, confirmed: None, stored: None, streaming_from, made_at };
            all.extend(rules.into_iter().map(known));
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
        let Self { rules, confirmed, stored, streaming_from, made_at } = self;
        let (confirmed, stored, streaming_from, made_at) = (*confirmed, *stored, *streaming_from, *made_at);
        ScopedConnector { rules, confirmed, stored, streaming_from, made_at }
    }
}

/// What a connector is told, and what it, or one that it goes on for, was told before.
#[derive(Debug, PartialEq)]
struct Told {
    config: ConnectorConfig,
    former: Vec<ConnectorConfig>,
}

/// What each connector is told: those of the run, and those that Kafka Connect has, where it answers.
fn told(
    captures: &BTreeMap<String, Capture>,
    effective: Option<BTreeMap<String, ConnectorConfig>>,
) -> BTreeMap<String, Told> {
    let own = |capture: &Capture| Told { config: capture.config.clone(), former: capture.former.clone() };
    let mut all: BTreeMap<String, Told> = captures.iter().map(|(name, capture)| (name.clone(), own(capture))).collect();
    let Some(effective) = effective else { return all };
    for (name, config) in &effective {
        let told = all.entry(name.clone()).or_insert_with(|| Told { config: config.clone(), former: Vec::new() });
        // Somebody else may have changed it.
        let given = std::mem::replace(&mut told.config, config.clone());
        if !CaptureRules::are_alike(&given, config) {
            told.former.push(given);
        }
    }
    // One that is gone, and whose work another one with its prefix goes on with, has left its records to that one.
    let prefix = |config: &ConnectorConfig| config.get("topic.prefix").cloned();
    let gone: Vec<String> = all.keys().filter(|name| !effective.contains_key(*name)).cloned().collect();
    for name in gone {
        let left = prefix(&all[&name].config);
        let heirs: Vec<&String> =
            effective.iter().filter(|(_, config)| prefix(config) == left).map(|(heir, _)| heir).collect();
        if heirs.is_empty() {
            continue;
        }
        let Some(Told { config, former }) = all.remove(&name) else { continue };
        for heir in heirs {
            let Some(heir) = all.get_mut(heir) else { continue };
            heir.former.extend(former.iter().chain([&config]).cloned());
        }
    }
    all
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
    fn what_a_connector_was_told_before_is_known() {
        let config = |words: &[(&str, &str)]| -> ConnectorConfig {
            words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let (one, two) =
            (config(&[("topic.prefix", "cdc")]), config(&[("topic.prefix", "cdc"), ("skipped.operations", "d")]));
        let capture = |config: &ConnectorConfig, former: &[ConnectorConfig]| Capture {
            slot: String::new(),
            config: config.clone(),
            streaming_from: None,
            made_at: None,
            existed: false,
            former: former.to_vec(),
        };
        let of = |config: &ConnectorConfig, former: &[ConnectorConfig]| Told {
            config: config.clone(),
            former: former.to_vec(),
        };
        let captures = BTreeMap::from([("a".to_owned(), capture(&two, std::slice::from_ref(&one)))]);
        let all = |name: &str, told: Told| BTreeMap::from([(name.to_owned(), told)]);
        assert_eq!(told(&captures, None), all("a", of(&two, std::slice::from_ref(&one))));
        // Kafka Connect has it otherwise; what says nothing of what is delivered is no difference.
        let has = |name: &str, config: &ConnectorConfig| Some(BTreeMap::from([(name.to_owned(), config.clone())]));
        assert_eq!(told(&captures, has("a", &one)), all("a", of(&one, &[one.clone(), two.clone()])));
        let named = config(&[("topic.prefix", "cdc"), ("skipped.operations", "d"), ("name", "a")]);
        assert_eq!(told(&captures, has("a", &named)), all("a", of(&named, std::slice::from_ref(&one))));
        // Another one goes on with its prefix.
        assert_eq!(told(&captures, has("b", &one)), all("b", of(&one, &[one.clone(), two.clone()])));
        let other = config(&[("topic.prefix", "other")]);
        assert_eq!(told(&captures, has("b", &other)).len(), 2);
    }

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
