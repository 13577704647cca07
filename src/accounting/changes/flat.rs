//! Flattened rows, which are no envelopes.
//!
//! A flattened row says which state a row had, not which change made it so, unless the position is among its added fields. Without it
//! records and changes are matched row by row, in the order of the row's history.

use super::anomalies::at_record;
use super::content::Told;
use super::ledger::{ChangeFate, ChangeLedger, ConnectorLane};
use super::outbox::cell;
use super::reconciliation::RowClass;
use super::scope::{ConnectorScope, Owed};
use crate::database::{Lsn, Relation, RowChange, RowOp};
use crate::debezium::{
    Deletes, Flat, Form, Op, PlainRecord, ReadEvent, ReadKind, RowValues, Snapshot, compare_rows, plain,
};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// The changes of one row, in order, and the last that a record has shown.
#[derive(Default)]
pub(super) struct History {
    pub(super) entries: Vec<usize>,
    shown: Option<usize>,
    /// The last record of it was one without value, and that of a delete.
    buried: bool,
}

/// The rows of a lane.
#[derive(Default)]
pub(super) struct Histories<'a> {
    /// By table, and by key in one form.
    rows: HashMap<(String, String), History>,
    /// The tables as they ever were, the latest first.
    relations: Vec<&'a Relation>,
}

impl Histories<'_> {
    pub(super) fn all(&self) -> impl Iterator<Item = &History> {
        self.rows.values()
    }
}

impl ConnectorLane<'_> {
    /// The setting by which nobody can tell the topics of its messages, if there is one.
    pub(super) fn untold_topics(&self) -> Option<String> {
        let Form::Outbox(outbox) = self.scope.rules.form() else { return None };
        let routed = self.entries.iter().find_map(|entry| cell(entry.change, &outbox.route_by))?;
        let setting = self.scope.rules.message_topics(routed).err()?;
        Some(format!("{setting} of connector {} decides the topic of its messages", self.scope.rules.connector))
    }

    /// The topics that its records may be in.
    pub(super) fn topics(&self) -> HashSet<String> {
        let mut relations = HashSet::new();
        let mut topics = HashSet::new();
        for entry in &self.entries {
            if let Form::Outbox(outbox) = self.scope.rules.form() {
                let routed = cell(entry.change, &outbox.route_by).map(|by| self.scope.rules.message_topics(by));
                topics.extend(routed.and_then(Result::ok).unwrap_or_default());
            } else if relations.insert(&entry.change.relation.name) {
                topics.extend(self.scope.rules.topics(self.scope.name_of(&entry.change.relation)).unwrap_or_default());
            }
        }
        topics
    }
}

impl<'a> ChangeLedger<'a> {
    /// Settles the records of a lane that are no envelopes.
    pub(super) fn take_flat(&mut self, lane: usize, records: &[&ReadEvent]) {
        match self.lanes[lane].scope.rules.form().clone() {
            Form::Envelope => {}
            Form::Flat(flat) => self.take_rows(lane, &flat, records),
            Form::Outbox(outbox) => self.take_messages(lane, &outbox, records),
        }
    }

    fn take_rows(&mut self, lane: usize, flat: &Flat, records: &[&ReadEvent]) {
        let mut histories = self.histories(lane);
        let mut unexplained: HashSet<&str> = HashSet::new();
        let mut names: HashMap<&str, bool> = HashMap::new();
        let twice = self.lanes[lane].scope.rules.buries_twice(flat);
        for read in records {
            match &read.kind {
                ReadKind::Tombstone { key } => {
                    if flat.deletes == Deletes::Tombstone
                        && let Some(key) = key
                    {
                        let key = key.row();
                        names.entry(&*read.topic).or_insert_with(|| self.names_a_row(lane, &read.topic, &key));
                        if twice && self.is_second(lane, &mut histories, read, &key) {
                            continue;
                        }
                        let told = self.told_flat(read, Some(Op::Delete), Some(key.clone()), None, None);
                        self.take_state(lane, &mut histories, &told, &key, true);
                    }
                }
                ReadKind::Plain(record) => {
                    let before = self.result.sheet.unjudged_records;
                    self.take_row(lane, flat, &mut histories, read, record);
                    if self.result.sheet.unjudged_records > before {
                        unexplained.insert(&*read.topic);
                    }
                }
                _ => {}
            }
        }
        self.cover_before(lane, flat, &histories);
        self.doubt_before(lane, flat, &histories);
        names.retain(|_, names| !*names);
        self.doubt(lane, flat, &unexplained, &names);
    }

    /// Whether a record's key has what tells rows of the topic apart in the log: it has not where these have another replica identity than
    /// their primary key.
    fn names_a_row(&self, lane: usize, topic: &str, key: &RowValues) -> bool {
        let scope = &self.lanes[lane].scope;
        let mut relations: HashMap<*const Relation, &Relation> = HashMap::new();
        for entry in &self.lanes[lane].entries {
            relations.insert(std::sync::Arc::as_ptr(&entry.change.relation), &entry.change.relation);
        }
        let is_of = |relation: &&Relation| {
            let topics = scope.rules.topics(scope.name_of(relation)).unwrap_or_default();
            topics.iter().any(|known| known == topic)
        };
        relations.into_values().filter(is_of).any(|relation| scope.canonical_row(relation, key, false).is_some())
    }

    /// Of rows that flattened records do not tell apart none is called lost: those whose key has no form to compare, those without
    /// key where records came that no change explains, and deletes whose tombstones have another key than the log.
    fn doubt(&mut self, lane: usize, flat: &Flat, unexplained: &HashSet<&str>, nameless: &HashMap<&str, bool>) {
        let reason: std::sync::Arc<str> = format!(
            "flattened rows of it cannot be told apart: set transforms.{0}.add.fields to op,source.lsn \
             and transforms.{0}.delete.tombstone.handling.mode to rewrite",
            flat.transform
        )
        .into();
        let ConnectorLane { scope, entries, .. } = &mut self.lanes[lane];
        for entry in entries.iter_mut().filter(|entry| entry.owed == Owed::Yes && !entry.has_arrived()) {
            let change = entry.change;
            let buried = change.op == RowOp::Delete && flat.deletes == Deletes::Tombstone;
            let by_state = flat.lsn.is_none() || buried;
            let whole = !change.relation.has_key();
            let cells = change.after.as_ref().or(change.before.as_ref());
            let told = cells.is_some_and(|cells| scope.canonical_cells(&change.relation, cells, whole).is_some());
            let topics = scope.rules.topics(scope.name_of(&change.relation)).unwrap_or_default();
            let mixed = whole && topics.iter().any(|topic| unexplained.contains(topic.as_str()));
            let unnamed = buried && topics.iter().any(|topic| nameless.contains_key(topic.as_str()));
            if by_state && change.op != RowOp::Truncate && (!told || mixed || unnamed) {
                entry.owed = Owed::Perhaps(reason.clone());
            }
        }
    }

    fn take_row<'e>(
        &mut self,
        lane: usize,
        flat: &Flat,
        histories: &mut Histories<'a>,
        read: &'e ReadEvent,
        record: &PlainRecord,
    ) {
        let Value::Object(mut row) = record.value() else {
            self.result.sheet.corrupted += 1;
            let detail = "a flattened row is a JSON object".to_owned();
            self.note(RowClass::WrongContent, || at_record(read, RowClass::WrongContent, detail));
            return;
        };
        let key = match record.key() {
            Some(Value::Object(key)) => Some(key),
            _ => None,
        };
        let lsn = flat.lsn.as_ref().and_then(|field| row.get(field)).and_then(Value::as_u64).map(Lsn);
        let deleted = flat.deleted.and_then(|field| row.get(field)).is_some_and(|flag| plain(flag) == "true");
        let op = match flat.op.as_ref().and_then(|field| row.get(field)).and_then(Value::as_str) {
            _ if deleted => Some(Op::Delete),
            Some("c") => Some(Op::Create),
            Some("u") => Some(Op::Update),
            Some("d") => Some(Op::Delete),
            Some("r") => Some(Op::Read),
            _ => None,
        };
        row.retain(|field, _| !flat.added.contains(field));
        let identity = row.clone();
        let (before, after) = if op == Some(Op::Delete) { (Some(row), None) } else { (None, Some(row)) };
        let mut told = self.told_flat(read, op, key, before, after);
        match (lsn, op) {
            (Some(lsn), Some(Op::Create | Op::Update | Op::Delete)) => {
                told.lsn = Some(lsn);
                self.goes_on(lane, histories, read, &identity, lsn);
                self.streamed(lane, &told, Snapshot::No);
            }
            _ => {
                if op == Some(Op::Read) {
                    told.lsn = lsn;
                    self.lanes[lane].has_shown(lsn);
                }
                self.take_state(lane, histories, &told, &identity, false);
            }
        }
    }

    pub(super) fn told_flat<'e>(
        &self,
        read: &'e ReadEvent,
        op: Option<Op>,
        key: Option<RowValues>,
        before: Option<RowValues>,
        after: Option<RowValues>,
    ) -> Told<'e> {
        let (table, transaction) = (None, None);
        Told { read, op, table, lsn: None, xid: None, ts_us: None, key, before, after, transaction }
    }

    fn histories(&self, lane: usize) -> Histories<'a> {
        let lane = &self.lanes[lane];
        let mut histories = Histories::default();
        let mut known = HashSet::new();
        for entry in lane.entries.iter().rev() {
            let change: &'a RowChange = entry.change;
            let relation: &'a Relation = &change.relation;
            if known.insert(std::ptr::from_ref(relation)) {
                histories.relations.push(relation);
            }
        }
        for (index, entry) in lane.entries.iter().enumerate() {
            let change = entry.change;
            let cells = change.after.as_ref().or(change.before.as_ref());
            let whole = !change.relation.has_key();
            if let Some(key) = cells.and_then(|cells| lane.scope.canonical_cells(&change.relation, cells, whole)) {
                let table = lane.scope.name_of(&change.relation).to_string();
                histories.rows.entry((table, key)).or_default().entries.push(index);
            }
        }
        histories
    }

    /// The history that a row belongs to: that of a table whose topic it was read from.
    fn place_of(
        &self,
        lane: usize,
        histories: &Histories<'a>,
        read: &ReadEvent,
        row: &RowValues,
    ) -> Option<(String, String)> {
        let scope = &self.lanes[lane].scope;
        histories.relations.iter().find_map(|relation| {
            let table = scope.name_of(relation);
            if scope.rules.topics(table).is_ok_and(|topics| !topics.iter().any(|topic| **topic == *read.topic)) {
                return None;
            }
            let key = scope.canonical_row(relation, row, !relation.has_key())?;
            let place = (table.to_string(), key);
            histories.rows.contains_key(&place).then_some(place)
        })
    }

    /// Whether a record without value is the second of a delete that becomes two of them. The next one of its row is none again.
    fn is_second(&self, lane: usize, histories: &mut Histories<'a>, read: &ReadEvent, key: &RowValues) -> bool {
        let place = self.place_of(lane, histories, read, key);
        let history = place.and_then(|place| histories.rows.get_mut(&place));
        history.is_some_and(|history| std::mem::take(&mut history.buried))
    }

    /// A row with its position: what tells no position is looked for behind its change, and the next record without value is the first of a delete.
    fn goes_on(&self, lane: usize, histories: &mut Histories<'a>, read: &ReadEvent, key: &RowValues, lsn: Lsn) {
        let place = self.place_of(lane, histories, read, key);
        let Some(history) = place.and_then(|place| histories.rows.get_mut(&place)) else { return };
        history.buried = false;
        let of = |index: &usize| self.lanes[lane].entries[*index].change.lsn;
        let until = history.entries.partition_point(|index| of(index) <= lsn);
        if let Some(own) = history.entries[..until].last().filter(|index| of(index) == lsn) {
            history.shown = Some(*own);
        }
    }

    /// Whether records of a lane can only be of changes in the account: its connector was made behind the account's beginning.
    fn is_of_the_account(&self, lane: usize) -> bool {
        self.lanes[lane].made_at.unwrap_or_default() >= self.expectation.window.0
    }

    /// A record that shows a state of a row.
    fn take_state(
        &mut self,
        lane: usize,
        histories: &mut Histories<'a>,
        told: &Told<'_>,
        row: &RowValues,
        tombstone: bool,
    ) {
        let place = self.place_of(lane, histories, told.read, row);
        let history = place.and_then(|place| histories.rows.get_mut(&place));
        let found = history.and_then(|history| {
            let lane = &self.lanes[lane];
            let index = history.find(lane, told)?;
            (history.shown, history.buried) = (Some(index), tombstone);
            Some((index, history))
        });
        match found {
            Some((index, _)) if self.lanes[lane].entries[index].owed == Owed::Foreign => {
                self.lanes[lane].entries[index].fate = ChangeFate::Once;
                self.result.sheet.tombstones -= u64::from(tombstone);
                self.foreign();
            }
            Some((index, history)) if told.op == Some(Op::Read) => {
                self.result.snapshot_rows += 1;
                self.result.sheet.snapshot_rows += 1;
                for entry in history.entries.iter().copied().take_while(|entry| *entry <= index) {
                    self.lanes[lane].cover(entry);
                }
            }
            Some((index, _)) => {
                self.result.sheet.tombstones -= u64::from(tombstone);
                if told.op.is_some() {
                    self.lanes[lane].streams(index);
                }
                self.lanes[lane].reaches(index, told.read);
                self.arrived(lane, index, told);
            }
            // A tombstone of a row that the account does not know removes nothing that anybody waits for.
            None if tombstone => {}
            None if told.op == Some(Op::Read) => {
                self.result.snapshot_rows += 1;
                self.result.sheet.snapshot_rows += 1;
            }
            None if told.op.is_some() && self.is_of_the_account(lane) => {
                self.result.sheet.phantom += 1;
                let detail = "the database committed no such change";
                self.note(RowClass::Phantom, || super::anomalies::about(told, RowClass::Phantom, detail));
            }
            None => {
                let transform = match self.lanes[lane].scope.rules.form() {
                    Form::Flat(flat) => flat.transform.clone(),
                    _ => String::new(),
                };
                let reason = format!(
                    "flattened rows that no change explains may be of a snapshot, or of before the account: set \
                     transforms.{transform}.add.fields to op,source.lsn"
                );
                self.result.gap(None, &reason, 0, 1);
            }
        }
    }
}

impl History {
    /// The change whose state a record shows: the next one in order, else an earlier one that has not been seen, else one that has.
    fn find(&self, lane: &ConnectorLane<'_>, told: &Told<'_>) -> Option<usize> {
        let fits = |index: &&usize| lane.scope.shows(told, lane.entries[**index].change);
        let open = |index: &&usize| !lane.entries[**index].has_arrived();
        if let (Some(Op::Read), Some(lsn)) = (told.op, told.lsn) {
            // What is behind a snapshot comes by itself, also where it left the row so again.
            let until = self.entries.partition_point(|index| lane.entries[*index].change.lsn <= lsn);
            if let Some(shown) = self.entries[..until].iter().rev().find(fits) {
                return Some(*shown);
            }
        }
        let from = self.shown.map_or(0, |shown| self.entries.partition_point(|index| *index <= shown));
        if told.op != Some(Op::Read)
            && let Some(again) = self.again(lane, told, from)
        {
            return Some(again);
        }
        let (all, later) = (|| self.entries.iter(), || self.entries[from..].iter());
        let found = later().filter(open).find(fits);
        let found = found.or_else(|| all().filter(open).find(fits)).or_else(|| all().find(fits));
        // A state that the row never had belongs to the next change of the row, whose record it stands in for.
        let same_kind =
            |index: &&usize| (lane.entries[**index].change.op == RowOp::Delete) == (told.op == Some(Op::Delete));
        found.or_else(|| later().filter(open).find(same_kind)).or_else(|| all().find(same_kind)).copied()
    }

    /// The change of a record where only its order decides: whoever sends again goes on from change to change, and no row is deleted twice.
    fn again(&self, lane: &ConnectorLane<'_>, told: &Told<'_>, from: usize) -> Option<usize> {
        if lane.scope.rules.scatters().is_some() {
            return None;
        }
        let next = self.entries.get(from).filter(|index| lane.scope.shows(told, lane.entries[**index].change));
        let deleted = self.shown.filter(|shown| lane.entries[*shown].change.op == RowOp::Delete);
        next.copied().or(deleted.filter(|_| told.op == Some(Op::Delete)))
    }
}

impl ConnectorScope<'_> {
    fn shows(&self, told: &Told<'_>, change: &RowChange) -> bool {
        match (&change.after, &told.after) {
            (None, None) => true,
            (Some(cells), Some(row)) => {
                let table = self.table(&change.relation);
                let changed = |place: usize| table.changes(place);
                compare_rows(&change.relation, cells, row, &self.rules.modes, false, &changed).is_ok()
            }
            _ => false,
        }
    }
}
