//! The database's account of a run, shared by all its `sql` steps, and the connectors that capture from it.

use crate::accounting::changes::SettledPast;
use crate::connect::ConnectorConfig;
use crate::database::{Blind, ChangeAccount, CommittedTransaction, Database, DatabaseResult, Lsn};
use crate::faults::Resource;
use crate::ground::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// What a connector of this run captures with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its replication slot.
    pub slot: String,
    /// Its configuration, as it was given to Connect.
    pub config: ConnectorConfig,
    /// Position at which it was known to stream for the first time.
    pub streaming_from: Option<Lsn>,
    /// Position of the log before it was made, or that of its slot where there was one; what was committed before it was not streamed.
    pub made_at: Option<Lsn>,
    /// It was there before: since when it streams, nobody knows.
    pub existed: bool,
    /// The configurations that it had before.
    pub former: Vec<ConnectorConfig>,
}

/// The account so far.
#[derive(Clone, Copy, Debug)]
pub struct ChangesSoFar<'a> {
    /// Every transaction that is not settled.
    pub transactions: &'a [CommittedTransaction],
    /// Those at the beginning that are settled for good.
    pub settled: &'a SettledPast,
    /// Where the account begins and how far it was read.
    pub window: (Lsn, Lsn),
    /// What it does not know.
    pub blind: &'a Blind,
}

struct Open {
    account: ChangeAccount,
    transactions: Vec<CommittedTransaction>,
    settled: SettledPast,
}

type Shared = tokio::sync::Mutex<Option<Open>>;

/// What the database committed while the run lasted. Empty until a `sql` step opens it, which it does where a reader of the plan
/// decodes change events: an account needs a replication slot, and a scenario without capture should not.
#[derive(Default)]
pub struct Changes {
    open: Arc<Shared>,
    captures: Mutex<BTreeMap<String, Capture>>,
    /// Replication slots and publications that statements of the scenario have made.
    made: Mutex<Vec<Resource>>,
}

/// How often the account looks at how much log its slot keeps.
const GLANCE: Duration = Duration::from_secs(1);
/// It is read once there is that much, in bytes.
const READ_AT: u64 = 1 << 20;
/// It is read at least so often.
const READ_EVERY: Duration = Duration::from_secs(5);

impl Changes {
    /// Opens the account under `name` where it is not open yet, and watches every table there is now.
    ///
    /// # Errors
    /// See [`ChangeAccount::open`] and [`ChangeAccount::watch_all`].
    pub async fn watch(&self, database: &Database, name: &str) -> DatabaseResult<()> {
        let mut guard = self.open.lock().await;
        let open = match &mut *guard {
            Some(open) => {
                // What was committed so far is learnt with what held then: keys, and the partitioned tables above.
                let news = open.account.read().await?;
                open.transactions.extend(news);
                open
            }
            empty => {
                let account = ChangeAccount::open(database, name).await?;
                tokio::spawn(read_on(Arc::downgrade(&self.open)));
                empty.insert(Open { account, transactions: Vec::new(), settled: SettledPast::default() })
            }
        };
        open.account.watch_all().await
    }

    /// Whether a `sql` step has opened the account.
    pub async fn is_open(&self) -> bool {
        self.open.lock().await.is_some()
    }

    /// Reads on, and shows the account so far; `None` where no account is open.
    ///
    /// # Errors
    /// See [`ChangeAccount::read`].
    pub async fn read<R>(&self, look: impl FnOnce(ChangesSoFar<'_>) -> R) -> DatabaseResult<Option<R>> {
        let mut guard = self.open.lock().await;
        let Some(open) = &mut *guard else { return Ok(None) };
        let news = open.account.read().await?;
        open.transactions.extend(news);
        let blind = open.account.blind().await?;
        let window = (open.account.opened_at(), open.account.read_to());
        let Open { transactions, settled, .. } = &*open;
        Ok(Some(look(ChangesSoFar { transactions, settled, window, blind: &blind })))
    }

    /// Settles the beginning of the account for good, as far as `settle` can; `None` where no account is open. Nobody looks meanwhile.
    pub async fn settle<R>(
        &self,
        settle: impl FnOnce(&mut SettledPast, &mut Vec<CommittedTransaction>) -> R,
    ) -> Option<R> {
        let mut guard = self.open.lock().await;
        let open = guard.as_mut()?;
        Some(settle(&mut open.settled, &mut open.transactions))
    }

    /// Closes the account: its slot and publications are dropped.
    ///
    /// # Errors
    /// See [`ChangeAccount::close`].
    pub async fn close(&self) -> DatabaseResult<()> {
        match self.open.lock().await.take() {
            Some(open) => open.account.close().await,
            None => Ok(()),
        }
    }

    /// SQL of the scenario has made these slots and publications.
    pub fn made(&self, resources: Vec<Resource>) {
        lock(&self.made).extend(resources);
    }

    /// Whether SQL of the scenario has made that slot or publication.
    pub fn has_made(&self, resource: &Resource) -> bool {
        lock(&self.made).contains(resource)
    }

    /// A connector of this run captures.
    pub fn captured_by(&self, connector: &str, mut capture: Capture) {
        let mut captures = lock(&self.captures);
        if let Some(before) = captures.remove(connector) {
            capture.former.extend(before.former);
            capture.former.push(before.config);
            capture.existed = true;
            (capture.streaming_from, capture.made_at) = (before.streaming_from, before.made_at);
        }
        captures.insert(connector.to_owned(), capture);
    }

    /// A connector of this run streams from now on. Of one that had been there before nobody knows whether it did already.
    pub fn streams_from(&self, connector: &str, lsn: Lsn) {
        let mut captures = lock(&self.captures);
        if let Some(capture) = captures.get_mut(connector).filter(|capture| !capture.existed) {
            capture.streaming_from.get_or_insert(lsn);
        }
    }

    /// The connectors of this run that capture, by name.
    pub fn captures(&self) -> BTreeMap<String, Capture> {
        lock(&self.captures).clone()
    }
}

/// Keeps the account's slot near the end of the log while the run lasts: it would hold back what the database wants to remove.
async fn read_on(shared: Weak<Shared>) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(GLANCE).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut guard = shared.lock().await;
        let Some(open) = &mut *guard else { return };
        // What cannot be read now is read later: whoever needs the account hears of the reason.
        let Ok(behind) = open.account.behind().await else { continue };
        if behind < READ_AT && last.elapsed() < READ_EVERY {
            continue;
        }
        if let Ok(news) = open.account.read().await {
            open.transactions.extend(news);
        }
        last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_when_a_connector_streams_its_first_step_says() {
        let (changes, config) = (Changes::default(), ConnectorConfig::default());
        let capture = |existed| Capture {
            slot: String::new(),
            config: config.clone(),
            streaming_from: None,
            made_at: None,
            existed,
            former: Vec::new(),
        };
        let from = |name: &str| changes.captures()[name].streaming_from;
        changes.captured_by("one", capture(false));
        changes.streams_from("one", Lsn(5));
        changes.captured_by("one", capture(true));
        changes.streams_from("one", Lsn(9));
        assert_eq!(from("one"), Some(Lsn(5)));
        // Its first step did not wait until it streamed; or it was there before the run.
        changes.captured_by("two", capture(false));
        changes.captured_by("two", capture(true));
        changes.captured_by("three", capture(true));
        for name in ["two", "three"] {
            changes.streams_from(name, Lsn(9));
            assert_eq!(from(name), None, "{name}");
        }
        assert_eq!(changes.captures()["two"].former, std::slice::from_ref(&config));
    }

    #[test]
    fn what_the_scenarios_own_sql_made_is_known_by_kind_and_name() {
        let changes = Changes::default();
        let (slot, publication) = (Resource::Slot("shop".to_owned()), Resource::Publication("shop".to_owned()));
        changes.made(vec![publication.clone()]);
        assert_eq!([&slot, &publication].map(|resource| changes.has_made(resource)), [false, true]);
    }
}
