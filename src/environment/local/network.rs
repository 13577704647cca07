//! Network faults on a local stack: proxies in front of every listener, and the faults in force on them.

use super::cluster::{Cluster, Endpoint};
use super::probe;
use super::procfs::connects_from;
use super::proxy::{Origin, Proxy, Route};
use super::service::Service;
use super::shape::Link;
use crate::environment::{Effect, EnvironmentError, EnvironmentResult, NetworkFault, NetworkFaultKind, Peers};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a request through a cut link is watched for an answer that must not come.
const SILENCE: Duration = Duration::from_millis(150);

/// The proxies of a stack.
pub(super) struct Network {
    stations: Vec<Station>,
}

/// The proxies in front of one service.
struct Station {
    service: Arc<Service>,
    clients: Link,
    brokers: Link,
    proxies: Vec<(Peers, u16, Proxy)>,
}

impl Network {
    /// Starts a proxy for each listener that has one reserved.
    ///
    /// # Errors
    /// A port cannot be bound.
    pub(super) async fn start(cluster: &Cluster, services: &[Arc<Service>]) -> EnvironmentResult<Self> {
        let mut stations: Vec<Station> = services
            .iter()
            .filter(|service| service.info().node_id.is_some())
            .map(|service| Station {
                service: Arc::clone(service),
                clients: Link::default(),
                brokers: Link::default(),
                proxies: Vec::new(),
            })
            .collect();
        let peers: Vec<(Arc<Service>, Link)> =
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
                let link = if between == Peers::Clients { &station.clients } else { &station.brokers };
                let route = Route {
                    listen,
                    target: port.number(),
                    link: link.clone(),
                    origin: (between == Peers::Brokers).then(|| {
                        let (peers, me) = (peers.clone(), node.name.clone());
                        Box::new(move |from: SocketAddr| origin(&peers, &me, from, listen)) as _
                    }),
                };
                let running = Proxy::start(route).await.map_err(|error| {
                    EnvironmentError::failed(format!("could not start a proxy on port {listen}: {error}"))
                })?;
                station.proxies.push((between, listen, running));
            }
        }
        Ok(Self { stations })
    }

    /// Applies a fault and shows its effect.
    ///
    /// # Errors
    /// The service has no such connections, or the fault shows no effect.
    pub(super) async fn disturb(&self, fault: &NetworkFault) -> EnvironmentResult<Effect> {
        let station = self.station(fault)?;
        let requested = Instant::now();
        let connections = station.connections(fault.between);
        station.link(fault.between).apply(&fault.kind, fault.direction, true);
        let effective = Instant::now();
        let observed = station.observe(fault).await?;
        let proof = format!("{observed}; {connections} open connections concerned");
        Ok(Effect { requested, effective, down: None, proof })
    }

    /// Takes a fault back.
    ///
    /// # Errors
    /// The service has no such connections.
    pub(super) fn heal(&self, fault: &NetworkFault) -> EnvironmentResult<Effect> {
        let station = self.station(fault)?;
        let requested = Instant::now();
        station.link(fault.between).apply(&fault.kind, fault.direction, false);
        let proof = format!("the proxies of {} pass bytes again", fault.service);
        Ok(Effect { requested, effective: Instant::now(), down: None, proof })
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
        if station.proxies.iter().any(|(between, ..)| *between == fault.between) {
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
        self.proxies.iter().filter(|(peers, ..)| *peers == between).map(|(_, _, proxy)| proxy.connections()).sum()
    }

    /// Sends a request through the proxy and describes what came of it.
    async fn observe(&self, fault: &NetworkFault) -> EnvironmentResult<String> {
        let Some((_, port, _)) = self.proxies.iter().find(|(between, ..)| *between == fault.between) else {
            return Err(EnvironmentError::failed("there is no proxy"));
        };
        let no_effect = |observed: String| EnvironmentError::NoEffect { service: fault.service.clone(), observed };
        let limit = match fault.kind {
            NetworkFaultKind::Delay(delay) => 2 * delay + Duration::from_secs(1),
            _ => SILENCE,
        };
        let began = Instant::now();
        let mut answer = probe::answers(*port, limit).await;
        // The proxy closes its port a moment after it was told to; a connection in between is reset.
        while fault.kind == NetworkFaultKind::Reset
            && answer.as_ref().err().map(io::Error::kind) != Some(io::ErrorKind::ConnectionRefused)
            && began.elapsed() < Duration::from_secs(1)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
            answer = probe::answers(*port, limit).await;
        }
        let took = began.elapsed();
        match (&fault.kind, answer) {
            (NetworkFaultKind::Cut, Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                Ok(format!("a request through port {port} had {error}"))
            }
            (NetworkFaultKind::Cut, Err(error)) => Ok(format!("a request through port {port} failed: {error}")),
            (NetworkFaultKind::Cut, Ok(())) => Err(no_effect("a request was answered".to_owned())),
            (NetworkFaultKind::Delay(delay), Ok(())) if took >= *delay => {
                Ok(format!("a request through port {port} took {:.0} ms", took.as_secs_f64() * 1e3))
            }
            (NetworkFaultKind::Delay(_), Ok(())) => Err(no_effect(format!("a request took only {took:.0?}"))),
            (NetworkFaultKind::Delay(_), Err(error)) => Ok(format!("a request through port {port}: {error}")),
            (NetworkFaultKind::Throttle(rate), _) => Ok(format!("port {port} passes {rate} bytes a second")),
            (NetworkFaultKind::Reset, Err(error)) => Ok(format!("connecting to port {port}: {error}")),
            (NetworkFaultKind::Reset, Ok(())) => Err(no_effect("a new connection was accepted".to_owned())),
        }
    }
}

/// Which service opened a connection to the proxy of `target`.
fn origin(peers: &[(Arc<Service>, Link)], target: &str, from: SocketAddr, listen: u16) -> Origin {
    let opener = peers
        .iter()
        .find(|(service, _)| service.life().is_some_and(|life| connects_from(life.pid(), from.port(), listen)));
    match opener {
        None => Origin::Outside,
        Some((service, _)) if service.name() == target => Origin::Itself,
        Some((_, link)) => Origin::Other(link.clone()),
    }
}
