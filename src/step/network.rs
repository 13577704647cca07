//! The verb `network`.

use super::fault::journal_error;
use super::target::ServiceTarget;
use super::{CheckContext, Facts, Step, StepError, StepOutcome};
use crate::diagnostic::Problem;
use crate::environment::{Capability, Direction, FaultKind, Intended, Needs, NetworkFault, NetworkFaultKind, Peers};
use crate::execute::{Fate, StepContext, Stop, Undo};
use crate::record::{EventKind, FaultRecord, Quantity};
use crate::scenario::units::{Length, Rate};
use schemars::JsonSchema;
use serde::Deserialize;

/// How the network misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing passes and nobody is told.
    Cut,
    /// Each byte arrives later, by `by`.
    Delay,
    /// At most `to` bytes per second and direction.
    Throttle,
    /// Open connections are reset, new ones are refused.
    Reset,
}

/// Disturbs the connections of a service.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The service.
    service: ServiceTarget,
    /// How.
    fault: Kind,
    /// Whose connections.
    #[serde(default)]
    between: Peers,
    /// Which way, seen from the service.
    #[serde(default)]
    direction: Direction,
    /// For `delay`: by how much.
    #[serde(default)]
    by: Option<Length>,
    /// For `throttle`: to how many bytes per second, such as `100k/s`.
    #[serde(default)]
    to: Option<Rate>,
    /// Heal it after this time; without it, at the end of `steps`.
    #[serde(default, rename = "for")]
    hold: Option<Length>,
}

impl Network {
    /// Cut off from everyone, both ways: all that every environment with hands on its services can do.
    fn is_plain(&self) -> bool {
        self.fault == Kind::Cut && self.direction == Direction::Both && self.between == Peers::Clients
    }

    fn kind(&self) -> Option<NetworkFaultKind> {
        Some(match self.fault {
            Kind::Cut => NetworkFaultKind::Cut,
            Kind::Reset => NetworkFaultKind::Reset,
            Kind::Delay => NetworkFaultKind::Delay(self.by?.0),
            // A rate is positive and below 10^12.
            Kind::Throttle => NetworkFaultKind::Throttle(self.to?.0 as u64),
        })
    }
}

impl Step for Network {
    const VERB: &'static str = "network";
    const EXAMPLE: &'static str = "network: { service: kafka, fault: cut, for: 10s }";
    const BACKGROUND: bool = true;
    const RETRY: bool = false;

    fn needs(&self) -> Needs {
        self.service.needs().with(if self.is_plain() { Capability::NetworkCut } else { Capability::NetworkShape })
    }

    fn facts(&self) -> Facts {
        Facts {
            planned: self.hold.map(|hold| hold.0),
            disturbs: Some(self.service.to_string()),
            fault: Some(if self.fault == Kind::Cut && self.direction == Direction::Both {
                FaultKind::Cut
            } else {
                FaultKind::Shape
            }),
            ends: self.hold.is_some(),
            ..Facts::default()
        }
    }

    fn check(&self, cx: &mut CheckContext<'_>) {
        self.service.check("/service", cx);
        let missing = match self.fault {
            Kind::Delay if self.by.is_none() => Some(("by: 50ms", "how long is the delay?")),
            Kind::Throttle if self.to.is_none() => Some(("to: 100k/s", "throttled to how many bytes per second?")),
            _ => None,
        };
        if let Some((field, question)) = missing {
            cx.report("", Problem::new("missing-key", question).help(format!("add `{field}`")));
        }
        if self.by.is_some() && self.fault != Kind::Delay {
            cx.report("/by", Problem::new("does-not-apply", "only `fault: delay` has `by`"));
        }
        if self.to.is_some() && self.fault != Kind::Throttle {
            cx.report("/to", Problem::new("does-not-apply", "only `fault: throttle` has `to`"));
        }
        if cx.background && self.hold.is_none() {
            cx.report("", Problem::new("endless-background", "a background `network` needs `for`: else it is over at once"));
        }
    }

    fn describe(&self) -> String {
        let kind = match (self.fault, self.by, self.to) {
            (Kind::Cut, ..) => "cut".to_owned(),
            (Kind::Reset, ..) => "reset".to_owned(),
            (Kind::Delay, by, _) => format!("delay by {}", by.map(|by| by.to_string()).unwrap_or_default()),
            (Kind::Throttle, _, to) => format!("throttle to {}", to.map(|to| to.to_string()).unwrap_or_default()),
        };
        let whose = match self.between {
            Peers::Clients => "clients",
            Peers::Brokers => "brokers",
        };
        let time = self.hold.map(|hold| format!(" for {hold}")).unwrap_or_default();
        format!("network {kind} between {whose} and {}{time}", self.service)
    }

    async fn run(&self, cx: &mut StepContext) -> Result<StepOutcome, StepError> {
        let service = self.service.resolve(cx).await.map_err(|error| error.at("/service"))?;
        let kind = self.kind().ok_or_else(|| StepError::broken("missing-key", "the fault's strength is missing"))?;
        let fault = NetworkFault { service, kind, between: self.between, direction: self.direction };
        let run = cx.run.clone();
        let mut record = FaultRecord {
            step: cx.id.clone(),
            target: fault.service.clone(),
            action: format!("network {}", fault.kind.word()),
            requested: run.clock.now(),
            ..FaultRecord::default()
        };
        let recipe = run.environment.recipe(Intended::Disturb(&fault)).await?;
        let fate = if self.hold.is_some() { Fate::Held } else { Fate::Open };
        let number = run
            .undo
            .announce(Undo::Heal { fault: fault.clone() }, recipe, record.clone(), fate)
            .map_err(journal_error)?;
        let result = self.carry_out(&fault, number, &mut record, cx).await;
        run.undo.let_go(number);
        result
    }
}

impl Network {
    async fn carry_out(
        &self,
        fault: &NetworkFault,
        number: u64,
        record: &mut FaultRecord,
        cx: &mut StepContext,
    ) -> Result<StepOutcome, StepError> {
        let run = cx.run.clone();
        let effect = run.environment.disturb(fault).await?;
        record.requested = run.clock.at(effect.requested);
        record.effective = Some(run.clock.at(effect.effective));
        record.proof.clone_from(&effect.proof);
        run.recorder.emit(EventKind::Fault { record: record.clone() });
        run.undo.update(number, record);
        cx.prepared();
        let outcome = StepOutcome::default()
            .metric("effect_after", Quantity::seconds((effect.effective - effect.requested).as_secs_f64()));
        let Some(hold) = self.hold else { return Ok(outcome) };
        tokio::select! {
            () = tokio::time::sleep(hold.0.saturating_sub(effect.effective.elapsed())) => {}
            _ = cx.stop.at_least(Stop::Timeout) => {}
        }
        let healed = run.environment.heal(fault).await?;
        record.undone = Some(run.clock.at(healed.effective));
        record.ready = record.undone;
        run.undo.strike(number);
        run.recorder.emit(EventKind::Fault { record: record.clone() });
        if cx.stop.reason() == Some(Stop::Now) {
            return Err(StepError::interrupted().after(outcome));
        }
        Ok(outcome)
    }
}
