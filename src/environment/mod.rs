//! Where a scenario runs: a cluster and the services around it.
//!
//! Everything above this module speaks to [`Environment`]; what differs between child processes,
//! containers and somebody else's cluster stays below it.

mod action;
pub mod docker;
mod error;
mod facts;
pub mod local;
mod means;
pub mod mock;
mod needs;
pub mod remote;

pub use action::{Action, Direction, Effect, Intended, NetworkFault, NetworkFaultKind, Peers};
pub use error::EnvironmentError;
pub use facts::{
    Endpoints, EnvironmentInfo, EnvironmentKind, Lifecycle, LogLine, LogQuery, ServiceInfo, ServiceState, Usage,
};
pub use means::{FaultKind, means};
pub use needs::{Capability, Controllers, Needs, VersionRange};

use futures_util::future::BoxFuture;
use std::time::Duration;

/// The result of an operation on an environment.
pub type EnvironmentResult<T> = Result<T, EnvironmentError>;

/// A started environment: what it offers, and the means to observe and disturb it.
///
/// Services are named `kafka-1` … `kafka-N`, `controller-1` …, `connect`, `postgres`, `kafka-ui`. Names passed in
/// are always these full names; aliases and roles are resolved by the caller.
pub trait Environment: Send + Sync {
    /// Kind, versions and settings that a report has to state for its figures to be reproducible.
    fn info(&self) -> EnvironmentInfo;

    /// Addresses and client properties of what runs here.
    fn endpoints(&self) -> Endpoints;

    /// The services that exist here, in start order.
    fn services(&self) -> Vec<ServiceInfo>;

    /// How another process undoes `fault`, to be written down before it is applied; `None` where it needs nothing but the
    /// environment itself to do so.
    ///
    /// # Errors
    /// An unknown service, or a fault that is not possible here.
    fn recipe<'a>(&'a self, fault: Intended<'a>) -> BoxFuture<'a, EnvironmentResult<Option<docker::HealRecipe>>> {
        let _ = fault;
        Box::pin(async { Ok(None) })
    }

    /// Does `action` to `service` and returns once its effect is proved (a paused process is stopped
    /// according to the kernel, a killed one is gone), not when it was asked for. It does not wait for readiness: see [`Environment::wait_ready`].
    ///
    /// # Errors
    /// An unknown service, an action this environment cannot do, or one that had no effect.
    fn act<'a>(&'a self, service: &'a str, action: Action) -> BoxFuture<'a, EnvironmentResult<Effect>>;

    /// Applies a network fault; it lasts until [`Environment::heal`].
    ///
    /// # Errors
    /// See [`Environment::act`].
    fn disturb<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>>;

    /// Removes a network fault that [`Environment::disturb`] applied. Healing twice is not an error.
    fn heal<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>>;

    /// Waits until the service itself answers as ready (a broker answers a metadata request and is unfenced,
    /// Connect's REST answers and the herder has joined, PostgreSQL accepts a connection).
    ///
    /// # Errors
    /// [`EnvironmentError::NotReady`] after `timeout`, [`EnvironmentError::Died`] as soon as the service ended, with its last log lines.
    fn wait_ready<'a>(&'a self, service: &'a str, timeout: Duration) -> BoxFuture<'a, EnvironmentResult<()>>;

    /// What the service is doing now.
    fn state<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<ServiceState>>;

    /// CPU, memory and disk of the service so far; `None` where this environment cannot know.
    fn usage<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Option<Usage>>>;

    /// Lines of the service's log, oldest first.
    fn logs<'a>(&'a self, service: &'a str, query: LogQuery) -> BoxFuture<'a, EnvironmentResult<Vec<LogLine>>>;

    /// Stops what this environment started and removes what it made. Safe to call twice.
    fn shutdown<'a>(&'a self) -> BoxFuture<'a, EnvironmentResult<()>>;
}
