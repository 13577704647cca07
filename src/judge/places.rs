//! Where a step ran, on whose figures something depends: in this process, in workers on this machine, or on others.

use crate::record::strain::MachineSample;
use crate::record::{Record, StepRecord, WorkerRecord};
use std::collections::BTreeSet;

/// Where what a figure depends on ran.
pub(super) struct Places {
    /// Whether something of it ran on the machine of the run itself.
    here: bool,
    /// The workers in which something of it ran.
    workers: BTreeSet<usize>,
}

impl Places {
    /// Of a load, that is where its producers ran; a reader also depends on what it was sent, and a fault on everybody. Without a step,
    /// of all of them.
    pub(super) fn of(record: &Record, step: Option<&StepRecord>) -> Self {
        let is_load = step.is_some_and(|step| step.produced.is_some());
        let others = record.steps.iter().filter(|other| {
            let reads = other.consumed.is_some() && step.is_none_or(|step| step.consumed.is_none());
            !is_load && (other.produced.is_some() || reads)
        });
        let mut places = Self { here: false, workers: BTreeSet::new() };
        let mut nobody = true;
        let sends_or_reads = |step: &&StepRecord| step.produced.is_some() || step.consumed.is_some();
        for step in step.into_iter().filter(sends_or_reads).chain(others) {
            nobody = false;
            let of_step: Vec<&WorkerRecord> = record.workers.iter().filter(|worker| worker.ran(&step.id)).collect();
            places.here |= of_step.is_empty() || of_step.iter().any(|worker| worker.place == WorkerRecord::HERE);
            places.workers.extend(of_step.iter().map(|worker| worker.number));
        }
        places.here |= nobody;
        places
    }

    /// Whether a sample is about what ran there and not only about the services there; `None` where it is about a worker in which nothing
    /// of it ran.
    pub(super) fn own(&self, sample: &MachineSample) -> Option<bool> {
        match sample.worker {
            None => Some(self.here),
            Some(worker) => self.workers.contains(&worker).then_some(true),
        }
    }
}
