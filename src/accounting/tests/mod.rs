mod compaction;
mod edges;
mod logs;
mod mixes;
mod oracle;

use super::*;
use std::collections::BTreeSet;

const NONCE: u64 = 42;

fn identity(producer: u16, sequence: u64) -> Identity {
    Identity { nonce: NONCE, producer, sequence, due_us: 0, body_crc: 0, around: 0, warmup: false }
}

fn found(report: &LedgerReport, class: Class) -> BTreeSet<(u16, u64)> {
    let samples = report.samples(class);
    assert_eq!(samples.len() as u64, report.count(class), "{class}");
    samples.iter().map(|s| (s.producer.unwrap(), s.sequence.unwrap())).collect()
}
