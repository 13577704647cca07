//! What a running step shows to those who watch from within the process, beyond the line of a terminal.

use super::latency_buckets::LatencyBuckets;

/// Figures of a running step, so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveFigures {
    /// Messages by what became of them: `due`, `sent`, `acknowledged`, `failed` (definitely not written), `unknown` (may or may not have
    /// been), `read` and `distinct`.
    pub messages: Vec<(&'static str, u64)>,
    /// Messages without an outcome; `None` of what does not send.
    pub in_flight: Option<u64>,
    /// Messages between position and end of the log; `None` of what does not read, or where the cluster did not answer.
    pub lag: Option<u64>,
    /// What the reader was given that is not a first sight in order, by class, before anything is settled.
    pub noted: Vec<(&'static str, u64)>,
    /// Latencies, from when a message was due: until it was acknowledged or, of a reader, until it was read.
    pub latency: LatencyBuckets,
}
