//! A limit on bytes per second, shared by all partitions.

use crate::ground::lock;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Lets bytes through at a rate. What is larger than a second's worth goes whole, and the next waits longer for it.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<u64>,
    /// When the next bytes may go.
    free: Mutex<Option<Instant>>,
}

impl Pace {
    /// At so many bytes per second; `None` for no limit.
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), free: Mutex::new(None) }
    }

    /// Waits until so many bytes may go.
    pub(super) async fn wait(&self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        let due = {
            let mut free = lock(&self.free);
            let due = free.map_or(now, |free| free.max(now));
            *free = Some(due + Duration::from_secs_f64(bytes as f64 / rate as f64));
            due
        };
        tokio::time::sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_go_at_the_rate_and_the_first_at_once() {
        let pace = Pace::new(Some(1000));
        let begun = Instant::now();
        let mut at = Vec::new();
        for bytes in [500, 2000, 1] {
            pace.wait(bytes).await;
            at.push(begun.elapsed().as_millis());
        }
        assert_eq!(at, [0, 500, 2500]);
        Pace::new(None).wait(usize::MAX).await;
        assert_eq!(begun.elapsed().as_millis(), 2500);
    }
}
