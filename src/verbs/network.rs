//! The verb `network`.

use super::fault::{carry_out, check_leave};
use super::target::ServiceTarget;
use crate::environment::{Capability, Direction, FaultKind, Grant, Needs, NetworkFault, NetworkFaultKind, Peers};
use crate::faults::{LinkFault, Order};
use crate::scenario::units::{Length, Rate};
use crate::text::Problem;
use crate::verb::{CheckContext, Facts, Step, StepContext, StepError, StepOutcome, Work};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// How the network misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkWay {
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
    fault: NetworkWay,
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
    /// Leave it in force after the run.
    #[serde(default)]
    leave: bool,
}

impl Network {
    /// Cut off both ways: what every environment can do that controls its services.
    fn is_plain(&self) -> bool {
        self.fault == NetworkWay::Cut && self.direction == Direction::Both
    }

    fn kind(&self) -> Option<NetworkFaultKind> {
        Some(match self.fault {
            NetworkWay::Cut => NetworkFaultKind::Cut,
            NetworkWay::Reset => NetworkFaultKind::Reset,
            NetworkWay::Delay => NetworkFaultKind::Delay(self.by?.0),
            // A rate is positive and below 10^12.
            NetworkWay::Throttle => NetworkFaultKind::Throttle(self.to?.0 as u64),
        })
    }
}

impl Step for Network {
    const VERB: &'static str = "network";
    const MAY: &'static [Grant] = &[Grant::Faults];
    const WORK: Work = Work::Disturbs;
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
            fault: Some(if self.fault == NetworkWay::Cut && self.direction == Direction::Both {
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
            NetworkWay::Delay if self.by.is_none() => {
                Some(("by: 50ms", "`fault: delay` needs `by`, the time to delay by"))
            }
            NetworkWay::Throttle if self.to.is_none() => {
                Some(("to: 100k/s", "`fault: throttle` needs `to`, the bytes per second to pass"))
            }
            _ => None,
        };
        if let Some((field, question)) = missing {
            cx.report("", Problem::new("missing-key", question).help(format!("add `{field}`")));
        }
        if self.by.is_some() && self.fault != NetworkWay::Delay {
            cx.report("/by", Problem::new("does-not-apply", "only `fault: delay` has `by`"));
        }
        if self.to.is_some() && self.fault != NetworkWay::Throttle {
            cx.report("/to", Problem::new("does-not-apply", "only `fault: throttle` has `to`"));
        }
        check_leave(self.leave, self.hold.is_some(), cx);
        if cx.background && self.hold.is_none() {
            cx.report(
                "",
                Problem::new("endless-background", "a background `network` needs `for`: else it is over at once"),
            );
        }
    }

    fn describe(&self) -> String {
        let kind = match (self.fault, self.by, self.to) {
            (NetworkWay::Cut, ..) => "cut".to_owned(),
            (NetworkWay::Reset, ..) => "reset".to_owned(),
            (NetworkWay::Delay, by, _) => format!("delay by {}", by.map(|by| by.to_string()).unwrap_or_default()),
            (NetworkWay::Throttle, _, to) => format!("throttle to {}", to.map(|to| to.to_string()).unwrap_or_default()),
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
        let target = Arc::new(LinkFault::new(Arc::clone(&cx.run.environment), fault));
        let order = Order {
            step: cx.id.clone(),
            target,
            hold: self.hold.map(|hold| hold.0),
            leave: self.leave,
            until_ready: true,
            deadline: cx.deadline,
        };
        carry_out(order, "/service", cx).await
    }
}
