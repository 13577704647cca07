//! What kscen itself uses while a step is at work.

use crate::record::health::process_cpu_us;
use crate::record::{Quantity, Unit};
use crate::verb::StepOutcome;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// Between two looks at the memory: the kernel keeps no peak of anonymous memory.
const EVERY: Duration = Duration::from_millis(50);

/// Time, processor time and memory of this process while something was done.
pub(super) struct OwnUsage {
    elapsed: Duration,
    cpu_us: u64,
    /// Most bytes; `None` where the kernel does not tell.
    memory: Option<u64>,
}

/// Does the work, and watches this process meanwhile. What other steps do at the same time is part of it.
pub(super) async fn watched<T>(work: impl Future<Output = T>) -> (T, OwnUsage) {
    let (begun, cpu_before, mut memory) = (Instant::now(), process_cpu_us(), anonymous());
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = tick.tick() => memory = memory.max(anonymous()),
        }
    };
    let cpu_us = process_cpu_us().saturating_sub(cpu_before);
    (done, OwnUsage { elapsed: begun.elapsed(), cpu_us, memory: memory.max(anonymous()) })
}

impl OwnUsage {
    /// In seconds; never zero.
    pub(super) fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64().max(1e-6)
    }

    /// Enters the figures.
    pub(super) fn enter(&self, outcome: StepOutcome) -> StepOutcome {
        let processors = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
        let share = self.cpu_us as f64 / 1e6 / self.seconds() / processors;
        let outcome = outcome.metric("cpu", Quantity::new(share, Unit::Share));
        match self.memory {
            Some(bytes) => outcome.metric("memory", Quantity::new(bytes as f64, Unit::Bytes)),
            None => outcome,
        }
    }
}

/// The anonymous memory of this process now, in bytes.
fn anonymous() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_used_meanwhile_is_seen() {
        let work = async {
            let held = vec![1_u8; 64 << 20];
            // Awaited, so that the memory is looked at while it is held.
            tokio::time::sleep(EVERY * 3).await;
            let mut sum = 0_u64;
            let begun = Instant::now();
            while begun.elapsed() < EVERY {
                sum = held.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)));
            }
            sum
        };
        let (sum, usage) = watched(work).await;
        assert!(sum > 0 && usage.memory.is_some_and(|memory| memory >= 64 << 20), "{:?}", usage.memory);
        let metrics = usage.enter(StepOutcome::default()).metrics;
        assert!(metrics["cpu"].value > 0.0, "{metrics:?}");
    }
}
