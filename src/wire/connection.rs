//! One connection to one broker: TLS, versions, authentication, then requests one after the other.

use super::address::BrokerAddress;
use super::frame::{ApiCall, Malformed, decode, encode};
use super::guarded::{Guarded, LengthStyle};
use super::refusal::{MissingRight, Operation, RightSubject};
use super::room::AnswerRoom;
use super::sasl;
use super::security::{ClientProperties, Security};
use super::wire_error::{SharedError, WireError};
use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Decodable, VersionRange};
use std::collections::BTreeMap;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest answer that is read; the largest are the metadata of all topics, at about 60 bytes a partition.
const LONGEST: usize = 32 << 20;
/// The same before the broker is known to be one: a stranger's first bytes often spell a large number.
const LONGEST_GREETING: usize = 1 << 20;
/// Kafka's code for a version that it does not know.
const UNSUPPORTED_VERSION: i16 = 35;

/// A socket, with TLS or without.
trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// Which addresses of a name are used.
#[derive(Clone, Copy)]
enum Family {
    Any,
    V4,
    V6,
}

/// How connections are made: the client's name and its security. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    client: Arc<str>,
    security: Security,
    family: Family,
}

impl Dialer {
    /// With the properties that the other clients use, too.
    ///
    /// # Errors
    /// [`WireError::Setting`].
    pub fn new(properties: &BTreeMap<String, String>) -> Result<Self, WireError> {
        let properties = ClientProperties::new(properties)?;
        let family = match properties.get(&["broker.address.family"]) {
            Some("v4") => Family::V4,
            Some("v6") => Family::V6,
            _ => Family::Any,
        };
        let client = properties.get(&["client.id"]).unwrap_or("kscen").into();
        Ok(Self { client, security: Security::new(&properties)?, family })
    }

    /// Without TLS and without a user, for processes that kscen started on this machine.
    pub fn plaintext() -> Self {
        Self { client: "kscen".into(), security: Security::NONE, family: Family::Any }
    }

    /// A connection that is ready for requests of the newest versions that both sides speak.
    ///
    /// # Errors
    /// [`WireError::Unreachable`], [`WireError::Tls`], [`WireError::Authentication`], or whatever a request can end in;
    /// [`WireError::Timeout`] where all that takes longer than `limit`.
    pub async fn connect(&self, address: &BrokerAddress, limit: Duration) -> Result<Connection, WireError> {
        let greet = async {
            let mut connection = self.open(address).await?;
            connection.learn_versions().await?;
            if let Some(user) = &self.security.sasl {
                let lifetime = sasl::authenticate(&mut connection, user).await?;
                connection.expires = lifetime.map(|lifetime| Instant::now() + lifetime);
            }
            connection.longest = LONGEST;
            Ok(connection)
        };
        within(limit, address, "the greeting", greet).await
    }

    /// One request of a version that the broker is known to have, on a connection of its own: a single exchange, as cheap
    /// as a question can be. Without authentication.
    ///
    /// # Errors
    /// See [`Dialer::connect`].
    pub(crate) async fn ask_once<R: ApiCall>(
        &self,
        address: &BrokerAddress,
        request: &R,
        version: i16,
        limit: Duration,
    ) -> Result<R::Answer, WireError> {
        let ask = async { self.open(address).await?.exchange(request, version).await };
        within(limit, address, R::NAME, ask).await
    }

    async fn open(&self, address: &BrokerAddress) -> Result<Connection, WireError> {
        #[cfg(test)]
        if let Some(stream) = super::memory::dial(&address.host) {
            return Ok(self.over(Box::new(stream), address));
        }
        let stream = self.reach(address).await;
        let stream =
            stream.map_err(|error| WireError::Unreachable { address: address.clone(), source: Arc::new(error) })?;
        let socket: Box<dyn Socket> = match &self.security.tls {
            None => Box::new(stream),
            Some(tls) => {
                let refused = |error| WireError::Tls { address: address.clone(), source: Arc::new(error) };
                Box::new(tls.connect(&address.host, stream).await.map_err(refused)?)
            }
        };
        Ok(self.over(socket, address))
    }

    /// A connection that knows nothing of its broker yet.
    fn over(&self, socket: Box<dyn Socket>, address: &BrokerAddress) -> Connection {
        Connection {
            socket,
            address: address.clone(),
            client: self.client.clone(),
            correlation: 0,
            versions: BTreeMap::new(),
            longest: LONGEST_GREETING,
            room: AnswerRoom::default(),
            expires: None,
        }
    }

    async fn reach(&self, address: &BrokerAddress) -> io::Result<TcpStream> {
        let mut last = None;
        let found = tokio::net::lookup_host((address.host.as_str(), address.port)).await;
        // The system's own kind for that cannot be told from others.
        for found in found.map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))? {
            match (self.family, found.is_ipv4()) {
                (Family::V4, false) | (Family::V6, true) => continue,
                _ => {}
            }
            match TcpStream::connect(found).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no usable address")))
    }
}

async fn within<T>(
    limit: Duration,
    address: &BrokerAddress,
    request: &'static str,
    work: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    let late = |_| WireError::Timeout { address: address.clone(), request, limit };
    tokio::time::timeout(limit, work).await.map_err(late)?
}

/// A connection. After any error other than [`WireError::Unsupported`], and after a request whose future was dropped, it
/// must be dropped: an answer may still be on its way.
pub struct Connection {
    socket: Box<dyn Socket>,
    address: BrokerAddress,
    client: Arc<str>,
    correlation: i32,
    /// What the broker speaks, by the request's number.
    versions: BTreeMap<i16, VersionRange>,
    longest: usize,
    room: AnswerRoom,
    expires: Option<Instant>,
}

/// A request whose answer has not been received.
pub(super) struct Pending<R> {
    version: i16,
    correlation: i32,
    request: PhantomData<R>,
}

impl Connection {
    /// Where it leads.
    pub(super) fn address(&self) -> &BrokerAddress {
        &self.address
    }

    /// Whether the broker still takes requests: some want a new authentication from time to time.
    pub(super) fn is_fresh(&self) -> bool {
        self.expires.is_none_or(|expires| Instant::now() < expires)
    }

    /// The newest version of a request that both sides speak.
    ///
    /// # Errors
    /// [`WireError::Unsupported`].
    pub(crate) fn version<R: ApiCall>(&self) -> Result<i16, WireError> {
        let ours = R::versions();
        let theirs = self.versions.get(&(R::KEY as i16));
        match theirs.map(|theirs| theirs.intersect(&ours)) {
            Some(both) if !both.is_empty() => Ok(both.max),
            _ => Err(WireError::Unsupported {
                address: self.address.clone(),
                request: R::NAME,
                ours: (ours.min, ours.max),
                theirs: theirs.map(|theirs| (theirs.min, theirs.max)),
            }),
        }
    }

    /// Asks, in the newest version that both sides speak.
    ///
    /// # Errors
    /// [`WireError::Unsupported`], [`WireError::Timeout`], [`WireError::Closed`], [`WireError::Malformed`]. Error codes
    /// in the answer are the caller's to read.
    pub(crate) async fn call<R: ApiCall>(&mut self, request: &R, limit: Duration) -> Result<R::Answer, WireError> {
        let version = self.version::<R>()?;
        let address = self.address.clone();
        within(limit, &address, R::NAME, self.exchange(request, version)).await
    }

    /// Asks in this version, without a limit of its own.
    pub(super) async fn exchange<R: ApiCall>(&mut self, request: &R, version: i16) -> Result<R::Answer, WireError> {
        let answer = self.send_and_receive(request, version).await?;
        decode::<R>(answer, version, self.correlation).map_err(|reason| self.malformed(R::NAME, reason))
    }

    async fn send_and_receive<R: ApiCall>(&mut self, request: &R, version: i16) -> Result<Bytes, WireError> {
        self.write(request, version).await?;
        self.read(R::NAME).await
    }

    /// Asks without waiting for the answer: Kafka answers the requests of a connection in their order, so that the next can
    /// be on its way meanwhile. Every pending answer has to be [received](Connection::receive), the oldest first.
    ///
    /// # Errors
    /// See [`Connection::call`].
    pub(super) async fn send<R: ApiCall>(&mut self, request: &R, limit: Duration) -> Result<Pending<R>, WireError> {
        let version = self.version::<R>()?;
        let address = self.address.clone();
        within(limit, &address, R::NAME, self.write(request, version)).await?;
        Ok(Pending { version, correlation: self.correlation, request: PhantomData })
    }

    /// The answer to the oldest request that is pending.
    ///
    /// # Errors
    /// See [`Connection::call`].
    pub(super) async fn receive<R: ApiCall>(
        &mut self,
        pending: Pending<R>,
        limit: Duration,
    ) -> Result<R::Answer, WireError> {
        let address = self.address.clone();
        let answer = within(limit, &address, R::NAME, self.read(R::NAME)).await?;
        decode::<R>(answer, pending.version, pending.correlation).map_err(|reason| self.malformed(R::NAME, reason))
    }

    /// Takes answers of up to this many bytes, where more than the usual is expected.
    pub(super) fn expect_up_to(&mut self, longest: usize) {
        self.longest = longest;
    }

    async fn write<R: ApiCall>(&mut self, request: &R, version: i16) -> Result<(), WireError> {
        self.correlation = self.correlation.wrapping_add(1);
        let frame = encode(request, version, self.correlation, &self.client)
            .map_err(|cause| WireError::Unwritable { request: R::NAME, source: cause.into() })?;
        let ended = |error: io::Error, address: &BrokerAddress| closed(error, R::NAME, address);
        self.socket.write_all(&frame).await.map_err(|error| ended(error, &self.address))?;
        self.socket.flush().await.map_err(|error| ended(error, &self.address))
    }

    /// The next answer, without its length.
    async fn read(&mut self, request: &'static str) -> Result<Bytes, WireError> {
        let ended = |error: io::Error, address: &BrokerAddress| closed(error, request, address);
        let claimed = self.socket.read_i32().await.map_err(|error| ended(error, &self.address))?;
        let length = usize::try_from(claimed).ok().filter(|length| (4..=self.longest).contains(length));
        let length = length.ok_or_else(|| self.malformed(request, Malformed::Length(self.longest, claimed)))?;
        let mut answer = self.room.take(length).limit(length);
        while answer.has_remaining_mut() {
            let read = self.socket.read_buf(&mut answer).await.map_err(|error| ended(error, &self.address))?;
            if read == 0 {
                return Err(ended(io::ErrorKind::UnexpectedEof.into(), &self.address));
            }
        }
        let mut room = answer.into_inner();
        let answer = room.split().freeze();
        self.room.give_back(room, length);
        Ok(answer)
    }

    pub(super) fn malformed(&self, request: &'static str, reason: Malformed) -> WireError {
        WireError::Malformed { address: self.address.clone(), request, source: Arc::new(reason) }
    }

    /// Asks what the broker speaks. One that does not know this version of the question answers in the oldest.
    async fn learn_versions(&mut self) -> Result<(), WireError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(super::frame::text("kscen"))
            .with_client_software_version(super::frame::text(env!("CARGO_PKG_VERSION")));
        let frame = self.send_and_receive(&request, ApiVersionsRequest::OLDEST).await?;
        let code = frame.get(4..6).and_then(|code| code.try_into().ok()).map(i16::from_be_bytes);
        let answer = match code {
            Some(UNSUPPORTED_VERSION) => decode_oldest(&frame, self.correlation),
            _ => decode::<ApiVersionsRequest>(frame, ApiVersionsRequest::OLDEST, self.correlation),
        };
        let answer = answer.map_err(|reason| self.malformed(ApiVersionsRequest::NAME, reason))?;
        if answer.error_code != UNSUPPORTED_VERSION {
            MissingRight::check(
                answer.error_code,
                None,
                "ask the versions of",
                Operation::Describe,
                RightSubject::Cluster,
            )?;
        }
        self.versions = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, VersionRange { min: api.min_version, max: api.max_version }))
            .collect();
        if self.versions.is_empty() {
            let reason = Malformed::Missing("the requests that it knows".to_owned());
            return Err(self.malformed(ApiVersionsRequest::NAME, reason));
        }
        Ok(())
    }
}

fn closed(error: io::Error, request: &'static str, address: &BrokerAddress) -> WireError {
    WireError::Closed {
        address: address.clone(),
        request,
        source: (error.kind() != io::ErrorKind::UnexpectedEof).then(|| Arc::new(error) as SharedError),
    }
}

/// The answer of a broker that does not know the version of the question, which is in the oldest version.
fn decode_oldest(frame: &Bytes, correlation: i32) -> Result<ApiVersionsResponse, Malformed> {
    let named = frame.get(..4).and_then(|id| id.try_into().ok()).map_or(0, i32::from_be_bytes);
    if named != correlation {
        return Err(Malformed::Correlation(correlation, named));
    }
    let mut rest = Guarded::new(frame.slice(4..), LengthStyle::Fixed);
    ApiVersionsResponse::decode(&mut rest, 0).map_err(|error| Malformed::Body(error.into()))
}
