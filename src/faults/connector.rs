//! Faults on connectors.

use super::fault_error::FaultError;
use super::provenance::Mended;
use super::target::{Answer, Condition, Nature, Target, Undone};
use super::undo::{Undo, resume};
use crate::connect::{ConnectClient, ConnectorStatus, EffectProbe, RestartScope, State};
use crate::database::SlotProbe;
use crate::environment::{Action, Effect, EnvironmentError, Grip};
use crate::moment;
use crate::record::TargetKind;
use std::time::{Duration, Instant};

/// How long a connector may take to reach the state that it is asked for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions for its state.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// An action on a connector.
pub(crate) struct ConnectorFault {
    connect: ConnectClient,
    connector: String,
    action: Action,
    /// The connection of its replication slot, where it has one that kscen can see.
    slot: Option<SlotProbe>,
}

impl ConnectorFault {
    /// An action on the connector of that name.
    pub(crate) fn new(connect: ConnectClient, connector: String, action: Action, slot: Option<SlotProbe>) -> Self {
        Self { connect, connector, action, slot }
    }

    fn lasts(&self) -> bool {
        matches!(self.action, Action::Pause | Action::Stop)
    }

    async fn carry_out(&self) -> Result<Effect, FaultError> {
        let name = self.connector.as_str();
        let requested = moment::now();
        let states = |status: ConnectorStatus| Effect {
            requested,
            effective: moment::now(),
            down: None,
            proof: status.to_string(),
            forced: false,
        };
        Ok(match self.action {
            Action::Pause => states(self.connect.pause(name, PATIENCE).await?),
            Action::Stop => states(self.connect.stop(name, PATIENCE).await?),
            Action::Resume | Action::Start => states(self.connect.resume(name, PATIENCE).await?),
            Action::Restart => {
                let slot = self.slot.as_ref().map(|slot| slot as &dyn EffectProbe);
                let evidence = self.connect.restart(name, RestartScope::ALL, slot, PATIENCE).await?;
                Effect {
                    requested: evidence.requested,
                    effective: evidence.requested + Duration::from_micros(evidence.ready_after_us),
                    down: Some(evidence.requested + Duration::from_micros(evidence.effect_after_us)),
                    proof: evidence.proof,
                    forced: false,
                }
            }
            Action::Kill | Action::Wipe => {
                let message =
                    format!("`{}` does not apply to a connector; kill its worker with `service: connect`", self.action);
                return Err(EnvironmentError::Unsupported { message }.into());
            }
        })
    }
}

impl Target for ConnectorFault {
    fn name(&self) -> String {
        self.connector.clone()
    }

    fn what(&self) -> String {
        self.action.verb().to_owned()
    }

    fn nature(&self) -> Nature {
        match self.action {
            Action::Pause | Action::Stop => Nature::Lasts,
            Action::Resume | Action::Start => Nature::Repairs,
            Action::Restart | Action::Kill | Action::Wipe => Nature::Passes,
        }
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Connector
    }

    fn condition(&self) -> Option<Condition> {
        let connector = self.connector.clone();
        self.lasts().then_some(Condition::Outlives(Undo::Resume { connector, from: Some(self.action) }))
    }

    fn lane(&self) -> String {
        format!("connector {}", self.connector)
    }

    /// Restarting ends what held it, too: Connect starts what it restarts.
    fn ends(&self, other: &Condition) -> bool {
        !self.lasts()
            && matches!(other, Condition::Outlives(Undo::Resume { connector, .. }) if *connector == self.connector)
    }

    fn check(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let status = self.connect.status(&self.connector).await?;
            let held = matches!(status.connector.state, State::Paused | State::Stopped);
            let futile = match self.action {
                Action::Pause | Action::Stop => held || status.connector.state == State::Failed,
                Action::Resume | Action::Start => status.connector.state == State::Running,
                Action::Restart | Action::Kill | Action::Wipe => false,
            };
            if futile {
                return Err(FaultError::no_effect(&self.connector, format!("its state is {status}")));
            }
            Ok(())
        })
    }

    fn apply(&self) -> Answer<'_, Effect> {
        Box::pin(self.carry_out())
    }

    fn probe(&self) -> Answer<'_, Grip> {
        Box::pin(async move {
            let status = self.connect.status(&self.connector).await?;
            let wanted = if self.action == Action::Pause { State::Paused } else { State::Stopped };
            let holds = !self.lasts() || status.connector.state == wanted;
            Ok(if holds { Grip::Holds(status.to_string()) } else { Grip::Lost(format!("its state is {status}")) })
        })
    }

    fn pace(&self, _: Duration) -> Duration {
        LOOK_EVERY
    }

    /// The connector goes on from when Connect is asked to let it. Where somebody else has stopped what was paused, it stays so.
    fn undo(&self, patience: Duration) -> Answer<'_, Undone> {
        Box::pin(async move {
            let effective = moment::now();
            let patience = patience.max(LOOK_EVERY);
            let mended = resume(&self.connect, &self.connector, Some(self.action), patience).await?;
            Ok(Undone { effective, acted: mended == Mended::Done })
        })
    }

    /// Undoing it waits until it runs.
    fn ready(&self, _: Duration) -> Answer<'_, Option<Instant>> {
        Box::pin(async { Ok(Some(moment::now())) })
    }
}
