//! The run's clock: monotonic, with one fixed relation to the wall clock.

use crate::moment;
use std::time::{Duration, Instant, SystemTime};

/// All times of a run are distances from its origin on the monotonic clock, so a wall clock that
/// steps moves no measurement. Times "since the epoch" are the origin's wall time plus that distance.
#[derive(Debug, Clone, Copy)]
pub struct RunClock {
    origin: Instant,
    wall: SystemTime,
    /// `wall` in µs since the epoch, which every single message is told.
    epoch_us: i64,
}

impl RunClock {
    /// A clock whose origin is now.
    pub fn start() -> Self {
        let (origin, wall) = (moment::now(), SystemTime::now());
        Self { origin, wall, epoch_us: since_epoch_us(wall) }
    }

    /// A clock of another process's run, whose origin is this instant here and this time since the epoch there.
    pub(crate) fn at_origin(origin: Instant, epoch_us: i64) -> Self {
        // The wall clock of this machine, which may be another one's: only how it moves is asked.
        let now = SystemTime::now();
        let wall = now.checked_sub(moment::since(origin)).unwrap_or(now);
        Self { origin, wall, epoch_us }
    }

    /// Time since the origin in ns.
    pub fn now_ns(&self) -> u64 {
        moment::since(self.origin).as_nanos() as u64
    }

    /// Time since the origin in µs.
    pub fn now_us(&self) -> u64 {
        self.now_ns() / 1000
    }

    /// The instant that lies this far from the origin.
    pub fn instant(&self, since_origin: Duration) -> Instant {
        self.origin + since_origin
    }

    /// The time since the origin, in µs, of an instant; zero for earlier ones.
    pub fn us_of(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.origin).as_micros() as u64
    }

    /// The origin in µs since the epoch.
    pub fn epoch_us(&self) -> i64 {
        self.epoch_us
    }

    /// A time of the run in µs since the epoch.
    pub fn to_epoch_us(self, us: u64) -> i64 {
        self.epoch_us() + us as i64
    }

    /// Time since the origin in s.
    pub fn now(&self) -> f64 {
        self.at(moment::now())
    }

    /// The time since the origin, in s, of an instant; negative for earlier ones.
    pub fn at(&self, instant: Instant) -> f64 {
        match instant.checked_duration_since(self.origin) {
            Some(since) => since.as_secs_f64(),
            None => -self.origin.duration_since(instant).as_secs_f64(),
        }
    }

    /// A time of the run, in s, on the wall clock of its origin.
    pub fn wall(&self, at: f64) -> SystemTime {
        if at >= 0.0 { self.wall + Duration::from_secs_f64(at) } else { self.wall - Duration::from_secs_f64(-at) }
    }

    /// How far the wall clock has moved against the monotonic one since the origin, in µs.
    pub fn wall_drift_us(&self) -> i64 {
        since_epoch_us(SystemTime::now()) - since_epoch_us(self.wall) - self.now_us() as i64
    }
}

fn since_epoch_us(wall: SystemTime) -> i64 {
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_micros() as i64,
        Err(before) => -(before.duration().as_micros() as i64),
    }
}
