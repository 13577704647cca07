//! Connections: how many, how slow, and encrypted or not.

use super::audit::AuditEntry;
use super::http::Peer;
use super::problem::HttpProblem;
use super::service::Service;
use super::unread::line;
use crate::ground::input;
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use openssl::pkey::PKey;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_native_tls::TlsAcceptor;
use tower::ServiceExt;

/// How long the head of a request may take to arrive, and how long a connection may be idle.
pub(super) const HEAD: Duration = Duration::from_secs(15);
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests that are being answered have at the end.
const FAREWELL: Duration = Duration::from_secs(10);
/// Where no connection can be taken, because files have run out, it is tried again after this.
const AGAIN: Duration = Duration::from_millis(100);
/// The most bytes of a head.
pub(super) const LONGEST: usize = 32 << 10;
/// The longest file of a certificate or key.
const LONGEST_FILE: u64 = 1 << 20;

/// The certificate that is shown, ready for handshakes.
///
/// # Errors
/// One of the files cannot be read or used, or others can read the key: which, and why.
pub fn tls(certificate: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    use std::os::unix::fs::PermissionsExt;
    let read = |path: &Path| input::read(path, LONGEST_FILE).map_err(|error| format!("{}: {error}", path.display()));
    let mode = std::fs::metadata(key).map_err(|error| format!("{}: {error}", key.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("{} can be read by other users (mode {:o}): chmod 600 it", key.display(), mode & 0o7777));
    }
    let (certificates, private) = (read(certificate)?, read(key)?);
    // Whatever form the key has, what is wanted is PKCS #8. Nobody is asked for a password.
    let private = PKey::private_key_from_pem_passphrase(&private, b"").and_then(|key| key.private_key_to_pem_pkcs8());
    let private = private.map_err(|_| format!("{} is no private key in PEM without a password", key.display()))?;
    let identity = native_tls::Identity::from_pkcs8(&certificates, &private)
        .map_err(|error| format!("{} is no certificate in PEM of this key: {error}", certificate.display()))?;
    let acceptor = native_tls::TlsAcceptor::builder(identity)
        .min_protocol_version(Some(native_tls::Protocol::Tlsv12))
        .build()
        .map_err(|error| format!("{} cannot be used: {error}", certificate.display()))?;
    Ok(acceptor.into())
}

/// Takes connections until the service ends, and then lets those end that are being answered.
pub async fn listen(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, service: Service) {
    let turns = Arc::new(Semaphore::new(service.settings().connections.max(1)));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = service.stopping() => break,
            accepted = accept(&listener, &turns) => accepted,
        };
        let Ok((stream, peer, turn)) = accepted else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
        let service = service.clone();
        tokio::spawn(async move {
            let unread = match tls {
                None => answer(stream, peer, router, watcher).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => answer(stream, peer, router, watcher).await,
                    _ => None,
                },
            };
            if let Some(problem) = unread {
                tell(&service, peer, &problem);
            }
            drop(turn);
        });
    }
    drop(listener);
    // Who does not end is cut off.
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once one more may be there.
async fn accept(listener: &TcpListener, turns: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    let turn = turns.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Answers are small: waiting for more to send costs more than it saves.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer, turn))
}

/// Counts and writes down what was answered to something that could not be read.
fn tell(service: &Service, peer: SocketAddr, problem: &HttpProblem) {
    service.metrics().request("none", "unread", problem.status, Duration::ZERO);
    service.audit().write(&AuditEntry {
        from: Some(peer.ip().to_string()),
        what: "a request that cannot be read".to_owned(),
        answer: Some(problem.status.to_string()),
        detail: Some(problem.detail.clone()),
        ..AuditEntry::default()
    });
}

/// Answers the requests of a connection. Returns what was answered to one that could not be read, with which a connection ends.
pub(super) async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    watcher: Watcher,
) -> Option<HttpProblem> {
    let (line, end) = line(stream);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST)
        .serve_connection(TokioIo::new(line), service);
    let ended = watcher.watch(connection).await;
    end.answer(ended).await
}
