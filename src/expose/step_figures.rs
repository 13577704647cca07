//! What one step of a run shows.

use super::page::MetricsPage;
use crate::record::latency::LatencySeries;
use crate::record::latency_buckets::BOUNDS_US;
use crate::record::{LatencyBuckets, Progress, StepRecord};

/// What one step of a run shows, also after its end.
#[derive(Debug, Default)]
pub(super) struct StepFigures {
    messages: Vec<(String, u64)>,
    in_flight: Option<u64>,
    lag: Option<u64>,
    noted: Vec<(&'static str, u64)>,
    latency: LatencyBuckets,
}

impl StepFigures {
    /// What it shows now.
    pub(super) fn of(figures: &Progress) -> Self {
        let live = &figures.live;
        let named = |(what, count): &(&str, u64)| ((*what).to_owned(), *count);
        let mut messages: Vec<(String, u64)> = live.messages.iter().map(named).collect();
        if messages.is_empty() && !figures.what.is_empty() {
            messages = vec![(figures.what.clone(), figures.done), ("failed".to_owned(), figures.failed)];
        }
        Self { messages, in_flight: live.in_flight, lag: live.lag, noted: live.noted.clone(), latency: live.latency }
    }

    /// What it had come to when it ended: the last look was up to a second before.
    pub(super) fn end(&mut self, record: &StepRecord) {
        (self.in_flight, self.lag) = (self.in_flight.map(|_| 0), None);
        if let Some(report) = &record.produced {
            let counts = [report.due, report.sent, report.acked, report.failed_total(), report.unknown_total()];
            let names = ["due", "sent", "acknowledged", "failed", "unknown"];
            self.come_to(names.into_iter().zip(counts));
            self.latency = buckets(&report.response_latency);
        }
        if let Some(report) = &record.consumed {
            self.come_to([("read", report.delivered), ("distinct", report.read)].into_iter());
            self.latency = buckets(&report.end_to_end_latency);
        }
    }

    /// Enters the last counts. What is counted never becomes less: a load that was ended does not owe what had just become due.
    fn come_to(&mut self, counts: impl Iterator<Item = (&'static str, u64)>) {
        let before = std::mem::take(&mut self.messages);
        let known = |what: &str| before.iter().find(|(known, _)| known == what).map_or(0, |(_, count)| *count);
        self.messages = counts.map(|(what, count)| (what.to_owned(), count.max(known(what)))).collect();
    }

    /// How many messages of each kind.
    pub(super) fn messages(&self) -> impl Iterator<Item = (&str, u64)> {
        self.messages.iter().map(|(what, count)| (what.as_str(), *count))
    }

    /// Messages without an outcome.
    pub(super) fn in_flight(&self) -> Option<u64> {
        self.in_flight
    }

    /// Messages between position and end of the log.
    pub(super) fn lag(&self) -> Option<u64> {
        self.lag
    }

    /// What a reader was given that was not a first sight in order.
    pub(super) fn noted(&self) -> &[(&'static str, u64)] {
        &self.noted
    }

    /// Adds its latencies, where it has some.
    pub(super) fn write_latency(&self, page: &mut MetricsPage, name: &str, labels: &[(&str, &str)]) {
        let LatencyBuckets { within, count, sum_us } = self.latency;
        if count > 0 {
            let bounds = BOUNDS_US.into_iter().map(|us| us as f64 / 1e6);
            page.histogram(name, labels, bounds.zip(within), (count, sum_us as f64 / 1e6));
        }
    }
}

fn buckets(series: &LatencySeries) -> LatencyBuckets {
    let mut buckets = LatencyBuckets { sum_us: series.sum_us, ..LatencyBuckets::default() };
    buckets.add(&series.total());
    buckets
}
