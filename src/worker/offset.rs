//! How far a worker's clock is from the run's, and how well that is known.

/// Echoes that are looked at together while the run goes on, one a second: the quickest of them says most.
const WINDOW: usize = 10;
/// By how much clocks of two machines may move apart until the next look, in ns: 100 µs a second, over a window.
pub(super) const UNSEEN_NS: u64 = 1_000_000;

/// A ping and its answer, in ns of the run but for what the other clock said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Echo {
    pub(super) sent_ns: u64,
    pub(super) heard_ns: u64,
    /// What the other clock said between the two.
    pub(super) theirs_ns: u64,
}

/// The difference of two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    /// What the other clock says when this one says 0, in ns.
    pub(super) origin_ns: i64,
    /// The true difference is no further from it than this, in ns.
    pub(super) bound_ns: u64,
    /// The shortest way there and back, in ns.
    pub(super) round_ns: u64,
}

/// What is known of another clock, from the start of the run on.
#[derive(Debug, Clone)]
pub(super) struct OtherClock {
    pub(super) offset: Offset,
    /// Whether it is this machine's own, which cannot move away.
    pub(super) is_own: bool,
    /// By how much it has moved since it was set, as far as that is certain, in ns.
    moved_ns: i64,
    window: Vec<Echo>,
}

impl OtherClock {
    pub(super) fn new(offset: Offset, is_own: bool) -> Self {
        Self { offset, is_own, moved_ns: 0, window: Vec::new() }
    }

    /// It has answered again.
    pub(super) fn answers(&mut self, echo: Echo) {
        if self.is_own {
            return;
        }
        // One that was slow may have waited for anything, unless all of a window did.
        if echo.round_ns() <= 2 * self.offset.round_ns {
            self.sees(&[echo]);
        }
        self.window.push(echo);
        if self.window.len() >= WINDOW {
            self.looks();
        }
    }

    /// Takes in what was heard since the last look.
    pub(super) fn looks(&mut self) {
        let window = std::mem::take(&mut self.window);
        self.sees(&window);
    }

    fn sees(&mut self, echoes: &[Echo]) {
        let Some(later) = Offset::of(echoes) else { return };
        self.offset.drifted(echoes);
        let (seen_ns, within_ns) = (later.origin_ns - self.offset.origin_ns, later.bound_ns as i64);
        // No further than has to be: an answer that was slow says little.
        self.moved_ns = self.moved_ns.clamp(seen_ns - within_ns, seen_ns + within_ns);
        if self.moved_ns != 0 {
            self.offset.bound_ns = self.offset.bound_ns.max(2 * later.bound_ns);
        }
    }

    /// By how much it has moved since it was set, as far as that is certain, in ns: what it says now is ahead by so much. Put right by that,
    /// it is no further from the run's clock than [`apart_ns`](Self::apart_ns) either.
    pub(super) fn moved_ns(&self) -> i64 {
        self.moved_ns
    }

    /// How far what it says may be from the run's clock now, in ns.
    pub(super) fn apart_ns(&self) -> u64 {
        self.offset.bound_ns + if self.is_own { 0 } else { UNSEEN_NS }
    }
}

impl Echo {
    fn round_ns(&self) -> u64 {
        self.heard_ns.saturating_sub(self.sent_ns)
    }

    fn origin_ns(&self) -> i64 {
        let middle = self.sent_ns + self.round_ns() / 2;
        self.theirs_ns as i64 - middle as i64
    }
}

impl Offset {
    /// By the quickest of some echoes: whichever way took longer, the answer was given between question and hearing.
    pub(super) fn of(echoes: &[Echo]) -> Option<Self> {
        let best = echoes.iter().min_by_key(|echo| echo.round_ns())?;
        let round_ns = best.round_ns();
        Some(Self { origin_ns: best.origin_ns(), bound_ns: round_ns.div_ceil(2), round_ns })
    }

    /// The clocks may have drifted apart since: a later look shows by how much at most.
    pub(super) fn drifted(&mut self, echoes: &[Echo]) {
        let Some(later) = Self::of(echoes) else { return };
        let moved = later.origin_ns.abs_diff(self.origin_ns);
        self.bound_ns = self.bound_ns.max(moved + later.bound_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_echo_says_most_and_the_truth_is_within_the_bound() {
        // The other clock is 5 ms ahead; ways there and back are not alike.
        let echo = |sent: u64, there: u64, back: u64| Echo {
            sent_ns: sent,
            theirs_ns: sent + there + 5_000_000,
            heard_ns: sent + there + back,
        };
        let echoes = [echo(0, 900_000, 20_000), echo(1_000_000, 30_000, 10_000), echo(2_000_000, 40_000, 700_000)];
        let offset = Offset::of(&echoes).expect("echoes");
        assert_eq!((offset.origin_ns, offset.bound_ns, offset.round_ns), (5_010_000, 20_000, 40_000));
        assert!(offset.origin_ns.abs_diff(5_000_000) <= offset.bound_ns);
        assert_eq!(Offset::of(&[]), None);
    }

    /// A clock that runs 50 µs a second slower, behind a link on which each answer now waits longer than before the start.
    #[test]
    fn a_drift_is_found_however_slow_answers_have_become() {
        let said = |at_ns: u64| 1_000_000_000 + at_ns - at_ns / 20_000;
        let echo = |at_ns: u64, round_ns: u64| Echo {
            sent_ns: at_ns,
            heard_ns: at_ns + round_ns,
            theirs_ns: said(at_ns + round_ns / 3),
        };
        let offset = Offset::of(&[echo(0, 80_000)]).expect("an echo");
        let (mut apart, mut own) = (OtherClock::new(offset, false), OtherClock::new(offset, true));
        for second in 1..=250u64 {
            let at_ns = second * 1_000_000_000;
            let slow = echo(at_ns, 300_000 + second % 7 * 100_000);
            [&mut apart, &mut own].into_iter().for_each(|clock| clock.answers(slow));
            let moved_ns = at_ns / 20_000;
            assert!(apart.apart_ns() >= moved_ns, "after {second} s: {} of {moved_ns}", apart.apart_ns());
            // It is behind, and by how much is known but for the slowest answer and the time since.
            let left_ns = apart.moved_ns().abs_diff(-(moved_ns as i64));
            assert!(left_ns <= UNSEEN_NS + 1_000_000, "after {second} s: {left_ns} of {moved_ns}");
        }
        assert!(apart.apart_ns() < 15_000_000, "{}", apart.apart_ns());
        assert_eq!((own.apart_ns(), own.offset), (offset.bound_ns, offset), "one clock does not move away from itself");
        assert_eq!(own.moved_ns(), 0);
    }

    #[test]
    fn a_drift_widens_the_bound() {
        let mut offset = Offset { origin_ns: 1_000, bound_ns: 20, round_ns: 40 };
        offset.drifted(&[Echo { sent_ns: 0, heard_ns: 10, theirs_ns: 1_005 }]);
        assert_eq!(offset.bound_ns, 20);
        offset.drifted(&[Echo { sent_ns: 0, heard_ns: 10, theirs_ns: 1_105 }]);
        assert_eq!(offset.bound_ns, 105);
    }
}
