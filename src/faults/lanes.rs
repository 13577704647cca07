//! Whose turn it is on a target, so that what kscen does there is told from what others do.

use crate::environment::Lifecycle;
use crate::ground::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::OwnedMutexGuard;

/// One lane for each target that kscen has acted on.
#[derive(Default)]
pub(super) struct Lanes(Mutex<BTreeMap<String, Lane>>);

#[derive(Default)]
struct Lane {
    alone: Arc<tokio::sync::Mutex<()>>,
    busy: bool,
    /// Raised with each action, whether or not it succeeded.
    turns: u64,
    /// What the last action left the service doing; `None` where that is not known.
    left: Option<Lifecycle>,
}

/// What kscen has done on a lane so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LanePast {
    pub(super) turns: u64,
    pub(super) left: Option<Lifecycle>,
}

/// The right to act on a target. Ends when it is dropped.
pub(super) struct Turn {
    lanes: Arc<Lanes>,
    lane: String,
    /// Whether anything was done in it.
    acted: bool,
    left: Option<Lifecycle>,
    _alone: OwnedMutexGuard<()>,
}

impl Lanes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Lane>> {
        lock(&self.0)
    }

    /// Waits for its turn.
    pub(super) async fn enter(self: &Arc<Self>, lane: String) -> Turn {
        let alone = Arc::clone(&self.all().entry(lane.clone()).or_default().alone);
        let alone = alone.lock_owned().await;
        if let Some(entered) = self.all().get_mut(&lane) {
            entered.busy = true;
        }
        Turn { lanes: Arc::clone(self), lane, acted: false, left: None, _alone: alone }
    }

    /// What kscen has done there; `None` while it is about it, and nothing that is seen there means anything.
    pub(super) fn past(&self, lane: &str) -> Option<LanePast> {
        match self.all().get(lane) {
            None => Some(LanePast::default()),
            Some(lane) => (!lane.busy).then_some(LanePast { turns: lane.turns, left: lane.left }),
        }
    }
}

impl Turn {
    /// Something is about to be done: what the service does from now on may come of that. A turn that ends without it, because
    /// there was nothing to act on, hides nothing of what others did.
    pub(super) fn acts(&mut self, acts: bool) {
        self.acted = acts;
    }

    /// What the service does from now on.
    pub(super) fn leaves(&mut self, lifecycle: Option<Lifecycle>) {
        self.left = lifecycle;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lane) = self.lanes.all().get_mut(&self.lane) {
            lane.busy = false;
            if self.acted {
                lane.turns += 1;
                lane.left = self.left;
            }
        }
    }
}
