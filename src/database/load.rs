//! Statements repeated on an open-loop schedule.

use super::parameter::Parameter;
use super::script_run::{outcome_before_commit, outcome_of_commit};
use super::{Database, DatabaseError, DatabaseResult, Session, SqlOutcome, SqlRecord};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::types::ToSql;

/// What is repeated and when. Each repetition is one transaction.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// The statements of one repetition, in order; each takes as many of the parameters as it mentions.
    pub statements: Vec<String>,
    /// Repetitions.
    pub count: u64,
    /// Repetitions a second, fixed before the first; `None`: as fast as the connections go.
    pub rate: Option<f64>,
    /// Connections that share the schedule. With one, repetitions take place in order.
    pub connections: u32,
    /// How long a broken connection is tried again before the load ends.
    pub reconnect: Duration,
}

impl LoadPlan {
    /// When repetition `index` is due, after the start. `None` without a rate.
    pub fn due(&self, index: u64) -> Option<Duration> {
        self.rate.map(|rate| Duration::from_secs_f64(index as f64 / rate))
    }
}

/// A load that is connected and prepared, so that its schedule can begin at once.
pub struct Repetition {
    plan: LoadPlan,
    database: Database,
    workers: Vec<Worker>,
}

struct Worker {
    session: Session,
    statements: Vec<tokio_postgres::Statement>,
    xid: tokio_postgres::Statement,
}

impl Repetition {
    /// Opens the connections and has the server parse the statements.
    ///
    /// # Errors
    /// The server's opinion of a statement, with its position; [`DatabaseError::Misuse`] for a plan that cannot run.
    pub async fn prepare(database: &Database, plan: LoadPlan) -> DatabaseResult<Self> {
        let misuse = |message: &str| Err(DatabaseError::Misuse { message: message.to_owned() });
        if plan.statements.is_empty() {
            return misuse("there is no statement to repeat");
        }
        if plan.connections == 0 {
            return misuse("a load needs at least one connection");
        }
        if plan.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return misuse("the rate of a load must be above zero");
        }
        let mut workers = Vec::new();
        for _ in 0..plan.connections {
            workers.push(Worker::open(database, &plan, plan.reconnect).await?);
        }
        Ok(Self { plan, database: database.clone(), workers })
    }

    /// The highest `$n` that the statements mention.
    pub fn parameters(&self) -> Option<usize> {
        let statements = self.workers.first()?.statements.iter();
        statements.map(|statement| statement.params().len()).max()
    }

    /// Runs the schedule from `start`. `parameters` gives the values of a repetition; `done` sees every outcome as it becomes known.
    /// `stop` ends the load before the next repetition. Latencies count from the due time ([`SqlRecord::response_us`]).
    ///
    /// A repetition whose connection broke is not repeated: before its commit it counts as lost, after it as unknown, and the load goes on.
    ///
    /// # Errors
    /// Where the database stays away for longer than [`LoadPlan::reconnect`].
    pub async fn run(
        self,
        start: Instant,
        parameters: &(dyn Fn(u64) -> Vec<Value> + Send + Sync),
        done: &(dyn Fn(SqlRecord) + Send + Sync),
        stop: &AtomicBool,
    ) -> DatabaseResult<()> {
        let given = parameters(0).len();
        if let Some(wanted) = self.parameters().filter(|wanted| *wanted > given) {
            let message = format!("the statements mention ${wanted}, but only {given} parameters are given");
            return Err(DatabaseError::Misuse { message });
        }
        let next = AtomicU64::new(0);
        let shared = Shared { plan: &self.plan, database: &self.database, next: &next, start, parameters, done, stop };
        let runs = self.workers.into_iter().map(|worker| shared.drive(worker));
        let results: Vec<DatabaseResult<()>> = futures_util::future::join_all(runs).await;
        results.into_iter().collect()
    }
}

struct Shared<'a> {
    plan: &'a LoadPlan,
    database: &'a Database,
    next: &'a AtomicU64,
    start: Instant,
    parameters: &'a (dyn Fn(u64) -> Vec<Value> + Send + Sync),
    done: &'a (dyn Fn(SqlRecord) + Send + Sync),
    stop: &'a AtomicBool,
}

impl Shared<'_> {
    async fn drive(&self, mut worker: Worker) -> DatabaseResult<()> {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.plan.count || self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if let Some(due) = self.plan.due(index) {
                tokio::time::sleep_until((self.start + due).into()).await;
                // A stop that came during the wait is not answered by one more repetition.
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
            }
            let sent_us = self.now();
            let due_us = self.plan.due(index).map_or(sent_us, |due| due.as_micros() as u64);
            let values = (self.parameters)(index);
            let (xid, rows, outcome) = worker.transact(&values).await;
            let broken = matches!(outcome, SqlOutcome::Lost { .. } | SqlOutcome::Unknown { .. });
            (self.done)(SqlRecord { index, due_us, sent_us, done_us: self.now(), xid, rows, outcome });
            if broken {
                worker = Worker::open(self.database, self.plan, self.plan.reconnect).await?;
            }
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }
}

impl Worker {
    async fn open(database: &Database, plan: &LoadPlan, patience: Duration) -> DatabaseResult<Self> {
        let session = database.connect_within(patience).await?;
        let mut statements = Vec::new();
        for statement in &plan.statements {
            statements.push(session.client.prepare(statement).await?);
        }
        let xid = session.client.prepare("SELECT pg_current_xact_id_if_assigned()::text").await?;
        Ok(Self { session, statements, xid })
    }

    /// One repetition. The transaction's id is known before its commit is asked for, so an unknown outcome can be settled later.
    async fn transact(&self, values: &[Value]) -> (Option<u32>, u64, SqlOutcome) {
        let (rows, xid) = match self.statements(values).await {
            Ok(done) => done,
            Err(error) => {
                drop(self.session.client.batch_execute("ROLLBACK").await);
                return (None, 0, outcome_before_commit(&error));
            }
        };
        let ended = self.session.client.batch_execute("COMMIT").await;
        (xid, rows, outcome_of_commit(&ended))
    }

    /// BEGIN, the statements and the question for the id travel together: one round trip.
    async fn statements(&self, values: &[Value]) -> DatabaseResult<(u64, Option<u32>)> {
        let client = &self.session.client;
        let bound: Vec<Parameter<'_>> = values.iter().map(Parameter).collect();
        let executions = self.statements.iter().map(|statement| {
            let wanted = statement.params().len();
            let parameters: Vec<&(dyn ToSql + Sync)> =
                bound.iter().take(wanted).map(|parameter| parameter as &(dyn ToSql + Sync)).collect();
            async move {
                if parameters.len() < wanted {
                    let message = format!("a statement takes {wanted} parameters, {} are given", parameters.len());
                    return Err(DatabaseError::Misuse { message });
                }
                Ok(client.execute(statement, &parameters).await?)
            }
        });
        let (begun, executed, xid) = tokio::join!(
            biased;
            client.batch_execute("BEGIN"),
            futures_util::future::join_all(executions),
            client.query_one(&self.xid, &[])
        );
        begun?;
        let rows = executed.into_iter().sum::<DatabaseResult<u64>>()?;
        let xid: Option<String> = xid?.try_get(0)?;
        Ok((rows, xid.and_then(|xid| xid.parse::<u64>().ok()).map(|xid| xid as u32)))
    }
}
