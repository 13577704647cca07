//! Members that hang: they poll no more, as an application that is stuck in its own work, while their clients go on to send
//! heartbeats.

use super::orders::{MemberOrder, Orders};
use crate::ground::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// A member as those see it who make it hang.
#[derive(Debug, Default)]
struct Poller {
    orders: Arc<Orders>,
    /// Messages that it was handed in all its lives.
    handed: u64,
    halted: bool,
}

/// Which members of a reader hang.
#[derive(Debug, Default)]
pub(super) struct Halts(Mutex<BTreeMap<usize, Poller>>);

impl Halts {
    fn all(&self) -> MutexGuard<'_, BTreeMap<usize, Poller>> {
        lock(&self.0)
    }

    /// A member begins a life, in which it follows these orders.
    pub(super) fn begins(&self, member: usize, orders: Arc<Orders>) {
        let mut all = self.all();
        let poller = all.entry(member).or_default();
        (poller.orders, poller.halted) = (orders, false);
    }

    /// A member was handed messages.
    pub(super) fn handed(&self, member: usize, count: u64) {
        self.all().entry(member).or_default().handed += count;
    }

    /// A member stands still from now on, or polls again.
    pub(super) fn set(&self, member: usize, halted: bool) {
        self.all().entry(member).or_default().halted = halted;
    }

    /// Tells members to hang, or to go on; those that do neither are left alone.
    pub(super) fn order(&self, members: &BTreeSet<usize>, halt: bool) {
        let (from, to) =
            if halt { (MemberOrder::Run, MemberOrder::Halt) } else { (MemberOrder::Halt, MemberOrder::Run) };
        self.all().iter().filter(|(member, _)| members.contains(member)).for_each(|(_, poller)| {
            poller.orders.change(from, to);
        });
    }

    /// The members that stand still, with how many messages each was handed before.
    pub(super) fn halted(&self) -> BTreeMap<usize, u64> {
        let all = self.all();
        all.iter().filter(|(_, poller)| poller.halted).map(|(member, poller)| (*member, poller.handed)).collect()
    }
}
