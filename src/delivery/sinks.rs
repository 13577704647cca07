//! Whether changes are still on their way into a table: how far the connectors have come that read the topics of its source.

use super::PATIENCE;
use super::connectors::KnownConnector;
use super::scan::read_through;
use crate::accounting::Claims;
use crate::connect::{ConfigRedactor, ConnectClient, ConnectorConfig};
use crate::database::{CommittedTransaction, Lsn, TableName};
use crate::debezium::{CaptureRules, EventDecoder, Form, ReadKind};
use crate::moment;
use crate::verb::{SharedRun, StepError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long Kafka Connect may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How long what a topic holds is taken to be what it was: to look means to read all of it.
const FRESH: Duration = Duration::from_secs(3);

/// A connector that takes messages from topics.
struct Sink {
    name: String,
    config: ConnectorConfig,
}

/// The connectors that take messages from topics.
pub(super) struct Sinks {
    all: Vec<Sink>,
    /// What those say of themselves that do not run.
    failures: Vec<String>,
}

impl Sinks {
    /// Those of the environment's Kafka Connect; none where it does not answer.
    pub(super) async fn of(run: &SharedRun) -> Self {
        let Ok(connect) = run.connect() else { return Self { all: Vec::new(), failures: Vec::new() } };
        let asked = tokio::time::timeout(ANSWER, asked(&connect)).await;
        asked.unwrap_or_else(|_| Self { all: Vec::new(), failures: vec!["Kafka Connect does not answer".to_owned()] })
    }

    /// The setting by which rows stay that were deleted, if the connectors have one.
    pub(super) fn keeps_deleted(&self) -> Option<String> {
        let of_debezium = |sink: &&Sink| {
            sink.config.get("connector.class").is_some_and(|class| class.ends_with("jdbc.JdbcSinkConnector"))
        };
        let keeps = |sink: &&Sink| sink.config.get("delete.enabled").map(String::as_str) != Some("true");
        let keeping = self.all.iter().filter(of_debezium).find(keeps)?;
        Some(format!("delete.enabled of connector {} is not `true`, so rows that were deleted stay", keeping.name))
    }

    fn of_topic<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Sink> {
        self.all.iter().filter(move |sink| match sink.config.get("topics") {
            Some(list) => list.split(',').any(|name| name.trim() == topic),
            // What does not match is never committed: the way counts as not empty then.
            None => sink.config.contains_key("topics.regex"),
        })
    }
}

async fn asked(connect: &ConnectClient) -> Sinks {
    let mut sinks = Sinks { all: Vec::new(), failures: Vec::new() };
    for name in connect.list().await.unwrap_or_default() {
        let Ok(config) = connect.config(&name).await else { continue };
        if !config.contains_key("topics") && !config.contains_key("topics.regex") {
            continue;
        }
        if let Ok(status) = connect.status(&name).await
            && let Some(failure) = status.failure()
        {
            sinks.failures.push(ConfigRedactor::of(&config).text(&failure.to_string()));
        }
        sinks.all.push(Sink { name, config });
    }
    sinks
}

/// The way of the senders' changes, as far as it is known to be empty.
#[derive(Default)]
pub(super) struct Passage {
    /// The end of each partition, once it had every change.
    ends: Option<BTreeMap<(String, i32), i64>>,
    looked: Option<Instant>,
}

impl Passage {
    /// Whether everything that the senders committed has gone through; what is the last look is not spared.
    ///
    /// # Errors
    /// The outer one where the program has a defect; the inner one says what is still open.
    pub(super) async fn look(
        &mut self,
        run: &Arc<SharedRun>,
        claims: &Claims,
        known: &[KnownConnector],
        sinks: &Sinks,
        source: &TableName,
        last_look: bool,
    ) -> Result<Result<(), String>, StepError> {
        let [known] = known else {
            return Ok(Err(match known.len() {
                0 => format!("no connector is known that captures {source}"),
                _ => format!("several connectors capture {source}, and whose changes come cannot be told"),
            }));
        };
        let topics = match known.rules.topics(source) {
            Ok(topics) => topics,
            Err(setting) => return Ok(Err(format!("the topic of {source} is not known: {setting}"))),
        };
        let last = last_change(run, claims, source).await?;
        if self.ends.is_none() {
            let has_all = match last {
                None => true,
                Some((_, commit)) if known.connector().confirmed.max(known.connector().stored) > Some(commit) => true,
                Some(_) if !last_look && self.looked.is_some_and(|looked| moment::since(looked) < FRESH) => false,
                Some((change, _)) => self.holds(run, &known.rules, &topics, change).await,
            };
            if !has_all {
                return Ok(Err(format!("connector {} has not sent every change", known.rules.connector)));
            }
            match ends(run, &topics).await {
                Ok(ends) => self.ends = Some(ends),
                Err(why) => return Ok(Err(why)),
            }
        }
        let ends = self.ends.clone().unwrap_or_default();
        Ok(taken(run, sinks, &topics, &ends).await)
    }

    /// Whether a topic holds the change at that position or a later one.
    async fn holds(&mut self, run: &Arc<SharedRun>, rules: &CaptureRules, topics: &[String], change: Lsn) -> bool {
        self.looked = Some(moment::now());
        let field = match rules.form() {
            Form::Flat(flat) => flat.lsn.clone(),
            _ => None,
        };
        for topic in topics {
            let (connection, topic, field) = (run.connection(), topic.clone(), field.clone());
            let reading = move || furthest(&connection, &topic, field.as_deref());
            let read = tokio::task::spawn_blocking(reading).await;
            if read.ok().flatten() >= Some(change) {
                return true;
            }
        }
        false
    }
}

/// The furthest position of the log that a topic has a change of.
fn furthest(connection: &BTreeMap<String, String>, topic: &str, field: Option<&str>) -> Option<Lsn> {
    let (mut decoder, mut furthest) = (EventDecoder::default(), None);
    let read = read_through(connection, topic, false, PATIENCE, |message| {
        let lsn = match decoder.decode(message.key, message.payload) {
            ReadKind::Change(event) => event.source.lsn,
            ReadKind::Plain(record) => field.and_then(|field| record.value().get(field)?.as_u64()).map(Lsn),
            _ => None,
        };
        furthest = furthest.max(lsn);
    });
    read.ok().and(furthest)
}

/// The positions of the senders' last change of a table, and of its commit.
async fn last_change(run: &SharedRun, claims: &Claims, source: &TableName) -> Result<Option<(Lsn, Lsn)>, StepError> {
    let claimed =
        |transaction: &&CommittedTransaction| claims.unattributed || claims.transactions.contains(&transaction.xid);
    let look = |transactions: &[CommittedTransaction]| {
        transactions.iter().rev().filter(claimed).find_map(|transaction| {
            let mut changes = transaction.changes.iter().rev();
            let change =
                changes.find(|change| change.relation.name == *source || change.relation.ancestors.contains(source))?;
            Some((change.lsn, transaction.commit_lsn))
        })
    };
    let read = run.changes.read(|seen| look(seen.transactions)).await;
    let broken = |error: crate::database::DatabaseError| {
        StepError::broken("account", format!("what the database committed cannot be read: {error}")).because(error)
    };
    Ok(read.map_err(broken)?.flatten())
}

async fn ends(run: &SharedRun, topics: &[String]) -> Result<BTreeMap<(String, i32), i64>, String> {
    let admin = run.admin().map_err(|error| error.message)?;
    let mut all = BTreeMap::new();
    for topic in topics {
        let ends = admin.offsets(topic).await.map_err(|error| error.to_string())?;
        all.extend(ends.into_iter().map(|(partition, ends)| ((topic.clone(), partition), ends.end)));
    }
    Ok(all)
}

/// Whether the connectors that read the topics have committed everything below these ends, each of them.
async fn taken(
    run: &SharedRun,
    sinks: &Sinks,
    topics: &[String],
    ends: &BTreeMap<(String, i32), i64>,
) -> Result<(), String> {
    let admin = run.admin().map_err(|error| error.message)?;
    let mut readers = 0;
    for topic in topics {
        for sink in sinks.of_topic(topic) {
            readers += 1;
            let own = format!("connect-{}", sink.name);
            let group = sink.config.get("consumer.override.group.id").unwrap_or(&own);
            let lag = admin.lag(group, topic).await.map_err(|error| error.to_string())?;
            for ((_, partition), end) in ends.iter().filter(|((known, _), end)| known == topic && **end > 0) {
                let committed = lag.get(partition).and_then(|lag| lag.committed).unwrap_or(0);
                if committed < *end {
                    let failures = sinks.failures.join("; ");
                    let failures = if failures.is_empty() { String::new() } else { format!(": {failures}") };
                    return Err(format!(
                        "connector {} has taken {topic}-{partition} up to {committed} of {end}{failures}",
                        sink.name
                    ));
                }
            }
        }
    }
    match readers {
        0 => Err(format!("no connector of Kafka Connect reads {}", topics.join(", "))),
        _ => Ok(()),
    }
}
