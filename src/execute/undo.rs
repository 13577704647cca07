//! What has to be undone: every fault that is in force, last first.

use crate::connect::{ConnectClient, ConnectError};
use crate::environment::{Action, Environment, EnvironmentError, NetworkFault};
use crate::record::{EventKind, FaultRecord};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::journal::Journal;
use super::recorder::Recorder;
use crate::load::RunClock;

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

/// A fault in force.
#[derive(Clone, Debug)]
struct Open {
    number: u64,
    undo: Undo,
    record: FaultRecord,
    keep: bool,
}

/// The faults in force, and their journal on disk.
pub struct UndoStack {
    open: Mutex<Vec<Open>>,
    next: std::sync::atomic::AtomicU64,
    journal: Arc<Journal>,
}

/// How long undoing one fault may take, readiness included.
const PATIENCE: Duration = Duration::from_secs(60);

impl UndoStack {
    /// An empty stack with its journal.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { open: Mutex::default(), next: std::sync::atomic::AtomicU64::new(1), journal }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a fault before it is applied: the journal holds it from now on.
    ///
    /// # Errors
    /// Where the journal cannot be written: the fault must not be applied then.
    pub fn announce(&self, undo: Undo, record: FaultRecord, keep: bool) -> std::io::Result<u64> {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if !keep {
            self.journal.announce(number, &undo)?;
        }
        self.lock().push(Open { number, undo, record, keep });
        Ok(number)
    }

    /// Keeps what is known of a fault up to date.
    pub fn update(&self, number: u64, record: &FaultRecord) {
        if let Some(open) = self.lock().iter_mut().find(|open| open.number == number) {
            open.record.clone_from(record);
        }
    }

    /// A fault was undone, or never took effect.
    pub fn strike(&self, number: u64) {
        self.lock().retain(|open| open.number != number);
        self.journal.strike(number);
    }

    /// Strikes every fault that `action` on `service` undoes, and returns their records.
    pub fn undone_by(&self, service: &str, action: Action) -> Vec<FaultRecord> {
        let repaired = |undo: &Undo| match undo {
            Undo::Act { service: disturbed, action: repair } => {
                disturbed == service && (*repair == action || matches!(action, Action::Restart | Action::Wipe))
            }
            Undo::Resume { .. } | Undo::Heal { .. } => false,
        };
        self.take(repaired)
    }

    /// Strikes every fault that ends when the connector goes on, and returns their records.
    pub fn resumed(&self, connector: &str) -> Vec<FaultRecord> {
        self.take(|undo| matches!(undo, Undo::Resume { connector: disturbed } if disturbed == connector))
    }

    fn take(&self, repaired: impl Fn(&Undo) -> bool) -> Vec<FaultRecord> {
        let (done, left): (Vec<_>, Vec<_>) = self.lock().drain(..).partition(|open| repaired(&open.undo));
        *self.lock() = left;
        done.into_iter()
            .map(|open| {
                self.journal.strike(open.number);
                open.record
            })
            .collect()
    }

    /// Undoes everything that is in force and not meant to stay, last first. Returns what could not be undone.
    pub async fn undo_all(&self, environment: &dyn Environment, clock: RunClock, recorder: &Recorder) -> Vec<String> {
        let mut failures = Vec::new();
        loop {
            let Some(open) = ({
                let mut lock = self.lock();
                lock.iter().rposition(|open| !open.keep).map(|index| lock.remove(index))
            }) else {
                return failures;
            };
            match undo(environment, &open.undo).await {
                Ok((effective, ready)) => {
                    self.journal.strike(open.number);
                    let record = FaultRecord {
                        undone: open.record.undone.or(Some(clock.at(effective))),
                        ready: ready.map(|instant| clock.at(instant)),
                        ..open.record
                    };
                    recorder.emit(EventKind::Fault { record });
                }
                Err(error) => failures.push(format!("{} of {}: {error}", open.record.action, open.record.target)),
            }
        }
    }
}

/// Undoes one fault; used at the end of a run and by `kscen undo`. Returns when it took effect and when the service was ready.
///
/// # Errors
/// What the environment says.
pub async fn undo(
    environment: &dyn Environment,
    undo: &Undo,
) -> Result<(std::time::Instant, Option<std::time::Instant>), crate::environment::EnvironmentError> {
    match undo {
        Undo::Act { service, action } => {
            let effect = environment.act(service, *action).await?;
            environment.wait_ready(service, PATIENCE).await?;
            Ok((effect.effective, Some(std::time::Instant::now())))
        }
        Undo::Resume { connector } => {
            let failed = |error: ConnectError| EnvironmentError::failed(error.to_string());
            let url = environment.endpoints().connect.unwrap_or_default();
            let connect = ConnectClient::new(&url).map_err(failed)?;
            match connect.resume(connector, PATIENCE).await {
                // A connector that was deleted is not held by anything any more.
                Ok(_) | Err(ConnectError::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
            let now = std::time::Instant::now();
            Ok((now, Some(now)))
        }
        Undo::Heal { fault } => {
            let effect = environment.heal(fault).await?;
            Ok((effect.effective, Some(std::time::Instant::now())))
        }
    }
}
