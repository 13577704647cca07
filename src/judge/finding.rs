//! What comes of judging deliveries again.

use crate::accounting::archive::FILE;
use crate::accounting::changes::NotStored;
use std::collections::BTreeMap;
use std::fmt;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The run settled no delivery whose accounts it stores.
    Nothing {
        /// What could not be looked at.
        limits: Limits,
    },
    /// The same follows from the stored accounts.
    Same {
        /// Deliveries that were settled again.
        deliveries: usize,
        /// Checks that were decided again.
        checks: usize,
        /// What could not be looked at.
        limits: Limits,
    },
    /// Something else follows.
    Differs {
        /// What, a line each.
        differences: Vec<String>,
    },
    /// The accounts cannot be read.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// Deliveries of database changes of which less is stored than is needed to settle them again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Those of which nothing is stored, as in results of older versions.
    pub unstored: usize,
    /// Those of which the sums are stored, by the reason for which there is no more: their checks were decided again, and no row was
    /// held against its records.
    pub sums_only: BTreeMap<NotStored, usize>,
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unstored > 0 {
            let count = self.unstored;
            write!(
                f,
                "; not judged again, because their accounts are not stored: deliveries of database changes {count}"
            )?;
        }
        for (why, count) in &self.sums_only {
            write!(
                f,
                "; judged again by their sums and not row by row, because {why}: deliveries of database changes {count}"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing { limits } if limits.unstored == 0 => f.write_str("no delivery was judged"),
            Self::Nothing { limits } => write!(f, "no delivery of messages was judged{limits}"),
            Self::Same { deliveries, checks, limits } => {
                write!(f, "the same follows from the stored accounts: deliveries {deliveries}, checks {checks}{limits}")
            }
            Self::Differs { differences } => write!(
                f,
                "something else follows from the stored accounts. Either a file was changed, or this is a defect of kscen: please \
                 send result.json and {FILE} to its maintainers\n  {}",
                differences.join("\n  ")
            ),
            Self::Unreadable { reason } => write!(
                f,
                "the deliveries cannot be judged again, so this result proves nothing about what was delivered: {FILE}: {reason}"
            ),
        }
    }
}
