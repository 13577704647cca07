//! The services of a scripted environment, and the network between them.

use super::script::{Boot, Script};
use super::stack::Trap;
use super::topics::FakeTopic;
use crate::connect::State;
use crate::environment::{
    Action, EnvironmentError, EnvironmentResult, Lifecycle, LogLine, NetworkFault, ServiceInfo, ServiceState,
};
use crate::moment;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A service that exists only here.
pub(super) struct FakeService {
    pub(super) info: ServiceInfo,
    pub(super) lifecycle: Lifecycle,
    pub(super) boot: Boot,
    /// When its present life began; `None` where that was long ago.
    pub(super) since: Option<Instant>,
    pub(super) restarts: u32,
    /// When an end comes that was asked for, whoever waits for it.
    pub(super) ends_at: Option<Instant>,
    exit_code: Option<i32>,
}

/// A connector that exists only here.
pub(super) struct FakeConnector {
    pub(super) state: State,
    pub(super) config: BTreeMap<String, String>,
    /// Its configuration from before the run; `None` where the run made it.
    pub(super) former: Option<BTreeMap<String, String>>,
}

impl FakeConnector {
    /// One that the run has made.
    pub(super) fn new() -> Self {
        Self { state: State::Running, config: BTreeMap::new(), former: None }
    }

    /// One that was there before.
    pub(super) fn theirs(name: &str) -> Self {
        let config = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        Self { config: config.clone(), former: Some(config), ..Self::new() }
    }

    /// What is not as it was.
    pub(super) fn damage(&self) -> Option<String> {
        match &self.former {
            None => Some("is left".to_owned()),
            Some(_) if self.state != State::Running => Some(format!("is {}", self.state)),
            Some(former) => (*former != self.config).then(|| "has another configuration".to_owned()),
        }
    }
}

/// All that a scripted environment is.
#[derive(Default)]
pub(super) struct FakeWorld {
    /// In start order.
    pub(super) services: Vec<FakeService>,
    pub(super) network: Vec<NetworkFault>,
    /// What was done to it, with the moment of the request.
    pub(super) calls: Vec<(Instant, String)>,
    pub(super) script: Script,
    pub(super) trap: Option<Trap>,
    pub(super) logs: Vec<(String, LogLine)>,
    pub(super) log_gap: Option<String>,
    pub(super) topics: BTreeMap<String, FakeTopic>,
    pub(super) connectors: BTreeMap<String, FakeConnector>,
}

impl FakeService {
    pub(super) fn new(name: &str, node_id: Option<i32>) -> Self {
        Self {
            info: ServiceInfo { name: name.to_owned(), node_id, controllable: true },
            lifecycle: Lifecycle::Running,
            boot: Boot::After(Duration::ZERO),
            since: None,
            restarts: 0,
            ends_at: None,
            exit_code: None,
        }
    }

    pub(super) fn state(&self) -> ServiceState {
        ServiceState {
            lifecycle: self.lifecycle,
            identity: format!("{}#{}", self.info.name, self.restarts),
            restarts: self.restarts,
            exit_code: self.exit_code,
        }
    }

    /// How long its present life has lasted.
    pub(super) fn age(&self) -> Duration {
        self.since.map_or(Duration::MAX, moment::since)
    }

    /// A life that is over by its script ends now.
    fn grow_old(&mut self) {
        if self.ends_at.is_some_and(|due| moment::now() >= due) {
            self.ends_at = None;
            self.end(Lifecycle::Stopped, 143);
        }
        if let (Lifecycle::Running, Boot::Dies(after)) = (self.lifecycle, self.boot)
            && self.age() >= after
        {
            self.end(Lifecycle::Exited, 1);
        }
    }

    pub(super) fn end(&mut self, lifecycle: Lifecycle, code: i32) {
        self.lifecycle = lifecycle;
        self.exit_code = Some(code);
    }

    /// Ends and is started again at once.
    pub(super) fn reboot(&mut self) {
        self.end(Lifecycle::Exited, 137);
        self.begin();
    }

    fn begin(&mut self) {
        self.lifecycle = Lifecycle::Running;
        self.since = Some(moment::now());
        self.restarts += 1;
    }

    /// Does it, as the real environments do; returns the observation that proves it.
    pub(super) fn act(&mut self, action: Action) -> EnvironmentResult<String> {
        use Lifecycle::{Exited, Paused, Running, Stopped};
        match (action, self.lifecycle) {
            (Action::Pause, Running) => self.lifecycle = Paused,
            (Action::Resume, Paused) => self.lifecycle = Running,
            (Action::Stop, Running | Paused) => self.end(Stopped, 143),
            (Action::Kill, Running | Paused) => self.end(Stopped, 137),
            (Action::Start, Stopped | Exited) | (Action::Restart | Action::Wipe, Running | Paused) => self.begin(),
            (_, lifecycle) => {
                let observed = format!("it was {lifecycle}");
                return Err(EnvironmentError::NoEffect { service: self.info.name.clone(), observed });
            }
        }
        Ok(format!("{} is {}", self.info.name, self.lifecycle))
    }
}

impl FakeWorld {
    pub(super) fn service(&mut self, name: &str) -> EnvironmentResult<&mut FakeService> {
        let known = || self.services.iter().map(|service| service.info.name.clone()).collect();
        match self.services.iter().position(|service| service.info.name == name) {
            Some(index) => {
                self.services[index].grow_old();
                Ok(&mut self.services[index])
            }
            None => Err(EnvironmentError::UnknownService { service: name.to_owned(), known: known() }),
        }
    }
}
