//! All that [`reconcile`] takes in, as data: the changes that were committed, the records that were read, and the rules between them.
//!
//! Of changes that no connector brings to the readers only what is counted of them is kept: other tables of the database are nobody's
//! business here.

use super::reconciliation::VERSION;
use super::scope::{ConnectorScope, Owed};
use super::written::{Written, WrittenChange, WrittenConnector, WrittenEvent, WrittenOrigin, WrittenTransaction};
use super::{Expectation, NotStored, Reconciliation, ScopedConnector, reconcile};
use crate::accounting::bounded::Bounded;
use crate::database::{Blind, CommittedTransaction, Lsn, Relation, TableName};
use crate::debezium::{CaptureRules, ReadEvent};
use crate::ground::json;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Read;
use std::ptr;
use std::sync::Arc;

/// The most bytes that are written down of one delivery, before they are compressed.
pub(super) const MOST_TEXT: u64 = 128 << 20;
/// The most values of JSON in it, but for those of rows that are texts: each takes some thirty bytes of memory. A hundred thousand rows of
/// a snapshot have three million.
pub(super) const MOST_VALUES: usize = 4 << 20;
/// The most changes and records, counted together.
pub(super) const MOST_ROWS: usize = 1 << 20;
/// The most connectors and samples: each is held against every row.
const MOST_CONNECTORS: usize = 100;
pub(super) const MOST_SAMPLES: usize = 1000;
/// Bytes of the name of a table, a column or a topic: it is told with each row.
const MOST_NAME: usize = 1000;

/// Writes down what an account follows from.
///
/// # Errors
/// Where there is more than is stored.
pub fn written(expectation: &Expectation<'_>, events: &[ReadEvent]) -> Result<Vec<u8>, NotStored> {
    // Of what is settled only sums are left.
    let settled = expectation.settled.is_some_and(|settled| !settled.is_empty());
    if settled || expectation.connectors.len() > MOST_CONNECTORS {
        return Err(NotStored::TooMany);
    }
    let written = Writer::of(expectation, events)?.written(expectation);
    as_text(&written)
}

/// What is written down as a text, if it is not too long.
pub(super) fn as_text(written: &impl Serialize) -> Result<Vec<u8>, NotStored> {
    let mut out = Bounded::new(Vec::new(), MOST_TEXT);
    serde_json::to_writer(&mut out, written).map_err(|_| NotStored::TooMany)?;
    let text = out.into_inner();
    if json::values(&text) > MOST_VALUES { Err(NotStored::TooMany) } else { Ok(text) }
}

/// Whether rows of a version of the account can be read.
pub(super) fn readable(version: u32) -> Result<(), String> {
    if version == VERSION {
        return Ok(());
    }
    Err(format!(
        "its rows are those of version {version} of the account of changes, and this program has version {VERSION}"
    ))
}

/// Finds the place of each thing in a list that has it once.
pub(super) struct Places<K, T> {
    known: HashMap<K, usize>,
    pub(super) list: Vec<T>,
}

impl<K: std::hash::Hash + Eq, T> Places<K, T> {
    pub(super) fn new() -> Self {
        Self { known: HashMap::new(), list: Vec::new() }
    }

    pub(super) fn place(&mut self, key: K, thing: impl FnOnce() -> T) -> usize {
        *self.known.entry(key).or_insert_with(|| {
            self.list.push(thing());
            self.list.len() - 1
        })
    }
}

/// What is written down, while it grows.
struct Writer<'a> {
    relations: Places<*const Relation, Cow<'a, Relation>>,
    transactions: Vec<WrittenTransaction<'a>>,
    streams: Places<(&'a str, i32), (Cow<'a, str>, i32)>,
    origins: Places<(&'a str, &'a str, &'a TableName), WrittenOrigin<'a>>,
    events: Vec<WrittenEvent<'a>>,
    rows: usize,
}

impl<'a> Writer<'a> {
    fn of(expectation: &Expectation<'a>, events: &'a [ReadEvent]) -> Result<Self, NotStored> {
        let mut all = Self {
            relations: Places::new(),
            transactions: Vec::new(),
            streams: Places::new(),
            origins: Places::new(),
            events: Vec::new(),
            rows: 0,
        };
        let connectors = expectation.connectors.iter();
        let scopes: Vec<ConnectorScope<'_>> =
            connectors.map(|connector| ConnectorScope::new(connector.rules, expectation.topics, events)).collect();
        for transaction in expectation.transactions {
            all.enter(transaction, expectation.claims(transaction), &scopes)?;
        }
        for read in events {
            all.count()?;
            if !read.is_storable() {
                return Err(NotStored::TooMany);
            }
            let stream =
                all.streams.place((&*read.topic, read.partition), || (Cow::Borrowed(&*read.topic), read.partition));
            let origins = &mut all.origins;
            all.events.push(WrittenEvent::of(stream, read, &mut |origin| {
                let key = (origin.name.as_str(), origin.database.as_str(), &origin.table);
                origins.place(key, || WrittenOrigin::of(origin))
            }));
        }
        Ok(all)
    }

    fn count(&mut self) -> Result<(), NotStored> {
        self.rows += 1;
        if self.rows > MOST_ROWS { Err(NotStored::TooMany) } else { Ok(()) }
    }

    fn enter(
        &mut self,
        transaction: &'a CommittedTransaction,
        claimed: bool,
        scopes: &[ConnectorScope<'_>],
    ) -> Result<(), NotStored> {
        let mut kept = Vec::new();
        for change in &transaction.changes {
            let told = scopes.iter().any(|scope| scope.owed(transaction.xid, change) != Owed::Elsewhere);
            let key = ptr::from_ref::<Relation>(&change.relation);
            // One change of each table stays: the account knows the table.
            if !told && !claimed && self.relations.known.contains_key(&key) {
                continue;
            }
            self.count()?;
            let relation = self.relations.place(key, || Cow::Borrowed(&*change.relation));
            let written = WrittenChange::of(relation, change, told);
            if !written.is_storable() {
                return Err(NotStored::TooMany);
            }
            kept.push(written);
        }
        if !kept.is_empty() {
            self.transactions.push(WrittenTransaction::of(transaction, kept));
        }
        Ok(())
    }

    fn written(self, expectation: &Expectation<'a>) -> Written<'a> {
        let mut claimed: Option<Vec<u32>> = expectation.claimed.map(|claimed| {
            let ids = self.transactions.iter().map(|transaction| transaction.xid);
            ids.filter(|xid| claimed.contains(xid)).collect()
        });
        claimed.iter_mut().for_each(|ids| ids.sort_unstable());
        Written {
            version: VERSION,
            window: expectation.window,
            blind: Cow::Borrowed(expectation.blind),
            claimed,
            database: expectation.database.map(Cow::Borrowed),
            topics: expectation.topics.map(Cow::Borrowed),
            drained: expectation.drained,
            calm: expectation.calm,
            partitions: expectation.partitions.map(Cow::Borrowed),
            late_us: expectation.late_us,
            samples: expectation.samples,
            connectors: expectation.connectors.iter().map(WrittenConnector::of).collect(),
            relations: self.relations.list,
            transactions: self.transactions,
            streams: self.streams.list,
            origins: self.origins.list,
            events: self.events,
        }
    }
}

/// What was written down, read again.
pub(super) struct ChangeRows {
    transactions: Vec<CommittedTransaction>,
    window: (Lsn, Lsn),
    blind: Blind,
    claimed: Option<HashSet<u32>>,
    database: Option<String>,
    connectors: Vec<(CaptureRules, [Option<Lsn>; 4])>,
    topics: Option<BTreeSet<String>>,
    drained: bool,
    calm: bool,
    partitions: Option<BTreeMap<String, BTreeSet<i32>>>,
    late_us: Option<i64>,
    samples: usize,
    events: Vec<ReadEvent>,
}

impl ChangeRows {
    /// Reads what was written down.
    ///
    /// # Errors
    /// Why it cannot be read, in words: no account that kscen has written has this, or another version has.
    pub(super) fn read(text: impl Read) -> Result<Self, String> {
        let written: Written<'static> = serde_json::from_reader(text).map_err(|error| error.to_string())?;
        readable(written.version)?;
        let changes: usize = written.transactions.iter().map(|transaction| transaction.changes.len()).sum();
        if changes + written.events.len() > MOST_ROWS {
            return Err(format!("it has more than {MOST_ROWS} rows"));
        }
        if written.connectors.len() > MOST_CONNECTORS {
            return Err(format!("it has more than {MOST_CONNECTORS} connectors"));
        }
        let long = |name: &str| name.len() > MOST_NAME;
        let long_table = |name: &TableName| long(&name.schema) || long(&name.table);
        let long_relation = |relation: &Cow<'_, Relation>| {
            long_table(&relation.name)
                || relation.ancestors.iter().any(long_table)
                || relation.columns.iter().any(|column| long(&column.name))
        };
        if written.relations.iter().any(long_relation) || written.streams.iter().any(|(topic, _)| long(topic)) {
            return Err(format!("a name has more than {MOST_NAME} bytes"));
        }
        let relations: Vec<Arc<Relation>> =
            written.relations.into_iter().map(|relation| Arc::new(relation.into_owned())).collect();
        let transactions = written.transactions.into_iter().map(|transaction| transaction.read(&relations));
        let streams: Vec<(Arc<str>, i32)> =
            written.streams.into_iter().map(|(topic, partition)| (topic.into(), partition)).collect();
        let origins: Vec<_> = written.origins.into_iter().map(|origin| Arc::new(origin.read())).collect();
        let events = written.events.into_iter().map(|event| event.read(&streams, &origins));
        Ok(Self {
            transactions: transactions.collect::<Result<_, _>>()?,
            window: written.window,
            blind: written.blind.into_owned(),
            claimed: written.claimed.map(|ids| ids.into_iter().collect()),
            database: written.database.map(Cow::into_owned),
            connectors: written.connectors.into_iter().map(WrittenConnector::read).collect(),
            topics: written.topics.map(Cow::into_owned),
            drained: written.drained,
            calm: written.calm,
            partitions: written.partitions.map(Cow::into_owned),
            late_us: written.late_us,
            samples: written.samples.min(MOST_SAMPLES),
            events: events.collect::<Result<_, _>>()?,
        })
    }

    /// The account that follows.
    pub(super) fn reconcile(&self) -> Reconciliation {
        let connectors: Vec<ScopedConnector<'_>> = self
            .connectors
            .iter()
            .map(|(rules, [confirmed, stored, streaming_from, made_at])| ScopedConnector {
                rules,
                confirmed: *confirmed,
                stored: *stored,
                streaming_from: *streaming_from,
                made_at: *made_at,
            })
            .collect();
        let expectation = Expectation {
            transactions: &self.transactions,
            settled: None,
            window: self.window,
            blind: &self.blind,
            claimed: self.claimed.as_ref(),
            database: self.database.as_deref(),
            connectors: &connectors,
            topics: self.topics.as_ref(),
            drained: self.drained,
            calm: self.calm,
            partitions: self.partitions.as_ref(),
            late_us: self.late_us,
            samples: self.samples,
        };
        reconcile(&expectation, &self.events)
    }
}
