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

/// The first arrival of a streamed change. Times in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it was committed, by the database's clock, from the account.
    pub committed_us: i64,
    /// When the connector processed it, by its clock (whole milliseconds before Debezium 2.6).
    pub connector_us: Option<i64>,
    /// When the reader had it.
    pub read_us: i64,
}

/// The first arrivals of streamed changes, in the order of reading; duplicates and snapshot rows have no latency, and only what the
/// account knows has one: the connector's copy of the commit time has milliseconds.
pub fn arrivals<'a>(
    transactions: &[CommittedTransaction],
    events: &'a [ReadEvent],
) -> impl Iterator<Item = Arrival> + use<'a> {
    let commits: HashMap<u32, i64> =
        transactions.iter().map(|transaction| (transaction.xid, transaction.committed_us)).collect();
    let mut arrived: HashSet<(&TableName, Option<Lsn>, &str)> = HashSet::new();
    events.iter().filter_map(move |read| {
        let ReadKind::Change(event) = &read.kind else { return None };
        let streamed =
            matches!(event.op, Op::Create | Op::Update | Op::Delete) && event.source.snapshot == Snapshot::No;
        let key = event.key.as_ref().map_or("", |key| key.as_json());
        if !streamed || !arrived.insert((event.source.table(), event.source.lsn, key)) {
            return None;
        }
        // The lower 32 bits are what the account has.
        let committed_us = *commits.get(&(event.source.tx_id? as u32))?;
        Some(Arrival { committed_us, connector_us: event.ts_us, read_us: read.read_us })
    })
}

/// Measures the [`arrivals`].
pub fn cdc_latency(transactions: &[CommittedTransaction], events: &[ReadEvent]) -> CdcLatency {
    let [mut to_connector, mut to_reader, mut whole] = [Series::new(), Series::new(), Series::new()];
    for arrival in arrivals(transactions, events) {
        whole.record(arrival.read_us - arrival.committed_us);
        if let Some(connector) = arrival.connector_us {
            to_connector.record(connector - arrival.committed_us);
            to_reader.record(arrival.read_us - connector);
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
