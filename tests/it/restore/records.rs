//! Records of every kind, written and read through librdkafka.

use super::{LONG, Properties, TIME};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

pub(crate) fn producer(properties: &Properties, more: &[(&str, &str)]) -> BaseProducer {
    let mut config: ClientConfig = properties.clone().into_iter().collect();
    for (name, value) in more {
        config.set(*name, *value);
    }
    config.create().expect("a producer")
}

/// Keys and values of every kind, and headers that repeat; every third record has none.
fn send(producer: &BaseProducer, topic: &str, partition: i32, index: i64) {
    let text = format!("value {index} ").repeat(10);
    let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).timestamp(TIME + index * 1000);
    match index % 7 {
        0 => {}
        1 => record = record.payload(b""),
        _ => record = record.payload(text.as_bytes()),
    }
    if index % 4 > 0 {
        record = record.key(if index % 4 == 1 { &b""[..] } else { &[0, 255, 7] });
    }
    if index % 3 > 0 {
        let header = |key, value| Header { key, value };
        let headers =
            OwnedHeaders::new().insert(header("b", Some("1"))).insert(header("a", None)).insert(header("b", Some("")));
        record = record.headers(headers);
    }
    producer.send(record).expect("queued");
}

/// Plain batches in several codecs, transactions that are committed and aborted, and a topic with the broker's times.
pub(crate) fn fill(properties: &Properties) {
    for (round, codec) in ["none", "zstd", "lz4", "gzip", "snappy"].into_iter().enumerate() {
        let plain = producer(properties, &[("compression.codec", codec), ("linger.ms", "20")]);
        for index in 0..200 {
            send(&plain, "orders", i32::from(index % 2 == 1), round as i64 * 1000 + index);
            send(&plain, "logs", 0, index);
        }
        plain.flush(LONG).expect("sent");
        let transactional = producer(properties, &[("transactional.id", "tx")]);
        transactional.init_transactions(LONG).expect("initialised");
        for number in 0..4 {
            transactional.begin_transaction().expect("begun");
            for index in 0..3 {
                send(&transactional, "orders", 0, 10_000 + round as i64 * 100 + number * 10 + index);
            }
            transactional.flush(LONG).expect("sent");
            let abort = number % 2 == 1;
            let ended =
                if abort { transactional.abort_transaction(LONG) } else { transactional.commit_transaction(LONG) };
            ended.expect("ended");
        }
    }
}

pub(crate) fn reader(properties: &Properties, group: &str) -> BaseConsumer {
    let mut config: ClientConfig = properties.clone().into_iter().collect();
    config.set("group.id", group).set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    config.set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "error").create().expect("a reader")
}

/// The records from an offset on, up to the end or to this many.
pub(crate) fn read(reader: &BaseConsumer, topic: &str, partition: i32, from: Offset, most: usize) -> Vec<OwnedMessage> {
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, from).expect("added");
    reader.assign(&assignment).expect("assigned");
    let (mut found, deadline) = (Vec::new(), Instant::now() + LONG);
    while found.len() < most {
        assert!(Instant::now() < deadline, "{topic} cannot be read");
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => found.push(message.detach()),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    found
}

/// Which record a group reads next, by what it has committed, and the text that it committed with it.
pub(crate) fn next_of(properties: &Properties, group: &str, topic: &str) -> (i64, Option<Vec<u8>>, String) {
    let reader = reader(properties, group);
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let committed = reader.committed_offsets(asked, LONG).expect("committed offsets");
    let text = committed.find_partition(topic, 0).expect("of the partition").metadata().to_owned();
    let found = read(&reader, topic, 0, Offset::Stored, 1);
    let message = found.first().expect("a record");
    (message.timestamp().to_millis().expect("a time"), message.payload().map(<[u8]>::to_vec), text)
}
