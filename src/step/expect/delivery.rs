//! `expect: delivery`: the account of messages between senders and readers.

use super::{Checked, PATIENCE, changes, matched};
use crate::diagnostic::Problem;
use crate::execute::{LiveStep, Run, StepContext};
use crate::judge;
use crate::judge::delivery::{describe, forbidden, none, observed};
use crate::ledger::matching::Matching;
use crate::ledger::{Class, Evidence, Ledger, LedgerReport, PagedBitmap, ReaderAccount, SenderAccount, scan};
use crate::record::{CheckRecord, DeliveryRecord, EventKind, Unit};
use crate::scenario::Guarantee;
use crate::scenario::predicate::Predicate;
use crate::scenario::units::Count;
use crate::step::consume::Reader;
use crate::step::metrics::demand;
use crate::step::produce::Sender;
use crate::step::{CheckContext, StepError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Senders, readers, and how many messages of which class there may be between them.
#[derive(Clone, Debug)]
pub struct DeliverySubject {
    from: Vec<String>,
    to: Vec<String>,
    matching: Option<Matching>,
    classes: Vec<(Class, Value)>,
}

fn ids(value: Option<Value>, key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{key}` is the id of a step, or a list of ids");
    match value {
        Some(Value::String(id)) => Ok(vec![id]),
        Some(Value::Array(ids)) if !ids.is_empty() => {
            ids.into_iter().map(|id| id.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
        None => Err(format!("`{key}` is missing")),
    }
}

impl<'de> Deserialize<'de> for DeliverySubject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut map = Map::deserialize(deserializer)?;
        let from = ids(map.remove("from"), "from").map_err(de::Error::custom)?;
        let to = ids(map.remove("to"), "to").map_err(de::Error::custom)?;
        let matching = map.remove("match").map(matched::parse).transpose().map_err(de::Error::custom)?;
        let mut classes = Vec::new();
        for (name, value) in map {
            let class = Class::ALL
                .into_iter()
                .find(|class| class.name() == name)
                .ok_or_else(|| de::Error::custom(format!("there is no class `{name}`")))?;
            classes.push((class, value));
        }
        Ok(Self { from, to, matching, classes })
    }
}

impl JsonSchema for DeliverySubject {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DeliverySubject".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let count = generator.subschema_for::<Predicate<Count>>();
        let documented = generator.subschema_for::<Class>();
        let docs = documented
            .as_value()
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.rsplit('/').next())
            .and_then(|name| generator.definitions().get(name).cloned());
        let doc = |class: Class| {
            docs.as_ref()
                .and_then(|definition| definition.get("oneOf"))
                .and_then(Value::as_array)
                .and_then(|choices| {
                    choices.iter().find(|choice| choice.get("const").and_then(Value::as_str) == Some(class.name()))
                })
                .and_then(|choice| choice.get("description"))
                .cloned()
                .unwrap_or_default()
        };
        let mut properties = Map::new();
        for (key, text) in [("from", "The sending step, or a list: their union."), ("to", "The reading step, or a list: their union.")] {
            properties.insert(
                key.to_owned(),
                serde_json::json!({ "description": text, "type": ["string", "array"], "items": { "type": "string" }, "minItems": 1 }),
            );
        }
        properties.insert("match".to_owned(), matched::schema());
        for class in Class::ALL {
            properties.insert(class.name().to_owned(), serde_json::json!({ "description": doc(class), "allOf": [count] }));
        }
        json_schema!({
            "description": "Messages between senders and readers. Without a class, the scenario's guarantee decides.",
            "type": "object",
            "properties": properties,
            "required": ["from", "to"],
            "additionalProperties": false
        })
    }
}

impl DeliverySubject {
    /// Whether another look can show something new: what a pipeline still has to write.
    pub fn changes(&self) -> bool {
        self.matching.is_some()
    }

    pub fn first_sender(&self) -> Option<String> {
        self.from.first().cloned()
    }

    pub fn describe(&self) -> String {
        format!("the delivery from {} to {}", self.from.join(", "), self.to.join(", "))
    }

    pub fn check(&self, pointer: &str, cx: &mut CheckContext<'_>) {
        let mut topics = Vec::new();
        let of_changes = self.is_of_changes(|id| cx.lookup(id).map(|(_, step)| step.verb));
        let senders: &[&str] = if of_changes { &["sql"] } else { &["produce"] };
        for (key, ids, verbs) in [("from", &self.from, senders), ("to", &self.to, &["consume"])] {
            for id in ids {
                let Some(step) = cx.step(&format!("{pointer}/{key}"), id, verbs) else { continue };
                if of_changes && key == "to" && step.facts.as_ref().is_some_and(|facts| !facts.captures) {
                    cx.report(
                        &format!("{pointer}/to"),
                        Problem::new("not-decoded", format!("`{id}` does not read change events"))
                            .help(format!("add `decode: debezium` to `{id}`")),
                    );
                }
                if step.order > cx.order {
                    cx.report(
                        &format!("{pointer}/{key}"),
                        Problem::new("starts-later", format!("`{id}` starts only after this step")),
                    );
                }
                if let Some(topic) = step.facts.as_ref().and_then(|facts| facts.topic.clone()) {
                    topics.push((key, id.clone(), topic));
                }
            }
        }
        let written: Vec<_> = topics.iter().filter(|(key, ..)| *key == "from").map(|(.., topic)| topic).collect();
        for (_, id, topic) in topics.iter().filter(|(key, ..)| *key == "to") {
            if self.matching.is_none() && !written.is_empty() && !written.contains(&topic) {
                cx.report(
                    &format!("{pointer}/to"),
                    Problem::new("no-samples", format!("`{id}` reads {topic}, to which none of the senders writes"))
                        .help("where a pipeline writes it, `match:` says how its output is recognised"),
                );
            }
        }
        if self.classes.is_empty() && cx.guarantee.is_none() {
            cx.report(
                pointer,
                Problem::new("expect-what", "neither a class nor a guarantee says what may happen")
                    .help("add `lost: 0`, or `guarantee: at-least-once` at the top"),
            );
        }
        for (class, value) in &self.classes {
            if of_changes && matches!(class, Class::Skipped | Class::AbortedRead) {
                cx.report(
                    &format!("{pointer}/{}", class.name()),
                    Problem::new("does-not-apply", format!("changes of a database cannot be `{class}`")),
                );
            }
            if let Err(error) = demand(Unit::Count, value) {
                cx.report(&format!("{pointer}/{}", class.name()), Problem::new("bad-value", error));
            }
        }
    }

    /// Whether the senders are `sql` steps; the first one decides.
    fn is_of_changes<'a>(&self, verb: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.from.first().and_then(|id| verb(id)) == Some("sql")
    }

    pub async fn look(&self, pointer: &str, cx: &mut StepContext, deadline: Instant) -> Result<Vec<Checked>, StepError> {
        let full = |ids: &[String]| ids.iter().map(|id| cx.full_id(id)).collect::<Vec<_>>();
        let (from, to) = (full(&self.from), full(&self.to));
        let run = Arc::clone(&cx.run);
        let of_changes = self.is_of_changes(|id| run.plan.scope.steps.get(&cx.full_id(id)).map(|step| step.verb));
        let record = if of_changes {
            cx.unless_stopped(changes::settle(&run, from, to, deadline)).await??
        } else {
            cx.unless_stopped(settle(&run, from, to, self.matching.as_ref(), deadline)).await??
        };
        let mut checked = Vec::new();
        for (class, value) in &self.classes {
            let demand = demand(Unit::Count, value).map_err(|error| StepError::broken("bad-value", error))?;
            let observed = observed(&record.ledger, *class);
            checked.push(with_samples(
                Checked::new(format!("delivery.{class}"), demand, observed, format!("{pointer}/{}", class.name())),
                &record,
                *class,
            ));
        }
        if let Some(guarantee) = run.guarantee().filter(|_| self.classes.is_empty()) {
            // A source task has one request in flight, so each row's changes keep their order. A pipeline may distribute
            // messages over partitions anew: it owes nobody their order.
            let owed = forbidden(guarantee, of_changes || is_ordered(&run, &record.from));
            for class in owed.into_iter().filter(|class| self.matching.is_none() || *class != Class::Reordered) {
                let observed = observed(&record.ledger, class);
                let check = Checked::new(format!("delivery.{class}"), none(), observed, pointer);
                checked.push(with_samples(check, &record, class));
            }
        }
        run.recorder.emit(EventKind::Delivery { record: Box::new(record) });
        Ok(checked)
    }
}

/// How many samples a failed check prints; the record keeps more.
const PRINTED: usize = 5;

fn with_samples(mut check: Checked, record: &DeliveryRecord, class: Class) -> Checked {
    if check.outcome() == crate::record::CheckOutcome::Pass {
        return check;
    }
    if record.changes.is_some() {
        check.samples = changes::samples(record, class, PRINTED);
    } else {
        check.samples.extend(record.ledger.samples(class).iter().take(PRINTED).map(|sample| describe(class, sample)));
    }
    check
}

/// Whether the senders' effective configuration promises order.
fn is_ordered(run: &Run, senders: &[String]) -> bool {
    senders.iter().all(|id| {
        run.live.record(id).and_then(|record| record.produced).is_some_and(|report| {
            let value = |name: &str| report.effective_config.get(name).map(String::as_str);
            value("enable.idempotence") == Some("true")
                || value("max.in.flight.requests.per.connection").or_else(|| value("max.in.flight")) == Some("1")
        })
    })
}

/// Waits for the senders, drains the readers, and settles the account between them.
async fn settle(
    run: &Arc<Run>,
    from: Vec<String>,
    to: Vec<String>,
    matching: Option<&Matching>,
    deadline: Instant,
) -> Result<DeliveryRecord, StepError> {
    let mut missing = None;
    for id in &from {
        // The senders end by themselves, bounded by their own delivery timeout.
        while run.live.get(id).is_some() && run.live.record(id).is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    for id in &to {
        let live = run.live.get(id);
        let Some(reader) = live.as_ref().and_then(|step| step.as_any().downcast_ref::<Reader>()) else {
            missing = Some(format!("`{id}` did not start"));
            continue;
        };
        let patience = deadline.saturating_duration_since(Instant::now());
        if !reader.drain(patience).await? {
            missing = Some(format!("`{id}` did not reach the end of the log in time"));
        }
    }
    let senders: Vec<Arc<dyn LiveStep>> = from.iter().filter_map(|id| run.live.get(id)).collect();
    let readers: Vec<Arc<dyn LiveStep>> = to.iter().filter_map(|id| run.live.get(id)).collect();
    let sent = sent(&senders);
    let reading: Vec<&Reader> = readers.iter().filter_map(|step| step.as_any().downcast_ref()).collect();
    if let Some(matching) = matching {
        let ledger = matched::settle(run, &sent, &reading, matching).await?;
        return Ok(DeliveryRecord { drained: ledger.drained, from, to, missing_evidence: missing, ledger, changes: None });
    }
    let settle = |evidence: Option<&Evidence>| {
        with_accounts(&reading, Vec::new(), &mut |read| {
            let ledger = Ledger::new(sent.iter().copied(), read.iter().copied());
            (ledger.settle(evidence), ledger.missing())
        })
    };
    let (mut ledger, wanted) = settle(None).unwrap_or_default();
    if !wanted.is_empty() {
        match search(run, &sent, wanted).await {
            Ok(evidence) => ledger = settle(Some(&evidence)).map_or(ledger, |(ledger, _)| ledger),
            Err(error) => run.recorder.warn(format!("where the missing messages are cannot be said: {error}")),
        }
    }
    Ok(DeliveryRecord { drained: ledger.drained, from, to, missing_evidence: missing, changes: None, ledger })
}

fn sent(senders: &[Arc<dyn LiveStep>]) -> Vec<&SenderAccount> {
    senders
        .iter()
        .filter_map(|step| step.as_any().downcast_ref::<Sender>()?.accounts())
        .flatten()
        .collect()
}

/// Looks at the accounts of all readers at once.
fn with_accounts<R>(
    readers: &[&Reader],
    accounts: Vec<&ReaderAccount>,
    look: &mut dyn FnMut(&[&ReaderAccount]) -> R,
) -> Option<R> {
    match readers.split_first() {
        None => Some(look(&accounts)),
        Some((first, rest)) => first
            .account(|account| {
                let mut accounts = accounts.clone();
                accounts.push(account);
                with_accounts(rest, accounts, look)
            })
            .flatten(),
    }
}

/// A fresh read of the senders' topic for the messages that nobody read.
async fn search(
    run: &Arc<Run>,
    sent: &[&SenderAccount],
    wanted: HashMap<u16, PagedBitmap>,
) -> Result<Evidence, String> {
    let topic = sent.first().map(|account| account.topic.clone()).ok_or("nothing was sent")?;
    let (connection, nonce) = (run.connection(), run.identity.nonce());
    tokio::task::spawn_blocking(move || scan(&connection, &topic, nonce, &wanted, false, PATIENCE))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}

/// Settles and judges, by the scenario's guarantee, every sender and reader of the same topic that no `expect` was about.
pub async fn implied_deliveries(run: &Arc<Run>) {
    let Some(guarantee) = run.guarantee() else { return };
    let settled: Vec<(Vec<String>, Vec<String>)> = run
        .snapshot()
        .map(|record| record.deliveries.into_iter().map(|delivery| (delivery.from, delivery.to)).collect())
        .unwrap_or_default();
    let steps = &run.plan.scope.steps;
    let of = |verb: &str| {
        steps
            .iter()
            .filter(|(id, step)| step.verb == verb && run.live.get(id).is_some())
            .filter_map(|(id, step)| Some((id.clone(), step.facts.as_ref()?.topic.clone()?)))
            .collect::<Vec<_>>()
    };
    let senders = of("produce");
    for (reader, topic) in of("consume") {
        let from: Vec<String> =
            senders.iter().filter(|(_, written)| *written == topic).map(|(id, _)| id.clone()).collect();
        let known = settled.iter().any(|(_, to)| to.contains(&reader));
        if from.is_empty() || known {
            continue;
        }
        let deadline = Instant::now() + PATIENCE;
        match settle(run, from, vec![reader.clone()], None, deadline).await {
            Ok(record) => imply(run, guarantee, record),
            Err(error) => run.recorder.warn(format!("the delivery to {reader} cannot be settled: {}", error.message)),
        }
    }
    let decodes = |id: &String| steps.get(id).and_then(|step| step.facts.as_ref()).is_some_and(|facts| facts.captures);
    let writers = steps.iter().filter(|(id, step)| step.verb == "sql" && run.live.get(id).is_some());
    let writers: Vec<String> = writers.map(|(id, _)| id.clone()).collect();
    for (reader, _) in of("consume").into_iter().filter(|(id, _)| decodes(id)) {
        if writers.is_empty() || settled.iter().any(|(_, to)| to.contains(&reader)) {
            continue;
        }
        match changes::settle(run, writers.clone(), vec![reader.clone()], Instant::now() + PATIENCE).await {
            Ok(record) => imply(run, guarantee, record),
            Err(error) => run.recorder.warn(format!("the delivery to {reader} cannot be settled: {}", error.message)),
        }
    }
}

fn imply(run: &Run, guarantee: Guarantee, record: DeliveryRecord) {
    for class in forbidden(guarantee, record.changes.is_some() || is_ordered(run, &record.from)) {
        let subject = format!("{guarantee} from {} to {}: {class}", record.from.join(", "), record.to.join(", "));
        let check = with_samples(Checked::new(subject, none(), observed(&record.ledger, class), ""), &record, class);
        let outcome = judge::decide(&check.demand, &check.observed);
        let at = Some(run.plan.origin.key_location("/guarantee"));
        let check = CheckRecord {
            step: String::new(),
            subject: check.subject,
            demand: check.demand,
            observed: check.observed,
            outcome,
            at,
            samples: check.samples,
        };
        run.recorder.emit(EventKind::Check { record: Box::new(check) });
    }
    run.recorder.emit(EventKind::Delivery { record: Box::new(record) });
}
