//! What comes back: one topic with everything that tools lose, through each of them.

use crate::Outcome;
use crate::backup::folder;
use crate::backup::mirror::Mirror;
use crate::backup::own::kscen;
use crate::backup::peer::BackupPeer;
use crate::broker::Broker;
use kscen::testing::wire::{WireCluster, deletion};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const TOPIC: &str = "odd";
const GROUP: &str = "readers";
/// The topic's own configuration.
const CONFIG: [(&str, &str); 2] = [("max.message.bytes", "2000123"), ("segment.ms", "600123")];
/// What the group reads next.
const COMMITTED: i64 = 4;

/// What one tool brings back. Each field is `yes`, or what is there instead.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fidelity {
    pub tool: String,
    /// Order and repetition of headers, null and empty values of them.
    pub headers: String,
    /// Null and empty keys and values.
    pub nulls: String,
    pub times: String,
    pub offsets: String,
    /// Only committed records are to be seen.
    pub aborted: String,
    pub configuration: String,
    /// The group goes on at the same record.
    pub groups: String,
}

/// A record as a reader of committed data sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    offset: i64,
    time: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

/// All tools, one after the other.
pub fn measure(broker: &Broker, peer: &BackupPeer, mirror: &Mirror) -> Outcome<Vec<Fidelity>> {
    fill(broker)?;
    let original = read(broker, TOPIC)?;
    let mut rows = Vec::new();
    let root = folder(broker)?;
    let place = root.join("archive").to_string_lossy().into_owned();
    kscen(broker, &["backup", TOPIC, "--to", &place])?;
    forget(broker)?;
    let args = ["restore", &place, "odd=odd-kscen", "--offsets", "exact", "--group", GROUP];
    kscen(broker, &args)?;
    rows.push(compare(broker, "kscen", "odd-kscen", &original)?);
    commit(broker)?;
    let root = folder(broker)?;
    // What fails is told, and what is there is looked at all the same.
    let told = peer.backup(broker, &root, TOPIC, true).and_then(|_| {
        forget(broker)?;
        peer.restore(broker, &root, TOPIC, "odd-peer", true)
    });
    if let Err(error) = told {
        eprintln!("  kafka-backup-core: {error}");
    }
    rows.push(compare(broker, &format!("kafka-backup-core {}", peer.version), "odd-peer", &original)?);
    commit(broker)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    let least = i64::try_from(original.len())?;
    let copied = mirror
        .copy(broker, TOPIC, least, |copy| Ok(committed(broker, copy)?.is_some() || Instant::now() > deadline))
        .map(|(copy, _)| copy)
        .unwrap_or_else(|error| {
            eprintln!("  MirrorMaker 2: {error}");
            "no copy".to_owned()
        });
    rows.push(compare(broker, "MirrorMaker 2", &copied, &original)?);
    Ok(rows)
}

fn fill(broker: &Broker) -> Outcome<()> {
    broker.create_with(TOPIC, 1, &CONFIG)?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap()).set("linger.ms", "0");
    let plain: BaseProducer = config.create()?;
    let header = |key, value| Header { key, value };
    let time = 1_700_000_000_000;
    for at in 0..4_i64 {
        let headers = OwnedHeaders::new()
            .insert(header("b", Some("1")))
            .insert(header("a", None))
            .insert(header("b", Some("")))
            .insert(header("b", Some("1")));
        let mut record = BaseRecord::<[u8], [u8]>::to(TOPIC).partition(0).timestamp(time + at).headers(headers);
        let (key, value): (Option<&[u8]>, Option<&[u8]>) = match at {
            0 => (Some(b"k"), Some(b"first")),
            1 => (Some(b"k"), None),
            2 => (None, Some(b"")),
            _ => (Some(b""), Some(&[0, 255, 7])),
        };
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(value) = value {
            record = record.payload(value);
        }
        plain.send(record).map_err(|(error, _)| error)?;
        plain.flush(LIMIT)?;
    }
    for (at, commit) in [(0, false), (1, true)] {
        config.set("transactional.id", format!("odd-{at}"));
        let producer: BaseProducer = config.create()?;
        producer.init_transactions(LIMIT)?;
        producer.begin_transaction()?;
        let value = if commit { "committed" } else { "aborted" };
        let record = BaseRecord::<str, str>::to(TOPIC).partition(0).timestamp(time + 10 + at).key("t").payload(value);
        producer.send(record).map_err(|(error, _)| error)?;
        producer.flush(LIMIT)?;
        if commit { producer.commit_transaction(LIMIT)? } else { producer.abort_transaction(LIMIT)? }
    }
    broker.wait(async {
        let properties = BTreeMap::from([("bootstrap.servers".to_owned(), broker.bootstrap())]);
        let cluster = WireCluster::new(&properties, LIMIT)?;
        deletion::before(&cluster, TOPIC, &BTreeMap::from([(0, 1)])).await;
        Ok(())
    })?;
    commit(broker)
}

fn reader(broker: &Broker) -> Outcome<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap()).set("group.id", GROUP).set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    Ok(config.create()?)
}

fn commit(broker: &Broker) -> Outcome<()> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Offset(COMMITTED))?;
    Ok(reader(broker)?.commit(&list, CommitMode::Sync)?)
}

/// The group has nothing committed any more, so that what is there afterwards was brought back.
fn forget(broker: &Broker) -> Outcome<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker.bootstrap()).create()?;
    broker.wait(async {
        admin.delete_groups(&[GROUP], &AdminOptions::new()).await?;
        Ok(())
    })
}

fn committed(broker: &Broker, topic: &str) -> Outcome<Option<i64>> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    let found = reader(broker)?.committed_offsets(list, LIMIT)?;
    let offset = found.find_partition(topic, 0).map(|partition| partition.offset());
    Ok(offset.and_then(|offset| offset.to_raw()).filter(|offset| *offset >= 0))
}

fn read(broker: &Broker, topic: &str) -> Outcome<Vec<Seen>> {
    let reader = reader(broker)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    reader.assign(&list)?;
    let (mut seen, deadline) = (Vec::new(), Instant::now() + LIMIT);
    while Instant::now() < deadline {
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => seen.push(Seen {
                offset: message.offset(),
                time: message.timestamp().to_millis(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers: message
                    .headers()
                    .into_iter()
                    .flat_map(|headers| headers.iter())
                    .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                    .collect(),
            }),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return Ok(seen),
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
    }
    Err(format!("{topic} cannot be read to its end").into())
}

fn compare(broker: &Broker, tool: &str, copy: &str, original: &[Seen]) -> Outcome<Fidelity> {
    let Ok(found) = read(broker, copy) else {
        return Ok(Fidelity { tool: tool.to_owned(), headers: "no topic".to_owned(), ..Fidelity::default() });
    };
    let same = |part: &dyn Fn(&Seen) -> String| {
        let of = |all: &[Seen]| all.iter().map(part).collect::<Vec<_>>();
        // What was aborted is a row of its own.
        let found: Vec<Seen> = found.iter().filter(|seen| seen.value.as_deref() != Some(b"aborted")).cloned().collect();
        if of(&found) == of(original) { "yes".to_owned() } else { "no".to_owned() }
    };
    let aborted = found.iter().filter(|seen| seen.value.as_deref() == Some(b"aborted")).count();
    let extra = found.len() - aborted;
    let place = |all: &[Seen], offset: i64| {
        all.iter().find(|seen| seen.offset >= offset).map(|seen| (seen.key.clone(), seen.value.clone()))
    };
    let groups = match committed(broker, copy)? {
        None => "no".to_owned(),
        Some(offset) if place(&found, offset) == place(original, COMMITTED) => "yes".to_owned(),
        Some(_) => "at another record".to_owned(),
    };
    Ok(Fidelity {
        tool: tool.to_owned(),
        headers: same(&|seen| format!("{:?}", seen.headers)),
        nulls: same(&|seen| format!("{:?}", (&seen.key, &seen.value))),
        times: same(&|seen| format!("{:?}", seen.time)),
        offsets: same(&|seen| format!("{:?}", seen.offset)),
        aborted: match (aborted, extra == original.len()) {
            (0, true) => "yes".to_owned(),
            (0, false) => format!("{extra} records instead of {}", original.len()),
            (count, _) => format!("{count} comes back as a record"),
        },
        configuration: configuration(broker, copy)?,
        groups,
    })
}

fn configuration(broker: &Broker, topic: &str) -> Outcome<String> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker.bootstrap()).create()?;
    let found = broker
        .wait(async { Ok(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await?) })?;
    let found = found.into_iter().next().ok_or("no configuration")?.map_err(|error| format!("{error:?}"))?;
    let value = |name: &str| found.get(name).and_then(|entry| entry.value.clone());
    let lost: Vec<&str> =
        CONFIG.iter().filter(|(name, set)| value(name).as_deref() != Some(set)).map(|(name, _)| *name).collect();
    Ok(if lost.is_empty() { "yes".to_owned() } else { format!("no: {}", lost.join(", ")) })
}
