//! The row filter of a publication (`FOR TABLE t WHERE …`), as the catalogue writes it, and what it does to a change.
//!
//! Understood are comparisons of numbers, truth values, texts, uuids, enumerations and dates, what is made of them with AND, OR, NOT, IS
//! and IN, and whole numbers that are added, multiplied or divided with remainder. What is not understood decides nothing.

use super::condition::{SqlCondition, SqlValue, parse};
use crate::database::{ColumnValue, Published, Relation, RowChange, RowOp};

/// The rows of a table that a publication has.
#[derive(Clone, Debug)]
pub struct PublishedRows {
    /// The condition in words.
    pub reason: String,
    /// The condition, where it is understood.
    filter: Option<RowFilter>,
    /// Id of the transaction that gave it: what was committed before was not filtered by it.
    since: Option<u32>,
}

/// A row filter whose condition is understood.
#[derive(Clone, Debug)]
struct RowFilter(SqlCondition);

/// What a publication makes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publishing {
    /// It is published as it is.
    AsItIs,
    /// An update that brings the row in is published as an insert, one that takes it out as a delete.
    As(RowOp),
    /// It is not published.
    No,
    /// That cannot be told.
    Unknown,
}

impl PublishedRows {
    pub(super) fn of(reason: String, published: &Published, evaluated: bool) -> Self {
        let text = published.row_filter.as_deref().filter(|_| evaluated && published.filtered_since.is_some());
        Self { reason, filter: text.and_then(RowFilter::of), since: published.filtered_since }
    }

    /// What becomes of a change that was committed in a transaction.
    pub fn publishes(&self, xid: u32, change: &RowChange) -> Publishing {
        // Ids begin anew after 2^32 transactions.
        let later = |since: u32| (1..1 << 31).contains(&xid.wrapping_sub(since));
        match &self.filter {
            Some(filter) if self.since.is_some_and(later) => filter.publishes(change),
            _ if change.op == RowOp::Truncate => Publishing::AsItIs,
            _ => Publishing::Unknown,
        }
    }
}

impl RowFilter {
    /// A filter; `None` where its condition is not understood.
    fn of(text: &str) -> Option<Self> {
        parse(text).map(Self)
    }

    /// What becomes of a change. Truncations are published whatever the filter is.
    fn publishes(&self, change: &RowChange) -> Publishing {
        let holds = |cells: &Option<Vec<ColumnValue>>| self.holds(&change.relation, cells.as_deref()?);
        let (before, after) = match change.op {
            RowOp::Truncate => return Publishing::AsItIs,
            RowOp::Insert => (None, holds(&change.after)),
            RowOp::Delete => (None, holds(&change.before)),
            // Where the log has no row from before, what the filter looks at is as it was.
            RowOp::Update if change.before.is_none() => (None, holds(&change.after)),
            RowOp::Update => match holds(&change.before) {
                None => return Publishing::Unknown,
                before => (before, holds(&change.after)),
            },
        };
        match (before, after) {
            (_, None) => Publishing::Unknown,
            (None | Some(true), Some(true)) => Publishing::AsItIs,
            (None | Some(false), Some(false)) => Publishing::No,
            (Some(false), Some(true)) => Publishing::As(RowOp::Insert),
            (Some(true), Some(false)) => Publishing::As(RowOp::Delete),
        }
    }

    /// Whether a row meets the condition; `None` where that cannot be told.
    fn holds(&self, relation: &Relation, cells: &[ColumnValue]) -> Option<bool> {
        let value = |name: &str| {
            let place = relation.columns.iter().position(|column| column.name == name)?;
            SqlValue::of(relation.columns.get(place)?, cells.get(place)?)
        };
        match self.0.value(&value)? {
            SqlValue::Truth(truth) => Some(truth),
            SqlValue::Null => Some(false),
            _ => None,
        }
    }
}

/// The change as it is published, where that is another operation.
pub fn published_as(change: &RowChange, op: RowOp) -> RowChange {
    let mut published = RowChange { op, ..change.clone() };
    if op == RowOp::Delete {
        published.after = None;
        return published;
    }
    // What an update left as it was is taken from the row of before.
    let before = published.before.take();
    for (cell, old) in published.after.iter_mut().flatten().zip(before.iter().flatten()) {
        if *cell == ColumnValue::Unchanged {
            *cell = old.clone();
        }
    }
    published
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{Column, Lsn, TableName, UserType};
    use std::sync::Arc;

    fn relation() -> Arc<Relation> {
        let columns = [("id", 23), ("region", 25), ("amount", 1700), ("active", 16), ("day", 1082), ("size", 1043)];
        let columns = columns.map(|(name, type_oid)| Column {
            name: name.to_owned(),
            type_oid,
            type_modifier: -1,
            key: name == "id",
            user_type: UserType::No,
            has_default: false,
        });
        Arc::new(Relation { name: TableName::parse("t"), columns: columns.into(), ancestors: Vec::new(), full: true })
    }

    fn row(cells: &[&str]) -> Vec<ColumnValue> {
        let cell = |text: &&str| if *text == "-" { ColumnValue::Null } else { ColumnValue::Text((*text).to_owned()) };
        cells.iter().map(cell).collect()
    }

    fn holds(filter: &str, cells: &[&str]) -> Option<bool> {
        RowFilter::of(filter)?.holds(&relation(), &row(cells))
    }

    /// The texts are PostgreSQL's own, of `pg_get_expr`.
    #[test]
    fn conditions_hold_as_in_the_database() {
        let rows = [
            ["7", "EU", "10.50", "t", "2024-02-29", "XL"],
            ["-8", "it's", "-0.1", "f", "1999-12-31", "M"],
            ["0", "-", "-", "-", "-", "-"],
        ];
        for (filter, expected) in [
            ("(id > 5)", [true, false, false]),
            ("(id = '-8'::integer)", [false, true, false]),
            ("((id % 2) = 0)", [false, true, true]),
            ("((id + 1) <> 8)", [false, true, true]),
            ("((- id) < 0)", [true, false, false]),
            ("(region = 'EU'::text)", [true, false, false]),
            ("(region <> 'EU'::text)", [false, true, false]),
            ("(region = 'it''s'::text)", [false, true, false]),
            ("((size)::text = 'M'::text)", [false, true, false]),
            (
                "((size)::text = ANY ((ARRAY['M'::character varying, 'XL'::character varying])::text[]))",
                [true, true, false],
            ),
            ("(id = ANY (ARRAY[0, 7]))", [true, false, true]),
            ("(id <> ALL (ARRAY[0, 7]))", [false, true, false]),
            ("(amount >= (10)::numeric)", [true, false, false]),
            ("(amount < 10.500001)", [true, true, false]),
            ("(amount = 10.5)", [true, false, false]),
            ("(amount IS NULL)", [false, false, true]),
            ("(amount IS NOT NULL)", [true, true, false]),
            ("active", [true, false, false]),
            ("(NOT active)", [false, true, false]),
            ("(active IS NOT TRUE)", [false, true, true]),
            ("(active IS UNKNOWN)", [false, false, true]),
            ("(region IS DISTINCT FROM 'EU'::text)", [false, true, true]),
            ("(day >= '2000-01-01'::date)", [true, false, false]),
            ("((id > 5) AND (region = 'EU'::text))", [true, false, false]),
            ("((id > 5) OR (region IS NULL))", [true, false, true]),
            ("(NOT ((id > 5) OR (amount > (0)::numeric)))", [false, true, false]),
            ("true", [true, true, true]),
        ] {
            for (cells, expected) in rows.iter().zip(expected) {
                assert_eq!(holds(filter, cells), Some(expected), "{filter} of {cells:?}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_decides_nothing() {
        let cells = ["7", "EU", "10.50", "t", "2024-02-29", "XL"];
        for filter in [
            "(region > 'A'::text)",
            "(lower(region) = 'eu'::text)",
            "(region ~~ 'E%'::text)",
            "((size)::character varying(1) = 'X'::text)",
            "(region = ANY ('{EU,US}'::text[]))",
            "(\"Other\" = 1)",
            "((id / 2) = 3)",
            "(day > '2000-01-01 00:00:00'::timestamp without time zone)",
            "(id = 'x'::text)",
            "((id % 0) = 0)",
            "(id > 5",
            "(id > 5) AND",
            "id",
            "",
        ] {
            assert_eq!(holds(filter, &cells), None, "{filter}");
        }
        // Of another year than four digits, NaN.
        assert_eq!(holds("(day > '2000-01-01'::date)", &["7", "EU", "1", "t", "12024-02-29", "XL"]), None);
        assert_eq!(holds("(amount > (0)::numeric)", &["7", "EU", "NaN", "t", "2024-02-29", "XL"]), None);
    }

    #[test]
    fn an_update_comes_in_or_goes_out_or_stays() {
        let filter = RowFilter::of("(region = 'EU'::text)").expect("understood");
        let cells = |region: &str| Some(row(&["7", region, "1", "t", "2024-02-29", "XL"]));
        let change = |op, before, after| {
            let relation = relation();
            RowChange { relation, op, key: "id=7".to_owned(), before, after, lsn: Lsn(1) }
        };
        for (op, before, after, expected) in [
            (RowOp::Insert, None, cells("EU"), Publishing::AsItIs),
            (RowOp::Insert, None, cells("US"), Publishing::No),
            (RowOp::Delete, cells("EU"), None, Publishing::AsItIs),
            (RowOp::Delete, cells("US"), None, Publishing::No),
            (RowOp::Update, cells("EU"), cells("EU"), Publishing::AsItIs),
            (RowOp::Update, cells("US"), cells("EU"), Publishing::As(RowOp::Insert)),
            (RowOp::Update, cells("EU"), cells("US"), Publishing::As(RowOp::Delete)),
            (RowOp::Update, cells("US"), cells("US"), Publishing::No),
            (RowOp::Update, None, cells("EU"), Publishing::AsItIs),
            (RowOp::Update, None, cells("US"), Publishing::No),
            (RowOp::Truncate, None, None, Publishing::AsItIs),
        ] {
            assert_eq!(filter.publishes(&change(op, before, after)), expected, "{op:?}");
        }
        let mut update = change(RowOp::Update, cells("US"), cells("EU"));
        update.after.as_mut().expect("a row")[5] = ColumnValue::Unchanged;
        let inserted = published_as(&update, RowOp::Insert);
        assert_eq!((inserted.op, inserted.before, inserted.after), (RowOp::Insert, None, cells("EU")));
        let deleted = published_as(&update, RowOp::Delete);
        assert_eq!((deleted.op, deleted.before, deleted.after), (RowOp::Delete, cells("US"), None));
    }
}
