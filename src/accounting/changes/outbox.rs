//! Messages of an outbox, which are no envelopes: a row of it is told by key and payload.

use super::anomalies::{at_record, raw_key};
use super::ledger::{ChangeFate, ChangeLedger};
use super::reconciliation::RowClass;
use super::scope::Owed;
use crate::database::{ColumnValue, RowChange, RowOp};
use crate::debezium::{Op, Outbox, PlainRecord, ReadEvent, ReadKind, RowImage, canonical_json, plain};
use serde_json::Value;
use std::collections::HashMap;

/// The value of a column in a row.
pub(super) fn cell<'c>(change: &'c RowChange, column: &str) -> Option<&'c str> {
    let index = change.relation.columns.iter().position(|known| known.name == column)?;
    change.after.as_ref()?.get(index).and_then(ColumnValue::text)
}

/// The rows that wait for their messages, by payload; `None`: those whose payload is NULL.
type Waiting = HashMap<Option<String>, Vec<usize>>;

impl ChangeLedger<'_> {
    /// Settles the messages of a lane.
    pub(super) fn take_messages(&mut self, lane: usize, outbox: &Outbox, records: &[&ReadEvent]) {
        let mut waiting = Waiting::new();
        for (index, entry) in self.lanes[lane].entries.iter().enumerate().filter(|(_, e)| e.change.op == RowOp::Insert)
        {
            let payload = cell(entry.change, &outbox.payload).map(canonical_payload);
            waiting.entry(payload).or_default().push(index);
        }
        for read in records {
            match &read.kind {
                ReadKind::Plain(record) => self.take_message(lane, outbox, &waiting, read, record),
                ReadKind::Tombstone { key } => self.take_bare(lane, outbox, &waiting, read, key.as_ref()),
                _ => {}
            }
        }
    }

    /// The row whose message a record is, by key and payload: one that waits, else one that has come.
    fn row_of(&self, lane: usize, outbox: &Outbox, rows: &[usize], key: Option<&str>) -> Option<usize> {
        let entries = &self.lanes[lane].entries;
        let same_key = |index: &&usize| cell(entries[**index].change, &outbox.key) == key;
        let open = |index: &&usize| !entries[**index].has_arrived();
        rows.iter().filter(same_key).find(open).or_else(|| rows.iter().find(same_key)).copied()
    }

    /// A record without value: the message of a row without payload, if there is one.
    fn take_bare(&mut self, lane: usize, outbox: &Outbox, waiting: &Waiting, read: &ReadEvent, key: Option<&RowImage>) {
        // Whether JSON's null is written as one is a setting of the converter.
        let empty = outbox.buries_empty.then(|| Some(String::new()));
        let payloads = [None, Some("null".to_owned())].into_iter().chain(empty);
        let rows: Vec<usize> = payloads.filter_map(|payload| waiting.get(&payload)).flatten().copied().collect();
        let key = key.map(|key| raw_key(Some(key)));
        if let Some(index) = self.row_of(lane, outbox, &rows, key.as_deref()) {
            self.result.sheet.tombstones -= 1;
            self.is_message(lane, index, read);
        }
    }

    fn take_message(
        &mut self,
        lane: usize,
        outbox: &Outbox,
        waiting: &Waiting,
        read: &ReadEvent,
        record: &PlainRecord,
    ) {
        let value = record.value();
        let payload = if outbox.envelope { value.get("payload").cloned().unwrap_or_default() } else { value };
        let payload = match &payload {
            Value::Null => None,
            Value::String(text) => Some(canonical_payload(text)),
            other => Some(canonical_payload(&other.to_string())),
        };
        let key = record.key().map(|key| plain(&key));
        let all = waiting.get(&payload).map(Vec::as_slice).unwrap_or_default();
        if let Some(index) = self.row_of(lane, outbox, all, key.as_deref()) {
            self.is_message(lane, index, read);
            return;
        }
        let other = all.iter().find(|index| !self.lanes[lane].entries[**index].has_arrived()).copied();
        if let Some(index) = other {
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
fn canonical_payload(text: &str) -> String {
    canonical_json(text).unwrap_or_else(|| text.to_owned())
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

    /// One message of an outbox with that payload, and the record that was read in that topic.
    fn settled(payload: Option<&str>, settings: &[(&str, &str)], topic: &str, value: Option<&str>) -> Reconciliation {
        let mut relation = (*orders("id")).clone();
        let text = relation.columns[1].clone();
        let names = ["aggregatetype", "aggregateid", "payload"];
        relation.columns = vec![Column { key: true, ..text.clone() }];
        relation.columns.extend(names.map(|name| Column { name: name.to_owned(), ..text.clone() }));
        let known = |text: &str| ColumnValue::Text(text.to_owned());
        let after = vec![known("1"), known("sale"), known("k"), payload.map_or(ColumnValue::Null, known)];
        let (relation, key, lsn) = (Arc::new(relation), "id=1".to_owned(), Lsn(1000));
        let change = RowChange { relation, op: RowOp::Insert, key, before: None, after: Some(after), lsn };
        let transactions =
            [CommittedTransaction { xid: 7, commit_lsn: Lsn(1008), committed_us: 1, changes: vec![change] }];
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
