//! The verb `run`.

use super::{CheckContext, Facts, Step, StepError, StepOutcome};
use crate::diagnostic::Problem;
use crate::execute::{Stop, StepContext};
use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Runs a command. It finds the environment's addresses in KSCEN_KAFKA_BOOTSTRAP, KSCEN_CONNECT_URL and KSCEN_POSTGRES_URL,
/// and on a local stack the broker's log directory in KSCEN_LOG_DIR (KSCEN_LOG_DIR_1 … where there are several brokers).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = admit_list)]
pub struct Run {
    /// A program and its arguments; nothing is expanded, because no shell is involved.
    command: Vec<String>,
    /// Further environment variables.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Expected exit status.
    #[serde(default)]
    status: i32,
    /// A text that its standard output must contain.
    #[serde(default)]
    contains: Option<String>,
}

/// `run: [program, argument]` is the short form of `run: { command: [program, argument] }`.
fn admit_list(schema: &mut Schema) {
    let long = std::mem::take(schema);
    let description = long.get("description").cloned().unwrap_or_default();
    *schema = json_schema!({
        "description": description,
        "if": { "type": "array" },
        "then": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        "else": long
    });
}

/// Most bytes kept of each output.
const KEPT: u64 = 1024 * 1024;

impl Step for Run {
    const VERB: &'static str = "run";
    const EXAMPLE: &'static str = "run: { command: [sh, -c, \"echo $KSCEN_KAFKA_BOOTSTRAP\"], contains: \":\" }";
    const BACKGROUND: bool = true;

    fn normalise(body: Value) -> Value {
        match body {
            Value::Array(command) => json!({ "command": command }),
            other => other,
        }
    }

    fn short() -> Option<Value> {
        let command = "A program and its arguments, such as [ls, -l]; for a shell write [sh, -c, \"…\"].";
        Some(json!({ "type": "array", "description": command, "items": { "type": "string" }, "minItems": 1 }))
    }

    fn facts(&self) -> Facts {
        Facts { ends: true, ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        if self.command.first().is_none_or(String::is_empty) {
            cx.report("/command", Problem::new("no-command", "there is no program to run").help("write [program, argument]"));
        }
    }

    fn describe(&self) -> String {
        format!("run {}", self.command.join(" "))
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let mut child = self.spawn(cx)?;
        cx.prepared();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let outputs = async { tokio::join!(gather(stdout), gather(stderr)) };
        let ended = async { (child.wait().await, outputs.await) };
        tokio::pin!(ended);
        let (status, (out, err)) = tokio::select! {
            ended = &mut ended => ended,
            // The child is killed when it is dropped.
            _ = cx.stop.at_least(Stop::Timeout) => return Err(StepError::interrupted()),
        };
        let status = status.map_err(|error| StepError::broken("run", error.to_string()))?;
        let outcome = StepOutcome::default().details(json!({
            "status": status.code(),
            "stdout": out.chars().take(4000).collect::<String>(),
            "stderr": err.chars().take(4000).collect::<String>(),
        }));
        if status.code() != Some(self.status) {
            let log = err.lines().rev().take(10).map(str::to_owned).collect::<Vec<_>>().into_iter().rev().collect();
            return Err(StepError::check("exit-status", format!("expected exit status {}, got {status}", self.status))
                .with_log(log)
                .after(outcome));
        }
        match &self.contains {
            Some(wanted) if !out.contains(wanted) => Err(StepError::check(
                "output",
                format!("its output does not contain `{wanted}`: {}", out.chars().take(500).collect::<String>()),
            )
            .at("/contains")
            .after(outcome)),
            _ => Ok(outcome),
        }
    }
}

impl Run {
    fn spawn(&self, cx: &StepContext) -> Result<tokio::process::Child, StepError> {
        let (program, arguments) =
            self.command.split_first().ok_or_else(|| StepError::broken("no-command", "there is no program to run"))?;
        let endpoints = &cx.run.endpoints;
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .env("KSCEN_RUN_ID", cx.run.id())
            .env("KSCEN_KAFKA_BOOTSTRAP", &endpoints.bootstrap)
            .env("KSCEN_CONNECT_URL", endpoints.connect.as_deref().unwrap_or_default())
            .env("KSCEN_POSTGRES_URL", endpoints.postgres.as_deref().unwrap_or_default())
            .envs(log_directories(cx))
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().map_err(|error| {
            StepError::broken("run", format!("`{program}` cannot be started: {error}")).at("/command/0")
        })
    }
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

/// Reads to the end, keeps the first megabyte, and gives a closed pipe some time after the program ended.
async fn gather(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        let reading = async {
            let _ = (&mut pipe).take(KEPT).read_to_end(&mut kept).await;
            let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
        };
        // A grandchild that keeps the pipe open must not keep the step.
        let _ = tokio::time::timeout(Duration::from_secs(3600), reading).await;
    }
    String::from_utf8_lossy(&kept).into_owned()
}
