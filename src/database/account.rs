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

use super::catalog::CatalogTable;
use super::relation::quote_identifier;
use super::rows::RowReader;
use super::{ColumnValue, Database, DatabaseError, DatabaseResult, Lsn, Relation, Session, TableName};
use crate::moment::poll;
use futures_util::TryStreamExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};
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
    /// The table, as it was then.
    pub relation: Arc<Relation>,
    /// What happened.
    pub op: RowOp,
    /// The row's key in words: see [`Relation::key_of`].
    pub key: String,
    /// The row before, as far as the log has it: of deletes, and where the replica identity is FULL.
    pub before: Option<Vec<ColumnValue>>,
    /// The row afterwards; `None` for deletes.
    pub after: Option<Vec<ColumnValue>>,
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

/// An open account: a slot that keeps the log from now on, and the publications it reads.
///
/// There are two publications. One has every change of the tables whose rows have an identity: to publish updates of others would make
/// them fail. The other has the inserts and truncations of all tables, so that a table without identity, or one that was made a moment
/// ago, is accounted for as well.
#[derive(Debug)]
pub struct ChangeAccount {
    database: Database,
    session: Session,
    name: String,
    opened_at: Lsn,
    read_to: Lsn,
    rows: RowReader,
    /// It has looked for tables.
    has_watched: bool,
}

/// Tables of which something is not in the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blind {
    /// Updates and deletes before that position are not in the account.
    #[serde(with = "crate::ground::pairs")]
    pub changes_before: BTreeMap<TableName, Lsn>,
    /// Rows of these were updated or deleted, which the log does not tell: they have no identity.
    #[serde(with = "crate::ground::pairs")]
    pub unseen: BTreeMap<TableName, u64>,
    /// Rows of these were updated or deleted before they were watched: so many updates and deletes, or 0 where nobody could count them.
    #[serde(default, with = "crate::ground::pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub early: BTreeMap<TableName, u64>,
}

/// Rows per call of the slot function: bounds the memory of server and client.
const CHUNK: i32 = 50_000;

/// How long a table that somebody has locked is waited for while the account is read, in milliseconds.
const LOCK_MS: u32 = 3_000;

/// Name of the publication of inserts that belongs to an account.
pub fn inserts_publication(account: &str) -> String {
    format!("{account}_inserts")
}

impl ChangeAccount {
    /// Opens an account under `name`, for slot and publication alike (lower case letters, digits and `_`; carries the run's id).
    ///
    /// # Errors
    /// The server's: `wal_level` is not `logical`, no slot is free, the user may not replicate.
    pub async fn open(database: &Database, name: &str) -> DatabaseResult<Self> {
        let database = database.reading();
        let session = database.connect().await?;
        // The publications first: they have to exist at every position that the slot will be asked about.
        session.create_publication(name, &[]).await?;
        let opened = async {
            session.create_inserts_publication(&inserts_publication(name)).await?;
            session.create_slot(name).await
        };
        let opened_at = match opened.await {
            Ok(opened_at) => opened_at,
            Err(error) => {
                session.drop_publication(name).await?;
                session.drop_publication(&inserts_publication(name)).await?;
                return Err(error);
            }
        };
        Ok(Self {
            database,
            session,
            name: name.to_owned(),
            opened_at,
            read_to: opened_at,
            rows: RowReader::default(),
            has_watched: false,
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

    /// Watches every table there is now; call it again after tables were created or changed.
    ///
    /// # Errors
    /// The server's: not the owner of a table.
    pub async fn watch_all(&mut self) -> DatabaseResult<()> {
        self.reconnect().await?;
        let first = !self.has_watched;
        self.rows.types.extend(self.session.catalog_types().await?);
        for table in self.session.catalog_tables(&self.name, &inserts_publication(&self.name)).await? {
            if table.published && !table.identified {
                self.leave(&table).await?;
            }
            let mut wanted = Vec::new();
            // Asked of the catalogue each time: a table that was dropped and created again has left the publication.
            if table.identified && !table.published {
                wanted.push(self.name.clone());
            }
            if !table.inserts {
                wanted.push(inserts_publication(&self.name));
            }
            for publication in &wanted {
                let publication = quote_identifier(publication);
                let statement = format!("ALTER PUBLICATION {publication} ADD TABLE {}", table.name.quoted());
                self.session.client.batch_execute(&statement).await?;
            }
            let late = wanted.contains(&self.name) && !first;
            let from = match (table.identified, wanted.contains(&self.name)) {
                (false, _) => None,
                (true, true) => {
                    Some(if first { self.opened_at } else { self.position("pg_current_wal_insert_lsn").await? })
                }
                (true, false) => Some(self.opened_at),
            };
            let watched = self.rows.watched.entry(table.name).or_default();
            watched.id = table.id;
            if watched.primary.last() != Some(&table.primary) {
                watched.primary.push(table.primary);
            }
            watched.ancestors = table.ancestors;
            watched.defaults.extend(table.defaults);
            watched.changes_from = if late { watched.changes_from.max(from) } else { watched.changes_from.or(from) };
            if late {
                let early = table.changed - watched.changed.unwrap_or(0);
                watched.early = u64::try_from(early).unwrap_or(0);
            }
            if !table.identified {
                watched.changed.get_or_insert(if first { table.changed } else { 0 });
            }
        }
        self.has_watched = true;
        Ok(())
    }

    /// Takes a table whose rows have no identity any more out of the publication of updates and deletes, which would make them fail. From now
    /// on the server's statistics alone tell of them.
    async fn leave(&mut self, table: &CatalogTable) -> DatabaseResult<()> {
        let publication = quote_identifier(&self.name);
        let statement = format!("ALTER PUBLICATION {publication} DROP TABLE {}", table.name.quoted());
        self.session.client.batch_execute(&statement).await?;
        let watched = self.rows.watched.entry(table.name.clone()).or_default();
        (watched.changes_from, watched.changed) = (None, Some(table.changed));
        Ok(())
    }

    /// What the account does not know.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn blind(&mut self) -> DatabaseResult<Blind> {
        self.reconnect().await?;
        let mut blind = Blind::default();
        for (table, watched) in &self.rows.watched {
            if let Some(from) = watched.changes_from.filter(|from| *from > self.opened_at) {
                blind.changes_before.insert(table.clone(), from);
                blind.early.extend((watched.early > 0).then(|| (table.clone(), watched.early)));
            }
        }
        let strangers = self.rows.strangers();
        if strangers.is_empty() && self.rows.watched.values().all(|watched| watched.changes_from.is_some()) {
            return Ok(blind);
        }
        for table in strangers.keys().filter(|table| !self.rows.watched.contains_key(*table)) {
            blind.early.insert(table.clone(), 0);
        }
        for table in self.session.catalog_tables(&self.name, &inserts_publication(&self.name)).await? {
            let Some(watched) = self.rows.watched.get(&table.name) else { continue };
            let unseen = match (watched.changes_from, strangers.get(&table.name)) {
                (None, _) => table.changed - watched.changed.unwrap_or(0),
                // The statistics of who made and changed it may not have been there when it was first watched.
                (Some(from), Some(counted)) if from > self.opened_at => {
                    table.changed.saturating_sub(i64::try_from(*counted).unwrap_or(i64::MAX))
                }
                _ => continue,
            };
            let Some(unseen) = u64::try_from(unseen).ok().filter(|unseen| *unseen > 0) else { continue };
            let list = if watched.changes_from.is_none() { &mut blind.unseen } else { &mut blind.early };
            list.insert(table.name, unseen);
        }
        Ok(blind)
    }

    /// Bytes of log written since the account was last read.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn behind(&mut self) -> DatabaseResult<u64> {
        self.reconnect().await?;
        Ok(self.position("pg_current_wal_flush_lsn").await?.0.saturating_sub(self.read_to.0))
    }

    /// The transactions committed since the last call, in order of commit, up to what is committed now.
    ///
    /// # Errors
    /// See [`DatabaseError`]; nothing is lost by a failure or by giving up, the next call has all of it.
    pub async fn read(&mut self) -> DatabaseResult<Vec<CommittedTransaction>> {
        self.reconnect().await?;
        let target = self.flushed().await?;
        let statement = format!(
            "SELECT lsn::text, data FROM pg_logical_slot_peek_binary_changes('{0}', '{target}', {CHUNK}, \
             'proto_version', '1', 'publication_names', '{0},{1}')",
            self.name,
            inserts_publication(&self.name)
        );
        loop {
            // A transaction may have more rows than memory should hold twice.
            let messages = self.session.client.query_raw(&statement, std::iter::empty::<i32>()).await?;
            let mut messages = std::pin::pin!(messages);
            let (mut open, mut end) = (None, None);
            while let Some(message) = messages.try_next().await? {
                end = self.rows.take(&message, &mut open)?.or(end);
            }
            // Also where no transaction ended: the slot would keep the log of what the account is not interested in.
            let confirmed = end.unwrap_or(target);
            let advance = format!("SELECT pg_replication_slot_advance('{}', '{confirmed}')", self.name);
            if end.is_some() || confirmed > self.read_to {
                self.session.client.batch_execute(&advance).await?;
            }
            if end.is_none() {
                self.read_to = self.read_to.max(target);
                break;
            }
        }
        self.meet_strangers().await?;
        Ok(self.rows.fetch())
    }

    /// Watches tables of which changes were read though nobody had watched them: a function, a trigger or a procedure has made them.
    async fn meet_strangers(&mut self) -> DatabaseResult<()> {
        if !self.rows.has_strangers() {
            return Ok(());
        }
        // Whoever looks does not wait for who has locked a table.
        self.session.client.batch_execute(&format!("SET lock_timeout = {LOCK_MS}")).await?;
        match self.watch_all().await {
            // Somebody else's tables may not be published; that updates and deletes of them are not known is told.
            Ok(()) | Err(DatabaseError::Sql(_)) => self.rows.relearn(),
            Err(error) => return Err(error),
        }
        self.session.client.batch_execute("RESET lock_timeout").await?;
        Ok(())
    }

    /// Closes the account: drops slot and publication.
    ///
    /// # Errors
    /// See [`DatabaseError`]; what is left has the account's name.
    pub async fn close(mut self) -> DatabaseResult<()> {
        self.reconnect().await?;
        self.session.drop_slot(&self.name, super::DROP_PATIENCE).await?;
        self.session.drop_publication(&self.name).await?;
        self.session.drop_publication(&inserts_publication(&self.name)).await?;
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
        let flushed = poll(Duration::from_millis(20), Duration::from_secs(1), || async {
            let flushed = self.position("pg_current_wal_flush_lsn").await?;
            Ok::<_, DatabaseError>(if flushed >= wanted { Break(flushed) } else { Continue(flushed) })
        });
        match flushed.await? {
            Break(position) | Continue(position) => Ok(position),
        }
    }

    async fn position(&self, function: &str) -> DatabaseResult<Lsn> {
        let row = self.session.client.query_one(&format!("SELECT {function}()::text"), &[]).await?;
        row.try_get::<_, String>(0)?.parse().map_err(|message| DatabaseError::Unreadable { message })
    }
}
