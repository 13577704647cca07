//! All that [`reconcile_table`] takes in, as data.

use super::super::reconciliation::VERSION;
use super::super::rows::{MOST_ROWS, MOST_SAMPLES, Places, as_text, readable};
use super::super::written::{WrittenChange, WrittenConnector, WrittenTransaction};
use super::super::{NotStored, Reconciliation};
use super::{Expectation, ScopedConnector, TableCopy, is_of, reconcile_table};
use crate::database::{Blind, CommittedTransaction, Lsn, Relation, TableName, TableRows};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Read;
use std::ptr;
use std::sync::Arc;

/// All that was written down of a delivery into a table.
#[derive(Serialize, Deserialize)]
struct WrittenCopy<'a> {
    version: u32,
    blind: Cow<'a, Blind>,
    claimed: Option<Vec<u32>>,
    samples: usize,
    source: Cow<'a, TableName>,
    table: Cow<'a, TableName>,
    connector: WrittenConnector,
    keeps_deleted: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    may_keep_deleted: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    may_drop: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    may_change: Option<Cow<'a, str>>,
    passed: bool,
    relations: Vec<Cow<'a, Relation>>,
    /// The source's changes.
    transactions: Vec<WrittenTransaction<'a>>,
    rows: Cow<'a, TableRows>,
    source_rows: Option<Cow<'a, TableRows>>,
}

/// Writes down what the account of a table follows from.
///
/// # Errors
/// Where there is more than is stored.
pub fn written_table(expectation: &Expectation<'_>, copy: TableCopy<'_>) -> Result<Vec<u8>, NotStored> {
    let mut relations: Places<*const Relation, Cow<'_, Relation>> = Places::new();
    let (mut transactions, mut count) = (Vec::new(), copy.rows.rows.len());
    count += copy.source_rows.map_or(0, |rows| rows.rows.len());
    for transaction in expectation.transactions {
        let changes = transaction.changes.iter().filter(|change| is_of(change, copy.source));
        let changes: Vec<WrittenChange<'_>> = changes
            .map(|change| {
                let key = ptr::from_ref::<Relation>(&change.relation);
                let relation = relations.place(key, || Cow::Borrowed(&*change.relation));
                WrittenChange::of(relation, change, true)
            })
            .collect();
        count += changes.len();
        if count > MOST_ROWS {
            return Err(NotStored::TooMany);
        }
        if !changes.is_empty() {
            transactions.push(WrittenTransaction::of(transaction, changes));
        }
    }
    let mut claimed: Option<Vec<u32>> = expectation.claimed.map(|claimed| {
        transactions.iter().map(|transaction| transaction.xid).filter(|xid| claimed.contains(xid)).collect()
    });
    claimed.iter_mut().for_each(|ids| ids.sort_unstable());
    as_text(&WrittenCopy {
        version: VERSION,
        blind: Cow::Borrowed(expectation.blind),
        claimed,
        samples: expectation.samples,
        source: Cow::Borrowed(copy.source),
        table: Cow::Borrowed(copy.table),
        connector: WrittenConnector::of(copy.connector),
        keeps_deleted: copy.keeps_deleted.map(Cow::Borrowed),
        may_keep_deleted: copy.may_keep_deleted.map(Cow::Borrowed),
        may_drop: copy.may_drop.map(Cow::Borrowed),
        changes: copy.changes.map(Cow::Borrowed),
        may_change: copy.may_change.map(Cow::Borrowed),
        passed: copy.passed,
        relations: relations.list,
        transactions,
        rows: Cow::Borrowed(copy.rows),
        source_rows: copy.source_rows.map(Cow::Borrowed),
    })
}

/// What was written down, read again.
pub(in crate::accounting) struct CopiedRows {
    written: WrittenCopy<'static>,
    transactions: Vec<CommittedTransaction>,
}

impl CopiedRows {
    /// Reads what was written down.
    ///
    /// # Errors
    /// Why it cannot be read, in words: no account that kscen has written has this, or another version has.
    pub(in crate::accounting) fn read(text: impl Read) -> Result<Self, String> {
        let mut written: WrittenCopy<'static> = serde_json::from_reader(text).map_err(|error| error.to_string())?;
        readable(written.version)?;
        let changes: usize = written.transactions.iter().map(|transaction| transaction.changes.len()).sum();
        let tables = || std::iter::once(&written.rows).chain(&written.source_rows);
        if changes + tables().map(|table| table.rows.len()).sum::<usize>() > MOST_ROWS {
            return Err(format!("it has more than {MOST_ROWS} rows"));
        }
        if tables().any(|table| table.rows.iter().any(|row| row.len() != table.columns.len())) {
            return Err(format!("a row of {} has another number of columns than its table", written.table));
        }
        let relations: Vec<Arc<Relation>> =
            written.relations.drain(..).map(|relation| Arc::new(relation.into_owned())).collect();
        let transactions = written.transactions.drain(..).map(|transaction| transaction.read(&relations));
        let transactions = transactions.collect::<Result<_, _>>()?;
        Ok(Self { written, transactions })
    }

    /// The account that follows.
    pub(in crate::accounting) fn reconcile(self) -> Reconciliation {
        let Self { written, transactions } = self;
        let claimed: Option<HashSet<u32>> = written.claimed.map(|ids| ids.into_iter().collect());
        let (rules, [confirmed, stored, streaming_from, made_at]) = written.connector.read();
        let connector = ScopedConnector { rules: &rules, confirmed, stored, streaming_from, made_at };
        let expectation = Expectation {
            transactions: &transactions,
            settled: None,
            window: (Lsn(0), Lsn(u64::MAX)),
            blind: &written.blind,
            claimed: claimed.as_ref(),
            database: None,
            connectors: &[],
            topics: None,
            drained: written.passed,
            calm: false,
            partitions: None,
            late_us: None,
            samples: written.samples.min(MOST_SAMPLES),
        };
        let copy = TableCopy {
            source_rows: written.source_rows.as_deref(),
            keeps_deleted: written.keeps_deleted.as_deref(),
            may_keep_deleted: written.may_keep_deleted.as_deref(),
            may_drop: written.may_drop.as_deref(),
            changes: written.changes.as_deref(),
            may_change: written.may_change.as_deref(),
            passed: written.passed,
            ..TableCopy::of(&written.source, &written.table, &written.rows, &connector)
        };
        reconcile_table(&expectation, copy)
    }
}
