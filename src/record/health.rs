//! How well the generator itself did.

use super::RunClock;
use nix::sys::resource::{UsageWho, getrusage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A wall clock that moves further than this against the monotonic one has stepped.
const STEP_US: i64 = 50_000;

/// How well the generator itself did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorHealth {
    /// CPU time of the whole process while the load ran, in µs.
    pub cpu_us: u64,
    /// Time the load ran, in µs.
    pub elapsed_us: u64,
    /// CPU time as a share of one core.
    pub cpu_cores: f64,
    /// The longest time a generating thread was late by its own fault (preempted or busy), in µs.
    pub longest_pause_us: u64,
    /// Pauses of more than 10 ms.
    pub pauses: u64,
    /// Time for which the generating threads were ready to run and had no processor, in µs, summed over them.
    #[serde(default)]
    pub waited_us: u64,
    /// Steps of the wall clock of more than 50 ms. They move no measurement; the times printed are
    /// those of a clock that did not step.
    pub clock_steps: u64,
}

impl GeneratorHealth {
    /// Enters the CPU time between two looks.
    pub(crate) fn finish(&mut self, cpu_us: std::ops::Range<u64>, elapsed_us: u64) {
        self.cpu_us = cpu_us.end.saturating_sub(cpu_us.start);
        self.elapsed_us = elapsed_us;
        self.cpu_cores = self.cpu_us as f64 / elapsed_us.max(1) as f64;
    }
}

/// Process CPU time in µs.
pub(crate) fn process_cpu_us() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        let (user, system) = (usage.user_time(), usage.system_time());
        ((user.tv_sec() + system.tv_sec()) * 1_000_000 + user.tv_usec() + system.tv_usec()) as u64
    })
}

/// Time for which the calling thread was ready to run and had no processor so far, in µs; 0 where the kernel does not tell.
pub(crate) fn thread_waited_us() -> u64 {
    let scheduled = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    scheduled.split_whitespace().nth(1).and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0) / 1000
}

/// Watches the pauses of one thread and the wall clock.
#[derive(Debug, Default)]
pub(crate) struct PauseWatch {
    pub(crate) longest_us: u64,
    pub(crate) pauses: u64,
    /// See [`GeneratorHealth::waited_us`].
    pub(crate) waited_us: u64,
    pub(crate) clock_steps: u64,
    drift_us: i64,
    checked_second: u64,
}

impl PauseWatch {
    /// The thread came to `now_us` although it meant to be there at `intended_us`.
    pub(crate) fn observe(&mut self, clock: &RunClock, intended_us: u64, now_us: u64) {
        let late = now_us.saturating_sub(intended_us);
        self.longest_us = self.longest_us.max(late);
        self.pauses += u64::from(late > 10_000);
        if now_us / 1_000_000 != self.checked_second {
            self.checked_second = now_us / 1_000_000;
            let drift = clock.wall_drift_us();
            self.clock_steps += u64::from((drift - self.drift_us).abs() > STEP_US);
            self.drift_us = drift;
        }
    }
}
