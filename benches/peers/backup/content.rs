//! Records as Debezium writes them, always the same.

use crate::Outcome;
use crate::backup::RECORDS;
use crate::broker::{Broker, PARTITIONS};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::fmt::Write as _;
use std::time::Duration;

const WORDS: [&str; 32] = [
    "account", "address", "amount", "balance", "basket", "billing", "carrier", "customer", "delivery", "discount",
    "express", "freight", "gift", "handling", "invoice", "item", "ledger", "market", "note", "order", "parcel",
    "payment", "pending", "price", "quantity", "receipt", "refund", "return", "shipment", "stock", "tax", "voucher",
];

/// A small generator that needs no crate and is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Key and value of a record.
pub fn record(number: u64) -> (String, String) {
    let mut dice = Dice(number ^ 0x9E37_79B9_7F4A_7C15);
    dice.roll(2);
    let (id, time) = (dice.roll(1_000_000), 1_700_000_000_000 + number * 7);
    let mut note = String::new();
    for _ in 0..20 + dice.roll(40) {
        note.push_str(WORDS[usize::try_from(dice.roll(32)).unwrap_or(0)]);
        note.push(' ');
    }
    let mut value = String::with_capacity(1200);
    let _ = write!(
        value,
        "{{\"before\":null,\"after\":{{\"id\":{id},\"customer\":\"{:08x}-{:04x}\",\"email\":\"{}.{}@example.org\",\
         \"amount\":{}.{:02},\"status\":\"{}\",\"note\":\"{note}\",\"updated_at\":{time}}},\"source\":{{\"version\":\
         \"2.7.4.Final\",\"connector\":\"postgresql\",\"name\":\"shop\",\"ts_ms\":{time},\"snapshot\":\"false\",\"db\":\
         \"shop\",\"sequence\":\"[\\\"{}\\\",\\\"{}\\\"]\",\"schema\":\"public\",\"table\":\"orders\",\"txId\":{},\"lsn\":{},\
         \"xmin\":null}},\"op\":\"{}\",\"ts_ms\":{},\"transaction\":null}}",
        dice.roll(1 << 32),
        dice.roll(1 << 16),
        WORDS[usize::try_from(dice.roll(32)).unwrap_or(0)],
        dice.roll(10_000),
        dice.roll(5_000),
        dice.roll(100),
        ["new", "paid", "sent", "closed"][usize::try_from(dice.roll(4)).unwrap_or(0)],
        number * 311,
        number * 311 + 56,
        700 + number / 3,
        number * 311 + 56,
        if dice.roll(3) == 0 { "u" } else { "c" },
        time + dice.roll(900),
    );
    (format!("{{\"id\":{id}}}"), value)
}

/// A producer with this codec that makes batches of up to 1 MB.
pub fn producer(bootstrap: &str, codec: &str) -> Outcome<BaseProducer> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "100000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("compression.codec", codec);
    Ok(config.create()?)
}

/// Sends records in turn to all partitions, and waits until they are stored.
pub fn send(producer: &BaseProducer, topic: &str, records: &[(String, String)], first: u64) -> Outcome<()> {
    let all = u64::from(PARTITIONS.unsigned_abs());
    send_to(producer, topic, records, |at| i32::try_from((first + at) % all).unwrap_or(0))
}

/// The same, where each record's place says which partition it goes to.
pub fn send_to(
    producer: &BaseProducer,
    topic: &str,
    records: &[(String, String)],
    partition: impl Fn(u64) -> i32,
) -> Outcome<()> {
    for (at, (key, value)) in (0..).zip(records) {
        let partition = partition(at);
        loop {
            let record = BaseRecord::to(topic).partition(partition).key(key.as_bytes()).payload(value.as_bytes());
            match producer.send(record) {
                Ok(()) => break,
                Err(_) => {
                    producer.poll(Duration::from_millis(5));
                }
            }
        }
        if at % 4096 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    Ok(producer.flush(Duration::from_secs(120))?)
}

/// Makes a topic and fills it. How many bytes keys and values have.
pub fn fill(broker: &Broker, topic: &str, codec: &str) -> Outcome<u64> {
    broker.create(topic)?;
    let producer = producer(&broker.bootstrap(), codec)?;
    let mut bytes = 0;
    for first in (0..RECORDS).step_by(20_000) {
        let records: Vec<_> = (first..RECORDS.min(first + 20_000)).map(record).collect();
        bytes += records.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
        send(&producer, topic, &records, first)?;
    }
    Ok(bytes)
}
