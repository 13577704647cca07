//! Messages of an outbox, which are no envelopes: a row of it is told by key and payload.

use super::anomalies::{at_record, raw_key};
use super::ledger::{ChangeFate, ChangeLedger, ConnectorLane};
use super::reconciliation::RowClass;
use super::scope::{ConnectorScope, Owed};
use crate::database::{Column, ColumnValue, RowChange, RowOp};
use crate::debezium::{
    Op, Outbox, PlainRecord, ReadEvent, ReadKind, RowImage, bytes, canonical_json, canonical_text, canonical_value,
    plain,
};
use serde_json::Value;
use std::collections::HashMap;

/// The value of a column in a row.
pub(super) fn cell<'c>(change: &'c RowChange, column: &str) -> Option<&'c str> {
    let index = change.relation.columns.iter().position(|known| known.name == column)?;
    change.after.as_ref()?.get(index).and_then(ColumnValue::text)
}

/// Rows that wait for their messages, in order of commit.
#[derive(Default)]
struct Rows {
    indexes: Vec<usize>,
    /// So many of the first have come.
    came: usize,
}

impl Rows {
    /// The first that has not come.
    fn open(&mut self, lane: &ConnectorLane<'_>) -> Option<usize> {
        while self.indexes.get(self.came).is_some_and(|index| lane.entries[*index].has_arrived()) {
            self.came += 1;
        }
        self.indexes.get(self.came).copied()
    }
}

/// The rows of one payload.
#[derive(Default)]
struct OfPayload {
    all: Rows,
    by_key: HashMap<Option<String>, Rows>,
}

/// The rows that wait for their messages.
#[derive(Default)]
struct Waiting {
    /// By payload; `None`: those whose payload is NULL.
    rows: HashMap<Option<String>, OfPayload>,
    /// The column of the payload, where it has bytes.
    binary: Option<Column>,
}

impl Waiting {
    fn of(lane: &ConnectorLane<'_>, outbox: &Outbox) -> Self {
        let mut all = Self::default();
        let inserts = lane.entries.iter().enumerate().filter(|(_, entry)| entry.change.op == RowOp::Insert);
        for (index, change) in inserts.map(|(index, entry)| (index, entry.change)) {
            let key = cell(change, &outbox.key).map(str::to_owned);
            for payload in all.payloads(&lane.scope, outbox, change) {
                let rows = all.rows.entry(payload).or_default();
                rows.all.indexes.push(index);
                rows.by_key.entry(key.clone()).or_default().indexes.push(index);
            }
        }
        all
    }

    /// The payloads that the message of a row may have.
    fn payloads(&mut self, scope: &ConnectorScope<'_>, outbox: &Outbox, change: &RowChange) -> Vec<Option<String>> {
        let Some(text) = cell(change, &outbox.payload) else { return vec![None] };
        let column = change.relation.columns.iter().find(|column| column.name == outbox.payload);
        let Some((column, bytes)) = column.zip(column.and_then(|column| bytes(column, text))) else {
            return vec![Some(canonical_payload(outbox, text))];
        };
        self.binary.get_or_insert_with(|| column.clone());
        // A converter may write the bytes as they are.
        let bare = String::from_utf8(bytes).ok().map(|text| canonical_payload(outbox, &text));
        let form = canonical_text(column, text, &scope.rules.modes).map(|form| binary(&form));
        form.into_iter().chain(bare).map(Some).collect()
    }

    /// The payloads that a message may tell.
    fn told(&self, scope: &ConnectorScope<'_>, outbox: &Outbox, payload: &Value) -> Vec<Option<String>> {
        let text = match payload {
            Value::Null => return vec![None],
            Value::String(text) => canonical_payload(outbox, text),
            other => canonical_payload(outbox, &other.to_string()),
        };
        let form = self.binary.as_ref().and_then(|column| canonical_value(column, payload, &scope.rules.modes));
        form.map(|form| binary(&form)).into_iter().chain([text]).map(Some).collect()
    }

    /// The row whose message has one of these payloads and that key: one that waits, else one that has come.
    fn row(&mut self, lane: &ConnectorLane<'_>, payloads: &[Option<String>], key: &Option<String>) -> Option<usize> {
        let mut came = None;
        for payload in payloads {
            let Some(rows) = self.rows.get_mut(payload).and_then(|rows| rows.by_key.get_mut(key)) else { continue };
            let open = rows.open(lane);
            if open.is_some() {
                return open;
            }
            came = came.or(rows.indexes.first().copied());
        }
        came
    }

    /// A row of one of these payloads that waits, whatever its key is.
    fn open(&mut self, lane: &ConnectorLane<'_>, payloads: &[Option<String>]) -> Option<usize> {
        payloads.iter().find_map(|payload| self.rows.get_mut(payload)?.all.open(lane))
    }
}

impl ChangeLedger<'_> {
    /// Settles the messages of a lane.
    pub(super) fn take_messages(&mut self, lane: usize, outbox: &Outbox, records: &[&ReadEvent]) {
        let mut waiting = Waiting::of(&self.lanes[lane], outbox);
        for read in records {
            match &read.kind {
                ReadKind::Plain(record) => self.take_message(lane, outbox, &mut waiting, read, record),
                ReadKind::Tombstone { key } => self.take_bare(lane, outbox, &mut waiting, read, key.as_ref()),
                _ => {}
            }
        }
    }

    /// A record without value: the message of a row without payload, if there is one.
    fn take_bare(
        &mut self,
        lane: usize,
        outbox: &Outbox,
        waiting: &mut Waiting,
        read: &ReadEvent,
        key: Option<&RowImage>,
    ) {
        // Whether JSON's null is written as one is a setting of the converter.
        let empty = outbox.buries_empty.then(|| Some(String::new()));
        let payloads: Vec<Option<String>> = [None, Some("null".to_owned())].into_iter().chain(empty).collect();
        let key = key.map(|key| raw_key(Some(key)));
        if let Some(index) = waiting.row(&self.lanes[lane], &payloads, &key) {
            self.result.sheet.tombstones -= 1;
            self.is_message(lane, index, read);
        }
    }

    fn take_message(
        &mut self,
        lane: usize,
        outbox: &Outbox,
        waiting: &mut Waiting,
        read: &ReadEvent,
        record: &PlainRecord,
    ) {
        let value = record.value();
        let payload = if outbox.envelope { value.get("payload").cloned().unwrap_or_default() } else { value };
        let payloads = waiting.told(&self.lanes[lane].scope, outbox, &payload);
        let key = record.key().map(|key| plain(&key));
        if let Some(index) = waiting.row(&self.lanes[lane], &payloads, &key) {
            self.is_message(lane, index, read);
        } else if let Some(index) = waiting.open(&self.lanes[lane], &payloads) {
            self.lanes[lane].entries[index].fate = ChangeFate::Damaged;
            self.result.sheet.corrupted += 1;
            let detail = "the record's key is not that of the outbox's row";
            self.note(RowClass::WrongContent, || at_record(read, RowClass::WrongContent, detail.to_owned()));
        } else {
            self.result.sheet.phantom += 1;
            let detail = "the outbox has no such row";
            self.note(RowClass::Phantom, || at_record(read, RowClass::Phantom, detail.to_owned()));
        }
    }

    /// A record is the message of a row.
    fn is_message(&mut self, lane: usize, index: usize, read: &ReadEvent) {
        if self.lanes[lane].entries[index].owed == Owed::Foreign {
            self.lanes[lane].entries[index].fate = ChangeFate::Once;
            self.foreign();
            return;
        }
        // Key and payload are equal; the other columns are not in the message.
        let told = self.told_flat(read, Some(Op::Create), None, None, None);
        self.lanes[lane].reaches(index, read);
        self.result.values_compared += 2;
        self.arrived_well(lane, index, &told);
    }
}

/// Payloads are often JSON, whose notation may change on the way.
fn canonical_payload(outbox: &Outbox, text: &str) -> String {
    let expanded = if outbox.expands { expanded(text) } else { None };
    let text = expanded.as_deref().unwrap_or(text);
    canonical_json(text).unwrap_or_else(|| text.to_owned())
}

/// JSON as it is where each of its members has become a field.
fn expanded(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    (value.is_object() || value.is_array()).then(|| pruned(value).to_string())
}

/// Without nulls and empty lists, for which there are no fields. Of an object in a list null also says that only others have that member.
fn pruned(value: Value) -> Value {
    let stays = |value: &Value| !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty());
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| stays(value));
            Value::Object(members.map(|(name, value)| (name, pruned(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(pruned).collect()),
        other => other,
    }
}

/// Bytes in one form, which no text has.
fn binary(form: &str) -> String {
    format!("\\x{form}")
}

#[cfg(test)]
mod tests {
    use crate::accounting::changes::history_tests::orders;
    use crate::accounting::changes::stored_tests::{all_read, reconciled};
    use crate::accounting::changes::{Expectation, Reconciliation, ScopedConnector};
    use crate::connect::ConnectorConfig;
    use crate::database::{Column, ColumnValue, CommittedTransaction, Lsn, RowChange, RowOp};
    use crate::debezium::{CaptureRules, EventDecoder, PublicationFacts, ReadEvent};
    use std::sync::Arc;
    use tokio_postgres::types::Type;

    /// One message of an outbox with that payload, and the record that was read in that topic.
    fn settled(payload: Option<&str>, settings: &[(&str, &str)], topic: &str, value: Option<&str>) -> Reconciliation {
        settled_as(Type::TEXT, payload, settings, topic, value)
    }

    /// A change of another table.
    fn of_accounts(op: RowOp) -> RowChange {
        let mut relation = (*orders("name")).clone();
        relation.name.table = "accounts".to_owned();
        let row = vec![ColumnValue::Text("1".to_owned()), ColumnValue::Text("x".to_owned())];
        let (before, after) = if op == RowOp::Delete { (Some(row), None) } else { (None, Some(row)) };
        RowChange { relation: Arc::new(relation), op, key: "id=1".to_owned(), before, after, lsn: Lsn(1004) }
    }

    /// The same with a payload of that type.
    fn settled_as(
        ty: Type,
        payload: Option<&str>,
        settings: &[(&str, &str)],
        topic: &str,
        value: Option<&str>,
    ) -> Reconciliation {
        settled_beside(ty, payload, settings, (topic, value), None)
    }

    /// The same with a change of another table in its transaction.
    fn settled_beside(
        ty: Type,
        payload: Option<&str>,
        settings: &[(&str, &str)],
        (topic, value): (&str, Option<&str>),
        beside: Option<RowChange>,
    ) -> Reconciliation {
        let mut relation = (*orders("id")).clone();
        let text = relation.columns[1].clone();
        let names = ["aggregatetype", "aggregateid", "payload"];
        relation.columns = vec![Column { key: true, ..text.clone() }];
        relation.columns.extend(names.map(|name| Column { name: name.to_owned(), ..text.clone() }));
        relation.columns[3].type_oid = ty.oid();
        let known = |text: &str| ColumnValue::Text(text.to_owned());
        let after = vec![known("1"), known("sale"), known("k"), payload.map_or(ColumnValue::Null, known)];
        let (relation, key, lsn) = (Arc::new(relation), "id=1".to_owned(), Lsn(1000));
        let change = RowChange { relation, op: RowOp::Insert, key, before: None, after: Some(after), lsn };
        let changes = std::iter::once(change).chain(beside).collect();
        let transactions = [CommittedTransaction { xid: 7, commit_lsn: Lsn(1008), committed_us: 1, changes }];
        let common = [
            ("topic.prefix", "cdc"),
            ("transforms", "o,r"),
            ("transforms.o.type", "io.debezium.transforms.outbox.EventRouter"),
            ("transforms.r.type", "org.apache.kafka.connect.transforms.RegexRouter"),
        ];
        let config: ConnectorConfig =
            common.iter().chain(settings).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let rules = CaptureRules::of("c", &config, PublicationFacts::Unknown);
        let confirmed = Some(Lsn(u64::MAX));
        let connectors = [ScopedConnector { confirmed, ..ScopedConnector::of(&rules) }];
        let kind = EventDecoder::default().decode(Some(b"k"), value.map(str::as_bytes));
        let event = ReadEvent { topic: topic.into(), partition: 0, offset: 0, read_us: 1, kind };
        let topics = [topic.to_owned()].into();
        let expectation = Expectation { topics: Some(&topics), ..all_read(&transactions, &connectors) };
        let result = reconciled(&expectation, &[event]);
        assert_eq!(result.sheet.imbalance(), None, "{result:?}");
        result
    }

    /// Read once, lost, phantom, excused, not judged.
    fn figures(result: &Reconciliation) -> [u64; 5] {
        let sheet = &result.sheet;
        [sheet.once, sheet.lost, sheet.phantom, sheet.excused, sheet.unjudged]
    }

    const TOPIC: &str = "outbox.event.sale";

    #[test]
    fn a_message_without_payload_is_a_record_without_value() {
        let once = [1, 0, 0, 0, 0];
        for value in [None, Some("null")] {
            assert_eq!(figures(&settled(None, &[], TOPIC, value)), once, "{value:?}");
        }
        let envelope = [("transforms.o.table.fields.additional.placement", "id:envelope")];
        assert_eq!(figures(&settled(None, &envelope, TOPIC, Some("{\"payload\":null,\"id\":\"1\"}"))), once);
        // An empty one is one only where the router says so; one with a payload is none.
        let empty = [("transforms.o.route.tombstone.on.empty.payload", "true")];
        assert_eq!(figures(&settled(Some(""), &empty, TOPIC, None)), once);
        assert_eq!(figures(&settled(Some(""), &[], TOPIC, None)), [0, 1, 0, 0, 0]);
        assert_eq!(figures(&settled(Some("x"), &[], TOPIC, None)), [0, 1, 0, 0, 0]);
        assert_eq!(figures(&settled(Some("x"), &[], TOPIC, Some("y"))), [0, 1, 1, 0, 0]);
    }

    /// An outbox is written where something else is changed.
    #[test]
    fn what_the_same_transaction_changes_beside_the_outbox_is_none_of_the_routers_business() {
        let lists: [&[(&str, &str)]; 2] = [&[], &[("table.include.list", "public.orders")]];
        for listed in lists {
            for op in [RowOp::Insert, RowOp::Update, RowOp::Delete] {
                let message = (TOPIC, Some("x"));
                let result = settled_beside(Type::TEXT, Some("x"), listed, message, Some(of_accounts(op)));
                assert_eq!(figures(&result), [1, 0, 0, 1, 0], "{op:?} {listed:?}");
                assert!(result.excused[0].reason.contains("no reader"), "{result:?}");
            }
        }
    }

    #[test]
    fn a_payload_that_is_expanded_has_neither_nulls_nor_empty_lists() {
        let of = |settings: &[(&str, &str)], payload: &str, value: &str| {
            figures(&settled(Some(payload), settings, TOPIC, Some(value)))
        };
        let expands = [("transforms.o.table.expand.json.payload", "true")];
        let row = r#"{"a": 1, "b": null, "list": [{"c": 1}, {"d": "x"}], "none": [], "deep": {"e": null}}"#;
        let message = r#"{"a":1,"list":[{"c":1,"d":null},{"c":null,"d":"x"}],"deep":{}}"#;
        assert_eq!(of(&expands, row, message), [1, 0, 0, 0, 0]);
        assert_eq!(of(&[], row, message), [0, 1, 1, 0, 0]);
        assert_eq!(of(&expands, row, r#"{"a":2,"deep":{}}"#), [0, 1, 1, 0, 0], "another value");
    }

    #[test]
    fn a_payload_of_bytes_is_known_in_each_of_its_forms() {
        let of = |settings: &[(&str, &str)], value: &str| {
            figures(&settled_as(Type::BYTEA, Some("\\x7b2261223a317d"), settings, TOPIC, Some(value)))
        };
        // As the JSON converter writes bytes, and as one that writes them as they are.
        for value in ["\"eyJhIjoxfQ==\"", "{\"a\": 1}"] {
            assert_eq!(of(&[], value), [1, 0, 0, 0, 0], "{value}");
        }
        assert_eq!(of(&[("binary.handling.mode", "hex")], "\"7b2261223a317d\""), [1, 0, 0, 0, 0]);
        assert_eq!(of(&[], "\"eyJhIjoyfQ==\""), [0, 1, 1, 0, 0], "another value");
    }

    #[test]
    fn topics_of_messages_follow_the_router_and_what_comes_behind_it() {
        let of = |settings: &[(&str, &str)], topic: &str| figures(&settled(Some("x"), settings, topic, Some("x")));
        let once = [1, 0, 0, 0, 0];
        let replacement = ("transforms.o.route.topic.replacement", "events.$1");
        assert_eq!(of(&[("transforms.o.route.topic.regex", "s(.*)"), replacement], "events.ale"), once);
        // What does not match has the name of the value itself.
        assert_eq!(of(&[("transforms.o.route.topic.regex", "b(.*)"), replacement], "sale"), once);
        let behind = [("transforms.r.regex", "outbox\\.event\\.(.*)"), ("transforms.r.replacement", "all.$1")];
        assert_eq!(of(&behind, "all.sale"), once);
        assert_eq!(of(&behind, TOPIC), [0, 0, 1, 1, 0]);
        // One that is not understood says nothing of what is missing.
        let strange = [("transforms.o.route.topic.regex", "(")];
        assert_eq!(of(&strange, TOPIC), once);
        assert_eq!(figures(&settled(Some("x"), &strange, "elsewhere", None)), [0, 0, 0, 0, 1]);
    }
}
