//! Which changes have to arrive with which connector.

use super::settled::SettledPast;
use crate::database::{Blind, ColumnValue, CommittedTransaction, Lsn, Relation, RowChange, RowOp, TableName};
use crate::debezium::{CaptureRules, Duty, Form, PublishedRows, Publishing, ReadEvent, ReadKind};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

/// A connector whose records the readers may have.
#[derive(Clone, Copy, Debug)]
pub struct ScopedConnector<'a> {
    /// What it is told to deliver.
    pub rules: &'a CaptureRules,
    /// How far it has confirmed: `confirmed_flush_lsn` of its slot, `Lsn(u64::MAX)` where the slot is gone and nothing can arrive
    /// any more. A FAILED or slow connector has lost nothing yet: its slot keeps it.
    pub confirmed: Option<Lsn>,
    /// The position of the last record that the brokers have taken with all before it, as Kafka Connect stores it.
    pub stored: Option<Lsn>,
    /// Position at which it was known to stream; what was committed before may have been read by its snapshot.
    pub streaming_from: Option<Lsn>,
    /// Position before it was made: what was committed before it was read by its snapshot, or by none.
    pub made_at: Option<Lsn>,
}

impl<'a> ScopedConnector<'a> {
    /// One of which nothing else is known.
    pub fn of(rules: &'a CaptureRules) -> Self {
        Self { rules, confirmed: None, stored: None, streaming_from: None, made_at: None }
    }
}

/// What should have arrived, and what is known about the reading.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// The account: everything that was committed, by whomever, in order of commit.
    pub transactions: &'a [CommittedTransaction],
    /// Changes at the beginning of the account that are settled for good; they are not among the transactions.
    pub settled: Option<&'a SettledPast>,
    /// Where the account begins and how far it was read. Events outside are nobody's phantoms.
    pub window: (Lsn, Lsn),
    /// What the account does not know.
    pub blind: &'a Blind,
    /// Ids of the transactions that have to arrive; `None`: all of the account.
    pub claimed: Option<&'a HashSet<u32>>,
    /// The database of the account; `None`: whatever events say.
    pub database: Option<&'a str>,
    /// The connectors that may write to the topics.
    pub connectors: &'a [ScopedConnector<'a>],
    /// The topics that were read; `None`: those of every table.
    pub topics: Option<&'a BTreeSet<String>>,
    /// The readers have reached the end of every partition. What they have not seen then is lost where the connector has passed it,
    /// which a later change's arrival or its confirmation shows; otherwise it is unread.
    pub drained: bool,
    /// Nothing that the connector needs was disturbed for so long that what it has sent has come: a later change proves something, wherever
    /// it stands.
    pub calm: bool,
    /// The partitions of the topics that were read; `None`: those of which records were seen.
    pub partitions: Option<&'a BTreeMap<String, BTreeSet<i32>>>,
    /// Since when a reader reads that was asked to begin elsewhere than at the first message, µs since the Unix epoch: what was committed
    /// before may lie before its first record.
    pub late_us: Option<i64>,
    /// Offenders kept of each class.
    pub samples: usize,
}

/// Whether a table's changes come to the readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TableScope {
    Read,
    Elsewhere,
    /// The setting by which that cannot be told.
    Unknown(String),
}

/// What has to become of a change, with one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// It is another's; its event is foreign.
    Foreign,
    Yes,
    /// It may arrive; if not, it is not judged.
    Perhaps(Arc<str>),
    /// It cannot arrive, and is not judged.
    Barred(Arc<str>),
    /// It does not arrive by a declaration.
    Excused(Arc<str>),
    /// Its topic is none of those that were read.
    Elsewhere,
}

impl From<Duty> for Owed {
    fn from(duty: Duty) -> Self {
        match duty {
            Duty::Owed => Self::Yes,
            Duty::Perhaps(why) => Self::Perhaps(why.into()),
            Duty::Barred(why) => Self::Barred(why.into()),
            Duty::Excused(why) => Self::Excused(why.into()),
        }
    }
}

/// What the rules say of a table.
pub(super) struct TableRules {
    /// The name under which its changes are found in events.
    pub(super) name: TableName,
    /// Of each column, the setting that changes its values or leaves it out.
    pub(super) columns: Vec<Option<String>>,
    /// Its records have a key that is not the table's.
    pub(super) own_key: bool,
    /// The places of the columns of that key, where they are known.
    pub(super) key_places: Option<Vec<usize>>,
    /// The connector reads its changes.
    pub(super) captured: bool,
    /// Its records have the form that the rules are about.
    of_form: bool,
    /// Its publication has only some of its rows: which, and in words.
    pub(super) published: Option<(PublishedRows, Arc<str>)>,
}

impl TableRules {
    pub(super) fn changes(&self, place: usize) -> bool {
        self.columns[place].is_some()
    }
}

type Cached = HashMap<(*const Relation, RowOp), Owed>;

/// The scope of one connector: remembers what it has worked out.
pub(super) struct ConnectorScope<'a> {
    pub(super) rules: &'a CaptureRules,
    /// Why its records cannot be read: the setting, and what to change.
    pub(super) unreadable: Option<String>,
    topics: Option<&'a BTreeSet<String>>,
    seen: HashSet<TableName>,
    cached: RefCell<Cached>,
    tables: RefCell<HashMap<*const Relation, Rc<TableRules>>>,
}

impl<'a> ConnectorScope<'a> {
    pub(super) fn new(rules: &'a CaptureRules, topics: Option<&'a BTreeSet<String>>, events: &[ReadEvent]) -> Self {
        let seen = events.iter().filter_map(|read| match &read.kind {
            ReadKind::Change(event) if concerns(rules, &event.source.origin.name) => Some(event.source.table()),
            _ => None,
        });
        let mut tables: HashSet<TableName> = HashSet::new();
        let mut last = None;
        for table in seen {
            if last != Some(table) {
                tables.insert(table.clone());
                last = Some(table);
            }
        }
        let unreadable = rules.unreadable.clone().or_else(|| {
            let plain = |read: &ReadEvent| matches!(read.kind, ReadKind::Plain(_));
            let silent = tables.is_empty() && (*rules.form() == Form::Envelope || !events.iter().any(plain));
            unread_by_worker(rules, silent, events)
        });
        Self { rules, unreadable, topics, seen: tables, cached: RefCell::default(), tables: RefCell::default() }
    }

    /// The name under which a table's changes are found in events.
    pub(super) fn name_of<'r>(&self, relation: &'r Relation) -> &'r TableName {
        let named = std::iter::once(&relation.name).chain(&relation.ancestors).find(|name| self.seen.contains(*name));
        named.unwrap_or_else(|| self.rules.published_as(relation))
    }

    /// What the rules say of a table; the relation lives as long as the account.
    pub(super) fn table(&self, relation: &Relation) -> Rc<TableRules> {
        let mut tables = self.tables.borrow_mut();
        let known = tables.entry(std::ptr::from_ref(relation)).or_insert_with(|| {
            let name = self.name_of(relation).clone();
            let columns = relation.columns.iter().map(|column| self.rules.column(&name, &column.name).err()).collect();
            let own_key = self.rules.has_own_key(&name);
            let place = |name: &str| relation.columns.iter().position(|column| column.name == name);
            let key_places = self.rules.own_key_columns(&name).and_then(|key| key.into_iter().map(place).collect());
            let (captured, of_form) = (self.rules.captures(&name), self.rules.are_about(&name));
            let published = self.rules.published_rows(&name);
            let published = published.map(|rows| (rows.clone(), rows.reason.into()));
            Rc::new(TableRules { name, columns, own_key, key_places, captured, of_form, published })
        });
        Rc::clone(known)
    }

    pub(super) fn place(&self, relation: &Relation) -> TableScope {
        let Some(topics) = self.topics else { return TableScope::Read };
        let mut unknown = None;
        for name in std::iter::once(&relation.name).chain(&relation.ancestors) {
            if self.seen.contains(name) {
                return TableScope::Read;
            }
            match self.rules.topics(name) {
                Ok(names) if names.iter().all(|name| topics.contains(name)) => return TableScope::Read,
                Ok(names) if names.iter().any(|name| topics.contains(name)) => {
                    let all = names.join(" or ");
                    unknown = Some(format!("connector {} may write its changes to {all}", self.rules.connector));
                }
                Ok(_) => {}
                // Nobody can say more of a connector that is not known than that it may use Debezium's naming.
                Err(_) if self.rules.prefix.is_none() => {
                    let end = format!(".{name}");
                    if topics.iter().any(|topic| topic.ends_with(&end)) {
                        return TableScope::Read;
                    }
                    let explained = |topic: &String| topic.matches('.').count() >= 2;
                    if !topics.iter().all(explained) {
                        unknown =
                            Some("which tables it captures is not known: its connector is not of this run".to_owned());
                    }
                }
                Err(setting) => {
                    unknown = Some(format!("{setting} of connector {} decides its topic", self.rules.connector));
                }
            }
        }
        unknown.map_or(TableScope::Elsewhere, TableScope::Unknown)
    }

    /// What has to become of a change of a transaction that is claimed.
    pub(super) fn owed(&self, xid: u32, change: &RowChange) -> Owed {
        let owed = self.owed_by_table(change);
        if !matches!(owed, Owed::Yes | Owed::Perhaps(_)) {
            return owed;
        }
        let reason = || self.table(&change.relation).published.as_ref().map_or("".into(), |(_, why)| Arc::clone(why));
        match self.publishing(xid, change) {
            Publishing::AsItIs => owed,
            Publishing::As(op) => self.rules.skipped_as(op).map_or(owed, Owed::from),
            Publishing::No => Owed::Excused(reason()),
            Publishing::Unknown => Owed::Perhaps(reason()),
        }
    }

    /// What the row filter of its publication makes of a change.
    pub(super) fn publishing(&self, xid: u32, change: &RowChange) -> Publishing {
        let table = self.table(&change.relation);
        table.published.as_ref().map_or(Publishing::AsItIs, |(rows, _)| rows.publishes(xid, change))
    }

    /// The operation as which a publication with a row filter publishes an update, where it is another one.
    pub(super) fn published_op(&self, xid: u32, change: &RowChange) -> Option<RowOp> {
        if change.op != RowOp::Update {
            return None;
        }
        match self.publishing(xid, change) {
            Publishing::As(op) => Some(op),
            _ => None,
        }
    }

    fn owed_by_table(&self, change: &RowChange) -> Owed {
        if !self.table(&change.relation).of_form {
            return Owed::Elsewhere;
        }
        if let Form::Outbox(outbox) = self.rules.form() {
            return self.of_outbox(outbox, change);
        }
        let key = (Arc::as_ptr(&change.relation), change.op);
        if let Some(known) = self.cached.borrow().get(&key) {
            return known.clone();
        }
        let owed = match self.place(&change.relation) {
            TableScope::Elsewhere => Owed::Elsewhere,
            TableScope::Unknown(reason) => Owed::Perhaps(reason.into()),
            TableScope::Read => self.by_rules(change),
        };
        self.cached.borrow_mut().insert(key, owed.clone());
        owed
    }

    fn by_rules(&self, change: &RowChange) -> Owed {
        if let Some(unreadable) = &self.unreadable {
            return Owed::Barred(unreadable.as_str().into());
        }
        match self.rules.duty(&change.relation, change.op) {
            Duty::Owed if change.op == RowOp::Truncate && *self.name_of(&change.relation) != change.relation.name => {
                Owed::Perhaps(OF_THE_ROOT.into())
            }
            duty => duty.into(),
        }
    }

    /// The topic of an outbox's message depends on its row.
    fn of_outbox(&self, outbox: &crate::debezium::Outbox, change: &RowChange) -> Owed {
        // What has no such column is no outbox, whatever becomes of its rows.
        let place = change.relation.columns.iter().position(|column| column.name == outbox.route_by);
        let Some(place) = place else { return Owed::Elsewhere };
        if change.op != RowOp::Insert {
            let captured = self.table(&change.relation).captured;
            return if captured { self.by_rules(change) } else { Owed::Elsewhere };
        }
        let Some(topics) = self.topics else { return self.by_rules(change) };
        let routed = change.after.as_ref().and_then(|cells| cells.get(place)).and_then(ColumnValue::text);
        let Some(routed) = routed else { return Owed::Elsewhere };
        let connector = &self.rules.connector;
        let unknown = match self.rules.message_topics(routed) {
            Ok(names) if !names.iter().any(|name| topics.contains(name)) => return Owed::Elsewhere,
            Ok(names) if names.iter().all(|name| topics.contains(name)) => return self.by_rules(change),
            Ok(names) => format!("connector {connector} may write its messages to {}", names.join(" or ")),
            Err(setting) => format!("{setting} of connector {connector} decides the topic of its messages"),
        };
        match self.by_rules(change) {
            Owed::Yes => Owed::Perhaps(unknown.into()),
            owed => owed,
        }
    }
}

const OF_THE_ROOT: &str = "changes of its partitions are published under the name of their root (publish_via_partition_root), and a \
                           truncation is told only of the root: one of a single partition is told to nobody";

/// Why nothing can be read of a connector whose worker decides how records are written: there are only such as another converter has
/// written. `silent`: nothing of it could be read.
fn unread_by_worker(rules: &CaptureRules, silent: bool, events: &[ReadEvent]) -> Option<String> {
    if !silent || rules.has_converter() || !events.iter().any(ReadEvent::is_of_another_converter) {
        return None;
    }
    let mut topics: HashMap<&str, bool> = HashMap::new();
    for read in events.iter().filter(|read| !matches!(read.kind, ReadKind::Tombstone { .. })) {
        *topics.entry(&read.topic).or_insert(true) &= read.is_of_another_converter();
    }
    topics.values().any(|only| *only).then(|| OF_WORKER.to_owned())
}

const OF_WORKER: &str = "the value.converter of Kafka Connect's worker writes records that kscen does not read; set \
                         value.converter=org.apache.kafka.connect.json.JsonConverter on the connector";

/// Whether events of that `topic.prefix` are a connector's.
pub(super) fn concerns(rules: &CaptureRules, name: &str) -> bool {
    rules.prefix.as_deref().is_none_or(|prefix| prefix == name)
}

impl Expectation<'_> {
    pub(super) fn claims(&self, transaction: &CommittedTransaction) -> bool {
        self.claims_id(transaction.xid)
    }

    pub(super) fn claims_id(&self, xid: u32) -> bool {
        self.claimed.is_none_or(|claimed| claimed.contains(&xid))
    }

    /// Of the connectors that are known, those whose records may be in the topics that were read; where a topic has no such connector,
    /// and all are unknown, one of which Debezium's defaults are assumed.
    pub fn concerned<'c>(
        &self,
        known: Vec<ScopedConnector<'c>>,
        assumed: &'c CaptureRules,
        events: &[ReadEvent],
    ) -> Vec<ScopedConnector<'c>> {
        let mut relations: HashMap<&TableName, &Relation> = HashMap::new();
        for change in self.transactions.iter().flat_map(|transaction| &transaction.changes) {
            relations.insert(&change.relation.name, &change.relation);
        }
        let mut concerned: Vec<ScopedConnector<'c>> = known
            .into_iter()
            .filter(|connector| {
                let scope = ConnectorScope::new(connector.rules, self.topics, events);
                let outbox = matches!(connector.rules.form(), Form::Outbox(_));
                // Where its transactions begin and end.
                let told = connector.rules.transaction_topics();
                let told = self.topics.is_some_and(|topics| told.iter().any(|topic| topics.contains(topic)));
                outbox
                    || told
                    || self.settled.is_some_and(|settled| !settled.is_empty())
                    || !scope.seen.is_empty()
                    || relations.values().any(|relation| scope.place(relation) != TableScope::Elsewhere)
            })
            .collect();
        let stranger = events.iter().any(|read| match &read.kind {
            ReadKind::Change(event) => {
                !concerned.iter().any(|connector| concerns(connector.rules, &event.source.origin.name))
            }
            _ => false,
        });
        if concerned.is_empty() || stranger {
            let (confirmed, stored, streaming_from, made_at) = (None, None, None, None);
            concerned.push(ScopedConnector { rules: assumed, confirmed, stored, streaming_from, made_at });
        }
        concerned
    }

    /// Position of the last change that has to arrive, for each connector. A reader that has seen it, or a later one, need not wait.
    pub fn last_changes(&self, events: &[ReadEvent]) -> Vec<Option<Lsn>> {
        let last = |connector: &ScopedConnector<'_>| {
            let scope = ConnectorScope::new(connector.rules, self.topics, events);
            let claimed = self.transactions.iter().rev().filter(|transaction| self.claims(transaction));
            claimed
                .flat_map(|transaction| transaction.changes.iter().rev().map(move |change| (transaction.xid, change)))
                .find(|(xid, change)| matches!(scope.owed(*xid, change), Owed::Yes | Owed::Perhaps(_)))
                .map(|(_, change)| change.lsn)
        };
        self.connectors.iter().map(last).collect()
    }
}
