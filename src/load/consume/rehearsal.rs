//! A reader without a cluster, for tests: what its members are said to have seen is entered as if they had seen it.

use super::books::Books;
use super::entry::Seat;
use super::far_member::FarMember;
use super::job::ConsumeJob;
use super::shared::Shared;
use super::{CommitMode, ConsumeSpec, ReadFrom, ReadLimit};
use crate::accounting::{ReaderAccount, RunIdentity};
use crate::kafka::LogSink;
use crate::load::afar::{Afar, Hearer};
use crate::record::{Detail, RunClock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What a reader of a test is: of a group with so many members, or alone.
pub(crate) fn spec(run: &Arc<RunIdentity>, group: Option<&str>, members: usize) -> ConsumeSpec {
    ConsumeSpec {
        name: "reader".to_owned(),
        topic: "t".to_owned(),
        from: ReadFrom::Start,
        group: group.map(str::to_owned),
        members,
        until: ReadLimit::default(),
        commit: CommitMode::None,
        read_committed: false,
        cooperative: false,
        connection: BTreeMap::new(),
        config: BTreeMap::new(),
        run: Arc::clone(run),
        tap: None,
        counts_own: true,
        senders_over: None,
        tamper: None,
        sample_limit: 100,
        logs: LogSink::default(),
        detail: Detail::default(),
        afar: None,
    }
}

/// A reader without a cluster.
pub(crate) struct RehearsedReader(Arc<Shared>);

impl RehearsedReader {
    /// Of a group with so many members, or alone.
    pub(crate) fn new(run: &Arc<RunIdentity>, clock: RunClock, group: Option<&str>, members: usize) -> Self {
        Self::told_by(run, clock, (group, members), None)
    }

    /// Of a group with so many members, or alone; `afar` says up to when what happened to them is known.
    pub(super) fn told_by(
        run: &Arc<RunIdentity>,
        clock: RunClock,
        (group, members): (Option<&str>, usize),
        afar: Option<Arc<dyn Afar>>,
    ) -> Self {
        let spec = ConsumeSpec { afar, ..spec(run, group, members) };
        let mut account = ReaderAccount::new(Arc::clone(run), "t", spec.group.clone(), false);
        account.step = spec.name.clone();
        let books = Books::new(account, &spec.detail);
        Self(Arc::new(Shared::new(spec, clock, books, Vec::new(), &BTreeMap::new())))
    }

    /// What its members share.
    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// The same, to be kept.
    pub(super) fn share(&self) -> &Arc<Shared> {
        &self.0
    }

    /// A reader whose members are these threads.
    pub(crate) fn job(&self, threads: Vec<JoinHandle<()>>) -> ConsumeJob {
        ConsumeJob::rehearsed(Arc::clone(&self.0), threads)
    }

    /// Who hears of one life of a member.
    pub(crate) fn member(&self, number: usize) -> Arc<dyn Hearer> {
        let life = self.0.books().begin_life(number, 0);
        FarMember::new(Arc::clone(&self.0), Seat { number, life })
    }

    /// Looks at the account.
    pub(crate) fn account<R>(&self, look: impl FnOnce(&mut ReaderAccount) -> R) -> R {
        look(&mut self.0.books().account)
    }

    /// Everything else that was written down, as text.
    pub(crate) fn figures(&self) -> String {
        let mut books = self.0.books();
        books.timeline.close();
        let latency = books.latency.snapshot();
        let slices: Vec<_> = books.timeline.iter().map(|slice| (slice.start_us, slice.sample.clone())).collect();
        let live = &self.0.live;
        let counts = (live.read(), live.own(), live.delivered(), live.bytes());
        format!("{counts:?} {:?} {:?} {latency:?} {slices:?}", books.lives, books.rebalances)
    }
}
