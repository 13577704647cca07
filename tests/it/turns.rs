//! Whose turn it is: tests that start real brokers wait for most of their time, so a few of them run beside each other. Those in which
//! rates, latencies or recovery times are judged have fewer beside them, or none, as kscen would say *unknown: the machine was busy*, and
//! be right.

use std::cell::RefCell;
use std::sync::{Condvar, Mutex, PoisonError};

/// So many shares has the machine, whatever the number of threads: with many processors there is still one memory. Two processors are
/// two thirds idle while one test runs.
const SHARES: usize = 3;

struct Machine {
    taken: usize,
    /// The next one to come, and the one whose turn it is: who came first is served first, or one that wants all would wait for ever.
    comes: usize,
    served: usize,
}

static MACHINE: Mutex<Machine> = Mutex::new(Machine { taken: 0, comes: 0, served: 0 });
static FREE: Condvar = Condvar::new();

/// A turn, until it is dropped.
struct Turn {
    shares: usize,
}

impl Turn {
    fn take(shares: usize) -> Self {
        let mut machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        let number = machine.comes;
        machine.comes += 1;
        let not_yet = |machine: &mut Machine| machine.served != number || machine.taken + shares > SHARES;
        let mut machine = FREE.wait_while(machine, not_yet).unwrap_or_else(PoisonError::into_inner);
        machine.served += 1;
        machine.taken += shares;
        FREE.notify_all();
        Self { shares }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        MACHINE.lock().unwrap_or_else(PoisonError::into_inner).taken -= self.shares;
        FREE.notify_all();
    }
}

thread_local! {
    /// The turn of the test that runs on this thread: over with the thread, or when another test begins on it.
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

fn begin(shares: usize) {
    TURN.with_borrow_mut(|turn| {
        *turn = None;
        *turn = Some(Turn::take(shares));
    });
}

/// Begins a test on real brokers, in which no time is judged.
pub fn beside() {
    begin(1);
}

/// Begins a test, or goes on with one, that starts many programs, or in which times are judged by bounds that are far from what is
/// measured: one small test runs beside it.
pub fn most() {
    begin(2);
}

/// Begins a test, or goes on with one, in which times are judged.
pub fn alone() {
    begin(SHARES);
}
