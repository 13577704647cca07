//! What can happen.

/// What kind of history it is, and so what the readers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Three steps of one group.
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
    /// One reader that is given messages of open and aborted transactions too.
    Uncommitted,
    /// One reader; records may be deleted.
    Expiring,
    /// One step of a group with three members.
    Members,
    /// The same; logs start over.
    MembersRestarts,
    /// Two steps of one group, and a reader of its own.
    Beside,
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::Group,
        Self::Restarts,
        Self::Compacted,
        Self::Elsewhere,
        Self::Union,
        Self::GroupRestarts,
        Self::Uncommitted,
        Self::Expiring,
        Self::Members,
        Self::MembersRestarts,
        Self::Beside,
    ];

    /// How many of the readers are steps of one group; they are the first ones.
    pub(super) fn grouped(self) -> usize {
        match self {
            Self::Group => 3,
            Self::GroupRestarts | Self::Beside => 2,
            _ => 0,
        }
    }

    /// Whether logs are truncated, and topics replaced.
    pub(super) fn restarts(self) -> bool {
        matches!(self, Self::Restarts | Self::GroupRestarts | Self::MembersRestarts)
    }

    /// Whether the reader has several members, which keep one account.
    pub(super) fn has_members(self) -> bool {
        matches!(self, Self::Members | Self::MembersRestarts)
    }

    pub(super) fn readers(self) -> usize {
        match self {
            Self::Group | Self::Beside => 3,
            Self::GroupRestarts | Self::Union => 2,
            _ => 1,
        }
    }

    /// Whether the account is about everything that was sent.
    pub(super) fn is_of_all(self) -> bool {
        matches!(self, Self::Union | Self::Beside)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Acked,
    /// Acknowledged, and the broker told the partition only.
    AckedSomewhere,
    /// Acknowledged, and the broker told nothing.
    AckedNowhere,
    Failed,
    FailedButWritten,
    Unknown,
    UnknownButWritten,
    Aborted,
}

impl Outcome {
    pub(super) fn is_acked(self) -> bool {
        matches!(self, Self::Acked | Self::AckedSomewhere | Self::AckedNowhere)
    }

    pub(super) fn is_failed(self) -> bool {
        matches!(self, Self::Failed | Self::FailedButWritten)
    }

    pub(super) fn is_unknown(self) -> bool {
        matches!(self, Self::Unknown | Self::UnknownButWritten)
    }
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    Commit,
    Abort,
    /// It was committed, and nobody told the sender.
    Silence,
}

/// `reader`, `partition` and `sender` count round; the rest is said where it is done, in `world.rs`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Send {
        sender: u8,
        partition: u8,
        outcome: Outcome,
    },
    Transaction {
        sender: u8,
        partition: u8,
        count: u8,
        close: Close,
    },
    Read {
        reader: u8,
        partition: u8,
        count: u8,
    },
    Move {
        partition: u8,
        to: u8,
        back: u8,
    },
    /// Who held a partition before delivers what it had fetched, and does not know yet that the partition is another one's.
    Late {
        partition: u8,
        count: u8,
    },
    /// The group's offset is reset while nobody reads: the owner goes on where it was told.
    Reset {
        partition: u8,
        to: u8,
    },
    /// A client's position jumps, and nobody is told.
    Jump {
        reader: u8,
        partition: u8,
        to: u8,
    },
    Copy {
        record: u8,
        partition: u8,
        intact: bool,
    },
    /// A copy with another key, or with other headers.
    Alter {
        record: u8,
        partition: u8,
    },
    /// A message under the identity of another one, with another body and a right checksum.
    Forge {
        record: u8,
        partition: u8,
    },
    Stranger {
        partition: u8,
        torn: bool,
    },
    Delete {
        partition: u8,
        share: u8,
    },
    Recreate {
        partition: u8,
    },
    Truncate {
        partition: u8,
        keep: u8,
    },
    Compact {
        partition: u8,
    },
    AddPartition,
    Hang {
        partition: u8,
    },
}
