//! Exit codes. They are never renumbered.

use crate::record::{Outcome, Record};
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything passed.
    Pass,
    /// A check failed, a verdict is unknown, a regression was found.
    Fail,
    /// Usage, an invalid scenario, a refused capability.
    Usage,
    /// The run could not go on, its load was invalid, a fault had no effect.
    Broken,
    /// Clean-up failed, and nothing else.
    Unclean,
    /// Nothing was selected.
    Nothing,
    /// Ended by a signal: 129 (the terminal was closed), 130 or 143.
    Signal(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Usage => 2,
            Self::Broken => 3,
            Self::Unclean => 4,
            Self::Nothing => 5,
            Self::Signal(code) => code,
        }
    }

    /// What a run's record means.
    pub fn of(record: &Record) -> Self {
        match record.verdict.as_ref().map(|verdict| verdict.outcome) {
            Some(Outcome::Pass) => Self::Pass,
            Some(Outcome::Fail | Outcome::Unknown) => Self::Fail,
            Some(Outcome::Error) | None => Self::Broken,
            Some(Outcome::Unclean) => Self::Unclean,
            Some(Outcome::Interrupted) => {
                Self::Signal(record.interrupted.and_then(|code| u8::try_from(code).ok()).unwrap_or(130))
            }
        }
    }

    /// The worse of two: a signal, then 3, 1, 4, 0. An invalid scenario in a suite counts before all that could run.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::Signal(_) => 6,
            Self::Usage => 5,
            Self::Broken => 4,
            Self::Fail => 3,
            Self::Unclean => 2,
            Self::Nothing => 1,
            Self::Pass => 0,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_run_has_its_number() {
        let mut record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let mut code = |outcome, interrupted| {
            record.verdict.as_mut().expect("a verdict").outcome = outcome;
            record.interrupted = interrupted;
            Exit::of(&record).code()
        };
        assert_eq!(code(Outcome::Pass, None), 0);
        assert_eq!(code(Outcome::Fail, None), 1);
        assert_eq!(code(Outcome::Unknown, None), 1);
        assert_eq!(code(Outcome::Error, None), 3);
        assert_eq!(code(Outcome::Unclean, None), 4);
        assert_eq!(code(Outcome::Interrupted, Some(143)), 143);
        record.verdict = None;
        assert_eq!(Exit::of(&record).code(), 3, "without a verdict it is no pass");
        assert_eq!([Exit::Usage, Exit::Nothing].map(Exit::code), [2, 5]);
    }

    #[test]
    fn the_worse_of_two_ends_counts() {
        let order =
            [Exit::Pass, Exit::Nothing, Exit::Unclean, Exit::Fail, Exit::Broken, Exit::Usage, Exit::Signal(130)];
        for (index, worse) in order.iter().enumerate() {
            for better in &order[..=index] {
                assert_eq!((worse.worse(*better), better.worse(*worse)), (*worse, *worse));
            }
        }
    }
}
