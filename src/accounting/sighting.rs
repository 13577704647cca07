//! One message as a reader saw it, and what that turned out to be.

use super::{Class, Identity, IdentityError};

/// One message as a reader saw it.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    /// Where it was read.
    pub partition: i32,
    /// Where it was read.
    pub offset: i64,
    /// When it was read, in µs since the epoch.
    pub at_us: i64,
    /// Which life of a member it was delivered to, counted within the step; 0 where there is one member only.
    pub life: usize,
    /// The identity found in it, and whether the body matches its checksum.
    pub identity: Result<(Identity, bool), IdentityError>,
    /// Whether its key or its headers are others than were sent.
    pub altered: bool,
}

/// What a sighting turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SightingKind {
    /// The first sight of a message of this run, in order and intact.
    Fresh,
    /// The first sight of a message of this run, with something to note about it.
    FreshBut(Class),
    /// Not a first sight, or not an intact message of this run.
    Other(Class),
}

impl SightingKind {
    /// Whether the message is one of this run, intact, and had not been seen before.
    pub fn is_fresh(self) -> bool {
        matches!(self, SightingKind::Fresh | SightingKind::FreshBut(_))
    }
}
