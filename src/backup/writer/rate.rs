//! Not faster than allowed.

use crate::ground::lock;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Bytes per second for all partitions together.
pub(super) struct RateLimit {
    per_second: Option<u64>,
    /// When what was taken so far is paid for.
    free: Mutex<Instant>,
}

impl RateLimit {
    pub(super) fn new(per_second: Option<u64>) -> Self {
        Self { per_second: per_second.filter(|rate| *rate > 0), free: Mutex::new(crate::moment::now()) }
    }

    /// Waits until these bytes, which were just taken, are paid for.
    pub(super) async fn pay(&self, bytes: usize) {
        let Some(rate) = self.per_second else { return };
        let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let until = {
            let mut free = lock(&self.free);
            *free = (*free).max(crate::moment::now()) + cost;
            *free
        };
        tokio::time::sleep_until(until.into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_are_paid_for_by_all_together() {
        let rate = RateLimit::new(Some(1000));
        let begun = crate::moment::now();
        tokio::join!(rate.pay(500), rate.pay(1500));
        assert_eq!(crate::moment::since(begun).as_secs(), 2);
        RateLimit::new(None).pay(usize::MAX).await;
    }
}
