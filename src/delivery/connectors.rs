//! The connectors whose events readers may have: their effective configuration, and how far they have come.

use crate::accounting::changes::ScopedConnector;
use crate::connect::{ConnectClient, ConnectorConfig, ConnectorOffset};
use crate::database::{Lsn, ReplicationSlot, Session};
use crate::debezium::{CaptureRules, PublicationFacts, ReadEvent, ReadKind, plain};
use crate::load::consume::ReaderCapture;
use crate::verb::{Capture, SharedRun};
use std::collections::BTreeMap;
use std::sync::Arc;
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
    /// Kafka Connect says that it has stored no place in the log: it begins with a snapshot, whatever it did before.
    unplaced: bool,
    streaming_from: Option<Lsn>,
    made_at: Option<Lsn>,
}

impl KnownConnector {
    /// All connectors of PostgreSQL: those of the run, and others that Kafka Connect has. One whose records have several forms is there once
    /// for each.
    pub(super) async fn of(run: &SharedRun) -> Vec<Self> {
        Self::answered(run).await.0
    }

    /// The same, and whether all have answered who know how they are configured: what a fault has stopped may do so later.
    pub(super) async fn answered(run: &SharedRun) -> (Vec<Self>, bool) {
        let captures = run.changes.captures();
        // What Kafka Connect has is what works; where it does not answer, what it was given.
        let effective = match run.connect() {
            Ok(connect) => tokio::time::timeout(ANSWER, effective(&connect)).await.ok().flatten(),
            Err(_) => Some(BTreeMap::new()),
        };
        let database = run.database().ok();
        let session = match &database {
            // Row filters have values in them.
            Some(database) => database.reading().connect().await.ok(),
            None => None,
        };
        let (mut all, mut is_sure) = (Vec::new(), effective.is_some());
        for (name, Told { config, former }) in told(&captures, effective) {
            let publication = publication(session.as_ref(), &config).await;
            is_sure &= publication.is_some() || database.is_none();
            let publication = publication.unwrap_or(PublicationFacts::Unknown);
            let capture = captures.get(&name);
            let (streaming_from, made_at) =
                capture.map_or((None, None), |capture| (capture.streaming_from, capture.made_at));
            let rules = CaptureRules::each(&name, &config, &former, &publication);
            let known = |rules| Self { rules, confirmed: None, stored: None, unplaced: false, streaming_from, made_at };
            all.extend(rules.into_iter().map(known));
        }
        (all, is_sure)
    }

    /// Asks the database how far each has confirmed; a slot that is gone delivers nothing any more. `matters`: whether the answer says
    /// anything about what readers have.
    pub(super) async fn ask(known: &mut [Self], run: &SharedRun, matters: bool) {
        known.iter_mut().for_each(|known| (known.confirmed, known.stored, known.unplaced) = (None, None, false));
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
            known.confirmed = passed_by(slots.iter().find(|slot| slot.name == *name), known.has_begun());
        }
    }

    /// Whether records were read that do not become readable by waiting: those of a connector of which that is known, or nothing but records
    /// that another converter has written, which is the worker's then.
    pub(super) fn are_unreadable(known: &[Self], captures: &[Arc<ReaderCapture>]) -> bool {
        let is_of_another = |read: &ReadEvent| read.is_of_another_converter();
        let unreadable = |read: &ReadEvent| matches!(read.kind, ReadKind::Unreadable(_)) || is_of_another(read);
        let any = |fits: &dyn Fn(&ReadEvent) -> bool| {
            captures.iter().any(|capture| capture.events(|events| events.iter().any(fits)))
        };
        if known.iter().any(|known| known.rules.unreadable.is_some()) {
            return any(&unreadable);
        }
        let says_nothing = |read: &ReadEvent| {
            matches!(read.kind, ReadKind::Tombstone { .. } | ReadKind::Ignored(_)) || is_of_another(read)
        };
        known.iter().all(|known| !known.rules.has_converter())
            && !any(&|read: &ReadEvent| !says_nothing(read))
            && any(&is_of_another)
    }

    /// Whether it is known to have streamed, and goes on from there.
    fn has_begun(&self) -> bool {
        self.stored.is_some() || (self.streaming_from.is_some() && !self.unplaced)
    }

    /// For an account.
    pub(super) fn connector(&self) -> ScopedConnector<'_> {
        let Self { rules, confirmed, stored, streaming_from, made_at, .. } = self;
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
        known.unplaced = known.stored.is_none();
    }
}

/// The position in the log that a stored place tells; none while it is one of a snapshot.
fn streamed_to(place: &ConnectorOffset) -> Option<Lsn> {
    let offset = place.offset.as_ref()?;
    let in_snapshot = offset.get("snapshot").is_some_and(|word| !word.is_null() && plain(word) != "false");
    offset.get("lsn")?.as_u64().map(Lsn).filter(|_| !in_snapshot)
}

/// The connectors of PostgreSQL that Kafka Connect has; `None` where it does not say.
async fn effective(connect: &ConnectClient) -> Option<BTreeMap<String, ConnectorConfig>> {
    let mut configs = connect.configs().await.ok()?;
    configs.retain(|_, config| config.get("connector.class").is_some_and(|class| class.ends_with("PostgresConnector")));
    Some(configs)
}

/// What is known of a connector's publication; `None` where the database does not answer.
async fn publication(session: Option<&Session>, config: &ConnectorConfig) -> Option<PublicationFacts> {
    let name = config.get("publication.name").map_or(PUBLICATION, String::as_str);
    Some(match session?.publication(name).await.ok()? {
        Some(publication) => PublicationFacts::Known(publication),
        // A connector without its publication does not stream: what it owes is unread.
        None => PublicationFacts::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::memory::{WorkerScript, listen};
    use crate::load::consume::Tapped;
    use crate::record::RunClock;
    use futures_util::future::BoxFuture;
    use serde_json::{Value, json};
    use std::sync::Weak;

    /// A worker with two connectors, and the statuses of its answers to what these are and how the second is configured.
    struct TwoConnectors(u16, u16);

    impl WorkerScript for TwoConnectors {
        fn answer<'a>(&'a self, _: &'a str, path: &'a str, _: Option<&'a Value>) -> BoxFuture<'a, (u16, String)> {
            let answer = match path {
                "/connectors" => (self.0, json!(["a", "b"])),
                "/connectors/a/config" => (200, json!({"connector.class": "x.PostgresConnector"})),
                _ => (self.1, json!({"connector.class": "x.PostgresConnector", "message": "no"})),
            };
            Box::pin(async move { (answer.0, answer.1.to_string()) })
        }
    }

    #[tokio::test]
    async fn a_worker_that_does_not_answer_is_not_one_without_connectors() {
        for (statuses, expected) in [
            ((200, 200), Some(2)),
            // One that is deleted in between is none.
            ((200, 404), Some(1)),
            ((200, 403), None),
            ((500, 200), None),
        ] {
            let worker = Arc::new(TwoConnectors(statuses.0, statuses.1));
            let host = format!("two-connectors-{}-{}", statuses.0, statuses.1);
            listen(&host, Arc::downgrade(&worker) as Weak<dyn WorkerScript>);
            let client = ConnectClient::new(&format!("http://{host}")).expect("an address");
            assert_eq!(effective(&client).await.map(|configs| configs.len()), expected, "{statuses:?}");
        }
    }

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

    fn with(rules: CaptureRules) -> KnownConnector {
        KnownConnector { rules, confirmed: None, stored: None, unplaced: false, streaming_from: None, made_at: None }
    }

    #[test]
    fn records_of_a_converter_that_is_not_read_are_not_waited_for() {
        let cloud = br#"{"specversion":"1.0","type":"io.debezium.connector.postgresql.DataChangeEvent"}"#;
        let unreadable = |words: &[(&str, &str)], values: &[&[u8]]| {
            let capture = ReaderCapture::new("t", RunClock::start(), true, None);
            for payload in values.iter().copied().map(Some) {
                let (partition, offset, timestamp_ms, key, identity) = (0, 0, None, None, None);
                let headers = Vec::new();
                capture.take(&Tapped { partition, offset, timestamp_ms, key, payload, headers, identity });
            }
            let config = words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let known = [with(CaptureRules::of("c", &config, PublicationFacts::Unknown))];
            KnownConnector::are_unreadable(&known, &[Arc::new(capture)])
        };
        let (avro, plain) = (&b"\0\0\0\0\x07\x02"[..], &b"{\"id\":7}"[..]);
        let told = [("value.converter", "io.debezium.converters.CloudEventsConverter")];
        let json = [("value.converter", "org.apache.kafka.connect.json.JsonConverter")];
        // The connector says so, or its worker does by all that it writes.
        assert!(unreadable(&told, &[cloud]) && unreadable(&[], &[cloud]) && unreadable(&[], &[avro, avro]));
        for (words, values) in [(&json[..], &[avro][..]), (&[], &[avro, plain]), (&[], &[]), (&told, &[])] {
            assert!(!unreadable(words, values), "{words:?} {values:?}");
        }
    }

    /// A connector whose offsets were reset takes a snapshot, and may have another slot by then.
    #[test]
    fn a_connector_that_has_no_place_any_more_begins_again() {
        let known = |stored: Option<u64>, unplaced, streaming_from: Option<u64>| KnownConnector {
            stored: stored.map(Lsn),
            unplaced,
            streaming_from: streaming_from.map(Lsn),
            ..with(CaptureRules::assumed())
        };
        // Where Kafka Connect does not answer, what was seen of it counts.
        assert!(known(None, false, Some(5)).has_begun() && known(Some(7), false, None).has_begun());
        assert!(!known(None, true, Some(5)).has_begun() && !known(None, false, None).has_begun());
        assert_eq!(passed_by(None, known(None, true, Some(5)).has_begun()), None);
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
