//! What has to be undone: every fault that is in force, last first.

use super::journal::Journal;
use super::recorder::Recorder;
use crate::connect::{ConnectClient, ConnectError};
use crate::environment::docker::HealRecipe;
use crate::environment::{Action, Environment, EnvironmentError, EnvironmentResult, Lifecycle, NetworkFault};
use crate::load::RunClock;
use crate::record::{EventKind, FaultRecord};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
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
    next: AtomicU64,
    journal: Arc<Journal>,
}

/// How long a service may take to be ready again.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

impl UndoStack {
    /// An empty stack with its journal.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { open: Mutex::default(), next: AtomicU64::new(1), journal }
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
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let fault = format!("{} of {}", record.action, record.target);
        let entry = Journalled { fault, undo, recipe: recipe.map(Box::new) };
        if fate != Fate::Stays {
            self.journal.announce(number, &entry)?;
        }
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
            Undo::Resume { .. } | Undo::Heal { .. } => false,
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
        let mut tried = Vec::new();
        let mut failures = Vec::new();
        loop {
            // It stays on the stack until it is undone: whoever is interrupted here can be followed by another.
            let next = self.lock().iter().rfind(|open| due(open) && !tried.contains(&open.number)).cloned();
            let Some(open) = next else { return failures };
            tried.push(open.number);
            match open.entry.undo(environment, patience).await {
                Ok(undone) => {
                    self.strike(open.number);
                    let record = FaultRecord {
                        undone: open.record.undone.or(Some(clock.at(undone.effective))),
                        ready: Some(clock.at(undone.ready)),
                        ..open.record
                    };
                    recorder.emit(EventKind::Fault { record });
                }
                Err(error) => failures.push(format!("{} of {}: {error}", open.record.action, open.record.target)),
            }
        }
    }
}

impl Journalled {
    /// Undoes the fault in the run that applied it.
    async fn undo(&self, environment: &dyn Environment, patience: Duration) -> EnvironmentResult<Undone> {
        if let (Some(recipe), Undo::Act { service, .. }) = (&self.recipe, &self.undo) {
            // A recipe also brings back what no longer exists, such as a container in the middle of a wipe.
            crate::environment::docker::heal_from(recipe).await?;
            let effective = Instant::now();
            ready(environment, service, patience).await?;
            return Ok(Undone { effective, ready: Instant::now(), acted: true });
        }
        undo(environment, &self.undo, patience).await
    }
}

/// When a fault was undone.
#[derive(Clone, Copy, Debug)]
pub struct Undone {
    /// When the repair took effect.
    pub effective: Instant,
    /// When the service was ready.
    pub ready: Instant,
    /// Whether there was something to repair.
    pub acted: bool,
}

/// Undoes one fault, whatever state its service is found in; used at the end of a run and by `kscen undo`.
///
/// # Errors
/// What the environment says.
pub async fn undo(environment: &dyn Environment, undo: &Undo, patience: Duration) -> EnvironmentResult<Undone> {
    match undo {
        Undo::Act { service, action } => {
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
            if matches!(state, Lifecycle::Paused | Lifecycle::Running) || wanted.is_some() {
                ready(environment, service, patience).await?;
            }
            Ok(Undone { effective, ready: Instant::now(), acted: wanted.is_some() })
        }
        Undo::Resume { connector } => {
            let failed = |error: ConnectError| EnvironmentError::failed(error.to_string());
            let url = environment.endpoints().connect.unwrap_or_default();
            let connect = ConnectClient::new(&url).map_err(failed)?;
            match connect.resume(connector, patience).await {
                // A connector that was deleted is not held by anything any more.
                Ok(_) | Err(ConnectError::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
            let now = Instant::now();
            Ok(Undone { effective: now, ready: now, acted: true })
        }
        Undo::Heal { fault } => {
            let effect = environment.heal(fault).await?;
            Ok(Undone { effective: effect.effective, ready: Instant::now(), acted: true })
        }
    }
}

async fn ready(environment: &dyn Environment, service: &str, patience: Duration) -> EnvironmentResult<()> {
    if patience.is_zero() { Ok(()) } else { environment.wait_ready(service, patience).await }
}

/// Undoes a fault of a run that is gone: by its recipe where it has one, else on `environment`, where that still runs.
///
/// # Errors
/// What the environment says.
pub async fn undo_journalled(entry: &Journalled, environment: Option<&dyn Environment>) -> EnvironmentResult<String> {
    if let Some(recipe) = &entry.recipe {
        return crate::environment::docker::heal_from(recipe).await;
    }
    let Some(environment) = environment else {
        return Ok("its stack is gone, and the fault with it".to_owned());
    };
    match undo(environment, &entry.undo, PATIENCE).await {
        Ok(undone) if undone.acted => Ok("undone".to_owned()),
        Ok(_) => Ok("it was no longer in force".to_owned()),
        // Another stack of the same name: this one never had the service that was disturbed.
        Err(EnvironmentError::UnknownService { .. }) => Ok("its service is gone, and the fault with it".to_owned()),
        Err(error) => Err(error),
    }
}
