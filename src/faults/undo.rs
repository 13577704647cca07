//! How a fault is undone, as data: written to the journal, usable by another process.

use super::delete::worker;
use super::fault_error::FaultError;
use super::owned::Resource;
use super::provenance::{ConnectorFates, Mended, Provenance};
use super::target::Undone;
use crate::connect::{ConnectClient, ConnectError, ConnectResult, ConnectorConfig, State};
use crate::environment::{Action, Endpoints, Environment, EnvironmentError, Lifecycle, NetworkFault, Recipe};
use crate::moment;
use crate::wire::WireCluster;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the cluster may take to answer.
const ASK: Duration = Duration::from_secs(10);

/// How a fault is undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// Acts on a service.
    Act {
        /// Full service name.
        service: String,
        /// The repairing action.
        action: Action,
    },
    /// Resumes a connector.
    Resume {
        /// Its name.
        connector: String,
        /// What was done to it: it is resumed only from that. Journals of older versions do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Action>,
    },
    /// Heals the network.
    Heal {
        /// The fault.
        fault: NetworkFault,
    },
    /// Cancels moves of replicas that are going on.
    Reassign {
        /// The topic.
        topic: String,
        /// Its partitions that move.
        partitions: Vec<i32>,
    },
    /// Gives a connector that was there before its former configuration back.
    Restore {
        /// Its name.
        connector: String,
        /// The configuration, credentials included.
        config: ConnectorConfig,
        /// The fingerprints of what the run gave it instead: only that is replaced. Journals of older versions do not say.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        put: Vec<String>,
    },
    /// Removes what a run made where its workers run: its recipe says how.
    Remove,
    /// Deletes what a run made and could not delete itself.
    Delete {
        /// What it made.
        resource: Resource,
        /// What tells it from what has its name later. Journals of older versions do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provenance: Option<Provenance>,
    },
}

/// A fault as the journal keeps it: enough for another process to undo it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journalled {
    /// The fault in words: `pause of kafka-1`.
    pub fault: String,
    /// What undoes it.
    pub undo: Undo,
    /// How the environment undoes it without knowing of the run, where it has to be told.
    pub recipe: Option<Box<Recipe>>,
}

impl Undo {
    /// Undoes the fault, whatever state its service is found in; where that needs another service, it may take `patience`. Where its
    /// effect was not `seen`, it may still be to come.
    pub(super) async fn carry_out(
        &self,
        environment: &dyn Environment,
        patience: Duration,
        seen: bool,
    ) -> Result<Undone, FaultError> {
        match self {
            Self::Act { service, action } => repair(environment, service, *action, seen).await,
            // Whoever has the recipe has followed it.
            Self::Remove => Ok(Undone { effective: moment::now(), acted: false }),
            Self::Resume { connector, from } => {
                let connect = worker(&environment.endpoints())?;
                Ok(undone(resume(&connect, connector, *from, patience).await?))
            }
            Self::Reassign { topic, partitions } => {
                let acted = cancel_moves(topic, partitions, &environment.endpoints()).await?;
                Ok(Undone { effective: moment::now(), acted })
            }
            Self::Restore { connector, config, put } => {
                Ok(undone(super::restore_connector(connector, config, put, &environment.endpoints()).await?))
            }
            Self::Delete { resource, provenance } => {
                let right = ConnectorFates::default().right(resource, provenance.as_ref(), false);
                Ok(undone(super::delete_external(resource, &right, &environment.endpoints()).await?))
            }
            Self::Heal { fault } => {
                let healed = environment.heal(fault).await?;
                Ok(Undone { effective: healed.effect.effective, acted: healed.changed })
            }
        }
    }

    /// Waits until the service is ready that the fault had disturbed, where it runs again. A `patience` of zero does not wait.
    pub(super) async fn until_ready(
        &self,
        environment: &dyn Environment,
        patience: Duration,
    ) -> Result<(), FaultError> {
        let Self::Act { service, action } = self else { return Ok(()) };
        if patience.is_zero() {
            return Ok(());
        }
        let state = environment.state(service).await?.lifecycle;
        if *action == Action::Resume && matches!(state, Lifecycle::Stopped | Lifecycle::Exited) {
            return Ok(());
        }
        Ok(environment.wait_ready(service, patience).await?)
    }
}

/// Brings a service back that was paused or ended.
async fn repair(
    environment: &dyn Environment,
    service: &str,
    action: Action,
    seen: bool,
) -> Result<Undone, FaultError> {
    let state = environment.state(service).await?.lifecycle;
    let wanted = match (action, state) {
        // A process that is down is not brought up by the undoing of a pause: if somebody is to start it, that
        // stands in the journal too.
        (_, Lifecycle::Paused) => Some(Action::Resume),
        // It may be about to end, as it was asked to: a start waits for that.
        (Action::Start, Lifecycle::Running) if !seen => Some(action),
        (Action::Resume, _) | (_, Lifecycle::Running) => None,
        (action, Lifecycle::Stopped | Lifecycle::Exited) => Some(action),
    };
    let Some(action) = wanted else { return Ok(Undone { effective: moment::now(), acted: false }) };
    match environment.act(service, action).await {
        Ok(effect) => Ok(Undone { effective: effect.effective, acted: true }),
        Err(EnvironmentError::NoEffect { .. }) if state == Lifecycle::Running => {
            Ok(Undone { effective: moment::now(), acted: false })
        }
        Err(error) => Err(error.into()),
    }
}

/// Cancels moves of replicas. False where nothing moves any more.
pub(super) async fn cancel_moves(topic: &str, partitions: &[i32], endpoints: &Endpoints) -> Result<bool, FaultError> {
    let cluster = WireCluster::new(&endpoints.connection(), ASK)?;
    Ok(super::reassignment::cancel(&cluster, topic, partitions).await?)
}

fn undone(mended: Mended) -> Undone {
    Undone { effective: moment::now(), acted: mended == Mended::Done }
}

/// Resumes a connector, and waits until it runs. What somebody else has done to it since is left in force.
pub(super) async fn resume(
    connect: &ConnectClient,
    connector: &str,
    from: Option<Action>,
    patience: Duration,
) -> ConnectResult<Mended> {
    let others = match from {
        Some(Action::Pause) => Some(State::Stopped),
        Some(Action::Stop) => Some(State::Paused),
        _ => None,
    };
    if others.is_some() {
        match connect.status(connector).await {
            Ok(status) if Some(status.connector.state) == others => {
                return Ok(Mended::Left("it was no longer in force"));
            }
            // Of one that has no state yet, or is gone, the request itself tells which.
            Ok(_) | Err(ConnectError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    match connect.resume(connector, patience).await {
        Ok(_) => Ok(Mended::Done),
        // A connector that was deleted is not held by anything any more.
        Err(ConnectError::NotFound { .. }) => Ok(Mended::Gone),
        Err(error) => Err(error),
    }
}
