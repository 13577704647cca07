//! Requests to Kafka Connect: addresses, repetition while it cannot answer yet, errors with its own message.

use super::{ConnectError, ConnectResult};
use crate::ground::{Cause, innermost};
use reqwest::{Method, StatusCode, Url};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Longest answer that is read, in bytes: some thousand connectors with their traces.
const LONGEST: usize = 64 << 20;

/// What Connect says, with a status of its own errors, where a rebalance came between a request and its answer.
const REBALANCE_EXPECTED: &str = "because a rebalance is expected";

/// How long a request is repeated while Connect says that it cannot answer *yet*.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// In all, for one request.
    pub limit: Duration,
    /// First pause; doubles up to a second.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { limit: Duration::from_secs(30), pause: Duration::from_millis(50) }
    }
}

/// What a worker says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerInfo {
    /// Version of Kafka Connect.
    pub version: String,
    /// Source commit.
    pub commit: String,
    /// Cluster id of the Kafka behind it.
    pub kafka_cluster_id: String,
}

/// A client of Kafka Connect's REST interface. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConnectClient {
    /// Made with the first request: it reads every certificate that the system trusts, which takes longer than most steps.
    http: Arc<OnceLock<reqwest::Client>>,
    base: Url,
    patience: Patience,
}

/// Connect answers errors with this; anything else comes from a web server that is not Connect yet.
#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

enum Answer {
    Done(StatusCode, Vec<u8>),
    Later { rebalancing: bool, message: String },
}

impl ConnectClient {
    /// A client for the worker at `base_url`, such as `http://127.0.0.1:8083`; a path in it is kept.
    ///
    /// # Errors
    /// [`ConnectError::Misuse`] where `base_url` is not an http(s) URL.
    pub fn new(base_url: &str) -> ConnectResult<Self> {
        let misuse = |why: String| ConnectError::Misuse {
            message: format!(
                "`{base_url}` is not the address of a Connect worker: {why}; write it like http://localhost:8083"
            ),
        };
        let base = Url::parse(base_url).map_err(|error| misuse(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(misuse("the scheme is neither http nor https".to_owned()));
        }
        Ok(Self { http: Arc::default(), base, patience: Patience::default() })
    }

    fn http(&self) -> ConnectResult<&reqwest::Client> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        // A worker answers a forwarded request only after 90 s at worst; less would hide its own message.
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(95))
            .connect_timeout(Duration::from_secs(5))
            .no_proxy()
            .build()
            .map_err(|error| ConnectError::Misuse {
                message: format!("no client for Connect can be made: {}", innermost(&error)),
            })?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Version of the worker and the cluster it works for.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn worker(&self) -> ConnectResult<WorkerInfo> {
        self.get(&[]).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> ConnectResult<T> {
        let url = self.url(path, &[]);
        let (_, body) = self.send(Method::GET, url.clone(), None).await?;
        decode(&url, &body)
    }

    /// Sends a request and returns its status and body; statuses of 400 and above are errors.
    pub(super) async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> ConnectResult<(StatusCode, Vec<u8>)> {
        let started = Instant::now();
        let mut pause = self.patience.pause;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt(method.clone(), url.clone(), body).await? {
                Answer::Done(status, body) => return Ok((status, body)),
                Answer::Later { rebalancing, message } => {
                    let waited = started.elapsed();
                    if waited + pause > self.patience.limit {
                        return Err(if rebalancing {
                            ConnectError::Rebalancing { attempts, waited, message }
                        } else {
                            ConnectError::NotInTime { wanted: format!("an answer of {url}"), last: message, waited }
                        });
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    /// One request and its answer, whatever it says.
    async fn exchange(&self, method: Method, url: &Url, body: Option<&Value>) -> ConnectResult<(StatusCode, Vec<u8>)> {
        #[cfg(test)]
        if let Some(worker) = super::memory::at(url.host_str()) {
            let (status, body) = worker.answer(method.as_str(), url.path(), body).await;
            return Ok((StatusCode::from_u16(status).expect("a status"), body.into_bytes()));
        }
        let mut request = self.http()?.request(method, url.clone()).header("Accept", "application/json");
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable =
            |error: reqwest::Error| ConnectError::Unreachable { url: url.to_string(), cause: Cause::new(error) };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                let message = format!("{url} answers more than {} MiB, which is no answer of Connect", LONGEST >> 20);
                return Err(ConnectError::Refused { status: status.as_u16(), message });
            }
        }
        Ok((status, body))
    }

    async fn attempt(&self, method: Method, url: Url, body: Option<&Value>) -> ConnectResult<Answer> {
        let (status, body) = self.exchange(method, &url, body).await?;
        if status.is_success() {
            return Ok(Answer::Done(status, body));
        }
        let own = serde_json::from_slice::<ErrorBody>(&body).ok().map(|body| body.message);
        let message = own.clone().unwrap_or_else(|| format!("HTTP {status}"));
        match (status, own) {
            (StatusCode::CONFLICT, _) => Ok(Answer::Later { rebalancing: true, message }),
            // The same where the worker learns of the rebalance only while it answers; nothing was done.
            (StatusCode::INTERNAL_SERVER_ERROR, Some(own)) if own.contains(REBALANCE_EXPECTED) => {
                Ok(Answer::Later { rebalancing: true, message })
            }
            (StatusCode::NOT_FOUND, None) | (StatusCode::SERVICE_UNAVAILABLE, _) => {
                Ok(Answer::Later { rebalancing: false, message })
            }
            (StatusCode::NOT_FOUND, Some(message)) => Err(ConnectError::NotFound { message }),
            _ => Err(ConnectError::Refused { status: status.as_u16(), message }),
        }
    }

    /// The address of a resource; each segment is escaped.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

pub(super) fn decode<T: DeserializeOwned>(url: &Url, body: &[u8]) -> ConnectResult<T> {
    serde_json::from_slice(body)
        .map_err(|error| ConnectError::Unreadable { url: url.to_string(), cause: Cause::new(error) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Answers the given responses in turn, one a connection.
    async fn scripted(responses: Vec<&'static str>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for response in responses {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut buffer = [0u8; 4096];
                let _ = socket.read(&mut buffer).await.unwrap();
                socket.write_all(response.as_bytes()).await.unwrap();
            }
        });
        format!("http://{address}")
    }

    const CONFLICT: &str = "HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n{\"error_code\":409,\"message\":\"Cannot complete request momentarily due to rebalance\"}";
    const EXPECTED: &str = "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n{\"error_code\":500,\"message\":\"Request cannot be completed because a rebalance is expected\"}";
    const EARLY: &str =
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: text/html\r\n\r\n<html>404</html>";
    const LIST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n[\"a\"]";
    const MISSING: &str = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n{\"error_code\":404,\"message\":\"Connector x not found\"}";

    fn quick() -> Patience {
        Patience { limit: Duration::from_secs(5), pause: Duration::from_millis(1) }
    }

    #[tokio::test]
    async fn conflicts_and_early_404_are_repeated() {
        let client = ConnectClient::new(&scripted(vec![EARLY, CONFLICT, EXPECTED, LIST]).await).unwrap();
        let client = ConnectClient { patience: quick(), ..client };
        assert_eq!(client.list().await.unwrap(), ["a"]);
    }

    #[tokio::test]
    async fn a_rebalance_that_does_not_end_is_an_error_with_connects_words() {
        let client = ConnectClient::new(&scripted(vec![CONFLICT; 3]).await).unwrap();
        let client = ConnectClient {
            patience: Patience { limit: Duration::from_millis(4), pause: Duration::from_millis(3) },
            ..client
        };
        let error = client.list().await.unwrap_err();
        assert!(matches!(error, ConnectError::Rebalancing { .. }), "{error}");
        assert!(error.to_string().contains("due to rebalance"), "{error}");
    }

    #[tokio::test]
    async fn a_404_of_connect_itself_is_an_answer() {
        let client = ConnectClient::new(&scripted(vec![MISSING]).await).unwrap();
        let error = client.list().await.unwrap_err();
        assert!(matches!(&error, ConnectError::NotFound { message } if message == "Connector x not found"));
    }

    #[test]
    fn names_are_escaped_and_base_paths_kept() {
        let client = ConnectClient::new("http://h:1/connect/").unwrap();
        let url = client.url(&["connectors", "a/b c", "status"], &[("x", "1")]);
        assert_eq!(url.as_str(), "http://h:1/connect/connectors/a%2Fb%20c/status?x=1");
        assert!(ConnectClient::new("localhost:8083").is_err());
    }

    #[tokio::test]
    async fn an_answer_without_end_is_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[").await.unwrap();
            let blanks = vec![b' '; 1 << 20];
            while socket.write_all(&blanks).await.is_ok() {}
        });
        let client = ConnectClient::new(&format!("http://{address}")).unwrap();
        let error = client.worker().await.expect_err("it has no end").to_string();
        assert!(error.contains("answers more than 64 MiB"), "{error}");
    }
}
