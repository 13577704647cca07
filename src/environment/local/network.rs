//! Network faults on a local stack: proxies in front of every listener, and the faults in force on them.

use super::cluster::{Endpoint, LocalCluster};
use super::procfs::connects_from;
use super::proxy::{ConnectionOrigin, LinkRoute, Proxy};
use super::service::LocalService;
use super::shape::{Link, LinkShape};
use crate::environment::{Effect, EnvironmentError, EnvironmentResult, Grip, NetworkFault, NetworkFaultKind, Peers};
use crate::wire::{WireError, probe};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a request through a cut link is watched for an answer that must not come.
const SILENCE: Duration = Duration::from_millis(150);
/// How long a request through a link that lets it pass may take, beyond the delays in force.
const HEALTHY: Duration = Duration::from_secs(5);
/// Looks at a fault whose request failed by something else, while the service answers behind its proxies: it may have come up in between.
const LOOKS: usize = 3;

/// The proxies of a stack.
pub(super) struct StackProxies {
    stations: Vec<Station>,
}

/// The proxies in front of one service.
struct Station {
    service: Arc<LocalService>,
    clients: Link,
    brokers: Link,
    gates: Vec<Gate>,
}

/// A proxy in front of one listener.
struct Gate {
    between: Peers,
    /// The port that is told to others.
    listen: u16,
    /// The port that the service binds.
    target: u16,
    proxy: Proxy,
}

/// What a request through a disturbed link showed.
enum Seen {
    /// The fault.
    Fault(String),
    /// An answer that should not have come, or not so soon.
    Answer(String),
    /// An error that is not of the fault's kind.
    Failure(String),
}

impl StackProxies {
    /// Starts a proxy for each listener that has one reserved.
    ///
    /// # Errors
    /// A port cannot be bound.
    pub(super) async fn start(cluster: &LocalCluster, services: &[Arc<LocalService>]) -> EnvironmentResult<Self> {
        let mut stations: Vec<Station> = services
            .iter()
            .filter(|service| service.info().node_id.is_some())
            .map(|service| Station {
                service: Arc::clone(service),
                clients: Link::default(),
                brokers: Link::default(),
                gates: Vec::new(),
            })
            .collect();
        let peers: Vec<(Arc<LocalService>, Link)> =
            stations.iter().map(|station| (Arc::clone(&station.service), station.brokers.clone())).collect();
        for node in &cluster.nodes {
            let Some(station) = stations.iter_mut().find(|station| station.service.name() == node.name) else {
                continue;
            };
            let listeners =
                [(Peers::Clients, &node.clients), (Peers::Brokers, &node.brokers), (Peers::Brokers, &node.quorum)];
            for (between, endpoint) in listeners {
                let Some(Endpoint { port, proxy: Some(proxy) }) = endpoint else { continue };
                let listen = proxy.number();
                let target = port.number();
                let link = if between == Peers::Clients { &station.clients } else { &station.brokers };
                let route = LinkRoute {
                    listen,
                    target,
                    link: link.clone(),
                    origin: (between == Peers::Brokers).then(|| {
                        let (peers, me) = (peers.clone(), node.name.clone());
                        Box::new(move |from: SocketAddr| origin(&peers, &me, from, listen)) as _
                    }),
                };
                let proxy = Proxy::start(route).await.map_err(|error| {
                    EnvironmentError::caused(format!("could not start a proxy on port {listen}"), error)
                })?;
                station.gates.push(Gate { between, listen, target, proxy });
            }
        }
        Ok(Self { stations })
    }

    /// Applies a fault and shows its effect: what answered before is disturbed now.
    ///
    /// # Errors
    /// The service has no such connections or does not answer through them, or the fault shows no effect; then it is taken back.
    pub(super) async fn disturb(&self, fault: &NetworkFault) -> EnvironmentResult<Effect> {
        let station = self.station(fault)?;
        station.answers(fault).await?;
        let requested = Instant::now();
        let connections = station.connections(fault.between);
        let link = station.link(fault.between);
        link.apply(&fault.kind, fault.direction);
        let mut effective = Instant::now();
        match station.observe(fault).await {
            Ok(Seen::Fault(observed)) => {
                if fault.kind == NetworkFaultKind::Cut {
                    // What was on its way when the link was cut has arrived: from here on there is silence.
                    effective = Instant::now();
                }
                let proof = format!("{observed}; {connections} open connections concerned");
                Ok(Effect { requested, effective, down: None, proof, forced: false })
            }
            Ok(Seen::Answer(observed) | Seen::Failure(observed)) => {
                link.take_back(&fault.kind, fault.direction);
                Err(EnvironmentError::NoEffect { service: fault.service.clone(), observed })
            }
            Err(error) => {
                link.take_back(&fault.kind, fault.direction);
                Err(error)
            }
        }
    }

    /// Takes a fault back.
    ///
    /// # Errors
    /// The service has no such connections.
    pub(super) fn heal(&self, fault: &NetworkFault) -> EnvironmentResult<Effect> {
        let station = self.station(fault)?;
        let requested = Instant::now();
        let link = station.link(fault.between);
        link.take_back(&fault.kind, fault.direction);
        let proof = if link.shape() == LinkShape::default() {
            format!("the proxies of {} pass bytes again", fault.service)
        } else {
            format!("other faults are still in force on the network of {}", fault.service)
        };
        Ok(Effect { requested, effective: Instant::now(), down: None, proof, forced: false })
    }

    /// Whether a fault is in force: the proxies have it, and a request through them shows it while the service could answer.
    ///
    /// # Errors
    /// The service has no such connections.
    pub(super) async fn disturbed(&self, fault: &NetworkFault) -> EnvironmentResult<Grip> {
        let station = self.station(fault)?;
        if !station.link(fault.between).has(&fault.kind, fault.direction) {
            return Ok(Grip::Lost(format!("the proxies of {} do not apply it", fault.service)));
        }
        if !station.service.is_running() {
            return Ok(Grip::Holds(format!("the proxies of {} apply it", fault.service)));
        }
        let mut failure = String::new();
        for _ in 0..LOOKS {
            match station.observe(fault).await? {
                Seen::Fault(observed) => return Ok(Grip::Holds(observed)),
                Seen::Answer(observed) => return Ok(Grip::Lost(observed)),
                // One that is only starting answers nowhere, which says nothing of its network.
                Seen::Failure(observed) if !station.answers_behind(fault.between).await => {
                    return Ok(Grip::Holds(format!(
                        "{observed}; {} answers behind its proxies as little",
                        fault.service
                    )));
                }
                Seen::Failure(observed) => failure = observed,
            }
        }
        Ok(Grip::Lost(failure))
    }

    fn station(&self, fault: &NetworkFault) -> EnvironmentResult<&Station> {
        let station = self.stations.iter().find(|station| station.service.name() == fault.service);
        let unsupported = |message: String| EnvironmentError::Unsupported { message };
        let station = station.ok_or_else(|| {
            unsupported(format!("network faults are possible on brokers and controllers, not on {}", fault.service))
        })?;
        if fault.between == Peers::Brokers && self.stations.len() == 1 {
            return Err(unsupported(format!("{} is alone: there are no other brokers or controllers", fault.service)));
        }
        if station.gates.iter().any(|gate| gate.between == fault.between) {
            return Ok(station);
        }
        Err(unsupported(format!(
            "{} has no connections with {}",
            fault.service,
            match fault.between {
                Peers::Clients => "clients",
                Peers::Brokers => "other brokers",
            }
        )))
    }
}

impl Station {
    fn link(&self, between: Peers) -> &Link {
        match between {
            Peers::Clients => &self.clients,
            Peers::Brokers => &self.brokers,
        }
    }

    fn connections(&self, between: Peers) -> usize {
        self.gates.iter().filter(|gate| gate.between == between).map(|gate| gate.proxy.connections()).sum()
    }

    /// The port of a proxy that a fault concerns.
    fn port(&self, between: Peers) -> EnvironmentResult<u16> {
        let gate = self.gates.iter().find(|gate| gate.between == between);
        gate.map(|gate| gate.listen).ok_or_else(|| EnvironmentError::failed("there is no proxy"))
    }

    /// Whether the service answers at its own port, where no proxy is in between.
    async fn answers_behind(&self, between: Peers) -> bool {
        let Some(gate) = self.gates.iter().find(|gate| gate.between == between) else { return false };
        probe::answers(gate.target, HEALTHY).await.is_ok()
    }

    /// Shows that the service answers through its proxy: what is silent anyway cannot be disturbed.
    async fn answers(&self, fault: &NetworkFault) -> EnvironmentResult<()> {
        let no_effect = |observed: String| EnvironmentError::NoEffect { service: fault.service.clone(), observed };
        let life = self.service.life();
        match life.as_ref().map(|life| (life.try_ended(), life.is_stopped())) {
            None => return Err(no_effect("it was never started".to_owned())),
            Some((Some(ended), _)) => return Err(no_effect(format!("it is not running: {}", ended.how))),
            Some((None, true)) => {
                return Err(no_effect("it is paused, so disturbing its network changes nothing".to_owned()));
            }
            Some((None, false)) => {}
        }
        let shape = self.link(fault.between).shape();
        if shape.is_closed() {
            return Err(no_effect("its network is cut or refuses connections already".to_owned()));
        }
        let port = self.port(fault.between)?;
        probe::answers(port, HEALTHY + 2 * shape.delay()).await.map_err(|error| {
            no_effect(format!("it did not answer through port {port} before the fault either: {}", error.in_full()))
        })
    }

    /// Sends a request through the proxy and describes what came of it.
    async fn observe(&self, fault: &NetworkFault) -> EnvironmentResult<Seen> {
        let port = self.port(fault.between)?;
        let limit = match fault.kind {
            NetworkFaultKind::Delay(_) | NetworkFaultKind::Throttle(_) => {
                HEALTHY + 2 * self.link(fault.between).shape().delay()
            }
            NetworkFaultKind::Cut | NetworkFaultKind::Reset => SILENCE,
        };
        let began = Instant::now();
        let mut answer = probe::answers(port, limit).await;
        // The proxy closes its port a moment after it was told to; a connection in between is reset.
        while fault.kind == NetworkFaultKind::Reset
            && answer.as_ref().err().and_then(WireError::io_kind) != Some(io::ErrorKind::ConnectionRefused)
            && began.elapsed() < Duration::from_secs(1)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
            answer = probe::answers(port, limit).await;
        }
        let took = began.elapsed();
        Ok(match (&fault.kind, answer) {
            (NetworkFaultKind::Cut, Err(error)) if matches!(error, WireError::Timeout { .. }) => {
                Seen::Fault(format!("a request through port {port}: {}", error.in_full()))
            }
            (NetworkFaultKind::Delay(delay), Ok(())) if took >= *delay => {
                Seen::Fault(format!("a request through port {port} took {:.0} ms", took.as_secs_f64() * 1e3))
            }
            (NetworkFaultKind::Throttle(rate), Ok(())) => {
                Seen::Fault(format!("port {port} passes {rate} bytes a second"))
            }
            // So few bytes a second pass, shared with others, that one answer takes longer than anybody waits.
            (NetworkFaultKind::Delay(_) | NetworkFaultKind::Throttle(_), Err(error @ WireError::Timeout { .. })) => {
                Seen::Fault(format!("a request through port {port}: {}", error.in_full()))
            }
            (NetworkFaultKind::Reset, Err(error)) if error.io_kind() == Some(io::ErrorKind::ConnectionRefused) => {
                Seen::Fault(format!("connecting to port {port}: {}", error.in_full()))
            }
            (_, Ok(())) => Seen::Answer(format!("a request through port {port} was answered after {took:.0?}")),
            // Behind another cut, what a delay or a throttle does cannot be seen; the proxies have it all the same.
            (NetworkFaultKind::Delay(_) | NetworkFaultKind::Throttle(_), Err(_))
                if self.link(fault.between).shape().is_closed() =>
            {
                Seen::Fault(format!("port {port} lets nothing through at the moment"))
            }
            // A service that ended meanwhile shows nothing of its network.
            (_, Err(error)) if !self.service.is_running() => {
                Seen::Fault(format!("nobody answers on port {port}: {}", error.in_full()))
            }
            (_, Err(error)) => Seen::Failure(format!("a request through port {port} failed: {}", error.in_full())),
        })
    }
}

/// Which service opened a connection to the proxy of `target`.
fn origin(peers: &[(Arc<LocalService>, Link)], target: &str, from: SocketAddr, listen: u16) -> ConnectionOrigin {
    let opener = peers
        .iter()
        .find(|(service, _)| service.life().is_some_and(|life| connects_from(life.pid(), from.port(), listen)));
    match opener {
        None => ConnectionOrigin::Outside,
        Some((service, _)) if service.name() == target => ConnectionOrigin::Itself,
        Some((_, link)) => ConnectionOrigin::Other(link.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::local::service::ServiceDescription;
    use crate::environment::local::spawner::Launch;
    use crate::environment::{Direction, ServiceInfo};
    use nix::sys::signal::Signal;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// A service whose process runs, and that does not listen; and the port that it would listen on.
    async fn silent() -> (StackProxies, u16) {
        let free = async || TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
        let (listen, target) = (free().await, free().await);
        let launch = Launch {
            program: "/bin/sleep".into(),
            args: vec!["1000".into()],
            directory: "/".into(),
            log: "/dev/null".into(),
            ..Launch::default()
        };
        let service = Arc::new(LocalService::new(ServiceDescription {
            info: ServiceInfo { name: "kafka-1".to_owned(), node_id: Some(1), controllable: true },
            launch,
            data: None,
            stop_signal: Signal::SIGTERM,
            end_signal: Signal::SIGKILL,
            grace: Duration::from_secs(5),
        }));
        service.start().await.expect("starts");
        let clients = Link::default();
        let route = LinkRoute { listen, target, link: clients.clone(), origin: None };
        let proxy = Proxy::start(route).await.expect("listens");
        let gates = vec![Gate { between: Peers::Clients, listen, target, proxy }];
        (StackProxies { stations: vec![Station { service, clients, brokers: Link::default(), gates }] }, target)
    }

    fn fault(kind: NetworkFaultKind) -> NetworkFault {
        NetworkFault { service: "kafka-1".to_owned(), kind, between: Peers::Clients, direction: Direction::Both }
    }

    #[tokio::test]
    async fn a_fault_on_a_service_that_is_only_starting_is_in_force() {
        let (proxies, _) = silent().await;
        let millis = Duration::from_millis;
        for kind in [NetworkFaultKind::Cut, NetworkFaultKind::Delay(millis(100)), NetworkFaultKind::Throttle(1000)] {
            let fault = fault(kind);
            proxies.stations[0].clients.apply(&fault.kind, fault.direction);
            let grip = proxies.disturbed(&fault).await.expect("it can be seen");
            assert!(matches!(grip, Grip::Holds(_)), "{fault:?}: {grip:?}");
            proxies.heal(&fault).expect("healed");
            let grip = proxies.disturbed(&fault).await.expect("it can be seen");
            assert!(matches!(grip, Grip::Lost(_)), "{fault:?}: {grip:?}");
        }
    }

    #[tokio::test]
    async fn a_throttle_that_holds_an_answer_up_for_longer_than_anybody_waits_is_in_force() {
        let (proxies, target) = silent().await;
        let listener = TcpListener::bind(("127.0.0.1", target)).await.expect("a port");
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let _ = client.read(&mut [0; 1024]).await;
                held.push(client);
            }
        });
        let fault = fault(NetworkFaultKind::Throttle(20));
        proxies.stations[0].clients.apply(&fault.kind, fault.direction);
        let grip = proxies.disturbed(&fault).await.expect("it can be seen");
        assert!(matches!(&grip, Grip::Holds(words) if !words.contains("as little")), "{grip:?}");
    }
}
