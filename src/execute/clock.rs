//! The run's clock: seconds since its start.

use std::time::{Duration, Instant, SystemTime};

/// Maps instants of this process to seconds since the run's start.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    start: Instant,
    wall: SystemTime,
}

impl RunClock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now(), wall: SystemTime::now() }
    }

    /// Seconds since the start.
    pub fn now(&self) -> f64 {
        self.at(Instant::now())
    }

    /// An instant as seconds since the start; negative before it.
    pub fn at(&self, instant: Instant) -> f64 {
        instant.checked_duration_since(self.start).map_or_else(
            || -self.start.duration_since(instant).as_secs_f64(),
            |elapsed| elapsed.as_secs_f64(),
        )
    }

    /// The instant that the run started at.
    pub fn origin(&self) -> Instant {
        self.start
    }

    /// A moment of the run as wall-clock time, by the wall clock of the run's start.
    pub fn wall(&self, at: f64) -> SystemTime {
        if at >= 0.0 { self.wall + Duration::from_secs_f64(at) } else { self.wall - Duration::from_secs_f64(-at) }
    }
}
