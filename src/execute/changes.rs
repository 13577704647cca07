//! The database's account of a run, shared by all its `sql` steps, and the connectors that capture from it.

use crate::database::{ChangeAccount, CommittedTransaction, Database, DatabaseResult, Lsn, TableName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// What a connector of this run captures with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its replication slot.
    pub slot: String,
    /// It follows each delete with a tombstone.
    pub tombstones: bool,
}

struct Open {
    account: ChangeAccount,
    transactions: Vec<CommittedTransaction>,
    refused: BTreeSet<TableName>,
}

/// What the database committed while the run lasted. Empty until a `sql` step opens it, which it does where a reader of the plan
/// decodes change events: an account needs a replication slot, and a scenario without capture should not.
#[derive(Default)]
pub struct Changes {
    open: tokio::sync::Mutex<Option<Open>>,
    captures: Mutex<BTreeMap<String, Capture>>,
}

impl Changes {
    /// Opens the account under `name` where it is not open yet, and watches every table there is now. Returns tables that cannot be
    /// watched, each once.
    ///
    /// # Errors
    /// See [`ChangeAccount::open`] and [`ChangeAccount::watch_all`].
    pub async fn watch(&self, database: &Database, name: &str) -> DatabaseResult<Vec<TableName>> {
        let mut guard = self.open.lock().await;
        let open = match &mut *guard {
            Some(open) => open,
            empty => empty.insert(Open {
                account: ChangeAccount::open(database, name).await?,
                transactions: Vec::new(),
                refused: BTreeSet::new(),
            }),
        };
        let refused = open.account.watch_all().await?;
        Ok(refused.into_iter().filter(|table| open.refused.insert(table.clone())).collect())
    }

    /// Whether a `sql` step has opened the account.
    pub async fn is_open(&self) -> bool {
        self.open.lock().await.is_some()
    }

    /// Reads on, and shows all transactions so far with the window that the account covers; `None` where no account is open.
    ///
    /// # Errors
    /// See [`ChangeAccount::read`].
    pub async fn read<R>(
        &self,
        look: impl FnOnce(&[CommittedTransaction], (Lsn, Lsn)) -> R,
    ) -> DatabaseResult<Option<R>> {
        let mut guard = self.open.lock().await;
        let Some(open) = &mut *guard else { return Ok(None) };
        let news = open.account.read().await?;
        open.transactions.extend(news);
        Ok(Some(look(&open.transactions, (open.account.opened_at(), open.account.read_to()))))
    }

    /// Closes the account: its slot and publication are dropped.
    ///
    /// # Errors
    /// See [`ChangeAccount::close`].
    pub async fn close(&self) -> DatabaseResult<()> {
        match self.open.lock().await.take() {
            Some(open) => open.account.close().await,
            None => Ok(()),
        }
    }

    /// A connector of this run captures.
    pub fn captured_by(&self, connector: &str, capture: Capture) {
        self.captures.lock().unwrap_or_else(PoisonError::into_inner).insert(connector.to_owned(), capture);
    }

    /// The connectors of this run that capture, by name.
    pub fn captures(&self) -> BTreeMap<String, Capture> {
        self.captures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
