//! Where the figures of runs can be looked at.

use super::page::MetricsPage;
use super::shown_runs::ShownRuns;
use crate::record::Watcher;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// The path of the figures.
const PATH: &str = "/metrics";
/// Connections at a time.
const CONNECTIONS: usize = 16;
/// How long a connection may take, from its beginning to the end of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where no connection can be taken, because files have run out, it is tried again after this.
const AGAIN: Duration = Duration::from_millis(100);
/// The most bytes of a head.
const LONGEST: usize = 16 << 10;

/// An address at which the figures of runs can be looked at, for as long as this value lasts.
#[derive(Debug)]
pub struct MetricsEndpoint {
    runs: ShownRuns,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl MetricsEndpoint {
    /// Listens at that address; port 0 is a free one.
    ///
    /// # Errors
    /// Somebody else does, or may not be disturbed.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let runs = ShownRuns::default();
        let task = tokio::spawn(serve(listener, address, runs.clone()));
        Ok(Self { runs, address, task })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Watches a run, to show it.
    pub fn watcher(&self) -> Box<dyn Watcher> {
        self.runs.watcher()
    }
}

impl Drop for MetricsEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, address: SocketAddr, runs: ShownRuns) {
    let turns = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let runs = runs.clone();
        tokio::spawn(async move {
            // Whoever is slow is cut off.
            let _ = tokio::time::timeout(PATIENCE, connection(stream, address, runs)).await;
            drop(turn);
        });
    }
}

/// Answers the one request of a connection.
async fn connection(stream: TcpStream, address: SocketAddr, runs: ShownRuns) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, address, &runs);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        .max_buf_size(LONGEST)
        .serve_connection(TokioIo::new(stream), service);
    // Who does not take the answer has none.
    let _ = connection.await;
}

fn answer(request: &Request<Incoming>, address: SocketAddr, runs: &ShownRuns) -> Response<Body> {
    let (status, text) = match (request.method(), request.uri().path()) {
        _ if address.ip().is_loopback() && !is_meant_for_here(request.headers()) => {
            (StatusCode::FORBIDDEN, "this is for programs of this machine\n".to_owned())
        }
        (&Method::GET | &Method::HEAD, PATH) => (StatusCode::OK, runs.text()),
        (_, PATH) => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, format!("the figures are at {PATH}\n")),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MetricsPage::CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a request names this machine: a page of the web whose name was made to lead here names itself.
fn is_meant_for_here(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return true };
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers and closes");
        answer
    }

    #[tokio::test]
    async fn it_answers_programs_of_this_machine_and_is_gone_with_its_value() {
        let endpoint = MetricsEndpoint::open(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let address = endpoint.address;
        assert_eq!(endpoint.url(), format!("http://{address}/metrics"));
        let taken = MetricsEndpoint::open(address).await.expect_err("it is taken");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        let get = |path: &str, host: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let figures = ask(address, &get("/metrics", &address.to_string())).await;
        assert!(figures.starts_with("HTTP/1.1 200") && figures.contains("# TYPE kscen_run_info gauge"), "{figures}");
        assert!(figures.contains("content-type: text/plain; version=0.0.4"), "{figures}");
        for (request, status) in [
            (get("/metrics", "localhost:1"), "200"),
            (get("/metrics", "[::1]:1"), "200"),
            (get("/metrics", "evil.example:9464"), "403"),
            (get("/", "localhost"), "404"),
            ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_owned(), "405"),
            ("nonsense\r\n\r\n".to_owned(), "400"),
        ] {
            let answer = ask(address, &request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        }
        drop(endpoint);
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
