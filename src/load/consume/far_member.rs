//! A life of a member that runs elsewhere: what is heard of it is entered as its own thread would enter it.

use super::entry::Seat;
use super::shared::Shared;
use crate::ground::lock;
use crate::load::afar::{Death, FarEvent, FarUnit, Hearer, MemberEvent};
use crate::record::LifeEnd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at a thread that is to end.
const GLANCE: Duration = Duration::from_millis(1);

/// A life of a member that runs elsewhere.
pub(super) struct FarMember {
    shared: Arc<Shared>,
    seat: Seat,
    pub(super) unit: OnceLock<FarUnit>,
    over: (Mutex<bool>, Condvar),
}

impl FarMember {
    pub(super) fn new(shared: Arc<Shared>, seat: Seat) -> Arc<Self> {
        Arc::new(Self { shared, seat, unit: OnceLock::new(), over: Default::default() })
    }

    fn is_over(&self) -> bool {
        *lock(&self.over.0)
    }

    /// Waits until it is over, at most until then; whether it is.
    fn wait(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        drop(self.over.1.wait_timeout_while(lock(&self.over.0), left, |over| !*over));
        self.is_over()
    }

    fn end(&self) {
        *lock(&self.over.0) = true;
        self.over.1.notify_all();
        self.unit.get().into_iter().for_each(|unit| self.shared.is_over_afar(*unit));
    }
}

impl Hearer for FarMember {
    fn hear(&self, event: FarEvent) {
        let FarEvent::Member(event) = event else { return };
        let is_last = matches!(event, MemberEvent::Left { .. });
        self.shared.enter(self.seat, event);
        if is_last {
            self.end();
        }
    }

    fn lost(&self, death: &Death) -> String {
        let (shared, name) = (&self.shared, &self.shared.spec.name);
        let what = format!("what member {} of `{name}` was given after that is not known", self.seat.number);
        let mut books = shared.books();
        books.account.unaccounted = true;
        books.fatal.get_or_insert(format!("{}; {what}", death.describe()));
        drop(books);
        shared.live.failed.store(true, Ordering::Release);
        self.shared.enter(self.seat, MemberEvent::Left { now_us: death.at_us, end: LifeEnd::Failed });
        self.end();
        what
    }
}

/// How a life of a member ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it should.
    Fine,
    /// By a defect of the program.
    Defect,
    /// Not in the time that it may take.
    Hangs,
}

/// What runs a life of a member.
pub(super) enum MemberThread {
    /// A thread of this process.
    Here(JoinHandle<()>),
    /// One of another process.
    Afar(Arc<FarMember>),
}

impl MemberThread {
    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Here(thread) => thread.is_finished(),
            Self::Afar(member) => member.is_over(),
        }
    }

    /// Waits for its end, at most until then. One that does not end is left alone.
    pub(super) fn join(self, deadline: Instant) -> Ending {
        match self {
            Self::Here(thread) => {
                while !thread.is_finished() {
                    if Instant::now() >= deadline {
                        return Ending::Hangs;
                    }
                    std::thread::sleep(GLANCE);
                }
                if thread.join().is_ok() { Ending::Fine } else { Ending::Defect }
            }
            Self::Afar(member) if member.wait(deadline) => Ending::Fine,
            Self::Afar(_) => Ending::Hangs,
        }
    }
}
