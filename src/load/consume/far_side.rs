//! One life of a member that writes down what happens to it in a journal: in another process than its run's, begun by a task, or in
//! the run's own process, where its messages have to be looked into.

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
    /// The id of the run's cluster, where it is known.
    pub(super) cluster: Option<String>,
}

/// A life of a member that reads for whoever hears of its journal.
pub struct FarRead {
    shared: Arc<Shared>,
    orders: Arc<Orders>,
}

impl FarRead {
    /// Begins the life of a task; what its client really works with. Reading begins at once. Blocks.
    ///
    /// # Errors
    /// Its client cannot be made, or would read from another cluster than the run's.
    pub fn prepare(
        body: &str,
        clock: RunClock,
        logs: LogSink,
        journal: UnitJournal,
    ) -> Result<(Self, BTreeMap<String, String>), LoadError> {
        let task: MemberTask = afar::task(body)?;
        afar::leads_to(task.cluster.as_deref(), &task.spec.connection, &logs)?;
        let tamper = task.tamper.into_iter().map(|(partition, offset, times)| ((partition, offset), times));
        let tamper = Some(Arc::new(tamper.collect()));
        let spec = ConsumeSpec { run: RunIdentity::new(task.nonce), logs, tamper, ..task.spec };
        let seat = Seat { number: task.number, life: task.life };
        Self::begin(spec, seat, (task.partitions, &task.positions), clock, journal)
    }

    /// Begins a life of a member of a reader in this process, of which only the journal hears; what its client really works with. What
    /// `spec` has of the run is for the client's own use.
    pub(super) fn begin(
        spec: ConsumeSpec,
        seat: Seat,
        (partitions, positions): (Vec<i32>, &BTreeMap<i32, i64>),
        clock: RunClock,
        journal: UnitJournal,
    ) -> Result<(Self, BTreeMap<String, String>), LoadError> {
        check(&spec)?;
        let (run, topic, group) = (Arc::clone(&spec.run), spec.topic.clone(), spec.group.clone());
        let books = Books::new(ReaderAccount::new(run, topic, group, spec.read_committed), &spec.detail);
        let (_, effective) = settings(&spec, seat.number)?.build()?;
        let shared = Shared::new(spec, clock, books, partitions, &effective).written_down(journal);
        let shared = Arc::new(shared);
        let consumer = connected(&shared, seat.number, positions)?;
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
