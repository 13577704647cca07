//! Where a scenario runs: a cluster and the services around it.
//!
//! Everything above this module speaks to [`Environment`]; what differs between child processes,
//! containers and somebody else's cluster stays below it.

mod action;
pub mod docker;
mod environment_error;
mod facts;
mod fault_kind;
mod grant;
mod kept;
mod kind;
mod kinds;
pub mod kubernetes;
pub mod local;
pub mod mock;
mod needs;
mod observation;
mod offer;
mod probe;
mod recipe;
mod release;
pub mod remote;
mod reuse;
mod service_id;
mod site;

pub use action::{Action, Direction, Effect, Grip, Healed, Intended, NetworkFault, NetworkFaultKind, Peers};
pub use environment_error::EnvironmentError;
pub use facts::{
    ARCHIVE_DIRECTORY, Endpoints, EnvironmentInfo, EnvironmentKind, Incarnation, Lifecycle, LogLine, LogQuery,
    ServiceInfo, ServiceState, Usage,
};
pub use fault_kind::FaultKind;
pub use grant::Grant;
pub use kept::{FetchedAhead, Keeper, KeptStack};
pub use kind::{AnyKind, Host, Kind};
pub use kinds::{KINDS, builtin};
pub use needs::{Capability, Controllers, Needs, VersionRange};
pub use observation::observe;
pub use offer::{Offer, unmet};
pub use recipe::Recipe;
pub use release::Release;
pub use reuse::unsuited;
pub use service_id::ServiceId;
pub use site::{Refusal, Site};

use futures_util::future::BoxFuture;
use std::time::Duration;

/// The result of an operation on an environment.
pub type EnvironmentResult<T> = Result<T, EnvironmentError>;

/// A started environment: what it offers, and the means to observe and disturb it.
///
/// Services are named `kafka-1` … `kafka-N`, `controller-1` …, `connect`, `postgres`, `kafka-ui`. Names passed in
/// are always these full names; aliases and roles are resolved by the caller. What an environment leaves out is not possible there.
pub trait Environment: Send + Sync {
    /// The error for what this environment cannot do: `pause`, `a network fault`.
    fn cannot(&self, what: &str) -> EnvironmentError {
        let info = self.info();
        EnvironmentError::Unsupported {
            message: format!("`{}` is {}: {what} is not possible there", info.name, info.kind),
        }
    }

    /// Kind, versions and settings that a report has to state for its figures to be reproducible.
    fn info(&self) -> EnvironmentInfo;

    /// Addresses and client properties of what runs here.
    fn endpoints(&self) -> Endpoints;

    /// The services that exist here, in start order.
    fn services(&self) -> Vec<ServiceInfo>;

    /// What is known here of what a scenario can need: what `needs` name is looked at, the rest need not be. What cannot be
    /// seen is unknown, and with that not met.
    fn offer<'a>(&'a self, needs: &'a Needs) -> BoxFuture<'a, Offer>;

    /// How another process undoes `fault`, to be written down before it is applied; `None` where it needs nothing but the
    /// environment itself to do so.
    ///
    /// # Errors
    /// An unknown service, or a fault that is not possible here.
    fn recipe<'a>(&'a self, fault: Intended<'a>) -> BoxFuture<'a, EnvironmentResult<Option<Recipe>>> {
        let _ = fault;
        Box::pin(async { Ok(None) })
    }

    /// Does `action` to `service` and returns once its effect is proved (a paused process is stopped
    /// according to the kernel, a killed one is gone), not when it was asked for. It does not wait for readiness: see [`Environment::wait_ready`].
    ///
    /// # Errors
    /// An unknown service, an action this environment cannot do, or one that had no effect.
    fn act<'a>(&'a self, service: &'a str, action: Action) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        let _ = service;
        Box::pin(async move { Err(self.cannot(action.verb())) })
    }

    /// How long it takes to see what a service is doing, where the machine is not busy: so long before its end a fault is looked at last.
    fn look_takes(&self) -> Duration {
        Duration::from_millis(50)
    }

    /// Applies a network fault; it lasts until [`Environment::heal`].
    ///
    /// # Errors
    /// See [`Environment::act`].
    fn disturb<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        let _ = fault;
        Box::pin(async { Err(self.cannot("a network fault")) })
    }

    /// Removes a network fault that [`Environment::disturb`] applied. Healing twice is not an error.
    fn heal<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Healed>> {
        let _ = fault;
        Box::pin(async { Err(self.cannot("a network fault")) })
    }

    /// Whether a network fault that [`Environment::disturb`] applied is in force now: a look at that fault, not at whatever
    /// else may be wrong.
    ///
    /// # Errors
    /// It cannot be seen, which says nothing about the fault.
    fn disturbed<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Grip>> {
        let message = format!("this environment does not tell whether the network of {} is disturbed", fault.service);
        Box::pin(async move { Err(EnvironmentError::Unsupported { message }) })
    }

    /// Waits until the service itself answers as ready (a broker answers a metadata request and is unfenced,
    /// Connect's REST answers and the herder has joined, PostgreSQL accepts a connection).
    ///
    /// # Errors
    /// [`EnvironmentError::NotReady`] after `timeout`, [`EnvironmentError::Died`] as soon as the service ended, with its last log lines.
    fn wait_ready<'a>(&'a self, service: &'a str, timeout: Duration) -> BoxFuture<'a, EnvironmentResult<()>> {
        let _ = (service, timeout);
        Box::pin(async { Err(self.cannot("waiting for a service")) })
    }

    /// What the service is doing now.
    fn state<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<ServiceState>> {
        let _ = service;
        Box::pin(async { Err(self.cannot("looking at a service")) })
    }

    /// Which life of the service this is, and what it is doing: two of them differ where the service ended and was started
    /// again in between, however short that took.
    fn incarnation<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Incarnation>> {
        Box::pin(async move { self.state(service).await.map(Incarnation::from) })
    }

    /// Waits until the environment tells that something happened to one of its services; forever where it does not tell.
    fn happened<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    /// CPU, memory and disk of the service so far; `None` where this environment cannot know.
    fn usage<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Option<Usage>>> {
        let _ = service;
        Box::pin(async { Ok(None) })
    }

    /// Lines of the service's log, oldest first.
    fn logs<'a>(&'a self, service: &'a str, query: LogQuery) -> BoxFuture<'a, EnvironmentResult<Vec<LogLine>>> {
        let _ = (service, query);
        Box::pin(async { Err(self.cannot("reading a log")) })
    }

    /// Stops what this environment started and removes what it made. Safe to call twice.
    fn shutdown<'a>(&'a self) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
pub(crate) mod fake;
