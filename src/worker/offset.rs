//! How far a worker's clock is from the run's, and how well that is known.

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

    #[test]
    fn a_drift_widens_the_bound() {
        let mut offset = Offset { origin_ns: 1_000, bound_ns: 20, round_ns: 40 };
        offset.drifted(&[Echo { sent_ns: 0, heard_ns: 10, theirs_ns: 1_005 }]);
        assert_eq!(offset.bound_ns, 20);
        offset.drifted(&[Echo { sent_ns: 0, heard_ns: 10, theirs_ns: 1_105 }]);
        assert_eq!(offset.bound_ns, 105);
    }
}
