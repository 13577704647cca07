//! What a `sql` step says it has changed.

use std::collections::HashSet;

/// What a step claims to have changed.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Ids of the transactions that were, or may have been, committed.
    pub transactions: HashSet<u32>,
    /// Something ran that cannot be attributed by transaction id.
    pub unattributed: bool,
}
