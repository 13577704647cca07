//! What can happen.

/// What kind of history it is, and so what the readers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two steps of one group.
    Group,
    /// One reader; logs start over.
    Restarts,
    /// One reader of a topic that compacts.
    Compacted,
    /// One reader that begins at the end.
    Elsewhere,
    /// Two readers of their own.
    Union,
    /// Two steps of one group; logs start over.
    GroupRestarts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Acked,
    Failed,
    FailedButWritten,
    Unknown,
    UnknownButWritten,
    Aborted,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Send { sender: u8, partition: u8, outcome: Outcome },
    Read { reader: u8, partition: u8, count: u8 },
    Move { partition: u8, to: u8, back: u8 },
    Copy { record: u8, partition: u8, intact: bool },
    Stranger { partition: u8, torn: bool },
    Delete { partition: u8, share: u8 },
    Recreate { partition: u8 },
    Truncate { partition: u8, keep: u8 },
    Compact { partition: u8 },
    AddPartition,
    Hang { partition: u8 },
}
