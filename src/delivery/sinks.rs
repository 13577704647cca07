//! Whether changes are still on their way into a table: how far the connectors have come that read the topics of its source.

use super::PATIENCE;
use super::changes::is_calm;
use super::connectors::KnownConnector;
use super::scan::read_through;
use crate::accounting::Claims;
use crate::accounting::changes::last_to_come;
use crate::connect::{ConfigRedactor, ConnectClient, ConnectorConfig};
use crate::database::{Lsn, TableName};
use crate::debezium::{CaptureRules, EventDecoder, Form, ReadKind, SinkRules, matches_whole};
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

    /// What the connectors are told that read these topics; `envelopes`: these have Debezium's envelopes.
    pub(super) fn told(&self, topics: &Result<Vec<String>, String>, envelopes: bool) -> ToldSinks {
        let reads = self.all.iter().map(|sink| (sink, topics.as_ref().map_or(None, |topics| sink.reads_any(topics))));
        let readers: Vec<(&Sink, bool)> =
            reads.filter(|(_, reads)| *reads != Some(false)).map(|(sink, reads)| (sink, reads.is_some())).collect();
        let first = |setting: fn(SinkRules) -> Option<String>, does: &str| {
            readers.iter().find_map(|(sink, _)| {
                let setting = setting(SinkRules::of(&sink.config))?;
                Some(format!("{setting} of connector {} may {does}", sink.name))
            })
        };
        let kept: Vec<Option<(String, bool)>> =
            readers.iter().map(|(sink, is_sure)| sink.kept(envelopes).map(|(why, sure)| (why, sure && *is_sure))).collect();
        let deletes = match kept.iter().flatten().next() {
            None => KeptDeletes::No,
            Some((why, _)) if kept.iter().all(|kept| matches!(kept, Some((_, true)))) => KeptDeletes::Yes(why.clone()),
            Some((why, _)) => KeptDeletes::Perhaps(format!("{why}, if it is the one that writes the table")),
        };
        let (may_drop, may_change) =
            (first(|rules| rules.may_drop, "leave rows out"), first(|rules| rules.may_change, "change values"));
        ToldSinks { deletes, may_drop, may_change }
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
    fn reads_any(&self, topics: &[String]) -> Option<bool> {
        let reads: Vec<Option<bool>> = topics.iter().map(|topic| self.reads(topic)).collect();
        if reads.contains(&Some(true)) {
            return Some(true);
        }
        reads.iter().all(Option::is_some).then_some(false)
    }

    /// Why it takes no row away that was deleted, and whether that is certain.
    fn kept(&self, envelopes: bool) -> Option<(String, bool)> {
        let name = &self.name;
        let of_tables =
            self.config.get("connector.class").is_some_and(|class| class.ends_with("jdbc.JdbcSinkConnector"));
        if of_tables && self.config.get("delete.enabled").map(String::as_str) != Some("true") {
            let why = format!("delete.enabled of connector {name} is not `true`, so rows that were deleted stay");
            return Some((why, true));
        }
        let (setting, is_sure) = SinkRules::of(&self.config).drops_deletes.filter(|_| envelopes)?;
        let why = format!("{setting} of connector {name} drops deletes unless delete.tombstone.handling.mode says otherwise");
        Some((why, is_sure))
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

/// What connectors are told that bring rows into a table.
#[derive(Debug)]
pub(super) struct ToldSinks {
    pub(super) deletes: KeptDeletes,
    /// The setting by which rows may not come.
    pub(super) may_drop: Option<String>,
    /// The setting by which values may be others.
    pub(super) may_change: Option<String>,
}

/// Whether rows stay in a table that were deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeptDeletes {
    No,
    /// By a setting, in words.
    Yes(String),
    /// By a setting of a connector of which nobody knows whether it is the one.
    Perhaps(String),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(name: &str, words: &[(&str, &str)]) -> Sink {
        let common = [("connector.class", "io.debezium.connector.jdbc.JdbcSinkConnector")];
        let config = common.iter().chain(words).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Sink { name: name.to_owned(), config }
    }

    #[test]
    fn a_sink_of_another_topic_says_nothing_of_deletes() {
        let kept = |all: Vec<Sink>| {
            let sinks = Sinks { all, failures: Vec::new() };
            [Ok(vec!["cdc.public.orders".to_owned()]), Err("strategy".to_owned())]
                .map(|topics| sinks.told(&topics, true).deletes)
        };
        let takes_away = || sink("a", &[("topics", "cdc.public.orders, other"), ("delete.enabled", "true")]);
        let other = || sink("b", &[("topics", "other")]);
        let keeps = || sink("c", &[("topics.regex", "cdc\\..*")]);
        let [known, unknown] = kept(vec![takes_away(), other()]);
        assert_eq!(known, KeptDeletes::No);
        // Of topics that are not known each connector may be the one.
        assert!(matches!(unknown, KeptDeletes::Perhaps(why) if why.contains("connector b")));
        let [known, unknown] = kept(vec![keeps(), other()]);
        assert!(matches!(known, KeptDeletes::Yes(why) if why.contains("connector c")));
        assert!(matches!(unknown, KeptDeletes::Perhaps(_)));
        // Two that do not say the same.
        assert!(
            matches!(&kept(vec![takes_away(), keeps()])[0], KeptDeletes::Perhaps(why) if why.contains("connector c"))
        );
        // A pattern that is not understood, and a connector that writes no tables.
        assert!(matches!(kept(vec![sink("d", &[("topics.regex", "(")])])[0], KeptDeletes::Perhaps(_)));
        let file = sink("e", &[("topics", "cdc.public.orders"), ("connector.class", "FileStreamSink")]);
        assert_eq!(kept(vec![file])[0], KeptDeletes::No);
    }

    #[test]
    fn what_a_sink_drops_or_changes_is_told_of_those_that_read_the_topic() {
        let topics = Ok(vec!["cdc.public.orders".to_owned()]);
        let told = |words: &[(&str, &str)], envelopes| {
            let own = [("topics", "cdc.public.orders"), ("delete.enabled", "true"), ("transforms", "t")];
            let other = [("topics", "other"), ("transforms", "f"), ("transforms.f.type", "a.Filter")];
            let all = vec![sink("b", &other), sink("a", &[&own[..], words].concat())];
            Sinks { all, failures: Vec::new() }.told(&topics, envelopes)
        };
        let filter = told(&[("transforms.t.type", "a.Filter")], true);
        assert_eq!(filter.may_drop.as_deref(), Some("transforms.t.type=a.Filter of connector a may leave rows out"));
        assert_eq!((filter.may_change, filter.deletes), (None, KeptDeletes::No));
        let mask = told(&[("transforms.t.type", "a.MaskField$Value")], true);
        assert!(mask.may_drop.is_none() && mask.may_change.is_some_and(|why| why.contains("connector a may change")));
        let class = ("transforms.t.type", "io.debezium.transforms.ExtractNewRecordState");
        let dropped = [class, ("transforms.t.delete.handling.mode", "drop")];
        assert!(matches!(told(&dropped, true).deletes, KeptDeletes::Yes(_)));
        assert!(matches!(told(&[class], true).deletes, KeptDeletes::Perhaps(_)));
        // Rows that are flat already pass it as they are.
        assert_eq!(told(&dropped, false).deletes, KeptDeletes::No);
    }

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
