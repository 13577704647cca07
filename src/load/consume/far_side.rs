//! One life of a member in another process than its run's: begun by a task, and what happens to it written down in a journal.

use super::ConsumeSpec;
use super::books::Books;
use super::entry::Seat;
use super::job::{connected, spawned};
use super::orders::{MemberOrder, Orders};
use super::settings::{check, settings};
use super::shared::Shared;
use crate::accounting::{ReaderAccount, RunIdentity};
use crate::kafka::LogSink;
use crate::load::LoadError;
use crate::load::afar::{self, FarOrder, FarWork, UnitJournal};
use crate::record::RunClock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Which member of which reader.
#[derive(Serialize, Deserialize)]
pub(super) struct MemberTask {
    pub(super) spec: ConsumeSpec,
    pub(super) nonce: u64,
    pub(super) number: usize,
    pub(super) life: usize,
    /// The topic's partitions, as far as they are known.
    pub(super) partitions: Vec<i32>,
    /// Where it begins, without a group.
    pub(super) positions: BTreeMap<i32, i64>,
    /// See [`ConsumeSpec::tamper`].
    pub(super) tamper: Vec<(i32, i64, u8)>,
}

/// A life of a member that reads for a run in another process.
pub struct FarRead {
    shared: Arc<Shared>,
    orders: Arc<Orders>,
}

impl FarRead {
    /// Begins the life of a task; what its client really works with. Reading begins at once. Blocks.
    ///
    /// # Errors
    /// Its client cannot be made.
    pub fn prepare(
        body: &str,
        clock: RunClock,
        logs: LogSink,
        journal: UnitJournal,
    ) -> Result<(Self, BTreeMap<String, String>), LoadError> {
        let task: MemberTask = afar::task(body)?;
        let run = RunIdentity::new(task.nonce);
        let tamper = task.tamper.into_iter().map(|(partition, offset, times)| ((partition, offset), times));
        let tamper = Some(Arc::new(tamper.collect()));
        let spec = ConsumeSpec { run: Arc::clone(&run), logs, tamper, ..task.spec };
        check(&spec)?;
        let account = ReaderAccount::new(run, spec.topic.clone(), spec.group.clone(), spec.read_committed);
        let books = Books::new(account, &spec.detail);
        let (_, effective) = settings(&spec, task.number)?.build()?;
        let shared = Shared::new(spec, clock, books, task.partitions, &effective).written_down(journal);
        let shared = Arc::new(shared);
        let seat = Seat { number: task.number, life: task.life };
        let consumer = connected(&shared, seat.number, &task.positions)?;
        let orders: Arc<Orders> = Arc::default();
        // It ends by an order, or with the process.
        drop(spawned(&shared, seat, &orders, consumer)?);
        Ok((Self { shared, orders }, effective))
    }
}

impl FarWork for FarRead {
    fn order(&mut self, order: FarOrder) {
        match order {
            FarOrder::Halt => self.orders.change(MemberOrder::Run, MemberOrder::Halt),
            FarOrder::Poll => self.orders.change(MemberOrder::Halt, MemberOrder::Run),
            FarOrder::Leave | FarOrder::Stop => self.orders.give(MemberOrder::Stop),
            FarOrder::Crash => self.orders.give(MemberOrder::Kill),
            FarOrder::Look => _ = self.shared.look_again.fetch_add(1, Ordering::AcqRel),
            FarOrder::Partitions(found) => _ = self.shared.has_partitions(&found),
            FarOrder::Start(_) | FarOrder::Hurry(_) => {}
        }
    }
}
