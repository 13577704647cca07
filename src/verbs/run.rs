//! The verb `run`.

mod family;
mod output;

use super::archives;
use crate::environment::Grant;
use crate::ground;
use crate::ground::marks::MARK;
use crate::ground::scratch::Scratch;
use crate::record::EventKind;
use crate::text::{Problem, short};
use crate::verb::{CheckContext, Facts, Step, StepContext, StepError, StepOutcome, Stop};
use family::Family;
use output::CommandOutput;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::process::Stdio;

/// Runs a command. It finds the environment's addresses in KSCEN_KAFKA_BOOTSTRAP, KSCEN_CONNECT_URL and KSCEN_POSTGRES_URL,
/// and on a local stack the broker's log directory in KSCEN_LOG_DIR (KSCEN_LOG_DIR_1 … where there are several brokers). The run's archives
/// lie in KSCEN_ARCHIVE_DIR. After a `kill -9` of kscen the next `kscen run` or `kscen undo` ends a command that still runs, with what it has
/// started.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = admit_list)]
pub struct Run {
    /// A program and its arguments; nothing is expanded, because no shell is involved.
    #[schemars(extend("patternErrorMessage" = AS_A_LIST))]
    command: Vec<String>,
    /// Further environment variables.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Expected exit status; 0 where absent.
    #[serde(default)]
    status: Option<i32>,
    /// A text that its standard output must contain.
    #[serde(default)]
    contains: Option<String>,
}

/// Last lines of its standard error that are shown of a command that fails.
const LOG_LINES: usize = 10;

/// What to write where a command line stands as one text.
const AS_A_LIST: &str = "write program and arguments as a list, such as [ls, -l], or [sh, -c, \"…\"] for a shell";

/// `run: [program, argument]` is the short form of `run: { command: [program, argument] }`.
fn admit_list(schema: &mut Schema) {
    let mut long = std::mem::take(schema);
    long.insert("patternErrorMessage".to_owned(), AS_A_LIST.into());
    let description = long.get("description").cloned().unwrap_or_default();
    *schema = json_schema!({
        "description": description,
        "if": { "type": "array" },
        "then": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        "else": long
    });
}

impl Step for Run {
    const VERB: &'static str = "run";
    const MAY: &'static [Grant] = &[Grant::Run];
    const EXAMPLE: &'static str = "run: { command: [sh, -c, \"echo $KSCEN_KAFKA_BOOTSTRAP\"], contains: \":\" }";
    const BACKGROUND: bool = true;

    fn normalise(body: Value) -> Value {
        match body {
            Value::Array(command) => json!({ "command": command }),
            other => other,
        }
    }

    fn facts(&self) -> Facts {
        Facts { ends: true, ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        if self.command.first().is_none_or(String::is_empty) {
            cx.report(
                "/command",
                Problem::new("no-command", "there is no program to run").help("write [program, argument]"),
            );
        }
    }

    fn describe(&self) -> String {
        format!("run {}", self.command.join(" "))
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let broken = |error: std::io::Error| StepError::broken("run", error.to_string()).because(error);
        let (mut child, family) = self.spawn(cx)?;
        cx.prepared();
        let mut out =
            CommandOutput::of(child.stdout.take().map(|pipe| pipe.into_owned_fd()).transpose().map_err(broken)?)
                .map_err(broken)?;
        let mut err =
            CommandOutput::of(child.stderr.take().map(|pipe| pipe.into_owned_fd()).transpose().map_err(broken)?)
                .map_err(broken)?;
        let reading = async {
            tokio::join!(out.follow(), err.follow());
            std::future::pending::<Infallible>().await
        };
        let status = tokio::select! {
            status = child.wait() => status,
            never = reading => match never {},
            _ = cx.stop.at_least(Stop::Timeout) => {
                for process in family.end() {
                    let text = format!("{}: {process} is still there: it is another user's", cx.id);
                    cx.run.recorder.emit(EventKind::Leftover { text });
                }
                return Err(StepError::interrupted());
            }
        };
        // The step is over when the command is; what it has left running may keep the pipes open, and runs on.
        family.release();
        out.drain();
        err.drain();
        let (out, err) = (out.text(), err.text());
        // What is shown is cut, and a secret that is cut is no longer found.
        let redactor = cx.run.recorder.redactor();
        let (shown_out, shown_err) = (redactor.text(&out), redactor.text(&err));
        let status = status.map_err(broken)?;
        let (stated, wanted) = (self.status.is_some() || self.contains.is_some(), self.status.unwrap_or(0));
        let outcome = StepOutcome::default().judged(stated).details(json!({
            "status": status.code(),
            "stdout": short(&shown_out, 4000),
            "stderr": short(&shown_err, 4000),
        }));
        if status.code() != Some(wanted) {
            let log = redactor.tail(&err, LOG_LINES);
            return Err(StepError::check("exit-status", format!("expected exit status {wanted}, got {status}"))
                .with_log(log)
                .after(outcome));
        }
        match &self.contains {
            Some(wanted) if !out.contains(wanted) => Err(StepError::check(
                "output",
                format!("its output does not contain `{wanted}`: {}", short(&shown_out, 500)),
            )
            .at("/contains")
            .after(outcome)),
            _ => Ok(outcome),
        }
    }
}

impl Run {
    fn spawn(&self, cx: &StepContext) -> Result<(tokio::process::Child, Family), StepError> {
        let (program, arguments) =
            self.command.split_first().ok_or_else(|| StepError::broken("no-command", "there is no program to run"))?;
        let mark = format!("{}-{}-{:08x}", cx.run.id(), cx.id, rand::random::<u32>());
        let kept = Scratch::marked(&mark).map_err(|error| {
            StepError::broken("run", format!("no scratch folder can be made: {error}")).because(error)
        })?;
        let mut command = ground::program(program);
        ground::adopt_orphans(&mut command);
        let mut command = tokio::process::Command::from(command);
        command
            .args(arguments)
            .envs(surroundings(cx))
            .envs(&self.env)
            .env(MARK, &mark)
            // A group of its own, so that all of it can be ended; Ctrl-C on the terminal is kscen's to hear.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = command.spawn().map_err(|error| {
            StepError::broken("run", format!("`{program}` cannot be started: {error}")).because(error).at("/command/0")
        })?;
        let family = Family::new(child.id(), mark, Some(kept));
        Ok((child, family))
    }
}

/// What a program is told of the run: its id, the environment's addresses, and where brokers keep their data.
pub(super) fn surroundings(cx: &StepContext) -> Vec<(String, String)> {
    let endpoints = &cx.run.endpoints;
    let addresses = [
        ("KSCEN_RUN_ID", cx.run.id()),
        ("KSCEN_KAFKA_BOOTSTRAP", &endpoints.bootstrap),
        ("KSCEN_CONNECT_URL", endpoints.connect.as_deref().unwrap_or_default()),
        ("KSCEN_POSTGRES_URL", endpoints.postgres.as_deref().unwrap_or_default()),
    ];
    let addresses = addresses.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let archives = ("KSCEN_ARCHIVE_DIR".to_owned(), archives::root(&cx.run).display().to_string());
    addresses.into_iter().chain([archives]).chain(log_directories(cx)).collect()
}

/// Where the brokers keep their data on this machine, if they do: KSCEN_LOG_DIR where there is one broker, KSCEN_LOG_DIR_1 … else.
fn log_directories(cx: &StepContext) -> Vec<(String, String)> {
    let facts = cx.run.environment.info().facts;
    let found: Vec<_> = facts
        .iter()
        .filter_map(|(name, folder)| Some((name.strip_prefix("log directory kafka-")?, folder.clone())))
        .collect();
    match found.as_slice() {
        [(_, only)] => vec![("KSCEN_LOG_DIR".to_owned(), only.clone())],
        several => several.iter().map(|(id, folder)| (format!("KSCEN_LOG_DIR_{id}"), folder.clone())).collect(),
    }
}
