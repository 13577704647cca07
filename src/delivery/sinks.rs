//! Whether changes are still on their way into a table: how far the connectors have come that read the topics of its source.

use super::PATIENCE;
use super::changes::is_calm;
use super::connectors::KnownConnector;
use super::scan::read_through;
use crate::accounting::Claims;
use crate::accounting::changes::last_to_come;
use crate::connect::{ConfigRedactor, ConnectClient, ConnectorConfig};
use crate::database::{Lsn, TableName};
use crate::debezium::{CaptureRules, EventDecoder, Form, ReadKind, matches_whole};
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
pub(super) struct Sink {
    pub(super) name: String,
    pub(super) config: ConnectorConfig,
}

/// The connectors that take messages from topics.
#[derive(Default)]
pub(super) struct Sinks {
    pub(super) all: Vec<Sink>,
    /// What those say of themselves that do not run, and what Kafka Connect says in place of an answer.
    pub(super) failures: Vec<String>,
}

impl Sinks {
    /// Those of the environment's Kafka Connect; none where it does not answer.
    pub(super) async fn of(run: &SharedRun) -> Self {
        let Ok(connect) = run.connect() else { return Self::default() };
        let asked = tokio::time::timeout(ANSWER, asked(&connect)).await;
        let silent = || Self { failures: vec!["Kafka Connect does not answer".to_owned()], ..Self::default() };
        asked.unwrap_or_else(|_| silent())
    }

    fn of_topic<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Sink> {
        // Of a pattern that is not understood nothing is known: what it does not match is never committed, and the way counts as not empty.
        self.all.iter().filter(move |sink| sink.reads(topic) != Some(false))
    }
}

impl Sink {
    /// Whether it takes messages from a topic; `None` where that cannot be told.
    fn reads(&self, topic: &str) -> Option<bool> {
        match (self.config.get("topics"), self.config.get("topics.regex")) {
            (Some(list), _) => Some(list.split(',').any(|name| name.trim() == topic)),
            (None, Some(pattern)) => matches_whole(pattern, topic),
            (None, None) => Some(false),
        }
    }

    /// Whether it takes messages from any of these topics; `None` where that cannot be told.
    pub(super) fn reads_any(&self, topics: &[String]) -> Option<bool> {
        let reads: Vec<Option<bool>> = topics.iter().map(|topic| self.reads(topic)).collect();
        if reads.contains(&Some(true)) {
            return Some(true);
        }
        reads.iter().all(Option::is_some).then_some(false)
    }
}

async fn asked(connect: &ConnectClient) -> Sinks {
    let mut sinks = Sinks::default();
    let configs = match connect.configs().await {
        Ok(configs) => configs,
        Err(error) => return Sinks { failures: vec![error.to_string()], ..sinks },
    };
    for (name, config) in configs {
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
    /// The end of each partition, once it had every change and nothing that was disturbed could add any.
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
        let last = last_change(run, claims, &known.rules, source).await?;
        let calm = is_calm(run);
        if !calm {
            self.ends = None;
        }
        if self.ends.is_none() {
            let has_all = match last {
                None => true,
                Some((_, commit)) if known.connector().confirmed.max(known.connector().stored) > Some(commit) => true,
                Some(_) if !last_look && self.looked.is_some_and(|looked| moment::since(looked) < FRESH) => false,
                Some((change, _)) => self.holds(run, &known.rules, &topics, change, calm).await,
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

    /// Whether the topics hold the change at that position, or later ones that say that it has come.
    async fn holds(
        &mut self,
        run: &Arc<SharedRun>,
        rules: &CaptureRules,
        topics: &[String],
        change: Lsn,
        calm: bool,
    ) -> bool {
        self.looked = Some(moment::now());
        let field = match rules.form() {
            Form::Flat(flat) => flat.lsn.clone(),
            _ => None,
        };
        let mut all = BTreeMap::new();
        for topic in topics {
            let (connection, name, field) = (run.connection(), topic.clone(), field.clone());
            let reading = move || furthest(&connection, &name, field.as_deref());
            let Some(read) = tokio::task::spawn_blocking(reading).await.ok().flatten() else { continue };
            all.extend(read.into_iter().map(|(partition, furthest)| ((topic.clone(), partition), furthest)));
        }
        holds_all(&all, change, calm)
    }
}

/// Whether a change has come, by the furthest one of each partition. A later one elsewhere says so where nothing was disturbed: what one
/// broker did not take, or what is sent again, may come behind what another one has taken.
fn holds_all(furthest: &BTreeMap<(String, i32), Option<Lsn>>, change: Lsn, calm: bool) -> bool {
    let mut has = furthest.values().map(|furthest| *furthest >= Some(change));
    if calm { has.any(|has| has) } else { !furthest.is_empty() && has.all(|has| has) }
}

/// The furthest position of the log that each partition of a topic has a change of; `None` where they cannot be read.
fn furthest(
    connection: &BTreeMap<String, String>,
    topic: &str,
    field: Option<&str>,
) -> Option<BTreeMap<i32, Option<Lsn>>> {
    let (mut decoder, mut furthest) = (EventDecoder::default(), BTreeMap::<i32, Option<Lsn>>::new());
    let read = read_through(connection, topic, false, PATIENCE, |message| {
        let lsn = match decoder.decode(message.key, message.payload) {
            ReadKind::Change(event) => event.source.lsn,
            ReadKind::Plain(record) => field.and_then(|field| record.value().get(field)?.as_u64()).map(Lsn),
            _ => None,
        };
        let known = furthest.entry(message.partition).or_default();
        *known = (*known).max(lsn);
    });
    let bounds = read.ok()?;
    for partition in bounds.end.into_keys() {
        furthest.entry(partition).or_default();
    }
    Some(furthest)
}

/// The positions of the senders' last change of a table that has to come, and of its commit.
async fn last_change(
    run: &SharedRun,
    claims: &Claims,
    rules: &CaptureRules,
    source: &TableName,
) -> Result<Option<(Lsn, Lsn)>, StepError> {
    let claimed = |xid: u32| claims.unattributed || claims.transactions.contains(&xid);
    let read = run.changes.read(|seen| last_to_come(seen.transactions, claimed, rules, source)).await;
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
    let failures = sinks.failures.join("; ");
    let failures = if failures.is_empty() { failures } else { format!(": {failures}") };
    for topic in topics {
        for sink in sinks.of_topic(topic) {
            readers += 1;
            let own = format!("connect-{}", sink.name);
            let group = sink.config.get("consumer.override.group.id").unwrap_or(&own);
            let lag = admin.lag(group, topic).await.map_err(|error| error.to_string())?;
            for ((_, partition), end) in ends.iter().filter(|((known, _), end)| known == topic && **end > 0) {
                let committed = lag.get(partition).and_then(|lag| lag.committed).unwrap_or(0);
                if committed < *end {
                    return Err(format!(
                        "connector {} has taken {topic}-{partition} up to {committed} of {end}{failures}",
                        sink.name
                    ));
                }
            }
        }
    }
    match readers {
        0 => Err(format!("no connector of Kafka Connect reads {}{failures}", topics.join(", "))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_something_was_disturbed_a_later_change_in_another_partition_proves_nothing() {
        let of = |furthest: &[Option<u64>], calm| {
            let places = furthest.iter().enumerate();
            let all = places.map(|(partition, lsn)| (("t".to_owned(), partition as i32), lsn.map(Lsn))).collect();
            holds_all(&all, Lsn(7), calm)
        };
        for (furthest, calm, disturbed) in [
            (&[Some(7)][..], true, true),
            (&[Some(7), Some(9)], true, true),
            (&[Some(7), Some(5)], true, false),
            (&[Some(7), None], true, false),
            (&[Some(5)], false, false),
            (&[], false, false),
        ] {
            assert_eq!([of(furthest, true), of(furthest, false)], [calm, disturbed], "{furthest:?}");
        }
    }
}
