//! Messages of an outbox, which are no envelopes: a row of it is told by key and payload.

use super::anomalies::at_record;
use super::ledger::{ChangeFate, ChangeLedger};
use super::reconciliation::RowClass;
use super::scope::Owed;
use crate::database::{ColumnValue, RowChange, RowOp};
use crate::debezium::{Op, Outbox, PlainRecord, ReadEvent, ReadKind, canonical_json, plain};
use serde_json::Value;
use std::collections::HashMap;

/// The value of a column in a row.
pub(super) fn cell<'c>(change: &'c RowChange, column: &str) -> Option<&'c str> {
    let index = change.relation.columns.iter().position(|known| known.name == column)?;
    change.after.as_ref()?.get(index).and_then(ColumnValue::text)
}

impl ChangeLedger<'_> {
    /// Settles the messages of a lane.
    pub(super) fn take_messages(&mut self, lane: usize, outbox: &Outbox, records: &[&ReadEvent]) {
        let mut waiting: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, entry) in self.lanes[lane].entries.iter().enumerate().filter(|(_, e)| e.change.op == RowOp::Insert)
        {
            let payload = cell(entry.change, &outbox.payload).map(canonical_payload).unwrap_or_default();
            waiting.entry(payload).or_default().push(index);
        }
        for read in records {
            let ReadKind::Plain(record) = &read.kind else { continue };
            self.take_message(lane, outbox, &waiting, read, record);
        }
    }

    fn take_message(
        &mut self,
        lane: usize,
        outbox: &Outbox,
        waiting: &HashMap<String, Vec<usize>>,
        read: &ReadEvent,
        record: &PlainRecord,
    ) {
        let value = record.value();
        let payload = if outbox.envelope { value.get("payload").cloned().unwrap_or_default() } else { value };
        let payload = match &payload {
            Value::String(text) => canonical_payload(text),
            other => canonical_payload(&other.to_string()),
        };
        let key = record.key().map(|key| plain(&key));
        let lane_ref = &self.lanes[lane];
        let all = waiting.get(&payload).map(Vec::as_slice).unwrap_or_default();
        let same_key = |index: &&usize| cell(lane_ref.entries[**index].change, &outbox.key).map(str::to_owned) == key;
        let open = |index: &&usize| !lane_ref.entries[**index].has_arrived();
        let found = all.iter().filter(same_key).find(open).or_else(|| all.iter().find(same_key)).copied();
        let Some(index) = found else {
            let other = all.iter().find(open).copied();
            let detail = match other {
                Some(_) => "the record's key is not that of the outbox's row",
                None => "the outbox has no such row",
            };
            if let Some(index) = other {
                self.lanes[lane].entries[index].fate = ChangeFate::Damaged;
                self.result.sheet.corrupted += 1;
                self.note(RowClass::WrongContent, || at_record(read, RowClass::WrongContent, detail.to_owned()));
            } else {
                self.result.sheet.phantom += 1;
                self.note(RowClass::Phantom, || at_record(read, RowClass::Phantom, detail.to_owned()));
            }
            return;
        };
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
