//! The database's own account of what was committed, row by row.
//!
//! Which changes a `sql` step made is not derived from its statements: a statement may change many rows, call functions, fire
//! triggers, cascade, or be rolled back, and a commit whose answer was lost may have taken place. Instead kscen reads the
//! write-ahead log through a logical slot and a publication of its own. That is exact for inserts, updates, deletes, multi-row
//! statements, cascades and crashes (slots survive them), never shows what was rolled back, settles unknown outcomes, carries the
//! commit's position and time, and leaves the tables alone: a trigger journal would change the schema under test, write every
//! row twice inside the transactions whose latency is measured, and know neither commit position nor commit time.
//! Its positions are the ones Debezium reports as `source.lsn`, so a change and its event are matched by identity, not by guess.
//!
//! A step's share of the account is found by transaction id: see [`Session::run_script`] and [`SqlRecord::xid`](super::SqlRecord::xid).

pub use super::pgoutput::Cell;
use super::pgoutput::{Message, RelationMessage, parse};
use super::relation::quote_identifier;
use super::{Column, Database, DatabaseError, DatabaseResult, Lsn, Relation, Session, TableName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RowOp {
    /// Inserted.
    Insert,
    /// Updated, its key unchanged.
    Update,
    /// Deleted.
    Delete,
    /// Its whole table was truncated; the change has no key.
    Truncate,
}

/// A change of one row. An update that changes the key is two changes, the old row's delete and the new row's insert,
/// as Debezium reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// The table.
    pub relation: Arc<Relation>,
    /// What happened.
    pub op: RowOp,
    /// The row's key in words: see [`Relation::key_of`].
    pub key: String,
    /// The row afterwards; `None` for deletes.
    pub after: Option<Vec<Cell>>,
    /// Position of the change.
    pub lsn: Lsn,
}

/// A transaction that was committed, with its changes of watched tables in order.
#[derive(Clone, Debug, PartialEq)]
pub struct CommittedTransaction {
    /// Its id: the lower 32 bits, as in Debezium's `source.txId`.
    pub xid: u32,
    /// Position of the commit record.
    pub commit_lsn: Lsn,
    /// Time of the commit by the database's clock, microseconds since the Unix epoch.
    pub committed_us: i64,
    /// Its changes.
    pub changes: Vec<RowChange>,
}

/// An open account: a slot that keeps the log from now on, and the publication it reads.
#[derive(Debug)]
pub struct ChangeAccount {
    database: Database,
    session: Session,
    name: String,
    opened_at: Lsn,
    read_to: Lsn,
    /// Key columns by table, as far as known from the catalogue.
    watched: BTreeMap<TableName, Vec<String>>,
    relations: HashMap<u32, Arc<Relation>>,
}

/// Rows per call of the slot function: bounds the memory of server and client.
const CHUNK: i32 = 50_000;

impl ChangeAccount {
    /// Opens an account under `name`, for slot and publication alike (lower case letters, digits and `_`; carries the run's id).
    ///
    /// # Errors
    /// The server's: `wal_level` is not `logical`, no slot is free, the user may not replicate.
    pub async fn open(database: &Database, name: &str) -> DatabaseResult<Self> {
        let session = database.connect().await?;
        // The publication first: it has to exist at every position that the slot will be asked about.
        session.create_publication(name, &[]).await?;
        let opened_at = match session.create_slot(name).await {
            Ok(opened_at) => opened_at,
            Err(error) => {
                session.drop_publication(name).await?;
                return Err(error);
            }
        };
        Ok(Self {
            database: database.clone(),
            session,
            name: name.to_owned(),
            opened_at,
            read_to: opened_at,
            watched: BTreeMap::new(),
            relations: HashMap::new(),
        })
    }

    /// Position from which on commits are in the account.
    pub fn opened_at(&self) -> Lsn {
        self.opened_at
    }

    /// Position up to which the account has been read.
    pub fn read_to(&self) -> Lsn {
        self.read_to
    }

    /// The tables watched.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.watched.keys()
    }

    /// Watches every table that has a key; call it again after tables were created. Returns the tables that cannot be watched because
    /// publishing a table without replica identity would make its updates fail.
    ///
    /// # Errors
    /// The server's: not the owner of a table.
    pub async fn watch_all(&mut self) -> DatabaseResult<Vec<TableName>> {
        self.reconnect().await?;
        let statement = "SELECT n.nspname::text, c.relname::text, \
              c.relreplident = 'f' OR EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND \
                ((c.relreplident = 'd' AND i.indisprimary) OR (c.relreplident = 'i' AND i.indisreplident))), \
              ARRAY(SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey) \
                WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY a.attnum), \
              EXISTS (SELECT 1 FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid \
                WHERE r.prrelid = c.oid AND p.pubname = $1) \
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
            WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
        let rows = self.session.client.query(statement, &[&self.name]).await?;
        let mut refused = Vec::new();
        for row in rows {
            let table = TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?);
            if !row.try_get::<_, bool>(2)? {
                refused.push(table);
                continue;
            }
            // Asked of the catalogue each time: a table that was dropped and created again has left the publication.
            if !row.try_get::<_, bool>(4)? {
                let statement =
                    format!("ALTER PUBLICATION {} ADD TABLE {}", quote_identifier(&self.name), table.quoted());
                self.session.client.batch_execute(&statement).await?;
            }
            self.watched.insert(table, row.try_get(3)?);
        }
        Ok(refused)
    }

    /// The transactions committed since the last call, in order of commit, up to what is committed now.
    ///
    /// # Errors
    /// See [`DatabaseError`]; nothing is lost by a failure, the next call reads the same again.
    pub async fn read(&mut self) -> DatabaseResult<Vec<CommittedTransaction>> {
        self.reconnect().await?;
        let target = self.flushed().await?;
        let statement = format!(
            "SELECT lsn::text, data FROM pg_logical_slot_peek_binary_changes('{0}', '{target}', {CHUNK}, \
             'proto_version', '1', 'publication_names', '{0}')",
            self.name
        );
        let mut transactions = Vec::new();
        loop {
            let rows = self.session.client.query(&statement, &[]).await?;
            let mut open: Option<CommittedTransaction> = None;
            let mut end = None;
            for row in &rows {
                let lsn: String = row.try_get(0)?;
                let lsn: Lsn = lsn.parse().map_err(|message| DatabaseError::Unreadable { message })?;
                match parse(row.try_get(1)?)? {
                    Message::Begin { commit_lsn, committed_us, xid } => {
                        open = Some(CommittedTransaction { xid, commit_lsn, committed_us, changes: Vec::new() });
                    }
                    Message::Commit { end_lsn } => {
                        transactions.extend(open.take().filter(|transaction| !transaction.changes.is_empty()));
                        end = Some(end_lsn);
                    }
                    Message::Relation(message) => self.learn(message),
                    message => {
                        let changes = self.changes(message, lsn)?;
                        if let Some(open) = &mut open {
                            open.changes.extend(changes);
                        }
                    }
                }
            }
            let Some(end) = end else {
                self.read_to = target;
                return Ok(transactions);
            };
            let advance = format!("SELECT pg_replication_slot_advance('{}', '{end}')", self.name);
            self.session.client.batch_execute(&advance).await?;
        }
    }

    /// Closes the account: drops slot and publication.
    ///
    /// # Errors
    /// See [`DatabaseError`]; what is left has the account's name.
    pub async fn close(mut self) -> DatabaseResult<()> {
        self.reconnect().await?;
        self.session.drop_slot(&self.name, super::DROP_PATIENCE).await?;
        self.session.drop_publication(&self.name).await?;
        Ok(())
    }

    /// The account outlives the database's restarts.
    async fn reconnect(&mut self) -> DatabaseResult<()> {
        if self.session.client.is_closed() || self.session.client.check_connection().await.is_err() {
            self.session = self.database.connect_within(Duration::from_secs(30)).await?;
        }
        Ok(())
    }

    /// Position up to which the log is on disk, once it covers all that is committed now (with `synchronous_commit = off` it lags behind).
    async fn flushed(&self) -> DatabaseResult<Lsn> {
        let wanted = self.position("pg_current_wal_insert_lsn").await?;
        for _ in 0..50 {
            let flushed = self.position("pg_current_wal_flush_lsn").await?;
            if flushed >= wanted {
                return Ok(flushed);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.position("pg_current_wal_flush_lsn").await
    }

    async fn position(&self, function: &str) -> DatabaseResult<Lsn> {
        let row = self.session.client.query_one(&format!("SELECT {function}()::text"), &[]).await?;
        row.try_get::<_, String>(0)?.parse().map_err(|message| DatabaseError::Unreadable { message })
    }

    fn learn(&mut self, message: RelationMessage) {
        let name = TableName::new(message.schema, message.table);
        let primary = self.watched.get(&name).filter(|columns| !columns.is_empty());
        let columns = message
            .columns
            .into_iter()
            .map(|column| Column {
                key: primary.map_or(column.key && !message.full, |columns| columns.contains(&column.name)),
                name: column.name,
                type_oid: column.type_oid,
                type_modifier: column.type_modifier,
            })
            .collect();
        self.relations.insert(message.id, Arc::new(Relation { name, columns }));
    }

    fn changes(&self, message: Message, lsn: Lsn) -> DatabaseResult<Vec<RowChange>> {
        let relation = |id: u32| {
            self.relations.get(&id).cloned().ok_or_else(|| DatabaseError::Unreadable {
                message: format!("the database's change stream names an unknown table {id}"),
            })
        };
        let change = |relation: &Arc<Relation>, op, row: &[Cell], after| RowChange {
            relation: Arc::clone(relation),
            op,
            key: key_of(relation, row),
            after,
            lsn,
        };
        Ok(match message {
            Message::Insert { relation: id, new } => {
                let relation = relation(id)?;
                vec![change(&relation, RowOp::Insert, &new.clone(), Some(new))]
            }
            Message::Update { relation: id, old, new } => {
                let relation = relation(id)?;
                match old.filter(|old| key_of(&relation, old) != key_of(&relation, &new)) {
                    Some(old) => vec![
                        change(&relation, RowOp::Delete, &old, None),
                        change(&relation, RowOp::Insert, &new.clone(), Some(new)),
                    ],
                    None => vec![change(&relation, RowOp::Update, &new.clone(), Some(new))],
                }
            }
            Message::Delete { relation: id, old } => vec![change(&relation(id)?, RowOp::Delete, &old, None)],
            Message::Truncate { relations } => relations
                .into_iter()
                .map(|id| {
                    let relation = relation(id)?;
                    Ok(RowChange { relation, op: RowOp::Truncate, key: String::new(), after: None, lsn })
                })
                .collect::<DatabaseResult<_>>()?,
            Message::Begin { .. } | Message::Commit { .. } | Message::Relation(_) | Message::Other => Vec::new(),
        })
    }
}

fn key_of(relation: &Relation, row: &[Cell]) -> String {
    relation.key_of(&row.iter().map(|cell| cell.text().map(str::to_owned)).collect::<Vec<_>>())
}
