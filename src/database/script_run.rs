//! Running a script: every statement in a transaction whose id is known.

use super::script::{PreparedNames, StatementRole};
use super::{DatabaseError, DatabaseResult, Session, SqlFailure, SqlOutcome, SqlRecord, Statement};
use std::fmt;
use std::time::Instant;
use tokio_postgres::SimpleQueryMessage;

/// What a script did.
#[derive(Clone, Debug, Default)]
pub struct ScriptRun {
    /// Its transactions, in order.
    pub records: Vec<SqlRecord>,
    /// True where a statement that may write ran outside a transaction of ours (`CALL`, `COMMIT PREPARED` of what something else has
    /// prepared): its changes, if any, cannot be attributed by id.
    pub unattributed: bool,
    /// True where tables may have been created or changed: the account has to look again.
    pub redefined: bool,
}

/// A script that ended early.
#[derive(Clone, Debug)]
pub struct ScriptFailure {
    /// What was done before.
    pub done: ScriptRun,
    /// The statement that failed.
    pub statement: Statement,
    /// Why.
    pub error: DatabaseError,
}

impl ScriptFailure {
    /// Line of the error within the script, from 1, and column where the server gave a position.
    pub fn line_and_column(&self) -> (u32, Option<u32>) {
        if let DatabaseError::Sql(failure) = &self.error
            && let Some((line, column)) = failure.line_and_column(&self.statement.text)
        {
            return (self.statement.line + line - 1, Some(column));
        }
        (self.statement.line, None)
    }
}

impl fmt::Display for ScriptFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line_and_column() {
            (line, Some(column)) => write!(f, "line {line}, column {column}: {}", self.error),
            (line, None) => write!(f, "line {line}: {}", self.error),
        }
    }
}

impl std::error::Error for ScriptFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// A transaction that a script has open.
struct Open {
    sent_us: u64,
    rows: u64,
    xid: Option<u32>,
}

impl Session {
    /// Runs statements in order. Those outside `BEGIN … COMMIT` get a transaction each, as autocommit does, so that its id is known
    /// before its commit is asked for: what the account of the database says later can be attributed to this script exactly. `prepared` goes
    /// from one part of a script to the next.
    ///
    /// # Errors
    /// [`ScriptFailure`] at the first statement that fails; an open transaction is rolled back.
    pub async fn run_script(
        &self,
        statements: &[Statement],
        prepared: &mut PreparedNames,
    ) -> Result<ScriptRun, Box<ScriptFailure>> {
        let started = Instant::now();
        let now = || started.elapsed().as_micros() as u64;
        let mut run = ScriptRun::default();
        let mut open: Option<Open> = None;
        for statement in statements {
            let result = self.step(statement, &mut run, prepared, &mut open, &now).await;
            if let Err(error) = result {
                if open.take().is_some() {
                    // A broken connection has rolled back already; the error that matters is the first one.
                    drop(self.client.batch_execute("ROLLBACK").await);
                }
                return Err(Box::new(ScriptFailure { done: run, statement: statement.clone(), error }));
            }
        }
        if let Some(left) = open {
            drop(self.client.batch_execute("ROLLBACK").await);
            run.push(left.sent_us, now(), left.xid, left.rows, SqlOutcome::RolledBack);
            if let Some(statement) = statements.last() {
                let error =
                    DatabaseError::Misuse { message: "the script ends inside a transaction; add COMMIT".into() };
                return Err(Box::new(ScriptFailure { done: run, statement: statement.clone(), error }));
            }
        }
        Ok(run)
    }

    /// Has the server's statistics show what this session has done; they may be late by seconds otherwise. Only PostgreSQL 15 and later can be
    /// asked for it.
    pub async fn report_statistics(&self) {
        drop(self.client.batch_execute("SELECT pg_stat_force_next_flush()").await);
    }

    async fn step(
        &self,
        statement: &Statement,
        run: &mut ScriptRun,
        prepared: &mut PreparedNames,
        open: &mut Option<Open>,
        now: &(dyn Fn() -> u64 + Send + Sync),
    ) -> DatabaseResult<()> {
        let role = statement.role();
        run.redefined |= statement.redefines();
        match (role, open.as_mut()) {
            (StatementRole::Begin, None) => {
                let sent_us = now();
                self.client.batch_execute(&statement.text).await?;
                *open = Some(Open { sent_us, rows: 0, xid: None });
            }
            (StatementRole::Commit | StatementRole::Rollback | StatementRole::Prepare, Some(left)) => {
                let (sent_us, rows, xid) = (left.sent_us, left.rows, left.xid);
                let ended = self.client.batch_execute(&statement.text).await;
                *open = None;
                // What is prepared, and rolled back later, is not in the log: to have claimed it does no harm.
                let outcome =
                    if role == StatementRole::Rollback { SqlOutcome::RolledBack } else { outcome_of_commit(&ended) };
                run.push(sent_us, now(), xid, rows, outcome);
                ended?;
                prepared.learn(statement);
                if statement.chains() {
                    *open = Some(Open { sent_us: now(), rows: 0, xid: None });
                }
            }
            (StatementRole::Outside | StatementRole::Prepare, None) => {
                let sent_us = now();
                let rows = affected(&self.client.simple_query(&statement.text).await?);
                run.unattributed |= statement.may_have_written() && !prepared.has(statement);
                run.push(sent_us, now(), None, rows, SqlOutcome::Committed);
            }
            (_, Some(left)) => {
                left.rows += affected(&self.client.simple_query(&statement.text).await?);
                // Where a statement has ended the transaction there is none any more, and its id is still its id.
                left.xid = self.transaction_id().await?.or(left.xid);
            }
            (_, None) => {
                let sent_us = now();
                let (rows, xid) = match self.in_transaction(&statement.text).await {
                    Ok(done) => done,
                    Err(error) => {
                        run.push(sent_us, now(), None, 0, outcome_before_commit(&error));
                        return Err(error);
                    }
                };
                let ended = self.client.batch_execute("COMMIT").await;
                run.push(sent_us, now(), xid, rows, outcome_of_commit(&ended));
                ended?;
            }
        }
        Ok(())
    }

    /// Opens a transaction, runs the statement and asks for the id, all in one round trip; rolls back where the statement fails.
    async fn in_transaction(&self, statement: &str) -> DatabaseResult<(u64, Option<u32>)> {
        let (begun, done, xid) = tokio::join!(
            biased;
            self.client.batch_execute("BEGIN"),
            self.client.simple_query(statement),
            self.transaction_id()
        );
        begun?;
        match done {
            Ok(messages) => Ok((affected(&messages), xid?)),
            Err(error) => {
                drop(self.client.batch_execute("ROLLBACK").await);
                Err(error.into())
            }
        }
    }

    /// Lower 32 bits of the current transaction's id; none while it has changed nothing.
    async fn transaction_id(&self) -> DatabaseResult<Option<u32>> {
        let messages = self.client.simple_query("SELECT pg_current_xact_id_if_assigned()").await?;
        let text = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(text.and_then(|text| text.parse::<u64>().ok()).map(|xid| xid as u32))
    }
}

impl ScriptRun {
    fn push(&mut self, sent_us: u64, done_us: u64, xid: Option<u32>, rows: u64, outcome: SqlOutcome) {
        let index = self.records.len() as u64;
        self.records.push(SqlRecord { index, due_us: sent_us, sent_us, done_us, xid, rows, outcome });
    }
}

/// The outcome of a transaction whose COMMIT was sent.
pub(super) fn outcome_of_commit(ended: &Result<(), tokio_postgres::Error>) -> SqlOutcome {
    match ended {
        Ok(()) => SqlOutcome::Committed,
        Err(error) => match error.as_db_error() {
            // A shutdown that arrives with the answer outstanding leaves the outcome open.
            Some(failure) if !failure.code().code().starts_with("57P") => {
                SqlOutcome::Failed { failure: Box::new(SqlFailure::from(failure)) }
            }
            _ => SqlOutcome::Unknown { cause: error.to_string() },
        },
    }
}

/// The outcome of a transaction that failed before COMMIT was sent.
pub(super) fn outcome_before_commit(error: &DatabaseError) -> SqlOutcome {
    match error {
        DatabaseError::Sql(failure) => SqlOutcome::Failed { failure: failure.clone() },
        other => SqlOutcome::Lost { cause: other.to_string() },
    }
}

fn affected(messages: &[SimpleQueryMessage]) -> u64 {
    let complete = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::CommandComplete(rows) => *rows,
        _ => 0,
    };
    messages.iter().map(complete).sum()
}
