//! What a fault acts on, and how it is applied, observed and undone there.

use super::fault_error::FaultError;
use super::undo::Undo;
use crate::environment::{Action, Effect, Environment, Grip, Lifecycle, Recipe};
use crate::record::TargetKind;
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Longer than anything that undoes a fault takes by itself, whatever patience it is given.
const LONGEST: Duration = Duration::from_secs(600);

/// The answer of a target.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, FaultError>>;

/// What kind of disturbance it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It lasts until it is undone: pause, stop, kill, a network fault.
    Lasts,
    /// It is over when it is done: restart, wipe.
    Passes,
    /// It ends others and is none itself: resume, start.
    Repairs,
}

impl Nature {
    /// What an action is to a process, and to whatever works like one.
    pub(crate) fn of(action: Action) -> Self {
        match action {
            Action::Pause | Action::Stop | Action::Kill => Self::Lasts,
            Action::Restart | Action::Wipe => Self::Passes,
            Action::Resume | Action::Start => Self::Repairs,
        }
    }
}

/// What a fault has changed. Two that changed the same are counted, and the last one undoes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// It outlives this process, so it is journalled.
    Outlives(Undo),
    /// Members of a reader do not run.
    Members {
        /// The reader's step.
        step: String,
        /// Their numbers.
        members: BTreeSet<usize>,
    },
    /// A program under test does not run, or is frozen.
    Program {
        /// Its step.
        step: String,
        /// Whether it is frozen.
        frozen: bool,
    },
    /// Members of a reader run and do not poll.
    Halted {
        /// The reader's step.
        step: String,
        /// Their numbers.
        members: BTreeSet<usize>,
    },
}

/// When a fault was undone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undone {
    /// When the repair took effect.
    pub(crate) effective: Instant,
    /// Whether there was something to repair.
    pub(crate) acted: bool,
}

/// Something that a fault acts on: a service, the connections of one, a connector, members of a reader.
pub(crate) trait Target: Send + Sync {
    /// Service, connector or step.
    fn name(&self) -> String;

    /// The environment in which a service of that name is acted on; `None` where it is about something else.
    fn environment(&self) -> Option<&dyn Environment> {
        None
    }

    /// What is done, such as `pause` or `network cut`.
    fn what(&self) -> String;

    /// What kind of disturbance it is.
    fn nature(&self) -> Nature;

    /// What kind of thing it is: the record keeps it, and what is in force is undone kind by kind.
    fn kind(&self) -> TargetKind;

    /// What it changes, or would leave changed where it is interrupted half-way; `None` where that is nothing. For a reader
    /// known only once it is applied.
    fn condition(&self) -> Option<Condition>;

    /// What follows each other: actions of one lane are carried out one after the other.
    fn lane(&self) -> String {
        self.name()
    }

    /// The lane of something else of which an action may look like its end for a moment.
    fn disturbed_by(&self) -> Option<String> {
        None
    }

    /// Whether a second one, while a step holds the first, is counted: it goes on when the first one ends. Where it cannot, because
    /// there is nobody left to act on, it has no effect.
    fn counts(&self) -> bool {
        false
    }

    /// Members of a reader that are concerned.
    fn members(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Whether carrying it out ends what another fault has changed.
    fn ends(&self, other: &Condition) -> bool;

    /// What the service does once it is applied, or undone; `None` for what is no service.
    fn leaves(&self, undone: bool) -> Option<Lifecycle> {
        let _ = undone;
        None
    }

    /// Shows that there is something to disturb: the target runs, and is not in that state already.
    fn check(&self) -> Answer<'_, ()>;

    /// How another process undoes it, where it has to be told more than the condition.
    fn recipe(&self) -> Answer<'_, Option<Recipe>> {
        Box::pin(async { Ok(None) })
    }

    /// Does it, and returns once its effect is proved.
    fn apply(&self) -> Answer<'_, Effect>;

    /// Looks whether it is in force: at this fault, not at whatever else may be wrong. An error says nothing about it.
    fn probe(&self) -> Answer<'_, Grip>;

    /// When what a look found lost had ended, where the environment keeps books of that.
    fn ended(&self) -> Option<Instant> {
        None
    }

    /// Whether what ends it is told by others as well, who watch its target; else it may be found only when it is undone.
    fn is_watched_by_others(&self) -> bool {
        true
    }

    /// How long after the last look to look again, at that age of the fault.
    fn pace(&self, age: Duration) -> Duration;

    /// How long a look takes where the machine is not busy.
    fn look_takes(&self) -> Duration {
        Duration::from_millis(50)
    }

    /// Waits until it is over by itself, which most faults never are; returns when that was.
    fn over(&self) -> Answer<'_, Instant> {
        Box::pin(std::future::pending())
    }

    /// Undoes it, whatever state the target is found in; where that needs another service, it may take `patience`.
    fn undo(&self, patience: Duration) -> Answer<'_, Undone>;

    /// Waits until the target does its work again; returns when that was. Where it is down for another reason there is
    /// nothing to wait for, and the answer is `None`.
    fn ready(&self, patience: Duration) -> Answer<'_, Option<Instant>>;
}

/// Undoes it, without waiting for ever for a target that does not answer.
///
/// # Errors
/// The target's, or that it has not answered: then it is not known whether it is undone.
pub(super) async fn undo_in_time(target: &dyn Target, patience: Duration) -> Result<Undone, FaultError> {
    let limit = patience.saturating_add(LONGEST);
    tokio::time::timeout(limit, target.undo(patience)).await.unwrap_or_else(|_| {
        let message = format!("it was not undone within {} s, and is not waited for any longer", limit.as_secs());
        Err(FaultError::Reader { code: "undo-hangs", message, cause: None })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Members, ReaderFault};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    /// One member; where `hangs`, it does not come back.
    struct One {
        runs: Mutex<bool>,
        hangs: bool,
    }

    impl One {
        fn is(&self, runs: bool) {
            *self.runs.lock().expect("no test panics here") = runs;
        }
    }

    impl Members for One {
        fn count(&self) -> usize {
            1
        }

        fn running(&self) -> BTreeSet<usize> {
            let runs = *self.runs.lock().expect("no test panics here");
            (0..1).filter(|_| runs).collect()
        }

        fn halted(&self) -> BTreeMap<usize, u64> {
            BTreeMap::new()
        }

        fn halt<'a>(&'a self, _: &'a BTreeSet<usize>, _: bool) -> Answer<'a, ()> {
            Box::pin(async { Ok(()) })
        }

        fn end<'a>(&'a self, _: &'a BTreeSet<usize>, _: bool) -> Answer<'a, ()> {
            self.is(false);
            Box::pin(async { Ok(()) })
        }

        fn start<'a>(&'a self, _: &'a BTreeSet<usize>) -> Answer<'a, ()> {
            if self.hangs {
                return Box::pin(std::future::pending());
            }
            self.is(true);
            Box::pin(async { Ok(()) })
        }

        fn reading<'a>(&'a self, _: &'a BTreeSet<usize>, _: Duration) -> Answer<'a, Instant> {
            Box::pin(async { Ok(crate::moment::now()) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_undone_is_told_and_not_waited_for() {
        for hangs in [false, true] {
            let members = Arc::new(One { runs: Mutex::new(true), hangs });
            let fault = ReaderFault::new(members, "reader".to_owned(), None, Action::Stop);
            fault.apply().await.expect("it stops");
            let undone = undo_in_time(&fault, Duration::from_secs(1)).await;
            let error = undone.map(|undone| undone.acted).map_err(|error| error.to_string());
            let told = "it was not undone within 601 s, and is not waited for any longer".to_owned();
            assert_eq!(error, if hangs { Err(told) } else { Ok(true) });
        }
    }
}
