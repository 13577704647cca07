//! What the verbs that act on services and readers have in common.

use super::connector::{failure, probe, redactor};
use super::target::ServiceTarget;
use crate::connect::ConfigRedactor;
use crate::environment::{Action, Capability, FaultKind, Grant, Needs, ServiceId};
use crate::faults::{self, ConnectorFault, FaultError, Order, ProgramFault, ReaderFault, ServiceFault, Target};
use crate::record::Quantity;
use crate::record::metric::Work;
use crate::scenario::units::{Count, Length};
use crate::text::Problem;
use crate::verb::{CheckContext, ErrorKind, Facts, StepContext, StepError, StepOutcome, Stop};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What a reader's members may take to come back: a group keeps the partitions of one that was killed until its session is over.
const RETURN: Duration = Duration::from_secs(180);

/// When a step that brings a service up is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// The service answers as ready.
    #[default]
    Ready,
    /// The service's process runs.
    Running,
}

/// Acts on a service by name or role, or on a background reader.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The service.
    #[serde(default)]
    pub service: Option<ServiceTarget>,
    /// The name of a connector. A restart includes its tasks, and is proved by their states or by the slot's new connection.
    #[serde(default)]
    pub connector: Option<String>,
    /// The id of a background step that reads, or that runs a program.
    #[serde(default)]
    pub step: Option<String>,
    /// Which member of the reader's group, from 0; all where absent.
    #[serde(default)]
    pub member: Option<Count>,
    /// Undo it after this time; without it, it stays until the inverse verb or the end of `steps`.
    #[serde(default, rename = "for")]
    pub hold: Option<Length>,
    /// When the step is over, where a service comes up again.
    #[serde(default)]
    pub until: Until,
    /// Leave it in force after the run.
    #[serde(default)]
    pub leave: bool,
}

/// Declares a verb that is one [`Action`].
macro_rules! action_verb {
    ($(#[$doc:meta])* $name:ident, $verb:literal, $example:literal) => {
        use $crate::environment::{Action, Grant, Needs};
        use $crate::verb::StepContext;
        use $crate::verbs::fault::Fault;
        use $crate::verb::{CheckContext, Facts, Scope, Step, StepError, StepOutcome};

        $(#[$doc])*
        #[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Fault);

        impl Step for $name {
            const VERB: &'static str = $verb;
            const WORK: $crate::verb::Work = $crate::verb::Work::Disturbs;
            const EXAMPLE: &'static str = $example;
            const MAY: &'static [Grant] = &[Grant::Faults];
            const BACKGROUND: bool = true;
            const RETRY: bool = false;

            fn normalise(body: serde_json::Value) -> serde_json::Value {
                Fault::normalise(body)
            }

            fn short() -> Option<serde_json::Value> {
                Some(Fault::short())
            }

            fn needs(&self) -> Needs {
                self.0.needs(Action::$name)
            }

            fn changes(&self, _: &Scope) -> Vec<Grant> {
                self.0.changes()
            }

            fn facts(&self) -> Facts {
                self.0.facts(Action::$name)
            }

            fn check(&self, cx: &mut CheckContext<'_>) {
                self.0.check(Action::$name, cx);
            }

            fn describe(&self) -> String {
                self.0.describe(Action::$name)
            }

            async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
                self.0.run(Action::$name, cx).await
            }
        }
    };
}
pub(super) use action_verb;

impl Fault {
    /// `pause: kafka` is `pause: { service: kafka }`.
    pub fn normalise(body: Value) -> Value {
        match body {
            Value::String(service) => json!({ "service": service }),
            other => other,
        }
    }

    /// See [`super::Step::short`].
    pub fn short() -> Value {
        json!({ "type": "string", "description": "The service." })
    }

    /// See [`super::Step::needs`].
    pub fn needs(&self, action: Action) -> Needs {
        if self.connector.is_some() {
            return Needs::default().service(ServiceId::Connect);
        }
        let Some(target) = &self.service else { return Needs::default() };
        let capability = if action == Action::Wipe { Capability::Wipe } else { Capability::Faults };
        let mut needs = target.needs().with(capability);
        needs.private |= action == Action::Wipe;
        needs.actions.insert(action);
        needs
    }

    /// See [`super::Step::changes`]: members of the run's own readers are its own.
    pub fn changes(&self) -> Vec<Grant> {
        if self.service.is_some() || self.connector.is_some() { vec![Grant::Faults] } else { Vec::new() }
    }

    /// See [`super::Step::facts`].
    pub fn facts(&self, action: Action) -> Facts {
        let target = self
            .service
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| self.connector.clone())
            .or_else(|| self.step.clone());
        Facts {
            planned: self.hold.map(|hold| hold.0),
            disturbs: target,
            fault: self.service.as_ref().map(|_| FaultKind::Act(action)),
            ends: self.hold.is_some(),
            allowance: self.step.as_ref().map(|_| RETURN),
            ..Facts::default()
        }
    }

    /// See [`super::Step::check`].
    pub fn check(&self, action: Action, cx: &mut CheckContext<'_>) {
        if self.connector.is_some() {
            self.check_connector(action, cx);
        }
        match (&self.service, &self.step) {
            _ if self.connector.is_some() => {}
            (None, None) => cx.report(
                "",
                Problem::new("no-target", format!("`{action}` needs something to act on"))
                    .help("add `service:`, `connector:` or `step:`"),
            ),
            (Some(_), Some(_)) => {
                cx.report(
                    "",
                    Problem::new("two-targets", format!("`{action}` acts on one thing: a service or a step")),
                );
            }
            (Some(target), None) => target.check("/service", cx),
            (None, Some(step)) => {
                self.check_step(step, cx);
                if action == Action::Wipe {
                    cx.report("/step", Problem::new("no-data", "a step has no data to wipe"));
                }
            }
        }
        if self.member.is_some() && self.step.is_none() {
            cx.report("/member", Problem::new("no-members", "only a background step that reads has members"));
        }
        if self.hold.is_some() && action.undo().is_none() && self.connector.is_none() {
            cx.report(
                "/for",
                Problem::new("nothing-to-undo", format!("`{action}` is not undone, so it cannot last `for` a time"))
                    .help(format!("use `{}`, `{}` or `{}` with `for`", Action::Pause, Action::Stop, Action::Kill)),
            );
        }
        check_leave(self.leave, self.hold.is_some(), cx);
        if self.leave && action.undo().is_none() {
            cx.report(
                "/leave",
                Problem::new(
                    "nothing-to-undo",
                    format!("`{action}` is not undone, so there is nothing to leave in force"),
                )
                .help("remove `leave`, or use `pause`, `stop` or `kill` with it"),
            );
        }
        if cx.background && self.hold.is_none() && action.undo().is_some() {
            cx.report(
                "",
                Problem::new(
                    "endless-background",
                    format!("a background `{action}` needs `for`: else it is over at once"),
                ),
            );
        }
    }

    fn check_step(&self, step: &str, cx: &mut CheckContext<'_>) {
        let Some(found) = cx.background_step("/step", step, &[Work::Reads, Work::Runs]) else { return };
        if found.work == Work::Runs && self.member.is_some() {
            cx.report("/member", Problem::new("no-members", format!("`{step}` is a program, which has no members")));
        }
    }

    /// See [`super::Step::describe`].
    pub fn describe(&self, action: Action) -> String {
        let target = match (&self.service, &self.step, self.member) {
            _ if self.connector.is_some() => format!("connector {}", self.connector.as_deref().unwrap_or_default()),
            (Some(target), ..) => target.to_string(),
            (None, Some(step), Some(member)) => format!("member {} of {step}", member.0),
            (None, Some(step), None) => step.clone(),
            (None, None, _) => String::new(),
        };
        match self.hold {
            Some(hold) => format!("{action} {target} for {hold}"),
            None => format!("{action} {target}"),
        }
    }

    /// See [`super::Step::run`].
    pub async fn run(&self, action: Action, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let (pointer, target) = self.target(action, cx).await?;
        let order = Order {
            step: cx.id.clone(),
            target,
            hold: self.hold.map(|hold| hold.0),
            leave: self.leave,
            until_ready: self.until == Until::Ready,
            deadline: cx.deadline,
        };
        carry_out(order, pointer, cx).await
    }

    /// What it acts on, and which key says so.
    async fn target(&self, action: Action, cx: &mut StepContext) -> Result<(&'static str, Arc<dyn Target>), StepError> {
        if let Some(connector) = &self.connector {
            let connect = cx.run.connect()?;
            let slot = probe(&connect, connector, &cx.run).await;
            return Ok(("/connector", Arc::new(ConnectorFault::new(connect, connector.clone(), action, slot))));
        }
        match (&self.service, &self.step) {
            (Some(target), _) => {
                let service = target.resolve(cx).await.map_err(|error| error.at("/service"))?;
                let environment = Arc::clone(&cx.run.environment);
                Ok(("/service", Arc::new(ServiceFault::new(environment, service, action))))
            }
            (None, Some(step)) => {
                let id = cx.full_id(step);
                if let Some(program) = cx.run.live.program(&id) {
                    return Ok(("/step", Arc::new(ProgramFault::new(program, id, action))));
                }
                let reader = cx.run.live.reader(&id).ok_or_else(|| {
                    StepError::new(ErrorKind::NoEffect, "no-effect", format!("`{step}` does not run")).at("/step")
                })?;
                let member = self.member.and_then(|member| usize::try_from(member.0).ok());
                Ok(("/step", Arc::new(ReaderFault::new(reader, id, member, action))))
            }
            (None, None) => Err(StepError::broken("no-target", "there is nothing to act on")),
        }
    }
}

/// One rule for every verb that disturbs: what is left in force has no time after which it is undone.
pub(super) fn check_leave(leave: bool, has_time: bool, cx: &mut CheckContext<'_>) {
    if leave && has_time {
        let message = "`leave` and `for` contradict each other: it is undone after a time, or it stays";
        cx.report("/leave", Problem::new("two-ends", message).help("give only one of them"));
    }
}

/// Carries out a fault as a step: what was measured before something went wrong is kept.
pub(super) async fn carry_out(
    order: Order,
    pointer: &'static str,
    cx: &mut StepContext,
) -> Result<StepOutcome, StepError> {
    let run = Arc::clone(&cx.run);
    let connector = (pointer == "/connector").then(|| order.target.name());
    let mut stop = cx.stop.clone();
    let stopped = async move {
        stop.at_least(Stop::Timeout).await;
    };
    let result = faults::carry_out(&run.undo, order, || cx.prepared(), stopped).await;
    let done = match result {
        Ok(done) => done,
        Err(error) => return Err(explain(error, connector.as_deref(), cx).await.at(pointer)),
    };
    let mut outcome = StepOutcome::default()
        .metric("effect_after", Quantity::seconds(done.effect_after))
        .details(json!({ "proof": done.proof }));
    if let Some(seconds) = done.ready_after {
        outcome = outcome.metric("ready_after", Quantity::seconds(seconds));
    }
    if let Some(error) = done.failure {
        return Err(explain(error, connector.as_deref(), cx).await.at(pointer).after(outcome));
    }
    if cx.stop.reason() == Some(Stop::Now) {
        return Err(StepError::interrupted().after(outcome));
    }
    Ok(outcome)
}

/// A fault's error as a step's failure.
async fn explain(error: FaultError, connector: Option<&str>, cx: &StepContext) -> StepError {
    let message = error.to_string();
    let step = match &error {
        FaultError::NoEffect { .. } => StepError::new(ErrorKind::NoEffect, "no-effect", message),
        FaultError::NotInForce { .. } => StepError::new(ErrorKind::NoEffect, "not-in-force", message)
            .help("find out who ended it: the report's time line says when"),
        FaultError::Environment(error) => error.clone().into(),
        FaultError::Connect(error) => {
            let redactor = match (cx.run.connect(), connector) {
                (Ok(connect), Some(name)) => redactor(&connect, name).await,
                _ => ConfigRedactor::default(),
            };
            failure((**error).clone(), &redactor, cx).await
        }
        FaultError::Database(_) => StepError::broken("database", message),
        FaultError::Wire(_) => StepError::broken("kafka", message),
        FaultError::Reader { code, .. } => StepError::broken(code, message),
        FaultError::Journal(_) => StepError::broken("journal", message),
    };
    step.because(error)
}

/// The error for something that cannot be journalled, and is therefore not made.
pub(super) fn journal_error(error: std::io::Error) -> StepError {
    let error = FaultError::Journal(error);
    StepError::broken("journal", error.to_string()).because(error)
}
