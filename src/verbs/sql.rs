//! The verb `sql`.

mod failure;
mod made;
mod params;
mod writer;

pub use writer::SqlWriter;

use super::fault::journal_error;
use super::metrics::MetricChecks;
use crate::database::{
    Database, DatabaseError, LoadPlan, PreparedNames, Repetition, SqlOutcome, Statement, by_definition, split,
};
use crate::environment::{Grant, Needs, ServiceId};
use crate::scenario::units::{Count, Length, Rate};
use crate::text::{Problem, one_line, short};
use crate::verb::{CheckContext, Facts, Live, Step, StepContext, StepError, StepOutcome, Stop, Work};
use failure::broken;
use made::Making;
use params::Params;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Runs SQL in PostgreSQL: a script once, or its statements as one transaction again and again, at a rate. What was really committed is
/// read from the database's own log, so `expect: delivery` can hold every row's change against what a connector delivered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = or_text)]
pub struct Sql {
    /// One statement, or several with semicolons between them.
    #[serde(default)]
    statement: Option<String>,
    /// A file with statements instead; the path is relative to the scenario.
    #[serde(default)]
    file: Option<PathBuf>,
    /// Values for `$1 … $n`. Texts may contain {{sequence}} (number of the repetition, from 0), {{random}}, {{uuid}}, {{time_ms}}.
    #[serde(default)]
    params: Vec<Value>,
    /// Repetitions per second, each one transaction; latencies count from when it was due.
    #[serde(default)]
    rate: Option<Rate>,
    /// Number of repetitions.
    #[serde(default)]
    count: Option<Count>,
    /// How long to repeat at `rate`.
    #[serde(default, rename = "for")]
    length: Option<Length>,
    /// Connections that share the repetitions; with 1, the default, they take place in order.
    #[serde(default)]
    connections: Option<Count>,
    /// Checks of the step's own metrics, made at its end.
    #[serde(default)]
    #[schemars(schema_with = "MetricChecks::schema_of::<Sql>")]
    thresholds: MetricChecks,
}

/// `sql: TEXT` is `sql: { statement: TEXT }`.
fn or_text(schema: &mut Schema) {
    let Some(long) = schema.as_object_mut() else { return };
    let mut long = std::mem::take(long);
    let description = long.remove("description").unwrap_or_default();
    *schema = json_schema!({
        "description": description,
        "if": { "type": "object" },
        "then": long,
        "else": { "type": "string", "minLength": 1 }
    });
}

/// How long a database that is away is waited for.
const RECONNECT: Duration = Duration::from_secs(60);
/// What a load may take beyond its schedule.
const ALLOWANCE: Duration = Duration::from_secs(120);
/// Most bytes of a file with statements.
const SCRIPT: u64 = 16 << 20;
/// So much of a statement is its title, in characters.
const MOST_SHOWN: usize = 57;

impl Step for Sql {
    const VERB: &'static str = "sql";
    const MAY: &'static [Grant] = &[Grant::Sql];
    const WORK: Work = Work::ChangesRows;
    const EXAMPLE: &'static str = "id: changes\nbackground: true\nsql:\n  statement: INSERT INTO orders (id, item) VALUES ($1, $2)\n  params: [\"{{sequence}}\", \"item {{random}}\"]\n  rate: 50/s\n  count: 500";
    const BACKGROUND: bool = true;

    fn normalise(body: Value) -> Value {
        match body {
            Value::String(statement) => json!({ "statement": statement }),
            other => other,
        }
    }

    fn needs(&self) -> Needs {
        Needs::default().service(ServiceId::Postgres)
    }

    fn facts(&self) -> Facts {
        let planned = self.rate.zip(self.repetitions()).map(|(rate, count)| {
            // Counts of repetitions are far below what an f64 holds exactly.
            Duration::from_secs_f64(count as f64 / rate.0)
        });
        Facts {
            total: self.repetitions().filter(|_| self.is_repeated()),
            planned,
            ends: true,
            allowance: Some(ALLOWANCE),
            ..Facts::default()
        }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        match (&self.statement, &self.file) {
            (None, None) => {
                cx.report(
                    "",
                    Problem::new("no-statement", "there is nothing to run: neither `statement` nor `file` is given")
                        .help("give `statement` or `file`"),
                );
            }
            (Some(_), Some(_)) => {
                cx.report("/file", Problem::new("two-scripts", "give `statement` or `file`, not both"));
            }
            (Some(text), None) => self.check_statements("/statement", statements(text), cx),
            (None, Some(file)) => {
                let read = cx.origin.read_text(file, SCRIPT).and_then(|text| statements(&text));
                self.check_statements("/file", read, cx);
            }
        }
        if let Err(wrong) = Params::parse(&self.params, 0) {
            for (index, why) in wrong {
                cx.report(&format!("/params/{index}"), Problem::new("bad-value", why));
            }
        }
        if self.count.is_some() && self.length.is_some() {
            cx.report("/for", Problem::new("two-schedules", "`count` and `for` both fix the end; give one"));
        }
        if self.length.is_some() && self.rate.is_none() {
            cx.report(
                "/for",
                Problem::new("no-rate", "`for` needs a rate").help("add `rate: 50/s`, or give a `count`"),
            );
        }
        if self.rate.is_some() && self.count.is_none() && self.length.is_none() {
            cx.report(
                "",
                Problem::new("no-end", "this load has no end: neither `count` nor `for` is given")
                    .help("add `count: 100` or `for: 10s`"),
            );
        }
        if self.count.is_some_and(|count| count.0 == 0) {
            cx.report("/count", Problem::new("out-of-range", "`count` has to be at least 1"));
        }
        if self.connections.is_some_and(|count| !(1..=64).contains(&count.0)) {
            cx.report("/connections", Problem::new("out-of-range", "`connections` has to be 1 to 64"));
        }
        self.thresholds.check("/thresholds", Self::VERB, Self::WORK, &Default::default(), cx);
    }

    fn describe(&self) -> String {
        let what = match (&self.statement, &self.file) {
            (Some(text), _) => short(&one_line(text), MOST_SHOWN),
            (None, Some(file)) => file.display().to_string(),
            (None, None) => String::new(),
        };
        match (self.rate, self.repetitions()) {
            (Some(rate), Some(count)) => format!("{count} × {what} at {rate}"),
            (None, Some(count)) if count > 1 => format!("{count} × {what}"),
            _ => what,
        }
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let pointer = if self.file.is_some() { "/file" } else { "/statement" };
        let statements = self.statements(cx)?;
        let database = cx.run.database()?;
        watch(&database, cx).await?;
        let making = Making::begin(&database, &statements, &json!(self.params).to_string(), cx).await?;
        let done = if self.is_repeated() {
            self.repeat(&database, statements, cx).await
        } else {
            self.once(&database, &statements, cx).await
        };
        if let Some(making) = making {
            making.end(&database, done.is_ok(), cx).await;
        }
        done.map_err(|error| error_at(error, pointer))
    }
}

fn error_at(mut error: StepError, pointer: &str) -> StepError {
    error.pointer.get_or_insert_with(|| pointer.to_owned());
    error
}

impl Sql {
    fn is_repeated(&self) -> bool {
        self.rate.is_some() || self.count.is_some() || self.length.is_some() || !self.params.is_empty()
    }

    fn repetitions(&self) -> Option<u64> {
        match (self.count, self.length, self.rate) {
            (Some(count), ..) => Some(count.0),
            // A schedule of less than one repetition still has one.
            (None, Some(length), Some(rate)) => Some(((length.0.as_secs_f64() * rate.0) as u64).max(1)),
            _ => Some(1),
        }
    }

    fn statements(&self, cx: &StepContext) -> Result<Vec<Statement>, StepError> {
        let text = match (&self.statement, &self.file) {
            (Some(text), _) => text.clone(),
            (None, Some(file)) => {
                let read = cx.origin.read_text(file, SCRIPT);
                read.map_err(|error| StepError::broken("sql-file", error).at("/file"))?
            }
            (None, None) => String::new(),
        };
        statements(&text).map_err(|error| StepError::broken("bad-sql", error))
    }

    fn check_statements(&self, pointer: &str, read: Result<Vec<Statement>, String>, cx: &mut CheckContext<'_>) {
        match read {
            Err(error) => cx.report(pointer, Problem::new("bad-sql", error)),
            Ok(statements) if self.is_repeated() => {
                // The id of a transaction is asked for at its end: behind a COMMIT nobody could tell which one it was.
                let Some(end) = statements.iter().find(|statement| statement.ends_transaction()) else { return };
                let message = format!("line {}: a repetition is one transaction, and this statement ends it", end.line);
                cx.report(
                    pointer,
                    Problem::new("ends-transaction", message)
                        .help("take BEGIN and COMMIT out: kscen begins and commits each repetition"),
                );
            }
            Ok(_) => {}
        }
    }

    async fn once(
        &self,
        database: &Database,
        statements: &[Statement],
        cx: &mut StepContext,
    ) -> Result<StepOutcome, StepError> {
        let writer = Arc::new(SqlWriter::new(None, None, cx.run.recorder.detail()));
        cx.show(Live::Writer(writer.clone()));
        let session = cx.unless_stopped(database.connect_within(RECONNECT)).await?;
        let session = match session {
            Ok(session) => session,
            Err(error) => return Err(broken(&error, cx).await),
        };
        cx.prepared();
        let mut prepared = PreparedNames::default();
        for chunk in by_definition(statements) {
            let start_us = cx.run.clock.now_us();
            let (done, failure) = match cx.unless_stopped(session.run_script(chunk, &mut prepared)).await? {
                Ok(done) => (done, None),
                Err(failure) => (failure.done.clone(), Some(failure)),
            };
            done.records.iter().for_each(|record| writer.enter(start_us, record));
            if done.unattributed {
                writer.unattributed();
            }
            if done.redefined {
                cx.unless_stopped(session.report_statistics()).await?;
                watch(database, cx).await?;
            }
            if let Some(failure) = failure {
                return Err(self.failed(&failure, cx).await.after(writer.outcome()));
            }
        }
        self.thresholds.settle("/thresholds", writer.outcome(), cx)
    }

    async fn repeat(
        &self,
        database: &Database,
        statements: Vec<Statement>,
        cx: &mut StepContext,
    ) -> Result<StepOutcome, StepError> {
        let params = Params::parse(&self.params, cx.run.scenario.seed).map_err(|wrong| {
            StepError::broken("bad-value", wrong.into_iter().map(|(_, why)| why).collect::<String>())
        })?;
        let rate = self.rate.map(|rate| rate.0);
        let count = self.repetitions().unwrap_or(1);
        let writer = Arc::new(SqlWriter::new(Some(count), rate, cx.run.recorder.detail()));
        cx.show(Live::Writer(writer.clone()));
        let plan = LoadPlan {
            statements: statements.iter().map(|statement| statement.text.clone()).collect(),
            count,
            rate,
            connections: self.connections.and_then(|count| u32::try_from(count.0).ok()).unwrap_or(1),
            reconnect: RECONNECT,
        };
        let load = match cx.unless_stopped(Repetition::prepare(database, plan)).await? {
            Ok(load) => load,
            Err(error) => return Err(self.refused(&error, &statements, cx).await),
        };
        cx.prepared();
        let start = Instant::now();
        let start_us = cx.run.clock.us_of(start);
        writer.begin(start, start_us);
        let stop = AtomicBool::new(false);
        let done = |record: crate::database::SqlRecord| {
            if matches!(record.outcome, SqlOutcome::Failed { .. }) {
                stop.store(true, Ordering::Relaxed);
            }
            writer.enter(start_us, &record);
        };
        let values = |sequence: u64| params.values(sequence);
        let running = load.run(start, &values, &done, &stop);
        tokio::pin!(running);
        let mut stopped = false;
        let result = loop {
            tokio::select! {
                result = &mut running => break result,
                _ = cx.stop.at_least(Stop::Timeout), if !stopped => {
                    stopped = true;
                    stop.store(true, Ordering::Relaxed);
                }
            }
        };
        let outcome = writer.outcome();
        if let Err(error) = result {
            return Err(broken(&error, cx).await.after(outcome));
        }
        if let Some(SqlOutcome::Failed { failure }) = writer.first_failure() {
            let error = DatabaseError::Sql(failure);
            return Err(self.refused(&error, &statements, cx).await.after(outcome));
        }
        if stopped {
            return Err(StepError::interrupted().after(outcome));
        }
        self.thresholds.settle("/thresholds", outcome, cx)
    }
}

/// Where a reader decodes change events: has the database's account cover the tables that exist now.
async fn watch(database: &Database, cx: &mut StepContext) -> Result<(), StepError> {
    let captured =
        cx.run.scenario.scope.steps().any(|(_, step)| step.facts.as_ref().is_some_and(|facts| facts.captures));
    if !captured {
        return Ok(());
    }
    let run = cx.run.clone();
    let name = run.account_name();
    for resource in run.account() {
        run.owned.announce(resource).map_err(journal_error)?;
    }
    match cx.unless_stopped(run.changes.watch(database, &name)).await? {
        Ok(()) => Ok(()),
        Err(error @ DatabaseError::Sql(_)) => Err(StepError::broken(
            "account",
            format!("what the database commits cannot be read: {error}"),
        )
        .because(error)
        .help(
            "kscen reads the log through a replication slot: PostgreSQL needs `wal_level = logical` and a free slot",
        )),
        Err(error) => Err(broken(&error, cx).await),
    }
}

fn statements(text: &str) -> Result<Vec<Statement>, String> {
    match split(text) {
        Ok(statements) if statements.is_empty() => Err("there is no statement in it".to_owned()),
        Ok(statements) => Ok(statements),
        Err(error) => Err(error.to_string()),
    }
}
