//! What time it is for the control plane.
//!
//! Timers are tokio's. Times that are compared with them come from here, so that a test that pauses tokio's time pauses all
//! of it, and a run of an hour takes microseconds.

use std::time::{Duration, Instant};

/// Now, on tokio's clock: the monotonic one, unless a test has paused it.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time since a moment that [`now`] gave.
pub fn since(moment: Instant) -> Duration {
    now().saturating_duration_since(moment)
}
