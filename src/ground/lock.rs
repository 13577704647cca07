//! Locks that outlive a panic.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// Locks, also after a thread that held the lock has panicked: what is kept behind the locks of this program is true after
/// every single change, and a run that undoes faults must go on.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// What a lock of another kind gives, for the same reason: to readers and writers, and to who waits for a condition.
pub(crate) fn unpoisoned<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}
