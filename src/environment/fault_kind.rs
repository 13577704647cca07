//! What a fault is about, before it is known how an environment carries it out.

use super::Action;

/// A fault on a service or on its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Something done to the service.
    Act(Action),
    /// Its connections are cut.
    Cut,
    /// Its connections are delayed, throttled, reset, or cut one way.
    Shape,
}
