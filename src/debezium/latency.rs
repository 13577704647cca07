//! How long a change takes: commit in the database → connector → reader.

use super::decode::{ReadEvent, ReadKind};
use super::envelope::{Op, Snapshot};
use crate::database::{CommittedTransaction, Lsn, TableName};
use std::collections::{HashMap, HashSet};

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
