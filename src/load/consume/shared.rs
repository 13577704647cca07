//! What the threads of a reader share.

use super::ConsumeSpec;
use super::books::Books;
use super::group_look::GroupLook;
use super::log_look::LogLook;
use super::reader_figures::LiveConsume;
use crate::accounting::{Beside, ReaderAccount};
use crate::ground::lock;
use crate::kafka::OffsetReader;
use crate::load::afar::{FarOrder, FarUnit, UnitJournal};
use crate::record::RunClock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// What the threads of a reader share.
pub(super) struct Shared {
    pub(super) spec: ConsumeSpec,
    pub(super) clock: RunClock,
    pub(super) live: Arc<LiveConsume>,
    books: Mutex<Books>,
    partitions: Mutex<Vec<i32>>,
    /// Partitions that were added to the topic and that the single reader has not taken yet.
    added: Mutex<BTreeMap<i32, i64>>,
    /// Raised when a group's members should look at the topic again.
    pub(super) look_again: AtomicU64,
    pub(super) finished: AtomicBool,
    pub(super) prepared_us: AtomicU64,
    /// A member that has not polled for so long was taken out of its group for certain, in µs; `None` without a group.
    pub(super) expels_us: Option<u64>,
    /// Tells the topic's logs from others; `None` where only what is read can.
    look: Option<LogLook>,
    /// Tells whether the group has anything for a member; only where nobody else does.
    pub(super) group_look: Option<GroupLook>,
    /// Of a reader that stops at the last stable offset: what asks for the end behind it.
    all_offsets: OnceLock<OffsetReader>,
    /// Where everything is written down for whoever has the accounts.
    pub(super) journal: Option<UnitJournal>,
    /// Members of which is heard from afar.
    units: Mutex<BTreeSet<FarUnit>>,
}

impl Shared {
    pub(super) fn new(
        spec: ConsumeSpec,
        clock: RunClock,
        books: Books,
        partitions: Vec<i32>,
        effective_config: &BTreeMap<String, String>,
    ) -> Self {
        let longest_ms = effective_config.get("max.poll.interval.ms").and_then(|ms| ms.parse::<u64>().ok());
        Self {
            // The client looks every half second.
            expels_us: longest_ms.filter(|_| spec.group.is_some()).map(|ms| (ms + 1000) * 1000),
            look: LogLook::new(&spec.connection, &spec.topic),
            group_look: GroupLook::new(&spec),
            spec,
            clock,
            live: Arc::default(),
            books: Mutex::new(books),
            partitions: Mutex::new(partitions),
            added: Mutex::default(),
            look_again: AtomicU64::new(0),
            finished: AtomicBool::new(false),
            prepared_us: AtomicU64::new(0),
            all_offsets: OnceLock::new(),
            journal: None,
            units: Mutex::default(),
        }
    }

    /// The offsets behind the last message: for a reader that stops at the last stable one they lie behind open transactions.
    pub(super) fn highs(
        &self,
        partitions: &[i32],
        stable: &BTreeMap<i32, i64>,
        limit: Duration,
    ) -> Option<BTreeMap<i32, i64>> {
        if !self.spec.read_committed {
            return Some(stable.clone());
        }
        let reader = match self.all_offsets.get() {
            Some(reader) => reader,
            None => {
                let reader = OffsetReader::new(&self.spec.connection, false, self.spec.logs.clone()).ok()?;
                self.all_offsets.get_or_init(|| reader)
            }
        };
        reader.ends(&self.spec.topic, partitions, limit).ok()
    }

    /// The same, for whoever has the accounts.
    pub(super) fn written_down(self, journal: UnitJournal) -> Self {
        Self { journal: Some(journal), ..self }
    }

    /// A member is heard of from afar.
    pub(super) fn runs_afar(&self, unit: FarUnit) {
        lock(&self.units).insert(unit);
    }

    /// Such a member is over.
    pub(super) fn is_over_afar(&self, unit: FarUnit) {
        lock(&self.units).remove(&unit);
    }

    /// Tells all of these members.
    fn tell_all(&self, order: &FarOrder) {
        let Some(afar) = &self.spec.afar else { return };
        let units = lock(&self.units).clone();
        units.into_iter().for_each(|unit| afar.tell(unit, order.clone()));
    }

    /// A group's members should look at the topic again.
    pub(super) fn ask_to_look(&self) {
        self.look_again.fetch_add(1, Ordering::AcqRel);
        self.tell_all(&FarOrder::Look);
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    /// Enters which topic this is now into the account and, where that is asked for, which logs were cut off; false where nobody
    /// answers.
    pub(super) fn look_at_logs(&self, with_epochs: bool) -> bool {
        let Some(look) = &self.look else { return true };
        let id = match look.id() {
            Ok(id) => id,
            // Who has never answered does not hold up what the client can tell.
            Err(error) => return !error.is_passing() || self.books().account.topics() == 0,
        };
        let read = match with_epochs {
            true => self.books().account.last_epochs(),
            false => BTreeMap::new(),
        };
        let cut = look.cut(&read);
        let at_us = self.clock.to_epoch_us(self.clock.now_us());
        let mut books = self.books();
        if let Some(id) = id {
            books.account.is_of_topic(id, at_us);
        }
        cut.iter().for_each(|partition| books.account.cut_below(*partition, read[partition].0, at_us));
        true
    }

    /// Up to when what happened to its members is entered: now, where they run in this process by themselves.
    pub(super) fn known_us(&self, now_us: u64) -> u64 {
        self.spec.afar.as_ref().map_or(now_us, |afar| afar.known_us().min(now_us))
    }

    /// Tells the other readers of the group how far this one has come.
    pub(super) fn publish(&self) {
        if let Some(group) = &self.spec.group {
            let positions = self.books().account.positions();
            self.spec.run.reader_reached(group, &self.spec.topic, &self.spec.name, positions);
        }
    }

    /// How far the other readers of the group have come, and what it has given to this one.
    pub(super) fn beside(&self) -> Beside {
        let Some(group) = &self.spec.group else { return Beside::default() };
        let others = self.spec.run.reached_beside(group, &self.spec.topic, &self.spec.name);
        Beside { others, own: self.own(&self.books()) }
    }

    /// The partitions that the group has given to this reader and to no other since.
    fn own(&self, books: &Books) -> BTreeSet<i32> {
        let Some(group) = &self.spec.group else { return BTreeSet::new() };
        let (run, topic, step) = (&self.spec.run, &self.spec.topic, &self.spec.name);
        let held = books.held.values().flatten().copied();
        held.filter(|partition| run.is_given_to(group, topic, step, *partition)).collect()
    }

    /// The account as it is now.
    pub(super) fn account_now(&self) -> ReaderAccount {
        let books = self.books();
        let mut account = books.account.clone();
        account.holds = self.own(&books);
        account
    }

    /// Whether the ends of the log that a drain took are reached, by this reader or by others of its group.
    pub(super) fn is_drained(&self) -> bool {
        let beside = self.beside();
        self.books().account.is_drained_beside(&beside)
    }

    /// When the group had given each member its first part, in µs of the run; 0 without a group, or before that.
    pub(super) fn assigned_us(&self) -> u64 {
        self.spec.group.as_ref().map_or(0, |_| self.prepared_us.load(Ordering::Relaxed))
    }

    /// Every partition of the topic that is known.
    pub(super) fn partitions(&self) -> Vec<i32> {
        lock(&self.partitions).clone()
    }

    /// The topic has these partitions now; true where some of them are new. What was written to a new one was written while
    /// the reader was there, so all of it is the reader's, wherever it began.
    pub(super) fn has_partitions(&self, found: &[i32]) -> bool {
        let mut known = lock(&self.partitions);
        let new: Vec<i32> = found.iter().copied().filter(|partition| !known.contains(partition)).collect();
        known.extend(&new);
        drop(known);
        if new.is_empty() {
            return false;
        }
        let mut books = self.books();
        new.iter().for_each(|partition| books.account.answers_from(*partition, 0));
        drop(books);
        if self.spec.group.is_none() {
            let mut added = lock(&self.added);
            added.extend(new.into_iter().map(|partition| (partition, 0)));
            drop(added);
            self.tell_all(&FarOrder::Partitions(found.to_vec()));
        }
        true
    }

    /// Takes the partitions that were added since the last call.
    pub(super) fn take_added(&self) -> BTreeMap<i32, i64> {
        std::mem::take(&mut *lock(&self.added))
    }
}
