//! Deliveries from `sql` steps into a table: what a second hop, from topics into another table, has made of every row's change.

use super::Settled;
use super::changes::{Reconciled, basis, claims};
use super::connectors::KnownConnector;
use super::judged::SettledFrom;
use super::sinks::{Passage, Sinks};
use super::told_sinks::KeptDeletes;
use crate::accounting::Claims;
use crate::accounting::changes::{
    ChangeBasis, ChangeSettlement, Expectation, NotStored, ScopedConnector, TableCopy, reconcile_table, written_table,
};
use crate::database::{Database, DatabaseError, TableName, TableRows};
use crate::debezium::Form;
use crate::judge::terms;
use crate::moment;
use crate::verb::{SharedRun, StepError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause between two looks at the table.
const GLANCE: Duration = Duration::from_millis(300);
/// How long a database that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Offenders kept of each class.
const SAMPLES: usize = 50;

/// A table into which changes come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTable {
    /// The table.
    pub table: TableName,
    /// The table whose changes come into it.
    pub source: TableName,
    /// Its database on the environment's server; the environment's own where absent.
    pub database: Option<String>,
}

impl WantedTable {
    /// Its name in words.
    pub fn name(&self) -> String {
        let database = self.database.as_ref().map(|name| format!(" in database {name}")).unwrap_or_default();
        format!("table {}{database}", self.table)
    }
}

/// Waits for the senders, then until every row of the table is as the source's, and settles what became of each change.
pub(crate) async fn settle_table(
    run: &Arc<SharedRun>,
    from: Vec<String>,
    wanted: WantedTable,
    deadline: Instant,
) -> Result<Settled, StepError> {
    for id in &from {
        run.live.ended(id).await;
    }
    let claims = claims(run, &from);
    let unstarted = from.iter().find(|id| run.live.attempts(id).is_empty());
    let (Reconciled { changes, rows }, why) = wait(run, &claims, &wanted, deadline).await?;
    if let Some(imbalance) = changes.sheet.imbalance() {
        let message = format!("the sheet of this delivery does not balance: {imbalance}");
        return Err(StepError::broken("sheet", message)
            .help("this is a defect of kscen; please send the run's folder to its maintainers"));
    }
    if let Some(why) = why.as_ref().filter(|_| changes.unread > 0) {
        run.recorder.warn(format!("{} changes have not come into {}: {why}", changes.unread, wanted.name()));
    }
    for gap in &changes.unjudged {
        run.recorder.warn(format!("not judged: {}", terms::gap(gap)));
    }
    let redactor = run.recorder.redactor();
    let (basis, changes) = basis(run, rows, changes, ChangeBasis::Table).await?;
    let missing = match unstarted {
        Some(id) => Some(format!("`{id}` did not start")),
        None => why.filter(|_| !changes.drained).map(|why| redactor.text(&why).into_owned()),
    };
    let (step, to, connectors) = (String::new(), vec![wanted.name()], None);
    let settlement = ChangeSettlement { step, from, to, missing, connectors, basis, checks: Vec::new() };
    let record = terms::delivery(&settlement, changes);
    Ok(Settled { record, basis: SettledFrom::Changes(settlement) })
}

/// Looks again and again until every change has its place, or time is up; and why something may still be on its way.
async fn wait(
    run: &Arc<SharedRun>,
    claims: &Claims,
    wanted: &WantedTable,
    deadline: Instant,
) -> Result<(Reconciled, Option<String>), StepError> {
    let mut passage = Passage::default();
    loop {
        let late = moment::now() >= deadline;
        let look = TableLook::of(run, wanted).await?;
        let passed = passage.look(run, claims, &look.known, &look.sinks, &wanted.source, late).await?;
        // In this order: what the table shows by now was committed before.
        let rows = look.rows(wanted, late).await?;
        let (rows, passed) = match rows {
            Some(rows) => (rows, passed),
            // A sink makes the table with its first row; or it has another name.
            None if late => (TableRows::default(), Err(format!("there is no {}", wanted.name()))),
            None => {
                tokio::time::sleep(GLANCE).await;
                continue;
            }
        };
        let is_last = late || passed.is_ok();
        let looked = look.reconcile(run, claims, wanted, (&rows, None), passed.is_ok(), is_last).await?;
        if is_last || looked.changes.is_complete() {
            // Rows of which the account knows nothing are old ones, if the source has them too.
            let looked = match looked.changes.foreign > 0 {
                true => {
                    let source = look.source(wanted).await?;
                    look.reconcile(run, claims, wanted, (&rows, source.as_ref()), passed.is_ok(), true).await?
                }
                false => looked,
            };
            return Ok((looked, passed.err()));
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// What a look at a table needs.
struct TableLook {
    known: Vec<KnownConnector>,
    sinks: Sinks,
    own: Database,
    other: Database,
}

impl TableLook {
    async fn of(run: &SharedRun, wanted: &WantedTable) -> Result<Self, StepError> {
        let own = run.database()?;
        let other = wanted.database.as_ref().map_or_else(|| own.clone(), |name| own.named(name));
        let mut known = KnownConnector::of(run).await;
        KnownConnector::ask(&mut known, run, true).await;
        known.retain(|known| known.rules.captures(&wanted.source));
        Ok(Self { known, sinks: Sinks::of(run).await, own, other })
    }

    /// The rows of the table; nothing where it is not there yet.
    async fn rows(&self, wanted: &WantedTable, late: bool) -> Result<Option<TableRows>, StepError> {
        match read(&self.other, &wanted.table).await {
            // The database may be made, or come back, while there is time.
            Err(_) if !late => Ok(None),
            Err(error) => Err(unreadable(error)),
            Ok(rows) => Ok(rows),
        }
    }

    async fn source(&self, wanted: &WantedTable) -> Result<Option<TableRows>, StepError> {
        read(&self.own, &wanted.source).await.map_err(unreadable)
    }

    async fn reconcile(
        &self,
        run: &SharedRun,
        claims: &Claims,
        wanted: &WantedTable,
        (rows, source_rows): (&TableRows, Option<&TableRows>),
        passed: bool,
        is_last: bool,
    ) -> Result<Reconciled, StepError> {
        let assumed = crate::debezium::CaptureRules::assumed();
        let unknown = ScopedConnector::of(&assumed);
        let connector = self.known.first().map_or(unknown, KnownConnector::connector);
        let topics = connector.rules.topics(&wanted.source);
        let told = self.sinks.told(&topics, *connector.rules.form() == Form::Envelope);
        let (keeps_deleted, may_keep_deleted) = match told.deletes {
            KeptDeletes::No => (None, None),
            KeptDeletes::Yes(setting) => (Some(setting), None),
            KeptDeletes::Perhaps(setting) => (None, Some(setting)),
        };
        let read = run.changes.read(|seen| {
            let expectation = Expectation {
                transactions: seen.transactions,
                settled: None,
                window: seen.window,
                blind: seen.blind,
                claimed: (!claims.unattributed).then_some(&claims.transactions),
                database: None,
                connectors: &[],
                topics: None,
                drained: passed,
                calm: false,
                partitions: None,
                late_us: None,
                samples: SAMPLES,
            };
            let copy = TableCopy {
                source_rows,
                keeps_deleted: keeps_deleted.as_deref(),
                may_keep_deleted: may_keep_deleted.as_deref(),
                may_drop: told.may_drop.as_deref(),
                changes: told.changes.as_deref(),
                may_change: told.may_change.as_deref(),
                passed,
                ..TableCopy::of(&wanted.source, &wanted.table, rows, &connector)
            };
            let changes = reconcile_table(&expectation, copy);
            let writes = is_last || changes.is_complete();
            let rows = if writes { written_table(&expectation, copy) } else { Err(NotStored::TooMany) };
            Reconciled { changes, rows }
        });
        let broken = |error: DatabaseError| {
            StepError::broken("account", format!("what the database committed cannot be read: {error}")).because(error)
        };
        read.await.map_err(broken)?.ok_or_else(|| {
            StepError::broken(
                "account",
                "no step has changed rows of the database, so nothing is known of what was committed",
            )
        })
    }
}

async fn read(database: &Database, table: &TableName) -> Result<Option<TableRows>, DatabaseError> {
    database.reading().connect_within(PATIENCE).await?.table_rows(table).await
}

fn unreadable(error: DatabaseError) -> StepError {
    StepError::broken("table", format!("the table cannot be read: {error}")).because(error)
}
