//! A producer in another process than its run's: prepared by a task, and what becomes of it written down in a journal.

use super::job::{Place, prepared};
use super::load_figures::LiveProduce;
use super::worker::Worker;
use super::{ProduceSpec, SenderBooks};
use crate::accounting::{ProducerTicket, RunIdentity, SenderAccount};
use crate::kafka::LogSink;
use crate::load::LoadError;
use crate::load::afar::{self, FarEvent, FarOrder, FarWork, ProducerEvent, UnitJournal};
use crate::record::RunClock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Which producer of which load.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ProducerTask {
    pub(super) spec: ProduceSpec,
    pub(super) nonce: u64,
    pub(super) share: u64,
    /// Its number within the run.
    pub(super) producer: u16,
    /// Brokers that lead partitions of the topic.
    pub(super) brokers: usize,
    pub(super) partitions: i32,
    /// The id of the run's cluster, where it is known.
    pub(super) cluster: Option<String>,
}

/// A producer that runs for a run in another process.
pub struct FarProduce {
    live: Arc<LiveProduce>,
    worker: Option<Worker>,
    clock: RunClock,
    journal: UnitJournal,
}

impl FarProduce {
    /// Prepares the producer of a task; what its client really works with. Sends nothing. Blocks.
    ///
    /// # Errors
    /// It cannot be prepared, or would send to another cluster than the run's.
    pub fn prepare(
        body: &str,
        clock: RunClock,
        logs: LogSink,
        journal: UnitJournal,
    ) -> Result<(Self, BTreeMap<String, String>), LoadError> {
        let task: ProducerTask = afar::task(body)?;
        afar::leads_to(task.cluster.as_deref(), &task.spec.connection, &logs)?;
        let run = RunIdentity::new(task.nonce);
        let spec = Arc::new(ProduceSpec { run, logs, ..task.spec });
        let live = Arc::new(LiveProduce::new(spec.schedule.clone(), 1, spec.detail.clone()));
        let ticket = ProducerTicket { producer: task.producer, sent: Arc::default() };
        let account = SenderAccount::new(task.producer, spec.topic.clone());
        let books = Arc::new(SenderBooks::new(ticket.clone(), account, Some(journal.clone())));
        let place = Place { share: task.share, partitions: task.partitions, brokers: task.brokers, records: None };
        let (mut worker, effective) = prepared(&spec, &live, place, (ticket, books), Some(journal.clone()))?;
        live.watch(vec![Arc::clone(&worker.tally)]);
        worker.acquire_id_soon()?;
        Ok((Self { live, worker: Some(worker), clock, journal }, effective))
    }
}

impl FarWork for FarProduce {
    fn order(&mut self, order: FarOrder) {
        match order {
            FarOrder::Start(start_ns) => {
                let Some(mut worker) = self.worker.take() else { return };
                let (clock, journal) = (self.clock, self.journal.clone());
                self.live.start(clock, start_ns);
                let thread = std::thread::Builder::new().name(format!("produce-{}", worker.share)).spawn(move || {
                    // A load without a schedule begins when it is told to as well.
                    std::thread::sleep(Duration::from_nanos(start_ns.saturating_sub(clock.now_ns())));
                    if catch_unwind(AssertUnwindSafe(|| worker.run(clock, start_ns))).is_err() {
                        // Whoever waits for it hears of its end.
                        journal.push(FarEvent::Producer(ProducerEvent::Broke(clock.now_us())));
                    }
                });
                if let Err(error) = thread {
                    super::far_producer::never_began(&self.journal, clock, Some(error.to_string()));
                }
            }
            FarOrder::Hurry(at_ns) => self.live.hurry_ns.store(at_ns, Ordering::Relaxed),
            FarOrder::Stop => {
                self.live.stop.store(true, Ordering::Relaxed);
                if self.worker.take().is_some() {
                    super::far_producer::never_began(&self.journal, self.clock, None);
                }
            }
            _ => {}
        }
    }
}
