//! The scripted environment.

use super::script::{Boot, Reaction};
use super::topics::{FakePartition, FakeTopic};
use super::world::{FakeConnector, FakeService, FakeWorld};
use crate::connect;
use crate::environment::{
    Action, Effect, Endpoints, Environment, EnvironmentError, EnvironmentInfo, EnvironmentKind, EnvironmentResult,
    Grip, Healed, Lifecycle, LogLine, LogQuery, Needs, NetworkFault, Offer, ServiceInfo, ServiceState,
};
use crate::ground::lock;
use crate::moment;
use crate::wire;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How often a service that is not ready is looked at again.
const LOOK: Duration = Duration::from_millis(100);

/// An environment whose services are entries of a list.
pub(crate) struct FakeStack {
    began: OnceLock<Instant>,
    world: Mutex<FakeWorld>,
    trap: Notify,
    /// The host that its topics and connectors are reached at.
    host: String,
}

/// How many there have been: each has a host of its own.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Where a program is killed: at its n-th call, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trap {
    /// Before the call changed anything.
    Before(usize),
    /// After it did.
    After(usize),
}

impl FakeStack {
    /// So many brokers, `kafka-1` and on, all running.
    pub(crate) fn brokers(count: i32) -> Arc<Self> {
        let host = format!("fake-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let stack = Self { began: OnceLock::new(), world: Mutex::default(), trap: Notify::new(), host };
        for node in 1..=count {
            stack.world().services.push(FakeService::new(&format!("kafka-{node}"), Some(node)));
        }
        Arc::new(stack)
    }

    /// Adds what a scripted reader's members are counted as: it can be acted on, and is no service.
    pub(crate) fn with_reader(self: Arc<Self>) -> Arc<Self> {
        let mut reader = FakeService::new("reader", None);
        reader.info.controllable = false;
        self.world().services.push(reader);
        self
    }

    /// Adds a topic of two partitions, with replicas on the first broker. A move of them takes that long, or does not end.
    pub(crate) fn with_topic(self: Arc<Self>, name: &str, takes: Option<Duration>) -> Arc<Self> {
        let partitions = vec![FakePartition { replicas: vec![1], moves: None }; 2];
        self.world().topics.insert(name.to_owned(), FakeTopic { partitions, takes });
        wire::memory::listen(&self.host, Arc::downgrade(&self) as Weak<dyn wire::memory::BrokerScript>);
        self
    }

    /// Adds a connector that runs.
    pub(crate) fn with_connector(self: Arc<Self>, name: &str) -> Arc<Self> {
        self.world().connectors.insert(name.to_owned(), FakeConnector::theirs(name));
        connect::memory::listen(&self.host, Arc::downgrade(&self) as Weak<dyn connect::memory::WorkerScript>);
        self
    }

    /// How the service's next lives come up.
    pub(crate) fn boot(self: Arc<Self>, service: &str, boot: Boot) -> Arc<Self> {
        self.world().service(service).expect("the script names a service that exists").boot = boot;
        self
    }

    /// What every such call does, such as `pause kafka-1`, `cut kafka-1`, `heal kafka-1`, `ready kafka-1`, `state kafka-1`.
    pub(crate) fn on(self: Arc<Self>, call: &str, reaction: Reaction) -> Arc<Self> {
        self.on_times(call, u32::MAX, reaction)
    }

    /// What the next `times` such calls do.
    pub(crate) fn on_times(self: Arc<Self>, call: &str, times: u32, reaction: Reaction) -> Arc<Self> {
        self.world().script.add(call, times, reaction);
        self
    }

    /// Every such call fails with this message.
    pub(crate) fn fails(self: Arc<Self>, call: &str, message: &str) -> Arc<Self> {
        self.on(call, Reaction::Fails(EnvironmentError::failed(message)))
    }

    /// Every such call fails from now on.
    pub(crate) fn begins_to_fail(&self, call: &str, message: &str) {
        self.world().script.add(call, u32::MAX, Reaction::Fails(EnvironmentError::failed(message)));
    }

    /// Adds a line to a service's log.
    pub(crate) fn logs(self: Arc<Self>, service: &str, text: &str) -> Arc<Self> {
        let line = LogLine { at_ms: None, text: text.to_owned() };
        self.world().logs.push((service.to_owned(), line));
        self
    }

    /// The program is killed at that call.
    pub(crate) fn trap(self: Arc<Self>, trap: Trap) -> Arc<Self> {
        self.world().trap = Some(trap);
        self
    }

    /// Waits until the program is killed.
    pub(crate) async fn trapped(&self) {
        self.trap.notified().await;
    }

    /// Its services have just come up.
    pub(crate) fn begin(&self) {
        let now = *self.began.get_or_init(moment::now);
        self.world().services.iter_mut().for_each(|service| service.since = Some(now));
    }

    /// The service ends by itself, now.
    pub(crate) fn die(&self, service: &str) {
        self.world().service(service).expect("the script names a service that exists").end(Lifecycle::Exited, 1);
    }

    /// The service ends, and something else starts it again, now.
    pub(crate) fn reboot(&self, service: &str) {
        self.world().service(service).expect("the script names a service that exists").reboot();
    }

    /// Somebody else lets a paused service go on, now.
    pub(crate) fn wake(&self, service: &str) {
        self.world().service(service).expect("the script names a service that exists").lifecycle = Lifecycle::Running;
    }

    /// Somebody else heals the whole network, now.
    pub(crate) fn mend(&self) {
        self.world().network.clear();
    }

    /// What was done to it so far, as `3.0 pause kafka-1`: seconds since it was made, and the call.
    pub(crate) fn calls(&self) -> Vec<String> {
        let began = self.began.get().copied();
        let line = |(at, call): &(Instant, String)| {
            let since = began.map_or(Duration::ZERO, |began| at.saturating_duration_since(began));
            format!("{:.1} {call}", since.as_secs_f64())
        };
        self.world().calls.iter().map(line).collect()
    }

    /// What is not as it was at the start: services and connectors that do not run, connectors that were made or changed, faults of
    /// the network, replicas that move.
    pub(crate) fn damage(&self) -> Vec<String> {
        let world = self.world();
        let connectors = world.connectors.iter();
        let held = connectors.filter_map(|(name, connector)| Some(format!("{name} {}", connector.damage()?)));
        let moves = |topic: &FakeTopic| topic.partitions.iter().any(|partition| partition.moves.is_some());
        let moving = world.topics.iter().filter(|(_, topic)| moves(topic));
        let is_down = |service: &&FakeService| service.lifecycle != Lifecycle::Running || service.ends_at.is_some();
        let down = world.services.iter().filter(is_down);
        down.map(|service| format!("{} is {}", service.info.name, service.lifecycle))
            .chain(world.network.iter().map(|fault| format!("{} {}", fault.kind.word(), fault.service)))
            .chain(held)
            .chain(moving.map(|(name, _)| format!("{name} moves")))
            .collect()
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn world(&self) -> MutexGuard<'_, FakeWorld> {
        lock(&self.world)
    }

    /// Does what the script says for this call, before the call itself.
    async fn scripted(&self, call: &str, service: &str) -> EnvironmentResult<()> {
        let reaction = self.world().script.next(call);
        match reaction {
            Some(Reaction::Fails(error)) => return Err(error),
            Some(Reaction::NoEffect) => {
                let observed = "nothing changed".to_owned();
                return Err(EnvironmentError::NoEffect { service: service.to_owned(), observed });
            }
            Some(Reaction::Takes(time)) => tokio::time::sleep(time).await,
            Some(Reaction::Hangs) => std::future::pending().await,
            Some(Reaction::GoesOn(time)) => {
                self.ends_at(service, moment::now().checked_add(time + Duration::from_millis(1)));
                tokio::time::sleep(time).await;
                // Who asked for it is still there, and does it.
                self.ends_at(service, None);
            }
            None => {}
        }
        Ok(())
    }

    pub(super) async fn effect(
        &self,
        call: String,
        service: &str,
        change: impl FnOnce(&mut FakeWorld) -> EnvironmentResult<String>,
    ) -> EnvironmentResult<Effect> {
        let requested = moment::now();
        let number = {
            let mut world = self.world();
            world.calls.push((requested, call.clone()));
            world.calls.len() - 1
        };
        self.fall_into(Trap::Before(number)).await;
        self.scripted(&call, service).await?;
        let proof = change(&mut self.world())?;
        self.fall_into(Trap::After(number)).await;
        Ok(Effect { requested, effective: moment::now(), down: None, proof, forced: false })
    }

    fn ends_at(&self, service: &str, due: Option<Instant>) {
        let mut world = self.world();
        world.services.iter_mut().filter(|known| known.info.name == service).for_each(|known| known.ends_at = due);
    }

    /// Waits for an end that was asked for and is still to come.
    async fn settled(&self, service: &str) {
        let due = self.world().services.iter().find(|known| known.info.name == service).and_then(|known| known.ends_at);
        if let Some(due) = due {
            tokio::time::sleep_until(due.into()).await;
        }
    }

    async fn fall_into(&self, here: Trap) {
        let is_trap = self.world().trap == Some(here);
        if is_trap {
            self.trap.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Whether the service is ready; an error where it will not be.
    fn look(&self, service: &str) -> EnvironmentResult<Result<(), String>> {
        let mut world = self.world();
        let log = world.logs.iter().filter(|(of, _)| of == service).map(|(_, line)| line.text.clone()).collect();
        let service = world.service(service)?;
        Ok(match (service.lifecycle, service.boot) {
            (Lifecycle::Running, Boot::After(time)) if service.age() >= time => Ok(()),
            (Lifecycle::Running, _) => Err("it does not answer yet".to_owned()),
            (Lifecycle::Exited, _) => {
                let name = service.info.name.clone();
                return Err(EnvironmentError::Died { service: name, how: "exit status 1".to_owned(), log });
            }
            (lifecycle, _) => Err(format!("it is {lifecycle}")),
        })
    }
}

impl Environment for FakeStack {
    fn info(&self) -> EnvironmentInfo {
        let brokers = self.world().services.iter().filter(|service| service.info.node_id.is_some()).count();
        EnvironmentInfo {
            name: "fake".to_owned(),
            kind: EnvironmentKind::named("fake"),
            kafka_version: None,
            brokers: u32::try_from(brokers).unwrap_or(u32::MAX),
            facts: BTreeMap::new(),
        }
    }

    fn endpoints(&self) -> Endpoints {
        let world = self.world();
        // No bootstrap address: librdkafka cannot come here.
        let servers = (!world.topics.is_empty()).then(|| format!("{}:9092", self.host));
        let client_config = servers.map(|servers| ("bootstrap.servers".to_owned(), servers)).into_iter().collect();
        let connect = (!world.connectors.is_empty()).then(|| format!("http://{}:8083", self.host));
        Endpoints { client_config, connect, ..Endpoints::default() }
    }

    fn services(&self) -> Vec<ServiceInfo> {
        let world = self.world();
        world.services.iter().map(|service| service.info.clone()).filter(|info| info.controllable).collect()
    }

    fn offer<'a>(&'a self, _: &'a Needs) -> BoxFuture<'a, Offer> {
        Box::pin(async { Offer::unknown(self.info().brokers, &self.endpoints(), "nothing here is Kafka") })
    }

    fn act<'a>(&'a self, service: &'a str, action: Action) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        let call = format!("{action} {service}");
        Box::pin(async move {
            self.settled(service).await;
            self.effect(call, service, move |world| world.service(service)?.act(action)).await
        })
    }

    fn disturb<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        let call = format!("{} {}", fault.kind.word(), fault.service);
        Box::pin(self.effect(call, &fault.service, move |world| {
            world.service(&fault.service)?;
            world.network.push(fault.clone());
            Ok(format!("{} is disturbed", fault.service))
        }))
    }

    fn heal<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Healed>> {
        Box::pin(async move {
            let mut changed = false;
            let heal = |world: &mut FakeWorld| {
                world.service(&fault.service)?;
                changed = world.network.contains(fault);
                world.network.retain(|known| known != fault);
                Ok(format!("{} is healed", fault.service))
            };
            let effect = self.effect(format!("heal {}", fault.service), &fault.service, heal).await?;
            Ok(Healed { effect, changed })
        })
    }

    fn disturbed<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Grip>> {
        Box::pin(async move {
            self.scripted(&format!("look {}", fault.service), &fault.service).await?;
            let there = self.world().network.contains(fault);
            let words = format!("{} is {}disturbed", fault.service, if there { "" } else { "not " });
            Ok(if there { Grip::Holds(words) } else { Grip::Lost(words) })
        })
    }

    fn wait_ready<'a>(&'a self, service: &'a str, timeout: Duration) -> BoxFuture<'a, EnvironmentResult<()>> {
        Box::pin(async move {
            self.scripted(&format!("ready {service}"), service).await?;
            let asked = moment::now();
            loop {
                match self.look(service)? {
                    Ok(()) => return Ok(()),
                    Err(reason) if moment::since(asked) >= timeout => {
                        return Err(EnvironmentError::NotReady {
                            service: service.to_owned(),
                            reason,
                            log: Vec::new(),
                        });
                    }
                    Err(_) => tokio::time::sleep(LOOK).await,
                }
            }
        })
    }

    fn state<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<ServiceState>> {
        Box::pin(async move {
            self.scripted(&format!("state {service}"), service).await?;
            Ok(self.world().service(service)?.state())
        })
    }

    fn logs<'a>(&'a self, service: &'a str, query: LogQuery) -> BoxFuture<'a, EnvironmentResult<Vec<LogLine>>> {
        Box::pin(async move {
            self.scripted(&format!("logs {service}"), service).await?;
            let mut world = self.world();
            world.service(service)?;
            let lines = world.logs.iter().filter(|(of, _)| of == service).map(|(_, line)| line.clone());
            let lines: Vec<LogLine> = lines.collect();
            let skipped = lines.len().saturating_sub(query.tail.unwrap_or(usize::MAX));
            Ok(lines.into_iter().skip(skipped).collect())
        })
    }
}
