//! Rows that are written down give the same account again, or say why they cannot.

use super::rows::ChangeRows;
use super::*;
use crate::connect::ConnectorConfig;
use crate::database::{
    Blind, Column, ColumnValue, CommittedTransaction, Lsn, Publication, Relation, RowChange, RowOp, TableName, UserType,
};
use crate::debezium::{CaptureRules, EventDecoder, PublicationFacts, ReadEvent};
use crate::text::Redactor;
use rand::prelude::*;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, LazyLock};

/// Everything that was committed has to arrive through these connectors, and all that came has been read.
pub(super) fn all_read<'a>(
    transactions: &'a [CommittedTransaction],
    connectors: &'a [ScopedConnector<'a>],
) -> Expectation<'a> {
    static NOTHING: LazyLock<Blind> = LazyLock::new(Blind::default);
    Expectation {
        transactions,
        settled: None,
        window: (Lsn(0), Lsn(u64::MAX)),
        blind: &NOTHING,
        claimed: None,
        database: None,
        connectors,
        topics: None,
        drained: true,
        calm: false,
        partitions: None,
        late_us: None,
        samples: 5,
    }
}

/// Settles, and holds the account against the one that follows from what is stored of it.
pub(super) fn reconciled(expectation: &Expectation<'_>, events: &[ReadEvent]) -> Reconciliation {
    let result = reconcile(expectation, events);
    let packed = PackedRows::of(&written(expectation, events).unwrap(), &Redactor::default()).unwrap();
    let stored: PackedRows = serde_json::from_value(serde_json::to_value(&packed).unwrap()).unwrap();
    assert_eq!(stored.reconciliation().as_ref(), Ok(&result));
    result
}

/// A small database with records of every kind.
struct World {
    transactions: Vec<CommittedTransaction>,
    events: Vec<ReadEvent>,
    rules: Vec<CaptureRules>,
    topics: BTreeSet<String>,
    claimed: HashSet<u32>,
    blind: Blind,
}

fn relation(name: &str, columns: &[&str]) -> Arc<Relation> {
    let column = |name: &&str| Column {
        name: (*name).to_owned(),
        type_oid: 25,
        type_modifier: -1,
        key: *name == "id",
        user_type: UserType::Named("citext".into()),
        has_default: false,
    };
    let columns = columns.iter().map(column).collect();
    Arc::new(Relation { name: TableName::new("public", name), columns, ancestors: Vec::new(), full: false })
}

fn rules(name: &str, words: &[(&str, &str)]) -> CaptureRules {
    let common = [("topic.prefix", name), ("plugin.name", "pgoutput"), ("database.password", "hunter22")];
    let config: ConnectorConfig =
        common.iter().chain(words).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let publication = Publication { all_tables: true, inserts: true, updates: true, ..Publication::default() };
    CaptureRules::of(name, &config, PublicationFacts::Known(publication))
}

impl World {
    fn new() -> Self {
        let tables = [
            relation("orders", &["id", "name"]),
            relation("flat", &["id", "name"]),
            relation("outbox", &["id", "aggregatetype", "aggregateid", "payload"]),
            relation("private", &["id", "name"]),
        ];
        let flat = [("transforms", "f"), ("transforms.f.type", "io.debezium.transforms.ExtractNewRecordState")];
        let outbox = [
            ("transforms", "o"),
            ("transforms.o.type", "io.debezium.transforms.outbox.EventRouter"),
            ("plugin.name", "x"),
        ];
        let mut world = Self {
            transactions: Vec::new(),
            events: Vec::new(),
            rules: vec![rules("cdc", &[]), rules("flat", &flat), rules("box", &outbox)],
            topics: ["cdc.public.orders", "flat.public.flat", "outbox.event.sale"].map(str::to_owned).into(),
            claimed: [1, 2, 3].into(),
            blind: Blind {
                unseen: BTreeMap::from([(TableName::new("public", "orders"), 2)]),
                changes_before: BTreeMap::from([(TableName::new("public", "flat"), Lsn(3))]),
                early: BTreeMap::from([(TableName::new("public", "flat"), 1)]),
            },
        };
        let text = |text: &str| ColumnValue::Text(text.to_owned());
        let rows = |name: &str| vec![text("1"), text(name)];
        world.commit(1, &tables[0], RowOp::Insert, rows("a\"b"));
        world.commit(2, &tables[1], RowOp::Insert, rows("flattened"));
        world.commit(3, &tables[2], RowOp::Insert, vec![text("1"), text("sale"), text("k"), text(r#"{"sum":1.10}"#)]);
        world.commit(4, &tables[3], RowOp::Insert, rows("nobody's business"));
        world.commit(5, &tables[0], RowOp::Update, vec![text("1"), ColumnValue::Unchanged]);
        let source = json!({"connector": "postgresql", "name": "cdc", "schema": "public", "table": "orders", "txId": 1, "lsn": 10});
        let change =
            json!({"op": "c", "before": null, "after": {"id": "1", "name": "a\"b"}, "source": source, "ts_ms": 1});
        world.read("cdc.public.orders", Some(json!({"id": "1"})), Some(change));
        world.read("cdc.public.orders", None, Some(json!({"ts_ms": 1})));
        world.read("cdc.public.orders", None, Some(json!({"op": "?", "source": {}})));
        world.read("flat.public.flat", Some(json!({"id": "1"})), Some(json!({"id": "1", "name": "flattened"})));
        world.read("flat.public.flat", Some(json!({"id": "9"})), None);
        world.read("outbox.event.sale", Some(json!("k")), Some(json!({"sum": 1.1})));
        world
    }

    fn commit(&mut self, xid: u32, relation: &Arc<Relation>, op: RowOp, after: Vec<ColumnValue>) {
        let lsn = Lsn(u64::from(xid) * 10);
        let change = RowChange {
            relation: Arc::clone(relation),
            op,
            key: "id=1".to_owned(),
            before: None,
            after: Some(after),
            lsn,
        };
        let commit_lsn = Lsn(lsn.0 + 5);
        self.transactions.push(CommittedTransaction { xid, commit_lsn, committed_us: 1, changes: vec![change] });
    }

    fn read(&mut self, topic: &str, key: Option<Value>, value: Option<Value>) {
        let bytes = |value: Option<Value>| value.map(|value| value.to_string().into_bytes());
        let kind = EventDecoder::default().decode(bytes(key).as_deref(), bytes(value).as_deref());
        let offset = self.events.len() as i64;
        self.events.push(ReadEvent { topic: topic.into(), partition: 0, offset, read_us: 1, kind });
    }

    fn look<R>(&self, look: impl FnOnce(&Expectation<'_>, &[ReadEvent]) -> R) -> R {
        let connectors: Vec<ScopedConnector<'_>> = self
            .rules
            .iter()
            .map(|rules| ScopedConnector { confirmed: Some(Lsn(u64::MAX)), ..ScopedConnector::of(rules) })
            .collect();
        let expectation = Expectation {
            transactions: &self.transactions,
            settled: None,
            window: (Lsn(0), Lsn(1000)),
            blind: &self.blind,
            claimed: Some(&self.claimed),
            database: None,
            connectors: &connectors,
            topics: Some(&self.topics),
            drained: true,
            calm: false,
            partitions: None,
            late_us: None,
            samples: 5,
        };
        look(&expectation, &self.events)
    }

    fn written(&self) -> Vec<u8> {
        self.look(written).unwrap()
    }
}

/// Rows, and the account that follows from them, for tests of whoever stores them.
pub fn stored_example() -> (ChangeBasis, Reconciliation) {
    let world = World::new();
    let rows = PackedRows::of(&world.written(), &Redactor::default()).unwrap();
    (ChangeBasis::Rows(rows), world.look(reconcile))
}

#[test]
fn records_of_every_form_are_settled_again_alike() {
    let world = World::new();
    let result = world.look(reconciled);
    assert_eq!((result.sheet.once, result.sheet.corrupted), (3, 1), "{result:?}");
    assert_eq!((result.sheet.foreign, result.sheet.beside, result.tombstones), (0, 1, 1), "{result:?}");
    assert_eq!(result.sheet.imbalance(), None);
    let mut world = World::new();
    world.rules.clear();
    world.look(reconciled);
    world.rules.push(CaptureRules::assumed());
    world.look(reconciled);
}

#[test]
fn rows_that_nobody_reads_and_credentials_are_not_written_down() {
    let mut world = World::new();
    world.rules.truncate(2);
    let text = String::from_utf8(world.written()).unwrap();
    assert!(text.contains("flattened") && text.contains("private"), "{text}");
    for hidden in ["nobody's business", "1.10", "hunter22"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
    world.look(reconciled);
}

#[test]
fn rows_with_a_secret_are_not_stored() {
    let world = World::new();
    let text = world.written();
    for secret in ["a\"b", "flattened", "{\"sum\":1.10}"] {
        assert_eq!(PackedRows::of(&text, &Redactor::new([secret])), Err(NotStored::Secret), "{secret}");
    }
    assert!(PackedRows::of(&text, &Redactor::new(["hunter22"])).is_ok());
    // A secret stands where two stretches of the search meet.
    for before in (512 << 10) - 12..=512 << 10 {
        let text = [&vec![b' '; before][..], b"hunter22", &[b' '; 20]].concat();
        assert_eq!(PackedRows::of(&text, &Redactor::new(["hunter22"])), Err(NotStored::Secret), "{before}");
    }
}

#[test]
fn more_rows_than_are_stored_are_told() {
    let mut world = World::new();
    let record = world.events[1].clone();
    world.events.resize(1 << 20, record);
    assert_eq!(world.look(written), Err(NotStored::TooMany));
    let mut world = World::new();
    let large = ColumnValue::Text("x".repeat(128 << 20));
    world.transactions[0].changes[0].after = Some(vec![ColumnValue::Null, large]);
    assert_eq!(world.look(written), Err(NotStored::TooMany));
}

#[test]
fn a_row_of_any_length_is_neither_stored_nor_read() {
    let most = 16 << 20;
    let row = |bytes: usize| Some(vec![ColumnValue::Null, ColumnValue::Text("x".repeat(bytes))]);
    let mut world = World::new();
    world.transactions[0].changes[0].after = row(most);
    assert!(world.look(written).is_ok());
    world.transactions[0].changes[0].after = row(most + 1);
    assert_eq!(world.look(written), Err(NotStored::TooMany));
    let mut world = World::new();
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(most));
    world.events[0].kind = EventDecoder::default().decode(None, Some(long.as_bytes()));
    assert_eq!(world.look(written), Err(NotStored::TooMany));
    let whole: Value = serde_json::from_slice(&World::new().written()).unwrap();
    let places = ["/events/0/k/c/a", "/transactions/0/c/0/a/1", "/transactions/0/c/0/k"];
    for place in places {
        let mut wide = whole.clone();
        *wide.pointer_mut(place).unwrap_or_else(|| panic!("{place} of {whole}")) = json!(long);
        assert!(read(&wide).unwrap_err().contains("a row has more than 16 MiB"), "{place}");
    }
}

#[test]
fn rows_without_end_are_refused_while_they_are_read() {
    let whole: Value = serde_json::from_slice(&World::new().written()).unwrap();
    let nested = format!("{{\"id\":[{}0]}}", "0,".repeat(1 << 16));
    for place in ["/events/0/k/c/a", "/events/0/k/c/k"] {
        let mut wide = whole.clone();
        *wide.pointer_mut(place).unwrap() = json!(nested);
        assert!(read(&wide).unwrap_err().contains("a row has more than 65536 values"), "{place}");
    }
    let mut columns = whole.clone();
    columns["transactions"][0]["c"][0]["a"] = vec![json!(""); 4 << 20].into();
    let packed = PackedRows::of(&serde_json::to_vec(&columns).unwrap(), &Redactor::default()).unwrap();
    assert!(packed.size() < 100_000);
    assert!(packed.reconciliation().unwrap_err().contains("it has more than 4194304 values"));
    // Whoever writes them does not write what nobody reads again.
    let mut world = World::new();
    let (key, value) = (None, Some(nested.as_bytes()));
    world.events[0].kind = EventDecoder::default().decode(key, value);
    assert_eq!(world.look(written), Err(NotStored::TooMany));
}

fn read(value: &Value) -> Result<Reconciliation, String> {
    ChangeRows::read(serde_json::to_vec(value).unwrap().as_slice()).map(|rows| rows.reconcile())
}

#[test]
fn what_no_kscen_has_written_is_refused_with_the_reason() {
    let whole: Value = serde_json::from_slice(&World::new().written()).unwrap();
    assert!(read(&whole).is_ok());
    let cases = [
        ("/version", json!(99), "version 99"),
        ("/transactions/0/c/0/r", json!(1000), "a table that the accounts do not list"),
        ("/transactions/0/c/0/a", json!(["1"]), "another number of columns"),
        ("/relations/0/name/table", json!("x".repeat(1001)), "a name has more than 1000 bytes"),
        ("/relations/0/columns/0/name", json!("x".repeat(1001)), "a name has more than 1000 bytes"),
        ("/streams/0/0", json!("x".repeat(1001)), "a name has more than 1000 bytes"),
        ("/events/0/s", json!(77), "a topic that the accounts do not list"),
        ("/events/0/k/c/s", json!(77), "a table that the accounts do not list"),
        ("/events/0/k/c/a", json!("[1]"), "a row is a JSON object"),
        ("/events/0/o", json!(1e300), "invalid type"),
        ("/transactions", json!([{}]), "missing field"),
    ];
    for (place, value, expected) in cases {
        let mut wrong = whole.clone();
        *wrong.pointer_mut(place).unwrap_or_else(|| panic!("{place} of {whole}")) = value;
        let why = read(&wrong).unwrap_err();
        assert!(why.contains(expected), "{place}: {why}");
    }
    for (place, most, expected) in [("/events", 1 << 20, "rows"), ("/connectors", 100, "connectors")] {
        let mut wrong = whole.clone();
        let list = wrong.pointer_mut(place).and_then(Value::as_array_mut).unwrap();
        let one = list[1].clone();
        list.resize(most + 1, one);
        assert!(read(&wrong).unwrap_err().contains(expected), "{place}");
    }
    assert!(ChangeRows::read(b"[".as_slice()).is_err());
}

fn numbers(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Number(_) => places.push(at),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| numbers(item, format!("{at}/{index}"), places));
        }
        Value::Object(object) => {
            object.iter().for_each(|(key, item)| numbers(item, format!("{at}/{key}"), places));
        }
        _ => {}
    }
}

#[test]
fn numbers_of_any_size_are_settled_or_refused() {
    let whole: Value = serde_json::from_slice(&World::new().written()).unwrap();
    let mut places = Vec::new();
    numbers(&whole, String::new(), &mut places);
    let mut random = StdRng::seed_from_u64(5);
    let mut settled = 0;
    for _ in 0..500 {
        let mut mutant = whole.clone();
        for _ in 0..random.random_range(1..4) {
            let place = places.choose(&mut random).unwrap();
            let values = [json!(0), json!(u64::MAX), json!(i64::MIN), json!(u32::MAX), json!(i32::MIN), json!(-1)];
            *mutant.pointer_mut(place).unwrap() = values.choose(&mut random).unwrap().clone();
        }
        settled += usize::from(read(&mutant).is_ok());
    }
    assert!(settled > 50, "{settled}");
}

#[test]
fn damaged_rows_are_told() {
    let packed = serde_json::to_value(PackedRows::of(&World::new().written(), &Redactor::default()).unwrap()).unwrap();
    let text = packed.as_str().unwrap();
    let cut: PackedRows = serde_json::from_value(json!(text[..text.len() / 8 * 4])).unwrap();
    assert!(cut.reconciliation().is_err());
    let mut other = text.as_bytes().to_vec();
    other[text.len() / 2] = if other[text.len() / 2] == b'A' { b'B' } else { b'A' };
    let other: PackedRows = serde_json::from_value(json!(String::from_utf8(other).unwrap())).unwrap();
    assert!(other.reconciliation().is_err());
    assert!(serde_json::from_value::<PackedRows>(json!("?")).is_err());
}
