//! The environment: members of the project and what can be done to them.

use super::config::DockerConfig;
use super::container::{Container, short};
use super::cuts::Cuts;
use super::disk::DiskFigure;
use super::engine::Engine;
use super::project;
use super::recipe::{HealRecipe, Repair};
use super::recreate::Recreation;
use super::roles::NamedService;
use super::usage::Meter;
use super::watch::{self, ContainerPast, Watch};
use crate::environment::kept_log::KeptLog;
use crate::environment::{
    Action, Effect, Endpoints, Environment, EnvironmentError, EnvironmentInfo, EnvironmentResult, Grip, Healed,
    Incarnation, Intended, Lifecycle, LogLine, LogQuery, Needs, NetworkFault, Offer, Recipe, Release, ServiceInfo,
    ServiceState, Usage, observe,
};
use crate::ground::lock;
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// A running compose project; see [`DockerStack::attach`].
pub struct DockerStack {
    pub(super) engine: Engine,
    pub(super) watch: Watch,
    /// When kscen attached: nothing that its events tell was before.
    pub(super) attached: Instant,
    pub(super) project: String,
    /// In start order.
    pub(super) members: Vec<StackContainer>,
    pub(super) info: EnvironmentInfo,
    pub(super) endpoints: Endpoints,
    /// Whether the plan was granted [`Capability::Wipe`].
    pub(super) may_wipe: bool,
    /// Whether the plan needs Kafka Connect.
    pub(super) uses_connect: bool,
    /// Services that are cut off now, with how to connect them again.
    pub(super) cuts: Cuts,
}

/// One service and the containers it had while kscen was attached.
pub(super) struct StackContainer {
    pub(super) part: NamedService,
    pub(super) node_id: Option<i32>,
    /// The last one is the present one.
    containers: Mutex<Vec<String>>,
    meter: Meter,
    disk: DiskFigure,
    /// Of containers that are gone.
    earlier_log: Mutex<KeptLog>,
    /// The containers whose log was kept before they were removed.
    kept: Mutex<BTreeSet<String>>,
    /// The life that was told last: one whose container is gone is still the same.
    told: Mutex<Option<String>>,
    /// Where the cluster tells clients to come, for a broker.
    address: Mutex<Option<String>>,
}

impl StackContainer {
    pub(super) fn new(part: NamedService, node_id: Option<i32>, container: String) -> Self {
        Self {
            part,
            node_id,
            containers: Mutex::new(vec![container]),
            meter: Meter::default(),
            disk: DiskFigure::default(),
            earlier_log: Mutex::default(),
            kept: Mutex::default(),
            told: Mutex::default(),
            address: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.part.name
    }

    /// Id of the present container.
    pub(super) fn id(&self) -> String {
        lock(&self.containers).last().cloned().unwrap_or_default()
    }

    fn ids(&self) -> Vec<String> {
        lock(&self.containers).clone()
    }

    /// Another container takes the place of the present one. Where nobody has kept the log of that, it is gone with it.
    pub(super) fn replaced_by(&self, container: &str) {
        let mut containers = lock(&self.containers);
        let present = containers.last().cloned().unwrap_or_default();
        // Whoever makes it and whoever finds it may both tell.
        if present == container {
            return;
        }
        if !lock(&self.kept).contains(&present) {
            let why = format!("container {} was replaced by somebody else, with its log", short(&present));
            lock(&self.earlier_log).missed_until(SystemTime::now(), why);
        }
        containers.push(container.to_owned());
    }

    /// The log of that container is kept as far as it can be read: that it is removed takes nothing more.
    pub(super) fn has_kept_log_of(&self, container: &str) {
        lock(&self.kept).insert(container.to_owned());
    }

    /// Remembers where the cluster tells clients to come for it.
    pub(super) fn is_reached_at(&self, address: String) {
        *lock(&self.address) = Some(address);
    }

    /// The same, where the cluster was asked.
    pub(super) fn address(&self) -> Option<String> {
        lock(&self.address).clone()
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn disk(&self) -> &DiskFigure {
        &self.disk
    }

    pub(super) fn earlier_log(&self) -> &Mutex<KeptLog> {
        &self.earlier_log
    }
}

impl DockerStack {
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
            Action::Pause => Repair::Resume,
            Action::Stop | Action::Kill | Action::Restart => Repair::Run,
            Action::Wipe => {
                let whole = Recreation::read(&self.engine, &self.project, &container).await?;
                Repair::Recreate(Box::new(whole.without_environment()))
            }
        };
        Ok(Some(self.recipe(member, &container, repair)))
    }

    pub(super) fn recipe(&self, member: &StackContainer, container: &Container, repair: Repair) -> HealRecipe {
        HealRecipe {
            engine: self.engine.address.url.clone(),
            project: self.project.clone(),
            service: member.part.compose.clone(),
            container: container.name().to_owned(),
            id: Some(container.id().to_owned()),
            repair,
        }
    }

    pub(super) fn member(&self, service: &str) -> EnvironmentResult<&StackContainer> {
        self.members.iter().find(|member| member.name() == service).ok_or_else(|| EnvironmentError::UnknownService {
            service: service.to_owned(),
            known: self.members.iter().map(|member| member.name().to_owned()).collect(),
        })
    }

    /// The present container of a member, also where somebody else made it again.
    pub(super) async fn inspect(&self, member: &StackContainer) -> EnvironmentResult<Container> {
        if let Some(container) = project::inspect(&self.engine, &member.id()).await? {
            return Ok(container);
        }
        let id = project::only_container(&self.engine, &self.project, &member.part.compose).await?;
        member.replaced_by(&id);
        let container = project::inspect(&self.engine, &id).await?;
        container.ok_or_else(|| EnvironmentError::failed(format!("the container of {} vanished", member.name())))
    }

    /// The same; `None` where somebody has removed it, and the service has no other.
    pub(super) async fn present(&self, member: &StackContainer) -> EnvironmentResult<Option<Container>> {
        if let Some(container) = project::inspect(&self.engine, &member.id()).await? {
            return Ok(Some(container));
        }
        match project::find_container(&self.engine, &self.project, &member.part.compose).await? {
            None => Ok(None),
            Some(_) => self.inspect(member).await.map(Some),
        }
    }

    /// When something happened to a container last, and what.
    fn past(&self, container: &str) -> (ContainerPast, Option<Instant>) {
        let past = self.watch.past(container);
        let since = past.since.map(|at| watch::instant(at, self.attached));
        (past, since)
    }
}

/// A service whose container was removed: it has ended, whatever it did before.
fn gone(life: String, past: ContainerPast, since: Option<Instant>) -> Incarnation {
    Incarnation {
        life,
        lifecycle: Lifecycle::Exited,
        exit_code: past.exit_code,
        since,
        pauses: past.pauses,
        cause: past.out_of_memory.then(|| super::container::OUT_OF_MEMORY.to_owned()),
        ooms: past.ooms,
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
        let service = |member: &StackContainer| ServiceInfo {
            name: member.name().to_owned(),
            node_id: member.node_id,
            controllable: true,
        };
        self.members.iter().map(service).collect()
    }

    /// By Kafka's protocol; the version also by what the brokers wrote into their logs when they started.
    fn offer<'a>(&'a self, needs: &'a Needs) -> BoxFuture<'a, Offer> {
        Box::pin(async move {
            let mut offer = observe(self.info.brokers, &self.endpoints, needs).await;
            // The log is that of one broker, and names the patch release.
            let alike = offer.kafka.as_ref().map_or(self.info.brokers == 1, |told| told.len() == 1);
            if let Some(version) = self.info.kafka_version.as_deref().filter(|_| alike) {
                offer.kafka = Ok(BTreeSet::from([Release::read(version)]));
            }
            offer
        })
    }

    fn recipe<'a>(&'a self, fault: Intended<'a>) -> BoxFuture<'a, EnvironmentResult<Option<Recipe>>> {
        Box::pin(async move {
            let recipe = match fault {
                Intended::Act(service, action) => self.recipe_for_action(service, action).await?,
                Intended::Disturb(fault) => Some(self.recipe_for_network(fault).await?),
            };
            recipe.map(|recipe| Recipe::of::<DockerConfig>(&recipe)).transpose()
        })
    }

    fn act<'a>(&'a self, service: &'a str, action: Action) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        Box::pin(async move { self.carry_out(self.member(service)?, action).await })
    }

    fn disturb<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        Box::pin(self.cut(fault))
    }

    fn heal<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Healed>> {
        Box::pin(self.mend(fault))
    }

    fn disturbed<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Grip>> {
        Box::pin(self.is_cut(fault))
    }

    fn wait_ready<'a>(&'a self, service: &'a str, timeout: Duration) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async move { self.until_ready(self.member(service)?, timeout).await })
    }

    fn state<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<ServiceState>> {
        Box::pin(async move {
            let member = self.member(service)?;
            let restarts = member.ids().iter().map(|id| self.watch.starts(id)).sum();
            Ok(match self.present(member).await? {
                Some(container) => ServiceState {
                    lifecycle: container.lifecycle(self.watch.was_asked_to_end(container.id())),
                    identity: container.short_id(),
                    restarts,
                    exit_code: container.exit_code(),
                },
                None => ServiceState {
                    lifecycle: Lifecycle::Exited,
                    identity: short(&member.id()),
                    restarts,
                    exit_code: self.watch.past(&member.id()).exit_code,
                },
            })
        })
    }

    /// By the start that the engine wrote down, which also tells lives apart where its events were missed.
    fn incarnation<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Incarnation>> {
        Box::pin(async move {
            let member = self.member(service)?;
            let Some(container) = self.present(member).await? else {
                let (past, since) = self.past(&member.id());
                let told = lock(&member.told).clone();
                return Ok(gone(told.unwrap_or_else(|| format!("container {}", short(&member.id()))), past, since));
            };
            let started = container.started_at().and_then(|at| jiff::Timestamp::try_from(at).ok());
            let started = started.map(|at| format!(" since {at}")).unwrap_or_default();
            let life = format!("container {}{started}", container.short_id());
            *lock(&member.told) = Some(life.clone());
            let (past, since) = self.past(container.id());
            // What the engine keeps says only that memory was short at some time in that life: events know whether it ended it.
            let out_of_memory = past.out_of_memory || (past.exit_code.is_none() && container.was_out_of_memory());
            Ok(Incarnation {
                life,
                lifecycle: container.lifecycle(self.watch.was_asked_to_end(container.id())),
                exit_code: container.exit_code().or(past.exit_code),
                since,
                pauses: past.pauses,
                cause: out_of_memory.then(|| super::container::OUT_OF_MEMORY.to_owned()),
                ooms: past.ooms,
            })
        })
    }

    fn happened<'a>(&'a self) -> BoxFuture<'a, ()> {
        Box::pin(self.watch.next())
    }

    fn usage<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Option<Usage>>> {
        Box::pin(async move { self.read_usage(self.member(service)?).await })
    }

    fn logs<'a>(&'a self, service: &'a str, query: LogQuery) -> BoxFuture<'a, EnvironmentResult<Vec<LogLine>>> {
        Box::pin(async move { self.read_log(self.member(service)?, query).await })
    }

    fn log_gap(&self, service: &str, since: SystemTime) -> Option<String> {
        lock(self.member(service).ok()?.earlier_log()).gap(since)
    }

    /// Leaves the containers as they are: the stack is the user's.
    fn shutdown<'a>(&'a self) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::ServiceId;

    #[test]
    fn a_container_that_somebody_else_replaced_takes_its_log_with_it() {
        let began = SystemTime::now() - Duration::from_secs(60);
        let member = StackContainer::new(NamedService::new(ServiceId::Broker(1), "kafka"), Some(1), "a".repeat(64));
        let gap = |since| lock(member.earlier_log()).gap(since);
        member.replaced_by(&"a".repeat(64));
        assert_eq!((gap(began), member.ids().len()), (None, 1), "it is the same");
        // A wipe keeps the log before it removes the container.
        member.has_kept_log_of(&"a".repeat(64));
        member.replaced_by(&"b".repeat(64));
        assert_eq!((gap(began), member.ids().len()), (None, 2));
        member.replaced_by(&"c".repeat(64));
        let why = gap(began).expect("a gap");
        assert_eq!(why, "container bbbbbbbbbbbb was replaced by somebody else, with its log");
        assert_eq!(gap(SystemTime::now() + Duration::from_secs(1)), None, "the log of the present one is whole");
    }

    #[test]
    fn a_container_that_was_removed_has_ended() {
        let past = ContainerPast { exit_code: Some(137), pauses: 2, ooms: 1, ..ContainerPast::default() };
        let at = Instant::now();
        let seen = gone("container 0123 since x".to_owned(), past, Some(at));
        assert_eq!((seen.lifecycle, seen.exit_code, seen.pauses), (Lifecycle::Exited, Some(137), 2));
        assert_eq!((seen.life.as_str(), seen.since, seen.cause), ("container 0123 since x", Some(at), None));
        assert_eq!(seen.ooms, 1);
    }
}
