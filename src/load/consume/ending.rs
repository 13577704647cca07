//! How members end when they are told to.

use super::far_member::Ending;
use super::job::ConsumeJob;
use super::orders::MemberOrder;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long members may take to end, all of them together: each may wait for the answers to three commits, of a coordinator that is
/// away or does not answer.
pub const END_LIMIT: Duration = Duration::from_secs(240);
/// Why a member cannot go on whose thread panicked.
pub(super) const DEFECT: &str = "a reading thread ended by a defect of the program";

impl ConsumeJob {
    /// Ends members, all or these. Blocks until it is done; a member that does not end in time is left alone.
    pub(super) fn end(&mut self, which: Option<&BTreeSet<usize>>, order: MemberOrder) {
        self.end_within(which, order, END_LIMIT);
    }

    fn end_within(&mut self, which: Option<&BTreeSet<usize>>, order: MemberOrder, limit: Duration) {
        let chosen = |number: usize| which.is_none_or(|which| which.contains(&number));
        for (number, (orders, thread)) in self.members.iter().enumerate() {
            if chosen(number) && thread.is_some() {
                orders.give(order);
            }
        }
        let deadline = Instant::now() + limit;
        for (number, (_, thread)) in self.members.iter_mut().enumerate() {
            let Some(thread) = thread.take_if(|_| chosen(number)) else { continue };
            let mut books = match thread.join(deadline) {
                Ending::Fine => continue,
                Ending::Defect => {
                    self.shared.books().fatal.get_or_insert_with(|| DEFECT.to_owned());
                    continue;
                }
                Ending::Hangs => self.shared.books(),
            };
            // What it was given and has not told of cannot be told from what is lost.
            books.account.unaccounted = true;
            books.fatal.get_or_insert_with(|| {
                let (name, waited) = (&self.shared.spec.name, limit.as_secs());
                format!("the client of member {number} of `{name}` did not end within {waited} s after it was told to")
            });
            drop(books);
            self.shared.live.failed.store(true, Ordering::Release);
            self.shared.live.set_running(number, false);
            self.shared.live.notify();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::RunIdentity;
    use crate::load::afar::MemberEvent;
    use crate::load::consume::entry::Seat;
    use crate::load::consume::far_member::{FarMember, MemberThread};
    use crate::load::consume::rehearsal::RehearsedReader;
    use crate::record::{LifeEnd, RunClock};
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    #[test]
    fn a_member_that_never_ends_makes_its_reader_unknown_and_holds_nobody_up() {
        let reader = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), None, 2);
        let shared = Arc::clone(reader.share());
        let ((free, stuck), (says, heard)) = (channel::<()>(), channel());
        let (late, life) = (Arc::clone(&shared), shared.books().begin_life(1, 0));
        let hangs = std::thread::spawn(move || {
            let _ = stuck.recv();
            // Its reader is given up by then.
            late.enter(Seat { number: 1, life }, MemberEvent::Left { now_us: 1, end: LifeEnd::Stopped });
            let _ = says.send(());
        });
        shared.live.set_running(1, true);
        let mut job = reader.job(vec![std::thread::spawn(|| {}), hangs]);
        job.end_within(None, MemberOrder::Stop, Duration::from_millis(50));
        assert!(shared.live.is_failed() && shared.live.running().is_empty());
        let (report, account) = job.join();
        let fatal = report.fatal.expect("it is told");
        assert_eq!(fatal, "the client of member 1 of `reader` did not end within 0 s after it was told to");
        assert!(account.unaccounted && !account.is_drained());
        assert_eq!(report.lives.len(), 1);
        drop(free);
        assert!(heard.recv_timeout(Duration::from_secs(60)).is_ok(), "what comes late is let go");
    }

    #[test]
    fn members_that_end_leave_no_trace_of_the_limit() {
        let reader = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), None, 1);
        let mut job = reader.job(vec![std::thread::spawn(|| {})]);
        job.end(None, MemberOrder::Stop);
        let (report, account) = job.join();
        assert!(report.fatal.is_none() && !account.unaccounted);
        assert!(!reader.share().live.is_failed());
    }

    #[test]
    fn a_defect_is_no_hanging_client() {
        let reader = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), None, 1);
        let defect = std::thread::spawn(|| std::panic::resume_unwind(Box::new("defect")));
        let (report, account) = reader.job(vec![defect]).join();
        assert_eq!((report.fatal.as_deref(), account.unaccounted), (Some(DEFECT), false));
    }

    #[test]
    fn of_a_member_elsewhere_is_not_waited_for_ever_either() {
        let reader = RehearsedReader::new(&RunIdentity::new(7), RunClock::start(), None, 1);
        let member = FarMember::new(Arc::clone(reader.share()), Seat { number: 0, life: 0 });
        assert_eq!(MemberThread::Afar(member).join(Instant::now() + Duration::from_millis(20)), Ending::Hangs);
    }
}
