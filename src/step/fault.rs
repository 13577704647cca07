//! What the verbs that act on services and readers have in common.

use super::target::ServiceTarget;
use super::{CheckContext, Facts, StepError, StepOutcome};
use crate::diagnostic::Problem;
use crate::environment::{Action, Capability, Effect, FaultKind, Intended, Needs};
use crate::execute::{Fate, StepContext, Stop, Undo};
use crate::record::{EventKind, FaultRecord, Quantity};
use crate::scenario::units::{Count, Length};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Services come up again within this time, or the step fails.
const READY: Duration = Duration::from_secs(60);

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
    /// The id of a background `consume` step.
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
        use $crate::environment::{Action, Needs};
        use $crate::execute::StepContext;
        use $crate::step::fault::Fault;
        use $crate::step::{CheckContext, Facts, Step, StepError, StepOutcome};

        $(#[$doc])*
        #[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Fault);

        impl Step for $name {
            const VERB: &'static str = $verb;
            const EXAMPLE: &'static str = $example;
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
            return Needs::default().service("connect").with(Capability::Faults);
        }
        let Some(target) = &self.service else { return Needs::default() };
        let capability = if action == Action::Wipe { Capability::Wipe } else { Capability::Faults };
        let mut needs = target.needs().with(capability);
        needs.private |= action == Action::Wipe;
        needs
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
                cx.background_step("/step", step, &["consume"]);
                if action == Action::Wipe {
                    cx.report("/step", Problem::new("no-data", "a reader has no data to wipe"));
                }
            }
        }
        if self.member.is_some() && self.step.is_none() {
            cx.report("/member", Problem::new("no-members", "only a background `consume` step has members"));
        }
        if self.hold.is_some() && action.undo().is_none() && self.connector.is_none() {
            cx.report(
                "/for",
                Problem::new("nothing-to-undo", format!("`{action}` is not undone, so it cannot last `for` a time"))
                    .help("use `pause`, `stop` or `kill` with `for`"),
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
        if let Some(connector) = &self.connector {
            return self.on_connector(action, connector, cx).await;
        }
        match (&self.service, &self.step) {
            (Some(target), _) => {
                let service = target.resolve(cx).await.map_err(|error| error.at("/service"))?;
                self.on_service(action, &service, cx).await
            }
            (None, Some(step)) => self.on_reader(action, step, cx).await,
            (None, None) => Err(StepError::broken("no-target", "there is nothing to act on")),
        }
    }

    async fn on_service(&self, action: Action, service: &str, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let run = cx.run.clone();
        let record = FaultRecord {
            step: cx.id.clone(),
            target: service.to_owned(),
            action: action.verb().to_owned(),
            requested: run.clock.now(),
            ..FaultRecord::default()
        };
        // A restart or wipe that is interrupted half-way leaves the service down: starting it repairs that.
        let action_to_undo =
            action.undo().or(matches!(action, Action::Restart | Action::Wipe).then_some(Action::Start));
        let number = match action_to_undo {
            Some(repair) => {
                let fate = match (self.leave, self.hold) {
                    (true, None) => Fate::Stays,
                    _ => Fate::Held,
                };
                let recipe = run.environment.recipe(Intended::Act(service, action)).await?;
                let undo = Undo::Act { service: service.to_owned(), action: repair };
                run.undo.announce(undo, recipe, record.clone(), fate).map_err(journal_error)?
            }
            None => u64::MAX,
        };
        let result = self.carry_out(action, service, number, record, cx).await;
        run.undo.let_go(number);
        result
    }

    async fn carry_out(
        &self,
        action: Action,
        service: &str,
        number: u64,
        mut record: FaultRecord,
        cx: &mut StepContext,
    ) -> Result<StepOutcome, StepError> {
        let run = cx.run.clone();
        let effect = run.environment.act(service, action).await?;
        self.note(action, &effect, &mut record, cx);
        run.undo.update(number, &record);
        let mut outcome = StepOutcome::default().metric(
            "effect_after",
            Quantity::seconds(record.effective.map_or(0.0, |effective| effective - record.requested)),
        );
        cx.prepared();
        if action.brings_up() {
            let ready = self.come_up(service, effect.effective, cx).await?;
            record.ready = ready.map(|(at, _)| at);
            if let Some((_, after)) = ready {
                outcome = outcome.metric("ready_after", Quantity::seconds(after));
            }
            for mut earlier in run.undo.undone_by(service, action, number) {
                earlier.undone = Some(run.clock.at(effect.effective));
                earlier.ready = record.ready;
                run.recorder.emit(EventKind::Fault { record: earlier });
            }
            if matches!(action, Action::Restart | Action::Wipe) {
                run.undo.strike(number);
                record.undone = Some(run.clock.at(effect.effective));
                run.recorder.emit(EventKind::Fault { record });
            }
        } else if let (Some(hold), Some(undo)) = (self.hold, action.undo()) {
            tokio::select! {
                () = tokio::time::sleep(hold.0.saturating_sub(effect.effective.elapsed())) => {}
                _ = cx.stop.at_least(Stop::Timeout) => {}
            }
            let undone = run.environment.act(service, undo).await?;
            record.undone = Some(run.clock.at(undone.effective));
            run.recorder.emit(EventKind::Fault { record: record.clone() });
            run.undo.update(number, &record);
            if let Some((at, after)) = self.come_up(service, undone.effective, cx).await? {
                record.ready = Some(at);
                outcome = outcome.metric("ready_after", Quantity::seconds(after));
            }
            run.undo.strike(number);
            run.recorder.emit(EventKind::Fault { record });
        }
        if cx.stop.reason() == Some(Stop::Now) {
            return Err(StepError::interrupted().after(outcome));
        }
        Ok(outcome)
    }

    pub(super) fn note(&self, action: Action, effect: &Effect, record: &mut FaultRecord, cx: &StepContext) {
        record.requested = cx.run.clock.at(effect.requested);
        record.effective = Some(cx.run.clock.at(effect.down.unwrap_or(effect.effective)));
        record.proof.clone_from(&effect.proof);
        // `resume` and `start` end a fault; they are none themselves.
        if !matches!(action, Action::Resume | Action::Start) {
            cx.run.recorder.emit(EventKind::Fault { record: record.clone() });
        }
    }

    /// Waits until the service is up again: (when, seconds since its process runs).
    async fn come_up(&self, service: &str, since: Instant, cx: &StepContext) -> Result<Option<(f64, f64)>, StepError> {
        if self.until == Until::Running {
            return Ok(None);
        }
        cx.run.environment.wait_ready(service, READY).await?;
        Ok(Some((cx.run.clock.now(), since.elapsed().as_secs_f64())))
    }

    async fn on_reader(&self, action: Action, step: &str, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let id = cx.full_id(step);
        let reader = cx
            .run
            .live
            .get(&id)
            .ok_or_else(|| StepError::broken("not-running", format!("`{step}` does not run")).at("/step"))?;
        let member = self.member.and_then(|member| usize::try_from(member.0).ok());
        let effect = reader.act(action, member).await?;
        let mut record = FaultRecord {
            step: cx.id.clone(),
            target: id,
            action: action.verb().to_owned(),
            requested: cx.run.clock.at(effect.requested),
            ..FaultRecord::default()
        };
        self.note(action, &effect, &mut record, cx);
        cx.prepared();
        for mut earlier in self.ended_by(action, &record.target, cx) {
            earlier.undone = Some(cx.run.clock.at(effect.effective));
            cx.run.recorder.emit(EventKind::Fault { record: earlier });
        }
        let mut outcome = StepOutcome::default()
            .metric("effect_after", Quantity::seconds((effect.effective - effect.requested).as_secs_f64()));
        let undone = match (self.hold, action.undo()) {
            (Some(hold), Some(undo)) => {
                tokio::select! {
                    () = tokio::time::sleep(hold.0) => {}
                    _ = cx.stop.at_least(Stop::Now) => {}
                }
                Some(reader.act(undo, member).await?)
            }
            _ if action == Action::Restart => Some(effect),
            _ => None,
        };
        if let Some(undone) = undone {
            record.undone = Some(cx.run.clock.at(undone.effective));
            outcome =
                outcome.metric("ready_after", Quantity::seconds((undone.effective - undone.requested).as_secs_f64()));
            cx.run.recorder.emit(EventKind::Fault { record });
        }
        Ok(outcome)
    }
}

impl Fault {
    /// The faults of a reader that `action` ends: all of them, or the last one where it is about one member.
    fn ended_by(&self, action: Action, reader: &str, cx: &StepContext) -> Vec<FaultRecord> {
        let ends = |fault: &FaultRecord| {
            [Action::Pause, Action::Stop, Action::Kill]
                .into_iter()
                .any(|earlier| earlier.verb() == fault.action && earlier.undo() == Some(action))
        };
        let faults = cx.run.snapshot().map(|record| record.faults).unwrap_or_default();
        let open =
            faults.into_iter().rev().filter(|fault| fault.target == reader && fault.undone.is_none() && ends(fault));
        open.take(if self.member.is_some() { 1 } else { usize::MAX }).collect()
    }
}

/// The error for a fault that cannot be journalled, and is therefore not applied.
pub(super) fn journal_error(error: std::io::Error) -> StepError {
    StepError::broken("journal", format!("the undo journal cannot be written, so nothing is disturbed: {error}"))
}
