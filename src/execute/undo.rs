//! What has to be undone: every fault that is in force, last first.

use super::cleanup;
use super::journal::Journal;
use super::owned::Resource;
use super::recorder::Recorder;
use crate::connect::{ConnectClient, ConnectError};
use crate::environment::docker::HealRecipe;
use crate::environment::{
    Action, Endpoints, Environment, EnvironmentError, EnvironmentResult, Lifecycle, NetworkFault,
};
use crate::load::RunClock;
use crate::record::{EventKind, FaultRecord};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    },
    /// Heals the network.
    Heal {
        /// The fault.
        fault: NetworkFault,
    },
    /// Deletes what a run made and could not delete itself.
    Delete {
        /// What it made.
        resource: Resource,
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
    pub recipe: Option<Box<HealRecipe>>,
}

/// Who undoes a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The step that applied it, while that step runs.
    Held,
    /// The inverse verb, or the end of `steps`.
    Open,
    /// Nobody: it is meant to stay.
    Stays,
}

/// A fault in force.
#[derive(Clone, Debug)]
struct Open {
    number: u64,
    entry: Journalled,
    record: FaultRecord,
    fate: Fate,
}

/// The faults in force, and their journal on disk.
pub struct UndoStack {
    open: Mutex<Vec<Open>>,
    journal: Arc<Journal>,
}

/// How long a service may take to be ready again.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

impl UndoStack {
    /// An empty stack with its journal.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { open: Mutex::default(), journal }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a fault before it is applied: the journal holds it from now on.
    ///
    /// # Errors
    /// Where the journal cannot be written: the fault must not be applied then.
    pub fn announce(
        &self,
        undo: Undo,
        recipe: Option<HealRecipe>,
        record: FaultRecord,
        fate: Fate,
    ) -> std::io::Result<u64> {
        let fault = format!("{} of {}", record.action, record.target);
        let entry = Journalled { fault, undo, recipe: recipe.map(Box::new) };
        let number = if fate == Fate::Stays { self.journal.number() } else { self.journal.announce(&entry)? };
        self.lock().push(Open { number, entry, record, fate });
        Ok(number)
    }

    /// Keeps what is known of a fault up to date.
    pub fn update(&self, number: u64, record: &FaultRecord) {
        if let Some(open) = self.lock().iter_mut().find(|open| open.number == number) {
            open.record.clone_from(record);
        }
    }

    /// The step that held a fault is over, or gave up.
    pub fn let_go(&self, number: u64) {
        if let Some(open) = self.lock().iter_mut().find(|open| open.number == number && open.fate == Fate::Held) {
            open.fate = Fate::Open;
        }
    }

    /// A fault was undone, or never took effect.
    pub fn strike(&self, number: u64) {
        self.lock().retain(|open| open.number != number);
        self.journal.strike(number);
    }

    /// Strikes every earlier fault that `action` on `service` undoes, and returns their records. A process that was
    /// started anew is neither paused nor down.
    pub fn undone_by(&self, service: &str, action: Action, before: u64) -> Vec<FaultRecord> {
        let repaired = |open: &Open| match &open.entry.undo {
            Undo::Act { service: disturbed, action: repair } => {
                open.number < before && disturbed == service && (*repair == action || action != Action::Resume)
            }
            Undo::Resume { .. } | Undo::Heal { .. } | Undo::Delete { .. } => false,
        };
        self.take(repaired)
    }

    /// Strikes every fault that ends when the connector goes on, and returns their records.
    pub fn resumed(&self, connector: &str) -> Vec<FaultRecord> {
        self.take(|open| matches!(&open.entry.undo, Undo::Resume { connector: disturbed } if disturbed == connector))
    }

    fn take(&self, repaired: impl Fn(&Open) -> bool) -> Vec<FaultRecord> {
        let mut done = Vec::new();
        self.lock().retain(|open| {
            let struck = repaired(open);
            if struck {
                done.push(open.clone());
            }
            !struck
        });
        done.into_iter()
            .map(|open| {
                self.journal.strike(open.number);
                open.record
            })
            .collect()
    }

    /// Undoes what is in force and not meant to stay, last first; those that a running step holds only where
    /// `held_too`. A `patience` of zero does not wait until services are ready. Returns what could not be undone.
    pub async fn undo_all(
        &self,
        environment: &dyn Environment,
        clock: RunClock,
        recorder: &Recorder,
        held_too: bool,
        patience: Duration,
    ) -> Vec<String> {
        let due = |open: &Open| open.fate == Fate::Open || (held_too && open.fate == Fate::Held);
        let mut failures = Vec::new();
        // A connector can be resumed only when its worker is up again, and is resumed last.
        for connectors in [false, true] {
            let mut tried = Vec::new();
            let mut repaired = Vec::new();
            let next = |tried: &[u64]| {
                let wanted = |open: &&Open| {
                    due(open)
                        && matches!(open.entry.undo, Undo::Resume { .. }) == connectors
                        && !tried.contains(&open.number)
                };
                // It stays on the stack until it is undone: whoever is interrupted here can be followed by another.
                self.lock().iter().rev().find(wanted).cloned()
            };
            while let Some(open) = next(&tried) {
                tried.push(open.number);
                match open.entry.undo(environment, patience).await {
                    Ok(effective) => repaired.push((open, effective)),
                    Err(error) => failures.push(open.failure(&error)),
                }
            }
            // Only now: a service that was resumed is not ready while it is still cut off.
            for (open, effective) in repaired {
                let ready = open.entry.undo.until_ready(environment, patience).await;
                self.strike(open.number);
                if let Err(error) = &ready {
                    // Undone it is: to try again would change nothing.
                    let text = format!("after {} was undone: {error}", open.entry.fault);
                    recorder.emit(EventKind::Leftover { text });
                }
                let record = FaultRecord {
                    undone: open.record.undone.or(Some(clock.at(effective))),
                    ready: ready.is_ok().then(|| clock.now()),
                    ..open.record
                };
                recorder.emit(EventKind::Fault { record });
            }
        }
        failures
    }
}

impl Open {
    fn failure(&self, error: &EnvironmentError) -> String {
        format!("{} of {}: {error}", self.record.action, self.record.target)
    }
}

impl Journalled {
    /// Undoes the fault in the run that applied it, without waiting until its service is ready. Returns when.
    async fn undo(&self, environment: &dyn Environment, patience: Duration) -> EnvironmentResult<Instant> {
        if let (Some(recipe), Undo::Act { .. }) = (&self.recipe, &self.undo) {
            // A recipe also brings back what no longer exists, such as a container in the middle of a wipe.
            crate::environment::docker::heal_from(recipe).await?;
            return Ok(Instant::now());
        }
        Ok(self.undo.carry_out(environment, patience).await?.effective)
    }
}

/// When a fault was undone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undone {
    /// When the repair took effect.
    pub(super) effective: Instant,
    /// Whether there was something to repair.
    pub(super) acted: bool,
}

impl Undo {
    /// Undoes the fault, whatever state its service is found in; where that needs another service, it may take `patience`.
    pub(super) async fn carry_out(
        &self,
        environment: &dyn Environment,
        patience: Duration,
    ) -> EnvironmentResult<Undone> {
        match self {
            Self::Act { service, action } => {
                let state = environment.state(service).await?.lifecycle;
                let wanted = match (action, state) {
                    // A process that is down is not brought up by the undoing of a pause: if somebody is to start it, that
                    // stands in the journal too.
                    (_, Lifecycle::Paused) => Some(Action::Resume),
                    (Action::Resume, _) | (_, Lifecycle::Running) => None,
                    (action, Lifecycle::Stopped | Lifecycle::Exited) => Some(*action),
                };
                let effective = match wanted {
                    Some(action) => environment.act(service, action).await?.effective,
                    None => Instant::now(),
                };
                Ok(Undone { effective, acted: wanted.is_some() })
            }
            Self::Resume { connector } => {
                let acted = resume(connector, &environment.endpoints(), patience).await?;
                Ok(Undone { effective: Instant::now(), acted })
            }
            Self::Delete { resource } => {
                let acted = cleanup::delete_external(resource, &environment.endpoints()).await;
                let acted = acted.map_err(EnvironmentError::failed)?;
                Ok(Undone { effective: Instant::now(), acted })
            }
            Self::Heal { fault } => {
                let effect = environment.heal(fault).await?;
                Ok(Undone { effective: effect.effective, acted: true })
            }
        }
    }

    /// Waits until the service is ready that the fault had disturbed, where it runs again. A `patience` of zero does not wait.
    pub(super) async fn until_ready(&self, environment: &dyn Environment, patience: Duration) -> EnvironmentResult<()> {
        let Self::Act { service, action } = self else { return Ok(()) };
        if patience.is_zero() {
            return Ok(());
        }
        let state = environment.state(service).await?.lifecycle;
        if *action == Action::Resume && matches!(state, Lifecycle::Stopped | Lifecycle::Exited) {
            return Ok(());
        }
        environment.wait_ready(service, patience).await
    }
}

/// Resumes a connector, and waits until it runs. False where there is none any more.
pub(super) async fn resume(connector: &str, endpoints: &Endpoints, patience: Duration) -> EnvironmentResult<bool> {
    let failed = |error: ConnectError| EnvironmentError::failed(error.to_string());
    let url = endpoints.connect.as_deref().unwrap_or_default();
    match ConnectClient::new(url).map_err(failed)?.resume(connector, patience).await {
        Ok(_) => Ok(true),
        // A connector that was deleted is not held by anything any more.
        Err(ConnectError::NotFound { .. }) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}
