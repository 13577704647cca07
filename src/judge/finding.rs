//! What comes of judging deliveries again.

use crate::accounting::archive::{FILE, MOST};
use crate::accounting::changes::NotStored;
use crate::text::short;
use std::collections::BTreeMap;
use std::fmt;

/// Most differences that are told.
const LINES: usize = 200;
/// Most characters of each.
const TEXT: usize = 1000;

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
    /// There are no accounts, though messages were judged.
    Missing(NoAccounts),
    /// The accounts cannot be read.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// Why there are no accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAccounts {
    /// The version that wrote the result stored none.
    Older,
    /// They were more than is stored.
    TooLarge,
    /// They could not be written.
    Unwritten(String),
    /// They were written, and are not there.
    Gone,
    /// The run did not come to its end, at which they are written.
    Unfinished,
}

impl fmt::Display for NoAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older => f.write_str(
                "the version of kscen that wrote this result stored no accounts. Run the scenario again with this version; \
                 `kscen report` and `kscen compare` read this result as it is",
            ),
            Self::TooLarge => write!(
                f,
                "the accounts of this run took more than {} MiB, and were not stored. Run a shorter load, or share it between \
                 several scenarios",
                MOST >> 20
            ),
            Self::Unwritten(why) => write!(
                f,
                "the accounts of this run could not be written: {}. Make room for them and run the scenario again",
                short(why, TEXT)
            ),
            Self::Gone => write!(
                f,
                "the run wrote {FILE} beside its result, and it is not there any more. Put it back from where the run's folder \
                 was copied, or run the scenario again"
            ),
            Self::Unfinished => f.write_str(
                "the run was cut off before its end, at which its accounts are written. Run the scenario again, and let it end",
            ),
        }
    }
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

/// What differs, of which names and texts may be anybody's.
fn told(differences: &[String]) -> String {
    let mut lines: Vec<String> = differences.iter().take(LINES).map(|one| short(one, TEXT)).collect();
    if differences.len() > LINES {
        lines.push(format!("and {} more", differences.len() - LINES));
    }
    lines.join("\n  ")
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing { limits } if limits.unstored == 0 => f.write_str("no delivery was judged"),
            Self::Nothing { limits } => write!(f, "no delivery of messages was judged{limits}"),
            Self::Same { deliveries, checks, limits } => {
                write!(f, "the stored accounts give the same result: deliveries {deliveries}, checks {checks}{limits}")
            }
            Self::Differs { differences } => write!(
                f,
                "the stored accounts and checks give another result. Either a file was changed, or this is a defect of kscen: please \
                 send result.json and {FILE} to its maintainers\n  {}",
                told(differences)
            ),
            Self::Missing(why) => write!(
                f,
                "the deliveries cannot be judged again, so this result proves nothing about what was delivered: {why}"
            ),
            Self::Unreadable { reason } => write!(
                f,
                "the deliveries cannot be judged again, so this result proves nothing about what was delivered: {FILE}: {}",
                short(reason, TEXT)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_file_is_told_without_end() {
        let finding = Finding::Differs { differences: vec!["x".repeat(1 << 20); 1000] }.to_string();
        assert!(finding.len() < 300_000 && finding.ends_with("\n  and 800 more"), "{}", finding.len());
        assert!(Finding::Unreadable { reason: "x".repeat(1 << 20) }.to_string().len() < 2000);
    }
}
