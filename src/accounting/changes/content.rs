//! Whether an event says what the database says.

use super::scope::ConnectorScope;
use crate::database::{Column, ColumnValue, CommittedTransaction, Lsn, Relation, RowChange, RowOp, TableName};
use crate::debezium::{
    Agreement, BARE_KEY, ChangeEvent, Op, ReadEvent, RowImage, RowValues, TransactionInfo, compare, compare_rows,
    may_be_filled, xid,
};

/// What a record says about a change, whatever its form.
pub(super) struct Told<'e> {
    pub(super) read: &'e ReadEvent,
    /// `None` where the record does not say.
    pub(super) op: Option<Op>,
    pub(super) table: Option<&'e TableName>,
    pub(super) lsn: Option<Lsn>,
    pub(super) xid: Option<u32>,
    pub(super) ts_us: Option<i64>,
    pub(super) key: Option<RowValues>,
    pub(super) before: Option<RowValues>,
    pub(super) after: Option<RowValues>,
    /// Its place in its transaction.
    pub(super) transaction: Option<&'e TransactionInfo>,
}

impl<'e> Told<'e> {
    pub(super) fn of(read: &'e ReadEvent, event: &'e ChangeEvent) -> Self {
        let row = |image: &Option<RowImage>| image.as_ref().map(RowImage::row);
        Self {
            read,
            op: Some(event.op),
            table: Some(event.source.table()),
            lsn: event.source.lsn,
            // The lower 32 bits are what the account has.
            xid: event.source.tx_id.map(|xid| xid as u32),
            ts_us: event.source.ts_us,
            key: row(&event.key),
            before: row(&event.before),
            after: row(&event.after),
            transaction: event.transaction.as_ref(),
        }
    }

    /// Whether it may be about a table.
    pub(super) fn is_about(&self, relation: &Relation) -> bool {
        self.table.is_none_or(|table| relation.name == *table || relation.ancestors.contains(table))
    }

    pub(super) fn has_op(&self, op: RowOp) -> bool {
        match self.op {
            None => op != RowOp::Delete,
            Some(Op::Create) => op == RowOp::Insert,
            Some(Op::Update) => op == RowOp::Update,
            Some(Op::Delete) => op == RowOp::Delete,
            Some(Op::Truncate) => op == RowOp::Truncate,
            Some(Op::Read) => false,
        }
    }
}

/// How well an event fits a change: identity first, then the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fit {
    pub(super) identity: u8,
    pub(super) op: bool,
}

/// The identity is certain.
pub(super) const CERTAIN: u8 = 3;

const UNKNOWN_FORM: &str = "its form in the event, or its value in the log, is not known";
const BARE: &str = "the record's key is no JSON object: which row it names cannot be told";
const FILLED: &str = "the row has NULL and the event the column's default; \
                      value.converter.replace.null.with.default=false leaves NULL as it is";

impl ConnectorScope<'_> {
    /// Whether the event may be the change's; `None`: it is not.
    pub(super) fn fit(&self, told: &Told<'_>, change: &RowChange) -> Option<Fit> {
        let op = told.has_op(change.op);
        if change.op == RowOp::Truncate || told.op == Some(Op::Truncate) {
            return op.then_some(Fit { identity: CERTAIN, op });
        }
        if !change.relation.has_key() {
            // Of rows without key the content decides which it is.
            return op.then(|| Fit { identity: if self.rows_agree(told, change) { CERTAIN } else { 1 }, op });
        }
        match self.same_key(told, change) {
            Agreement::Equal => Some(Fit { identity: CERTAIN, op }),
            Agreement::NotCompared => Some(Fit { identity: 2, op }),
            Agreement::Different => None,
        }
    }

    /// The key is taken from the row where the event has it: the record's own key may be other columns.
    fn same_key(&self, told: &Told<'_>, change: &RowChange) -> Agreement {
        let table = self.table(&change.relation);
        let (row, cells) = match change.op {
            RowOp::Delete => (told.before.as_ref(), change.before.as_ref()),
            _ => (told.after.as_ref(), change.after.as_ref()),
        };
        let Some(cells) = cells else { return Agreement::NotCompared };
        let mut all = Agreement::Equal;
        for (place, (column, cell)) in change.relation.columns.iter().zip(cells).enumerate().filter(|(_, (c, _))| c.key)
        {
            let changed = table.changes(place);
            let value = if changed { None } else { row.and_then(|row| row.get(&column.name)) };
            let value = value.or_else(|| told.key.as_ref()?.get(&column.name));
            match value.map(|value| compare(column, cell, value, &self.rules.modes)) {
                Some(Agreement::Equal) => {}
                Some(Agreement::Different) if !changed => return Agreement::Different,
                _ => all = Agreement::NotCompared,
            }
        }
        all
    }

    fn rows_agree(&self, told: &Told<'_>, change: &RowChange) -> bool {
        let table = self.table(&change.relation);
        let changed = |place: usize| table.changes(place);
        let pair = match change.op {
            RowOp::Delete => told.before.as_ref().zip(change.before.as_ref()),
            _ => told.after.as_ref().zip(change.after.as_ref()),
        };
        pair.is_some_and(|(row, cells)| {
            compare_rows(&change.relation, cells, row, &self.rules.modes, false, &changed).is_ok()
        })
    }

    /// Holds an event against its change. `skip` hears of each value that is not compared.
    ///
    /// # Errors
    /// The first difference in words.
    pub(super) fn content(
        &self,
        told: &Told<'_>,
        transaction: &CommittedTransaction,
        change: &RowChange,
        skip: &mut dyn FnMut(&str, &str),
    ) -> Result<u32, String> {
        let relation = &change.relation;
        let table = self.table(relation);
        if told.xid.is_some_and(|xid| xid != transaction.xid) {
            return Err(format!("the database has it in transaction {}", transaction.xid));
        }
        if let Some(place) = told.transaction.filter(|place| xid(&place.id).is_some_and(|xid| xid != transaction.xid)) {
            return Err(format!(
                "its place is in transaction {}, the database has it in {}",
                place.id, transaction.xid
            ));
        }
        self.record_key(told, change)?;
        if relation.has_key() && told.key.as_ref().is_some_and(|key| key.contains_key(BARE_KEY)) {
            skip("(key)", BARE);
        }
        let changed = |place: usize| table.changes(place);
        let mut compared = 0;
        match (&change.after, &told.after) {
            (Some(cells), Some(row)) => {
                let whole = self.rules.writes_whole_rows();
                let result = compare_rows(relation, cells, row, &self.rules.modes, whole, &changed)?;
                compared += result.compared;
                for column in &result.not_compared {
                    let place = relation.columns.iter().position(|known| known.name == *column);
                    let setting = place.and_then(|place| table.columns[place].as_deref());
                    let filled = place.is_some_and(|place| {
                        cells[place] == ColumnValue::Null && may_be_filled(&relation.columns[place], &self.rules.modes)
                    });
                    skip(column, setting.unwrap_or(if filled { FILLED } else { UNKNOWN_FORM }));
                }
            }
            (Some(_), None) => return Err("the event has no row".to_owned()),
            (None, Some(_)) => return Err("the event of a delete has a row".to_owned()),
            (None, None) => {}
        }
        if let (true, Some(cells), Some(row)) = (relation.full, &change.before, &told.before) {
            let result = compare_rows(relation, cells, row, &self.rules.modes, false, &changed);
            compared += result.map_err(|difference| format!("before the change: {difference}"))?.compared;
        }
        Ok(compared)
    }

    /// The record's key decides where it is kept and what compaction removes.
    fn record_key(&self, told: &Told<'_>, change: &RowChange) -> Result<(), String> {
        let Some(key) = &told.key else { return Ok(()) };
        let table = self.table(&change.relation);
        let cells = change.after.as_ref().or(change.before.as_ref());
        for (place, (column, cell)) in change.relation.columns.iter().zip(cells.into_iter().flatten()).enumerate() {
            let known = change.after.is_some() || change.relation.full || column.key;
            let Some(value) = key.get(&column.name).filter(|_| known && !table.changes(place)) else { continue };
            if compare(column, cell, value, &self.rules.modes) == Agreement::Different {
                let database = cell.text().unwrap_or("NULL");
                return Err(format!("the record's key says {}={value}, the database {database}", column.name));
            }
        }
        Ok(())
    }

    /// The row's identity in one form, from the database; `None` where a column of its key has none.
    pub(super) fn canonical_cells(&self, relation: &Relation, cells: &[ColumnValue], whole: bool) -> Option<String> {
        let mut parts = Vec::new();
        let told = |column: &Column| column.key || (whole && !may_be_filled(column, &self.rules.modes));
        for (column, cell) in relation.columns.iter().zip(cells).filter(|(column, _)| told(column)) {
            parts.push(match cell {
                ColumnValue::Null => "null".to_owned(),
                ColumnValue::Text(text) => {
                    format!("{:?}", crate::debezium::canonical_text(column, text, &self.rules.modes)?)
                }
                ColumnValue::Unchanged => return None,
            });
        }
        Some(parts.join(","))
    }

    /// The same from an event.
    pub(super) fn canonical_row(&self, relation: &Relation, row: &RowValues, whole: bool) -> Option<String> {
        let mut parts = Vec::new();
        let told = |column: &&Column| column.key || (whole && !may_be_filled(column, &self.rules.modes));
        for column in relation.columns.iter().filter(told) {
            parts.push(match row.get(&column.name)? {
                serde_json::Value::Null => "null".to_owned(),
                value => format!("{:?}", crate::debezium::canonical_value(column, value, &self.rules.modes)?),
            });
        }
        Some(parts.join(","))
    }
}
