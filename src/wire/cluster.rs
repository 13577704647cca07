//! A cluster: one connection for each broker, and who is asked what.

use super::address::BrokerAddress;
use super::connection::{Connection, Dialer};
use super::frame::ApiCall;
use super::wire_error::WireError;
use crate::ground::lock;
use futures_util::stream::{FuturesUnordered, StreamExt};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// One exchange may take this long; then it is seen again who has to be asked.
const TURN: Duration = Duration::from_secs(5);
/// Where any broker may answer, the next one is asked, too, when those before have been silent for this time.
const STAGGER: Duration = Duration::from_millis(200);

/// A broker's connection, while nobody uses it.
type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// A cluster, and the connections to its brokers. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct WireCluster {
    shared: Arc<Shared>,
}

struct Shared {
    dialer: Dialer,
    bootstrap: Vec<BrokerAddress>,
    timeout: Duration,
    slots: Mutex<BTreeMap<BrokerAddress, Slot>>,
    known: Mutex<Known>,
}

/// What was learned of the cluster.
#[derive(Default)]
struct Known {
    brokers: BTreeMap<i32, BrokerAddress>,
    /// Who answered last.
    willing: Option<BrokerAddress>,
}

impl WireCluster {
    /// A cluster behind `bootstrap.servers` of these client properties. Nothing is asked yet; each of the functions of this
    /// room gets `timeout` as a whole.
    ///
    /// # Errors
    /// [`WireError::Setting`].
    pub fn new(properties: &BTreeMap<String, String>, timeout: Duration) -> Result<Self, WireError> {
        const SERVERS: &str = "bootstrap.servers";
        let wrong = |reason: String| WireError::Setting { property: SERVERS.to_owned(), reason, source: None };
        let servers = properties.get(SERVERS).map_or("", String::as_str);
        let bootstrap = servers
            .split(',')
            .filter(|server| !server.trim().is_empty())
            .map(|server| BrokerAddress::parse(server).ok_or_else(|| wrong(format!("`{server}` is not `host:port`"))))
            .collect::<Result<Vec<_>, _>>()?;
        if bootstrap.is_empty() {
            return Err(wrong("it names no broker".to_owned()));
        }
        let shared = Shared {
            dialer: Dialer::new(properties)?,
            bootstrap,
            timeout,
            slots: Mutex::default(),
            known: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// When a function that begins now has to be over.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.shared.timeout
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.shared.known)
    }

    fn slot(&self, address: &BrokerAddress) -> Slot {
        let mut slots = lock(&self.shared.slots);
        slots.entry(address.clone()).or_default().clone()
    }

    /// Asks the broker at this address over the one connection that there is to it.
    async fn ask_at<R: ApiCall>(
        &self,
        address: &BrokerAddress,
        request: &R,
        deadline: Instant,
    ) -> Result<R::Answer, WireError> {
        let begun = Instant::now();
        let limit = deadline.saturating_duration_since(begun).min(TURN);
        let left = || limit.saturating_sub(begun.elapsed());
        let slot = self.slot(address);
        let late = |_| WireError::Timeout { address: address.clone(), request: R::NAME, limit };
        let mut held = tokio::time::timeout(limit, slot.lock()).await.map_err(late)?;
        // It is taken out meanwhile: where this future is dropped half-way, nobody else reads the answer to it.
        if let Some(mut connection) = held.take().filter(Connection::is_fresh) {
            match connection.call(request, left()).await {
                // Brokers close connections that are idle for long.
                Err(WireError::Closed { .. }) => {}
                result => {
                    *held = Some(connection).filter(|_| reusable(&result));
                    return result;
                }
            }
        }
        let mut connection = self.shared.dialer.connect(address, left()).await?;
        let result = connection.call(request, left()).await;
        *held = Some(connection).filter(|_| reusable(&result));
        result
    }

    /// Asks whoever answers, and takes the first answer in which `read` finds something. The broker that answered last is
    /// asked first, the others one after the other when there is silence, so that one that is frozen holds up nobody.
    ///
    /// # Errors
    /// The most telling of the errors.
    pub(super) async fn ask_any<R: ApiCall, T>(
        &self,
        request: &R,
        deadline: Instant,
        read: impl Fn(R::Answer) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        self.ask_in_turn(request, deadline, STAGGER, read).await
    }

    async fn ask_in_turn<R: ApiCall, T>(
        &self,
        request: &R,
        deadline: Instant,
        stagger: Duration,
        read: impl Fn(R::Answer) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        let candidates = self.candidates();
        let mut waiting = candidates.iter();
        let mut asked = FuturesUnordered::new();
        let mut last: Option<WireError> = None;
        loop {
            if let Some(address) = waiting.next() {
                asked.push(async move { (address, self.ask_at(address, request, deadline).await) });
            }
            let result = if waiting.len() == 0 {
                asked.next().await
            } else {
                match tokio::time::timeout(stagger, asked.next()).await {
                    Ok(result) => result,
                    Err(_) => continue,
                }
            };
            let Some((address, result)) = result else {
                if waiting.len() > 0 {
                    continue;
                }
                return Err(last.unwrap_or_else(|| nobody("a broker", "there is none to ask")));
            };
            match result.and_then(&read) {
                Ok(found) => {
                    self.known().willing = Some(address.clone());
                    return Ok(found);
                }
                // What does not pass says more than that a broker is down.
                Err(error) if last.is_none() || !error.is_passing() => last = Some(error),
                Err(_) => {}
            }
        }
    }

    fn candidates(&self) -> Vec<BrokerAddress> {
        let known = self.known();
        let mut all: Vec<BrokerAddress> = Vec::new();
        for address in known.willing.iter().chain(&self.shared.bootstrap).chain(known.brokers.values()) {
            if !all.contains(address) {
                all.push(address.clone());
            }
        }
        all
    }

    /// Where a broker is, for messages.
    pub(super) fn address_of(&self, id: i32) -> BrokerAddress {
        let unknown = || BrokerAddress { host: format!("broker {id}"), port: 0 };
        self.known().brokers.get(&id).cloned().unwrap_or_else(unknown)
    }

    /// Asks this broker, by its node id.
    ///
    /// # Errors
    /// [`WireError::Nobody`] where the cluster does not list it; else what a request can end in.
    pub(super) async fn ask_broker<R: ApiCall>(
        &self,
        id: i32,
        request: &R,
        deadline: Instant,
    ) -> Result<R::Answer, WireError> {
        let address = self.locate(id, deadline).await?;
        let result = self.ask_at(&address, request, deadline).await;
        if matches!(&result, Err(error) if error.is_passing()) {
            // It may have come back elsewhere.
            self.known().brokers.remove(&id);
        }
        result
    }

    /// Whether the client gets in at this address, whoever is there.
    ///
    /// # Errors
    /// See [`Dialer::connect`].
    pub(super) async fn knock(&self, address: &BrokerAddress, limit: Duration) -> Result<(), WireError> {
        self.shared.dialer.connect(address, limit).await.map(|_| ())
    }

    /// A connection to this broker that nobody else uses: what is asked on it may take long and have large answers.
    ///
    /// # Errors
    /// See [`WireCluster::ask_broker`] and [`Dialer::connect`].
    pub(super) async fn dial(&self, id: i32) -> Result<Connection, WireError> {
        let deadline = self.deadline();
        let address = self.locate(id, deadline).await?;
        let result = self.shared.dialer.connect(&address, deadline.saturating_duration_since(Instant::now())).await;
        if matches!(&result, Err(error) if error.is_passing()) {
            self.known().brokers.remove(&id);
        }
        result
    }

    async fn locate(&self, id: i32, deadline: Instant) -> Result<BrokerAddress, WireError> {
        let known = self.known().brokers.get(&id).cloned();
        if let Some(address) = known {
            return Ok(address);
        }
        self.metadata(&MetadataRequest::default().with_topics(Some(Vec::new())), deadline).await?;
        let known = self.known().brokers.get(&id).cloned();
        known.ok_or_else(|| nobody(&format!("broker {id}"), "the cluster does not list it: it is down or fenced"))
    }

    /// Asks whoever passes on to the controller: in KRaft every broker does. `read` refuses the answer of one that does not.
    ///
    /// # Errors
    /// See [`WireCluster::ask_any`].
    pub(super) async fn ask_controller<R: ApiCall, T>(
        &self,
        request: &R,
        deadline: Instant,
        read: impl Fn(R::Answer) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        if self.known().brokers.is_empty() {
            self.metadata(&MetadataRequest::default().with_topics(Some(Vec::new())), deadline).await?;
        }
        // What changes something is not said twice for a short silence.
        self.ask_in_turn(request, deadline, TURN / 2, read).await
    }

    /// Asks for metadata, and remembers where the brokers are.
    pub(super) async fn metadata(
        &self,
        request: &MetadataRequest,
        deadline: Instant,
    ) -> Result<MetadataResponse, WireError> {
        let metadata = self.ask_any(request, deadline, Ok).await?;
        let brokers = metadata.brokers.iter().filter_map(|broker| {
            let port = u16::try_from(broker.port).ok()?;
            Some((broker.node_id.0, BrokerAddress { host: broker.host.to_string(), port }))
        });
        self.known().brokers = brokers.collect();
        Ok(metadata)
    }
}

/// Whether nothing of the answer can still be on its way.
fn reusable<T>(result: &Result<T, WireError>) -> bool {
    matches!(result, Ok(_) | Err(WireError::Unsupported { .. }))
}

/// There is nobody to ask now.
pub(super) fn nobody(wanted: &str, reason: &str) -> WireError {
    WireError::Nobody { wanted: wanted.to_owned(), reason: reason.to_owned(), passes: true }
}

/// There is nobody to ask, and waiting does not help.
pub(super) fn never(wanted: &str, reason: &str) -> WireError {
    WireError::Nobody { wanted: wanted.to_owned(), reason: reason.to_owned(), passes: false }
}
