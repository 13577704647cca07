//! The verb `program`.

mod output;
mod under_test;

use super::run::surroundings;
use crate::environment::Grant;
use crate::scenario::units::Length;
use crate::text::{Problem, short};
use crate::verb::{CheckContext, FOREVER, Facts, Live, Step, StepContext, StepError, StepOutcome, Stop, Work};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use under_test::UnderTest;

/// Starts the program that is tested: your consumer, your producer, your stream job. It runs in the background until the end of `steps`;
/// `pause`, `stop`, `kill`, `start` and `restart` act on it by `step`, and `wait: { step: …, line: … }` waits for a line of its output.
/// That it ends by itself is a failure. Like a `run` step it finds the environment's addresses in KSCEN_KAFKA_BOOTSTRAP,
/// KSCEN_CONNECT_URL and KSCEN_POSTGRES_URL. Whether it loses or repeats anything is told by `expect: delivery` between a step that
/// writes its input and one that reads its output, with `match`. When kscen ends, the program ends, too, with what it has started; after a
/// `kill -9` of kscen the process itself at once, and what it has started with the next `kscen run` or `kscen undo`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The program and its arguments; nothing is expanded, because no shell is involved.
    command: Vec<String>,
    /// Further environment variables.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// A text: once a line of its output contains it, the program is ready. Without it, a program is ready once it runs.
    #[serde(default)]
    ready: Option<String>,
    /// How long it may take to be ready; 60s where absent.
    #[serde(default)]
    ready_within: Option<Length>,
    /// How long it may take to end after SIGTERM before it is killed; 10s where absent.
    #[serde(default)]
    stop_within: Option<Length>,
}

/// See [`Program::ready_within`].
const READY: Duration = Duration::from_secs(60);
/// See [`Program::stop_within`].
const STOP: Duration = Duration::from_secs(10);
/// Last lines of its output that are shown where it fails.
const LOG_LINES: usize = 10;

impl Step for Program {
    const VERB: &'static str = "program";
    const MAY: &'static [Grant] = &[Grant::Run];
    const EXAMPLE: &'static str = "background: true\nprogram: { command: [./orders-job], ready: assigned }";
    const BACKGROUND: bool = true;
    const RETRY: bool = false;
    const WORK: Work = Work::Runs;

    fn facts(&self) -> Facts {
        // It runs as long as the scenario does.
        Facts { allowance: Some(FOREVER), ..Facts::default() }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        if self.command.first().is_none_or(String::is_empty) {
            let problem = Problem::new("no-command", "there is no program to run");
            cx.report("/command", problem.help("write [program, argument]"));
        }
        if !cx.background {
            let problem =
                Problem::new("no-end", "a program has no end of its own: in the foreground nothing would follow it");
            cx.report("", problem.help("add `background: true`"));
        }
        if self.ready.as_ref().is_some_and(|text| text.trim().is_empty()) {
            cx.report("/ready", Problem::new("empty-text", "`ready` needs a text that a line of the output contains"));
        }
        if self.ready.is_none() && self.ready_within.is_some() {
            let problem = Problem::new("contradiction", "`ready_within` has no effect without `ready`");
            cx.report("/ready_within", problem.help("add `ready`, or leave it out"));
        }
    }

    fn describe(&self) -> String {
        format!("start the program {}", self.command.join(" "))
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let variables = surroundings(cx).into_iter().chain(self.env.clone()).collect();
        let stop_within = self.stop_within.map_or(STOP, |length| length.0);
        let program = UnderTest::new(&self.command, variables, self.ready.clone(), stop_within)
            .map_err(|error| StepError::broken("program", error.to_string()).because(error))?;
        let steps = cx.run.scenario.scope.steps().filter_map(|(_, step)| step.facts.as_ref());
        let program = Arc::new(program.awaiting(steps.filter_map(|facts| facts.line.clone())));
        program
            .begin()
            .await
            .map_err(|error| StepError::broken("program", error.to_string()).because(error).at("/command/0"))?;
        cx.show(Live::Program(program.clone()));
        let result = self.follow(&program, cx).await;
        if result.is_err() {
            program.abandon().await;
        }
        let outcome = self.told(&program, cx);
        match result {
            Ok(()) => Ok(outcome),
            Err(error) => Err(error.after(outcome)),
        }
    }
}

impl Program {
    /// Until it is ready, and then until the end of `steps`.
    async fn follow(&self, program: &Arc<UnderTest>, cx: &mut StepContext) -> Result<(), StepError> {
        let within = self.ready_within.map_or(READY, |length| length.0);
        let ready = cx.unless_stopped(program.is_ready(within)).await?;
        ready.map_err(|why| self.failed("not-ready", why, program, cx).at("/ready"))?;
        cx.prepared();
        tokio::select! {
            biased;
            reason = cx.stop.asked() => match reason {
                Stop::RunEnd => {}
                Stop::Timeout | Stop::Now => return Err(StepError::interrupted()),
            },
            how = program.ended_unasked() => return Err(self.ended(&how, program, cx)),
        }
        match program.finish().await {
            Ok(Some(end)) if end.forced => cx.run.recorder.warn(format!("{}: {}", cx.id, end.proof)),
            Ok(_) => {}
            Err(how) => return Err(self.ended(&how, program, cx)),
        }
        Ok(())
    }

    fn ended(&self, how: &str, program: &UnderTest, cx: &StepContext) -> StepError {
        self.failed("program-ended", format!("it ended by itself: {how}"), program, cx)
    }

    fn failed(&self, code: &'static str, why: String, program: &UnderTest, cx: &StepContext) -> StepError {
        let log = cx.run.recorder.redactor().tail(&program.output(), LOG_LINES);
        StepError::check(code, why).with_log(log)
    }

    /// Its lives, and the end of its output.
    fn told(&self, program: &UnderTest, cx: &StepContext) -> StepOutcome {
        let redactor = cx.run.recorder.redactor();
        let lives: Vec<_> = program
            .lives()
            .into_iter()
            .map(|life| {
                json!({
                    "started": cx.run.clock.at(life.started),
                    "ready": life.ready.map(|at| cx.run.clock.at(at)),
                    "ended": life.ended.as_ref().map(|(at, _)| cx.run.clock.at(*at)),
                    "end": life.ended.map(|(_, how)| how),
                })
            })
            .collect();
        let output = program.output();
        StepOutcome::default().details(json!({ "lives": lives, "output": short(&redactor.text(&output), 4000) }))
    }
}
