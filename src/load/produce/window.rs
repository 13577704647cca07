//! How many messages of a load without schedule are on their way at once.

use super::ProduceSpec;
use super::settings::typical_size;
use std::collections::BTreeMap;
use std::time::Duration;

/// Smaller windows cost more wake-ups than they save.
const SMALLEST_BYTES: u64 = 256 << 10;
/// Acknowledgements are left uncollected for at most so long; latencies are that coarse.
const LONGEST_REST: Duration = Duration::from_millis(1);
/// How much the latest rest counts in the average rate.
const WEIGHT: f64 = 0.2;

/// What a load without schedule keeps on its way: as many full requests as the client sends at once to each broker, and one
/// that fills. More would not be sent earlier; it would only wait, and leave the processor's cache meanwhile.
pub(super) struct Window {
    messages: u64,
    acked: u64,
    looked_ns: u64,
    /// Acknowledged messages a ns, on average.
    rate: f64,
}

impl Window {
    /// For a client with this effective configuration, and so many brokers that lead partitions of the topic.
    pub(super) fn new(spec: &ProduceSpec, effective: &BTreeMap<String, String>, leaders: usize) -> Self {
        let number = |name: &str| effective.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
        let size = typical_size(spec).max(1) as u64;
        let requests = (number("max.in.flight.requests.per.connection").min(1000) + 1) * leaders.max(1) as u64;
        let messages = requests.saturating_mul((number("batch.size") / size).max(1)).max(SMALLEST_BYTES / size);
        Self { messages, acked: 0, looked_ns: 0, rate: 0.0 }
    }

    /// How many more messages may be sent while these are on their way.
    pub(super) fn room(&self, in_flight: u64) -> u64 {
        self.messages.saturating_sub(in_flight)
    }

    /// How long acknowledgements are best left uncollected while the window is full, all messages `acked` so far given:
    /// until about half of it has been acknowledged. Waking up for each of the broker's answers costs more than the
    /// messages in it.
    pub(super) fn rest(&mut self, acked: u64, now_ns: u64) -> Duration {
        let elapsed = now_ns.saturating_sub(self.looked_ns).max(1) as f64;
        let rate = (acked - self.acked) as f64 / elapsed;
        self.rate = if self.acked == 0 { rate } else { self.rate + WEIGHT * (rate - self.rate) };
        (self.acked, self.looked_ns) = (acked, now_ns);
        let half_ns = self.messages as f64 / 2.0 / self.rate;
        LONGEST_REST.min(Duration::from_nanos(half_ns as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_until_half_of_it_is_acknowledged() {
        let mut window = Window { messages: 400, acked: 0, looked_ns: 0, rate: 0.0 };
        assert_eq!((window.room(0), window.room(399), window.room(500)), (400, 1, 0));
        // Nothing acknowledged yet: nothing is known.
        assert_eq!(window.rest(0, 1_000_000), LONGEST_REST);
        let mut rest = Duration::ZERO;
        for round in 1..100 {
            // 2,000 messages a ms.
            rest = window.rest(round * 200, 1_000_000 + round * 100_000);
        }
        assert!((95..105).contains(&rest.as_micros()), "{rest:?}");
    }
}
