//! The connectors whose events readers may have: their effective configuration, and how far they have come.

use crate::accounting::changes::ScopedConnector;
use crate::connect::ConnectorConfig;
use crate::database::{Lsn, Session};
use crate::debezium::{CaptureRules, PublicationFacts};
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
                streaming_from: capture.and_then(|capture| capture.streaming_from),
            });
        }
        all
    }

    /// Asks the database how far each has confirmed; a slot that is gone delivers nothing any more. `matters`: whether the answer says
    /// anything about what readers have.
    pub(super) async fn ask(known: &mut [Self], run: &SharedRun, matters: bool) {
        known.iter_mut().for_each(|known| known.confirmed = None);
        let Some(database) = run.database().ok().filter(|_| matters && !known.is_empty()) else { return };
        let Ok(session) = database.connect().await else { return };
        let Ok(slots) = session.slots().await else { return };
        for known in known {
            let Some(name) = &known.rules.slot else { continue };
            known.confirmed = match slots.iter().find(|slot| slot.name == *name) {
                Some(slot) => slot.confirmed_flush_lsn,
                None => Some(Lsn(u64::MAX)),
            };
        }
    }

    /// For an account.
    pub(super) fn connector(&self) -> ScopedConnector<'_> {
        ScopedConnector { rules: &self.rules, confirmed: self.confirmed, streaming_from: self.streaming_from }
    }
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
