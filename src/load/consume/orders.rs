//! What a member is told.

use crate::ground::lock;
use crate::load::afar::{Afar, FarOrder, FarUnit};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// What a member is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum MemberOrder {
    /// Poll.
    #[default]
    Run,
    /// Poll no more, until told otherwise.
    Halt,
    /// Commit, leave the group, end.
    Stop,
    /// End without a word.
    Kill,
}

/// A member's orders, and whom they are passed on to where it runs elsewhere.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<MemberOrder>, Condvar, OnceLock<(Arc<dyn Afar>, FarUnit)>);

impl Orders {
    fn order(&self) -> MutexGuard<'_, MemberOrder> {
        lock(&self.0)
    }

    /// The member runs elsewhere.
    pub(super) fn are_for(&self, afar: Arc<dyn Afar>, unit: FarUnit) {
        let _ = self.2.set((afar, unit));
        // What was ordered meanwhile.
        if self.get() != MemberOrder::Run {
            self.pass_on(self.get());
        }
    }

    fn pass_on(&self, order: MemberOrder) {
        let Some((afar, unit)) = self.2.get() else { return };
        let order = match order {
            MemberOrder::Run => FarOrder::Poll,
            MemberOrder::Halt => FarOrder::Halt,
            MemberOrder::Stop => FarOrder::Leave,
            MemberOrder::Kill => FarOrder::Crash,
        };
        afar.tell(*unit, order);
    }

    pub(super) fn give(&self, order: MemberOrder) {
        *self.order() = order;
        self.1.notify_all();
        self.pass_on(order);
    }

    /// Gives an order where another one holds: one that has to end does not halt first.
    pub(super) fn change(&self, from: MemberOrder, to: MemberOrder) {
        let mut order = self.order();
        if *order == from {
            *order = to;
            self.1.notify_all();
            drop(order);
            self.pass_on(to);
        }
    }

    pub(super) fn get(&self) -> MemberOrder {
        *self.order()
    }

    /// Blocks while the order is to poll, at most for so long.
    pub(super) fn await_change(&self, limit: Duration) {
        drop(self.1.wait_timeout_while(self.order(), limit, |order| *order == MemberOrder::Run));
    }

    /// Blocks while the order is to halt.
    pub(super) fn await_other(&self) {
        drop(self.1.wait_while(self.order(), |order| *order == MemberOrder::Halt));
    }
}
