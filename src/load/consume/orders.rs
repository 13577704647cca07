//! What a member is told.

use crate::ground::lock;
use std::sync::{Condvar, Mutex, MutexGuard};
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

/// A member's orders.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<MemberOrder>, Condvar);

impl Orders {
    fn order(&self) -> MutexGuard<'_, MemberOrder> {
        lock(&self.0)
    }

    pub(super) fn give(&self, order: MemberOrder) {
        *self.order() = order;
        self.1.notify_all();
    }

    /// Gives an order where another one holds: one that has to end does not halt first.
    pub(super) fn change(&self, from: MemberOrder, to: MemberOrder) {
        let mut order = self.order();
        if *order == from {
            *order = to;
            self.1.notify_all();
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
