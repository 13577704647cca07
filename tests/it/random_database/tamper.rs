//! Loses, copies and changes records: the topics are emptied and written again, with other contents.

use rand::prelude::*;
use rand::rngs::StdRng;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

struct Record {
    topic: String,
    partition: i32,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// A change of a row, as a record says.
struct Change<'a> {
    table: &'a Value,
    op: String,
    lsn: u64,
    /// The row afterwards, else before.
    row: Value,
}

impl Change<'_> {
    fn identity(&self) -> String {
        format!("{} {} {}", self.lsn, self.op, self.row)
    }
}

/// Not a test: what a scenario runs between a delivery that is whole and one that is not.
#[test]
#[ignore = "a tool of the test"]
fn helper_that_tampers() {
    let variable = |name: &str| std::env::var(name).expect("set by the scenario");
    let plan = std::fs::read(variable("PLAN")).expect("the plan");
    let plan: Value = serde_json::from_slice(&plan).expect("JSON");
    let topics: BTreeSet<&str> = tables(&plan).map(|table| table["topic"].as_str().expect("a topic")).collect();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", variable("KSCEN_KAFKA_BOOTSTRAP")).set("group.id", "tampering");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let (records, ends) = read(&consumer, &topics);
    let admin: AdminClient<DefaultClientContext> = config.create().expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(admin.delete_records(&ends, &AdminOptions::new())).expect("the records are deleted");
    let (records, injected) = tampered(&plan, records);
    let producer: BaseProducer = config.create().expect("a producer");
    for record in &records {
        let mut message = BaseRecord::<[u8], [u8]>::to(&record.topic).partition(record.partition);
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        while let Err((_, again)) = producer.send(message) {
            producer.poll(Duration::from_millis(50));
            message = again;
        }
    }
    producer.flush(PATIENCE).expect("everything is written");
    std::fs::write(variable("INJECTED"), Value::Array(injected).to_string()).expect("writes");
}

fn tables(plan: &Value) -> impl Iterator<Item = &Value> {
    plan["tables"].as_array().expect("tables").iter()
}

/// All records, and the ends of all partitions.
fn read(consumer: &BaseConsumer, topics: &BTreeSet<&str>) -> (Vec<Record>, TopicPartitionList) {
    let mut from = TopicPartitionList::new();
    let mut ends = TopicPartitionList::new();
    let mut left = BTreeSet::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            let (low, high) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE).expect("watermarks");
            from.add_partition_offset(topic, partition.id(), Offset::Beginning).expect("a partition");
            ends.add_partition_offset(topic, partition.id(), Offset::Offset(high)).expect("a partition");
            if high > low {
                left.insert(((*topic).to_owned(), partition.id(), high - 1));
            }
        }
    }
    consumer.assign(&from).expect("assigned");
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "not all was read: {left:?}");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.expect("a message");
        left.remove(&(message.topic().to_owned(), message.partition(), message.offset()));
        records.push(Record {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        });
    }
    (records, ends)
}

/// Of each history a change is lost, one copied and one says something else, where it has so many.
fn tampered(plan: &Value, records: Vec<Record>) -> (Vec<Record>, Vec<Value>) {
    let mut rng = StdRng::seed_from_u64(plan["seed"].as_u64().expect("a seed"));
    let mut injected = Vec::new();
    let mut lost = BTreeSet::new();
    let mut copied = Vec::new();
    let mut changed: Vec<(usize, Vec<u8>)> = Vec::new();
    let histories = tables(plan).filter_map(|table| table["history"].as_u64()).max().map_or(0, |last| last + 1);
    for history in 0..histories {
        let mut places: Vec<(usize, Change<'_>)> = records
            .iter()
            .enumerate()
            .filter_map(|(place, record)| Some((place, change(plan, record)?)))
            .filter(|(_, change)| change.table["history"] == history && change.table["names"] == true)
            .collect();
        // A record that came twice, because a worker was killed, is no loss when one of them is missing.
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        places.iter().for_each(|(_, change)| *times.entry(change.identity()).or_default() += 1);
        places.retain(|(_, change)| times[&change.identity()] == 1);
        places.shuffle(&mut rng);
        let mut note = |class: &str, change: &Change<'_>| {
            injected.push(json!({
                "history": history, "class": class, "schema": change.table["schema"], "table": change.table["table"], "parts": change.table["parts"],
                "op": change.op, "lsn": change.lsn, "keys": change.table["keys"], "by_index": change.table["by_index"],
            }));
        };
        let other = places.iter().position(|(place, change)| rewritten(&records[*place], change).is_some());
        if let Some((place, change)) = other.map(|at| places.remove(at)) {
            note("wrong-content", &change);
            changed.push((place, rewritten(&records[place], &change).expect("as before")));
        }
        if let Some((place, change)) = places.pop() {
            note("lost", &change);
            lost.insert(place);
        }
        if let Some((place, change)) = places.pop() {
            note("duplicated", &change);
            copied.push(place);
        }
    }
    let copies: Vec<Record> = copied.iter().map(|place| records[*place].again()).collect();
    let mut records: Vec<Option<Record>> = records.into_iter().map(Some).collect();
    for (place, value) in changed {
        records[place].as_mut().expect("a record").value = Some(value);
    }
    for place in lost {
        records[place] = None;
    }
    (records.into_iter().flatten().chain(copies).collect(), injected)
}

impl Record {
    fn again(&self) -> Self {
        Self { topic: self.topic.clone(), partition: self.partition, key: self.key.clone(), value: self.value.clone() }
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.value.as_ref()?).ok()
    }
}

/// The body within the converter's schema, if there is one.
fn body(value: &Value) -> &Value {
    if value.get("schema").is_some() && value.get("payload").is_some_and(Value::is_object) {
        &value["payload"]
    } else {
        value
    }
}

fn change<'a>(plan: &'a Value, record: &Record) -> Option<Change<'a>> {
    let value = record.json()?;
    let value = body(&value);
    let (op, lsn, row) = if plan["flat"] == true {
        (value["__op"].as_str()?, value["__source_lsn"].as_u64()?, value.clone())
    } else {
        let row = if value["after"].is_null() { &value["before"] } else { &value["after"] };
        (value["op"].as_str()?, value["source"]["lsn"].as_u64()?, row.clone())
    };
    let op = match op {
        "c" => "insert",
        "u" => "update",
        "d" => "delete",
        _ => return None,
    };
    let is_its = |table: &&Value| {
        let source = &value["source"];
        table["topic"] == *record.topic
            && (source.is_null() || (source["schema"] == table["schema"] && source["table"] == table["table"]))
    };
    Some(Change { table: tables(plan).find(is_its)?, op: op.to_owned(), lsn, row })
}

/// The record with another text in the column for notes.
fn rewritten(record: &Record, change: &Change<'_>) -> Option<Vec<u8>> {
    if change.op == "delete" {
        return None;
    }
    let mut value = record.json()?;
    let inner = if std::ptr::eq(body(&value), &value) { &mut value } else { &mut value["payload"] };
    let row = if inner.get("after").is_some_and(Value::is_object) { &mut inner["after"] } else { inner };
    let note = row.get_mut(change.table["note"].as_str()?)?;
    *note = json!(format!("{}~", note.as_str()?));
    Some(value.to_string().into_bytes())
}
