//! Why the rows of a delivery of changes are not stored.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why the rows of a delivery are not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotStored {
    /// There are more than are stored.
    TooMany,
    /// A secret is among them.
    Secret,
    /// They are those of a table, which earlier versions did not store.
    Table,
}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "there are more rows than are stored",
            Self::Secret => "the rows contain a secret",
            Self::Table => "rows of tables are not stored",
        })
    }
}
