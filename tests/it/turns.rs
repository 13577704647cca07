//! Whose turn it is: tests that start real brokers wait for most of their time, so a few of them run beside each other; those in which
//! rates, latencies or recovery times are judged have the machine to themselves, as beside another one kscen would say *unknown: the
//! machine was busy*, and be right.

use std::cell::RefCell;
use std::sync::{Condvar, Mutex, PoisonError};

/// So many run beside each other, whatever the number of threads: on a machine with many processors there is still one memory. Two
/// processors are two thirds idle while one of them runs.
const BESIDE: usize = 4;

#[derive(Default)]
struct Machine {
    beside: usize,
    alone: bool,
    /// Those that wait to be alone go first, or they would wait for ever.
    waiting: usize,
}

static MACHINE: Mutex<Machine> = Mutex::new(Machine { beside: 0, alone: false, waiting: 0 });
static FREE: Condvar = Condvar::new();

/// A turn, until it is dropped.
struct Turn {
    alone: bool,
}

impl Turn {
    fn beside() -> Self {
        let machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = |machine: &mut Machine| machine.alone || machine.waiting > 0 || machine.beside >= BESIDE;
        let mut machine = FREE.wait_while(machine, taken).unwrap_or_else(PoisonError::into_inner);
        machine.beside += 1;
        Self { alone: false }
    }

    fn alone() -> Self {
        let mut machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        machine.waiting += 1;
        let taken = |machine: &mut Machine| machine.alone || machine.beside > 0;
        let mut machine = FREE.wait_while(machine, taken).unwrap_or_else(PoisonError::into_inner);
        machine.waiting -= 1;
        machine.alone = true;
        Self { alone: true }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        if self.alone {
            machine.alone = false;
        } else {
            machine.beside -= 1;
        }
        FREE.notify_all();
    }
}

thread_local! {
    /// The turn of the test that runs on this thread: over with the thread, or when another test begins on it.
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

fn begin(take: fn() -> Turn) {
    TURN.with_borrow_mut(|turn| {
        *turn = None;
        *turn = Some(take());
    });
}

/// Begins a test on real brokers, in which no time is judged.
pub fn beside() {
    begin(Turn::beside);
}

/// Begins a test, or goes on with one, in which times are judged.
pub fn alone() {
    begin(Turn::alone);
}
