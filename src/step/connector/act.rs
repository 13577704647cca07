//! Acting on a connector: pause, resume, stop, start, restart.

use super::failure;
use crate::connect::{ConnectClient, ConnectorStatus, EffectProbe, Redactor, RestartScope};
use crate::database::SlotProbe;
use crate::environment::{Action, Effect};
use crate::execute::{Run, StepContext};
use crate::step::StepError;
use std::time::{Duration, Instant};

/// How long a connector may take to reach the state that it is asked for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Acts on a connector and returns once Connect's states, or the database, prove the effect. A restart includes the tasks.
pub(in crate::step) async fn act(name: &str, action: Action, cx: &StepContext) -> Result<Effect, StepError> {
    let connect = cx.run.connect()?;
    let requested = Instant::now();
    let redactor = redactor(&connect, name).await;
    let states = |status: ConnectorStatus| Effect {
        requested,
        effective: Instant::now(),
        down: None,
        proof: status.to_string(),
    };
    let done = match action {
        Action::Pause => connect.pause(name, PATIENCE).await.map(states),
        Action::Stop => connect.stop(name, PATIENCE).await.map(states),
        Action::Resume | Action::Start => connect.resume(name, PATIENCE).await.map(states),
        Action::Restart => {
            let probe = probe(&connect, name, &cx.run).await;
            let probe = probe.as_ref().map(|probe| probe as &dyn EffectProbe);
            connect.restart(name, RestartScope::ALL, probe, PATIENCE).await.map(|evidence| Effect {
                requested: evidence.requested,
                effective: evidence.requested + Duration::from_micros(evidence.ready_after_us),
                down: Some(evidence.requested + Duration::from_micros(evidence.effect_after_us)),
                proof: evidence.proof,
            })
        }
        Action::Kill | Action::Wipe => {
            return Err(StepError::broken(
                "not-for-connectors",
                format!("`{action}` does not apply to a connector; kill its worker with `service: connect`"),
            ));
        }
    };
    match done {
        Ok(effect) => Ok(effect),
        Err(error) => Err(failure(error, &redactor, cx).await),
    }
}

/// Hides what the connector's configuration has of secrets.
pub(in crate::step) async fn redactor(connect: &ConnectClient, name: &str) -> Redactor {
    connect.config(name).await.map(|config| Redactor::of(&config)).unwrap_or_default()
}

/// Watches the connection of the connector's slot, where it has one that kscen can see.
pub(super) async fn probe(connect: &ConnectClient, name: &str, run: &Run) -> Option<SlotProbe> {
    let config = connect.config(name).await.ok()?;
    let slot = config.get("slot.name")?;
    Some(SlotProbe::new(run.database().ok()?, slot.clone()))
}
