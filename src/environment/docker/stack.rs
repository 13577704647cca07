//! The environment: members of the project and what can be done to them.

use super::container::Container;
use super::disk::Disk;
use super::engine::Engine;
use super::project;
use super::recipe::{HealRecipe, Repair};
use super::recreate::Recreation;
use super::roles::Part;
use super::usage::Meter;
use super::watch::Watch;
use crate::environment::{
    Action, Capability, Effect, Endpoints, Environment, EnvironmentError, EnvironmentInfo, EnvironmentResult, Intended,
    LogLine, LogQuery, NetworkFault, ServiceInfo, ServiceState, Usage,
};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A running compose project; see [`DockerStack::attach`].
pub struct DockerStack {
    pub(super) engine: Engine,
    pub(super) watch: Watch,
    pub(super) project: String,
    /// In start order.
    pub(super) members: Vec<Member>,
    pub(super) info: EnvironmentInfo,
    pub(super) endpoints: Endpoints,
    /// Whether the plan was granted [`Capability::Wipe`].
    pub(super) may_wipe: bool,
    /// Services that are cut off now, with how to connect them again.
    pub(super) cuts: Mutex<BTreeMap<String, HealRecipe>>,
}

/// One service and the containers it had while kscen was attached.
pub(super) struct Member {
    pub(super) part: Part,
    pub(super) node_id: Option<i32>,
    /// The last one is the present one.
    containers: Mutex<Vec<String>>,
    meter: Meter,
    disk: Disk,
    /// Of containers that are gone.
    earlier_log: Mutex<Vec<LogLine>>,
}

impl Member {
    pub(super) fn new(part: Part, node_id: Option<i32>, container: String) -> Self {
        Self {
            part,
            node_id,
            containers: Mutex::new(vec![container]),
            meter: Meter::default(),
            disk: Disk::default(),
            earlier_log: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.part.name
    }

    /// Id of the present container.
    pub(super) fn id(&self) -> String {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner).last().cloned().unwrap_or_default()
    }

    fn ids(&self) -> Vec<String> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replaced_by(&self, container: &str) {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner).push(container.to_owned());
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(super) fn earlier_log(&self) -> &Mutex<Vec<LogLine>> {
        &self.earlier_log
    }
}

impl DockerStack {
    /// What containers offer; [`Capability::NetworkShape`] they do not.
    pub const CAPABILITIES: [Capability; 8] = [
        Capability::Produce,
        Capability::Topics,
        Capability::Delete,
        Capability::Faults,
        Capability::Wipe,
        Capability::NetworkCut,
        Capability::Logs,
        Capability::Usage,
    ];

    /// How to undo `action` on `service`, to be written down before it is carried out; `None` where it only brings
    /// the service up.
    ///
    /// # Errors
    /// An unknown service, or one whose data may not be wiped.
    pub async fn recipe_for_action(&self, service: &str, action: Action) -> EnvironmentResult<Option<HealRecipe>> {
        let member = self.member(service)?;
        let container = self.inspect(member).await?;
        let repair = match action {
            Action::Resume | Action::Start => return Ok(None),
            Action::Pause | Action::Stop | Action::Kill | Action::Restart => Repair::Run,
            Action::Wipe => {
                Repair::Recreate(Box::new(Recreation::read(&self.engine, &self.project, &container).await?))
            }
        };
        Ok(Some(self.recipe(member, &container, repair)))
    }

    pub(super) fn recipe(&self, member: &Member, container: &Container, repair: Repair) -> HealRecipe {
        HealRecipe {
            engine: self.engine.address.url.clone(),
            project: self.project.clone(),
            service: member.part.compose.clone(),
            container: container.name().to_owned(),
            repair,
        }
    }

    pub(super) fn member(&self, service: &str) -> EnvironmentResult<&Member> {
        self.members.iter().find(|member| member.name() == service).ok_or_else(|| EnvironmentError::UnknownService {
            service: service.to_owned(),
            known: self.members.iter().map(|member| member.name().to_owned()).collect(),
        })
    }

    /// The present container of a member, also where somebody else made it anew.
    pub(super) async fn inspect(&self, member: &Member) -> EnvironmentResult<Container> {
        if let Some(container) = project::inspect(&self.engine, &member.id()).await? {
            return Ok(container);
        }
        let id = project::only_container(&self.engine, &self.project, &member.part.compose).await?;
        member.replaced_by(&id);
        let container = project::inspect(&self.engine, &id).await?;
        container.ok_or_else(|| EnvironmentError::failed(format!("the container of {} vanished", member.name())))
    }
}

impl Environment for DockerStack {
    fn info(&self) -> EnvironmentInfo {
        self.info.clone()
    }

    fn endpoints(&self) -> Endpoints {
        self.endpoints.clone()
    }

    fn services(&self) -> Vec<ServiceInfo> {
        let service = |member: &Member| ServiceInfo {
            name: member.name().to_owned(),
            node_id: member.node_id,
            controllable: true,
        };
        self.members.iter().map(service).collect()
    }

    fn recipe<'a>(&'a self, fault: Intended<'a>) -> BoxFuture<'a, EnvironmentResult<Option<HealRecipe>>> {
        Box::pin(async move {
            match fault {
                Intended::Act(service, action) => self.recipe_for_action(service, action).await,
                Intended::Disturb(fault) => self.recipe_for_network(fault).await.map(Some),
            }
        })
    }

    fn act<'a>(&'a self, service: &'a str, action: Action) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        Box::pin(async move { self.carry_out(self.member(service)?, action).await })
    }

    fn disturb<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        Box::pin(self.cut(fault))
    }

    fn heal<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        Box::pin(self.mend(fault))
    }

    fn wait_ready<'a>(&'a self, service: &'a str, timeout: Duration) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async move { self.until_ready(self.member(service)?, timeout).await })
    }

    fn state<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<ServiceState>> {
        Box::pin(async move {
            let member = self.member(service)?;
            let container = self.inspect(member).await?;
            Ok(ServiceState {
                lifecycle: container.lifecycle(self.watch.was_asked_to_end(container.id())),
                identity: container.short_id(),
                restarts: member.ids().iter().map(|id| self.watch.starts(id)).sum(),
                exit_code: container.exit_code(),
            })
        })
    }

    fn usage<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Option<Usage>>> {
        Box::pin(async move { self.read_usage(self.member(service)?).await })
    }

    fn logs<'a>(&'a self, service: &'a str, query: LogQuery) -> BoxFuture<'a, EnvironmentResult<Vec<LogLine>>> {
        Box::pin(async move { self.read_log(self.member(service)?, query).await })
    }

    /// Leaves the containers as they are: the stack is the user's.
    fn shutdown<'a>(&'a self) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async { Ok(()) })
    }
}
