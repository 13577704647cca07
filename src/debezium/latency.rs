//! How long a change takes: commit in the database → connector → reader.

use super::decode::{ReadEvent, ReadKind};
use super::envelope::{Op, Snapshot};
use crate::database::{CommittedTransaction, Lsn, TableName};
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// A latency in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencySummary {
    /// Number of measurements. Zero: there is no latency, not a latency of zero.
    pub n: u64,
    /// Smallest, µs.
    pub min: u64,
    /// Arithmetic mean, µs.
    pub mean: f64,
    /// Median, µs.
    pub p50: u64,
    /// 95th percentile, µs.
    pub p95: u64,
    /// 99th percentile, µs.
    pub p99: u64,
    /// Largest, µs.
    pub max: u64,
    /// Measurements below zero, because the clocks of two machines differ or a clock has only milliseconds. Not among the others.
    pub negative: u64,
}

/// The way of a change. Every clock is named: across machines the parts are only as good as their synchronisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CdcLatency {
    /// Commit (database's clock, µs, from the account) until the connector processed the change (its clock; whole milliseconds before
    /// Debezium 2.6).
    pub commit_to_connector: LatencySummary,
    /// Connector until the reader had the record (kscen's clock).
    pub connector_to_reader: LatencySummary,
    /// Commit until the reader had the record.
    pub commit_to_reader: LatencySummary,
}

/// Measures the first arrival of each streamed change; duplicates and snapshot rows have no latency.
pub fn cdc_latency(transactions: &[CommittedTransaction], events: &[ReadEvent]) -> CdcLatency {
    let commits: HashMap<u32, i64> =
        transactions.iter().map(|transaction| (transaction.xid, transaction.committed_us)).collect();
    let mut arrived: HashSet<(&TableName, Option<Lsn>, &str)> = HashSet::new();
    let [mut to_connector, mut to_reader, mut whole] = [Series::new(), Series::new(), Series::new()];
    for read in events {
        let ReadKind::Change(event) = &read.kind else { continue };
        let streamed =
            matches!(event.op, Op::Create | Op::Update | Op::Delete) && event.source.snapshot == Snapshot::No;
        let key = event.key.as_ref().map_or("", |key| key.as_json());
        if !streamed || !arrived.insert((event.source.table(), event.source.lsn, key)) {
            continue;
        }
        // Only what the account knows: the connector's copy of the commit time has milliseconds.
        let Some(committed) = event.source.tx_id.and_then(|xid| commits.get(&(xid as u32))) else { continue };
        whole.record(read.read_us - committed);
        if let Some(connector) = event.ts_us {
            to_connector.record(connector - committed);
            to_reader.record(read.read_us - connector);
        }
    }
    CdcLatency {
        commit_to_connector: to_connector.summary(),
        connector_to_reader: to_reader.summary(),
        commit_to_reader: whole.summary(),
    }
}

struct Series {
    histogram: Histogram<u64>,
    negative: u64,
}

impl Series {
    fn new() -> Self {
        // Up to an hour, three significant digits; longer ones count as an hour.
        let histogram = Histogram::new_with_bounds(1, 3_600_000_000, 3)
            .expect("1 < an hour in microseconds, and 3 digits are valid");
        Self { histogram, negative: 0 }
    }

    fn record(&mut self, us: i64) {
        match u64::try_from(us) {
            Ok(us) => self.histogram.saturating_record(us),
            Err(_) => self.negative += 1,
        }
    }

    fn summary(&self) -> LatencySummary {
        let h = &self.histogram;
        LatencySummary {
            n: h.len(),
            min: h.min(),
            mean: h.mean(),
            p50: h.value_at_quantile(0.5),
            p95: h.value_at_quantile(0.95),
            p99: h.value_at_quantile(0.99),
            max: h.max(),
            negative: self.negative,
        }
    }
}
