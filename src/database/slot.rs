//! Replication slots and publications: what pins the log, and how it is let go.

use super::relation::quote_identifier;
use super::{Database, DatabaseError, DatabaseResult, Lsn, Session, TableName};
use crate::connect::EffectProbe;
use crate::moment::poll;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

/// How long a slot may stay in use after its connector was deleted; 0.4 s is usual.
pub const DROP_PATIENCE: Duration = Duration::from_secs(10);

/// A replication slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicationSlot {
    /// Its name.
    pub name: String,
    /// Output plugin, such as `pgoutput`; `None` for physical slots.
    pub plugin: Option<String>,
    /// Somebody reads it now.
    pub active: bool,
    /// Process id of the server process that reads it.
    pub active_pid: Option<i32>,
    /// Oldest position it still needs: the log from here on is kept.
    pub restart_lsn: Option<Lsn>,
    /// Position up to which its reader has confirmed.
    pub confirmed_flush_lsn: Option<Lsn>,
    /// Bytes of log kept because of it.
    pub retained_bytes: Option<i64>,
    /// Bytes of log behind what its reader has confirmed.
    pub lag_bytes: Option<i64>,
    /// Whether the log that it needs is there: `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
}

impl Session {
    /// The server's version, such as 150019.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub(super) async fn version(&self) -> DatabaseResult<u32> {
        let version: String = self.client.query_one("SHOW server_version_num", &[]).await?.try_get(0)?;
        version
            .parse()
            .map_err(|_| DatabaseError::Unreadable { message: format!("a server's version is no number: {version}") })
    }

    /// Position at which the log is written now.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn wal_position(&self) -> DatabaseResult<Lsn> {
        let row = self.client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await?;
        row.try_get::<_, String>(0)?.parse().map_err(|message| DatabaseError::Unreadable { message })
    }

    /// The server's clock, microseconds since the Unix epoch.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn clock_us(&self) -> DatabaseResult<i64> {
        let statement = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        Ok(self.client.query_one(statement, &[]).await?.try_get(0)?)
    }

    /// All replication slots of the server.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn slots(&self) -> DatabaseResult<Vec<ReplicationSlot>> {
        let rows = self
            .client
            .query(
                "SELECT slot_name::text, plugin::text, active, active_pid, restart_lsn::text, confirmed_flush_lsn::text, \
                 pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint, \
                 pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn)::bigint, wal_status \
                 FROM pg_replication_slots ORDER BY 1",
                &[],
            )
            .await?;
        let lsn = |text: Option<String>| text.and_then(|text| text.parse().ok());
        rows.iter()
            .map(|row| {
                Ok(ReplicationSlot {
                    name: row.try_get(0)?,
                    plugin: row.try_get(1)?,
                    active: row.try_get(2)?,
                    active_pid: row.try_get(3)?,
                    restart_lsn: lsn(row.try_get(4)?),
                    confirmed_flush_lsn: lsn(row.try_get(5)?),
                    retained_bytes: row.try_get(6)?,
                    lag_bytes: row.try_get(7)?,
                    wal_status: row.try_get(8)?,
                })
            })
            .collect()
    }

    /// The slot of that name.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn slot(&self, name: &str) -> DatabaseResult<Option<ReplicationSlot>> {
        Ok(self.slots().await?.into_iter().find(|slot| slot.name == name))
    }

    /// Waits until somebody reads the slot: a connector's status may say RUNNING before, or still, when nobody does.
    ///
    /// # Errors
    /// [`DatabaseError::SlotIdle`] after `timeout`.
    pub async fn wait_slot_active(&self, name: &str, timeout: Duration) -> DatabaseResult<ReplicationSlot> {
        let found = poll(Duration::from_millis(25), timeout, || async {
            let slot = self.slot(name).await?;
            let exists = slot.is_some();
            Ok::<_, DatabaseError>(slot.filter(|slot| slot.active).map_or(Continue(exists), Break))
        });
        match found.await? {
            Break(slot) => Ok(slot),
            Continue(exists) => Err(DatabaseError::SlotIdle { slot: name.to_owned(), exists, waited: timeout }),
        }
    }

    /// Creates a logical slot with `pgoutput`. Changes committed from the position returned on will be in it. Where the server can, the slot
    /// goes over to the standby that takes its place.
    ///
    /// Waits for transactions that are open now.
    ///
    /// # Errors
    /// The server's: `wal_level` below `logical`, no slot free, name taken.
    pub async fn create_slot(&self, name: &str) -> DatabaseResult<Lsn> {
        let failover = if self.version().await? >= 170_000 { ", false, false, NOT pg_is_in_recovery()" } else { "" };
        let statement = format!("SELECT lsn::text FROM pg_create_logical_replication_slot($1, 'pgoutput'{failover})");
        let row = self.client.query_one(&statement, &[&name]).await?;
        let text: String = row.try_get(0)?;
        text.parse().map_err(|message| DatabaseError::Unreadable { message })
    }

    /// Drops a slot, waiting until nobody reads it. False where there is none.
    ///
    /// # Errors
    /// [`DatabaseError::SlotInUse`] after `patience`.
    pub async fn drop_slot(&self, name: &str, patience: Duration) -> DatabaseResult<bool> {
        let dropped = poll(Duration::from_millis(50), patience, || async {
            let Some(slot) = self.slot(name).await? else { return Ok(Break(false)) };
            if slot.active {
                return Ok(Continue(slot.active_pid));
            }
            match self.client.execute("SELECT pg_drop_replication_slot($1)", &[&name]).await {
                Ok(_) => Ok(Break(true)),
                // Taken (55006) or dropped (42704) by somebody else since: look again.
                Err(error) if error.code().is_some_and(|code| ["55006", "42704"].contains(&code.code())) => {
                    Ok(Continue(slot.active_pid))
                }
                Err(error) => Err(DatabaseError::from(error)),
            }
        });
        match dropped.await? {
            Break(dropped) => Ok(dropped),
            Continue(active_pid) => {
                Err(DatabaseError::SlotInUse { slot: name.to_owned(), active_pid, waited: patience })
            }
        }
    }

    /// Ends the server process that reads the slot, if any. For a reader that will not end by itself.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn disconnect_slot(&self, name: &str) -> DatabaseResult<bool> {
        let statement = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots \
                         WHERE slot_name = $1 AND active_pid IS NOT NULL";
        Ok(!self.client.query(statement, &[&name]).await?.is_empty())
    }

    /// Names of all publications of this database.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn publications(&self) -> DatabaseResult<Vec<String>> {
        let rows = self.client.query("SELECT pubname::text FROM pg_publication ORDER BY 1", &[]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Creates a publication of these tables, none at first if the list is empty.
    ///
    /// # Errors
    /// The server's: not the owner of a table, name taken.
    pub async fn create_publication(&self, name: &str, tables: &[TableName]) -> DatabaseResult<()> {
        let tables: Vec<String> = tables.iter().map(TableName::quoted).collect();
        let clause = if tables.is_empty() { String::new() } else { format!(" FOR TABLE {}", tables.join(", ")) };
        Ok(self.client.batch_execute(&format!("CREATE PUBLICATION {}{clause}", quote_identifier(name))).await?)
    }

    /// Creates a publication of the inserts and truncations of all tables, those to come included. Where the user may not do that, of
    /// none: the tables are added one by one.
    pub(super) async fn create_inserts_publication(&self, name: &str) -> DatabaseResult<()> {
        let create = |clause: &str| {
            format!("CREATE PUBLICATION {}{clause} WITH (publish = 'insert, truncate')", quote_identifier(name))
        };
        match self.client.batch_execute(&create(" FOR ALL TABLES")).await {
            Err(error) if error.code().is_some_and(|code| code.code() == "42501") => {
                Ok(self.client.batch_execute(&create("")).await?)
            }
            done => Ok(done?),
        }
    }

    /// Drops a publication. False where there is none.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn drop_publication(&self, name: &str) -> DatabaseResult<bool> {
        let present = self.publications().await?.iter().any(|publication| publication == name);
        self.client.batch_execute(&format!("DROP PUBLICATION IF EXISTS {}", quote_identifier(name))).await?;
        Ok(present)
    }
}

/// Watches which server process reads a slot: a connector's task that starts again connects again.
#[derive(Clone, Debug)]
pub struct SlotProbe {
    database: Database,
    slot: String,
}

impl SlotProbe {
    /// Watches `slot` of `database`.
    pub fn new(database: Database, slot: impl Into<String>) -> Self {
        Self { database, slot: slot.into() }
    }

    async fn reader(&self) -> DatabaseResult<Option<String>> {
        let session = self.database.connect().await?;
        let statement = "SELECT a.pid::text || ' since ' || a.backend_start::text FROM pg_replication_slots s \
                         JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = $1";
        let row = session.client.query_opt(statement, &[&self.slot]).await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }
}

impl EffectProbe for SlotProbe {
    fn name(&self) -> String {
        format!("the server process that reads slot `{}`", self.slot)
    }

    fn token(&self) -> BoxFuture<'_, Option<String>> {
        // No answer is no observation, never an effect.
        Box::pin(async move { self.reader().await.ok().flatten() })
    }
}
