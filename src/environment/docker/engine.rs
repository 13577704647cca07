//! The connection to the engine, and what its refusals mean to a user.

use super::address::{self, EngineAddress, Surroundings};
use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::ground::{cause, innermost};
use bollard::errors::Error as EngineError;
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use std::future::Future;
use std::io;
use std::time::{Duration, SystemTime};

/// The oldest API that has all that is used here (engine 20.10).
const OLDEST_API: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
/// Longest request in seconds: `stop` blocks for the container's whole grace period.
const REQUEST_TIMEOUT: u64 = 300;
/// How long an engine that was answering before may stay away, so that its restart does not fail a run by itself.
const RESTART_GRACE: Duration = Duration::from_secs(20);
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// An engine that answered, and the API version agreed with it.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    pub(super) address: EngineAddress,
    /// Such as `20.10.24`.
    pub(super) version: String,
    /// The engine's clock minus this machine's, in seconds; 0 on a socket of this machine.
    clock_offset: f64,
}

impl Engine {
    /// Finds the engine as the Docker client would and connects.
    pub(super) async fn find() -> EnvironmentResult<Self> {
        Self::connect(Self::here()?).await
    }

    /// Where the engine is, as the Docker client would find it.
    pub(super) fn here() -> EnvironmentResult<EngineAddress> {
        address::find(&Surroundings {
            variable: &|name| std::env::var(name).ok(),
            exists: &|path| path.exists(),
            uid: nix::unistd::getuid().as_raw(),
        })
    }

    /// Connects and agrees on a version.
    ///
    /// # Errors
    /// No engine there, no permission, or one that is too old, each with its remedy.
    pub(super) async fn connect(address: EngineAddress) -> EnvironmentResult<Self> {
        let opened = match address.socket() {
            // bollard looks whether the file exists, which is false as well where its folder may not be entered.
            Some(path) => Docker::connect_with_unix(&path.to_string_lossy(), REQUEST_TIMEOUT, API_DEFAULT_VERSION),
            None => Docker::connect_with_http(&address.url, REQUEST_TIMEOUT, API_DEFAULT_VERSION),
        };
        let docker = opened.map_err(|error| explain(&address, "connect", &error))?;
        let docker = docker.negotiate_version().await.map_err(|error| explain(&address, "connect", &error))?;
        let version = docker.version().await.map_err(|error| explain(&address, "ask for the version", &error))?;
        let api = docker.client_version();
        if api < OLDEST_API {
            return Err(EnvironmentError::Prerequisite {
                message: format!("the Docker engine at {address} speaks API {api}; kscen needs {OLDEST_API}"),
                remedy: "update the engine to 20.10 or later".to_owned(),
            });
        }
        let clock_offset = match address.socket() {
            Some(_) => 0.0,
            None => clock_offset(&docker).await,
        };
        Ok(Self { docker, address, version: version.version.unwrap_or_default(), clock_offset })
    }

    /// `engine 20.10.24, API 1.41`, for the report.
    pub(super) fn describe(&self) -> String {
        format!("{}, API {}", self.version, self.docker.client_version())
    }

    /// An engine's time as this machine's.
    pub(super) fn local_time(&self, engine: SystemTime) -> SystemTime {
        let offset = Duration::from_secs_f64(self.clock_offset.abs());
        if self.clock_offset > 0.0 { engine - offset } else { engine + offset }
    }

    /// This machine's time as the engine's.
    pub(super) fn engine_time(&self, local: SystemTime) -> SystemTime {
        let offset = Duration::from_secs_f64(self.clock_offset.abs());
        if self.clock_offset > 0.0 { local + offset } else { local - offset }
    }

    /// Sends a request; where the engine cannot be reached (it restarts), tries again for a while. Only failed
    /// *connections* are tried again: there the request was certainly not carried out.
    ///
    /// # Errors
    /// The engine's refusal in words; `what` completes "could not …".
    pub(super) async fn ask<T, F, A>(&self, what: &str, request: F) -> EnvironmentResult<T>
    where
        F: Fn(Docker) -> A,
        A: Future<Output = Result<T, EngineError>>,
    {
        self.try_ask(request).await.map_err(|error| explain(&self.address, what, &error))
    }

    /// [`Engine::ask`] with the engine's own error, for callers who expect a certain refusal.
    pub(super) async fn try_ask<T, F, A>(&self, request: F) -> Result<T, EngineError>
    where
        F: Fn(Docker) -> A,
        A: Future<Output = Result<T, EngineError>>,
    {
        let deadline = tokio::time::Instant::now() + RESTART_GRACE;
        loop {
            match request(self.docker.clone()).await {
                Err(error) if is_unreachable(&error) && tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(RETRY_EVERY).await;
                }
                answer => return answer,
            }
        }
    }

    /// Turns an engine's error into one for users.
    pub(super) fn explain(&self, what: &str, error: &EngineError) -> EnvironmentError {
        explain(&self.address, what, error)
    }
}

/// The difference of clocks by one question; its error is at most the time the answer took.
async fn clock_offset(docker: &Docker) -> f64 {
    let before = SystemTime::now();
    let Ok(info) = docker.info().await else { return 0.0 };
    let after = SystemTime::now();
    let Some(engine) = info.system_time.as_deref().and_then(parse_time) else { return 0.0 };
    let middle = before + after.duration_since(before).unwrap_or_default() / 2;
    match engine.duration_since(middle) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    }
}

/// Reads the engine's RFC 3339 times; its zero time (year 1) means "never".
pub(super) fn parse_time(text: &str) -> Option<SystemTime> {
    let time: jiff::Timestamp = text.parse().ok()?;
    (time > jiff::Timestamp::UNIX_EPOCH).then(|| SystemTime::from(time))
}

/// The status with which the engine refused, where it answered at all.
pub(super) fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The engine's words where it has some, else the innermost cause.
pub(super) fn words(error: &EngineError) -> String {
    if let EngineError::DockerResponseServerError { message, .. } = error {
        return message.trim().to_owned();
    }
    innermost(error).to_string()
}

fn is_unreachable(error: &EngineError) -> bool {
    match error {
        EngineError::SocketNotFoundError(_) => true,
        EngineError::HyperLegacyError { err } => {
            err.is_connect() && io_kind(error) != Some(io::ErrorKind::PermissionDenied)
        }
        _ => false,
    }
}

fn io_kind(error: &EngineError) -> Option<io::ErrorKind> {
    cause::<io::Error>(error).map(io::Error::kind)
}

fn explain(address: &EngineAddress, what: &str, error: &EngineError) -> EnvironmentError {
    let folder_closed = || {
        address.socket().is_some_and(|path| {
            std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        })
    };
    if io_kind(error) == Some(io::ErrorKind::PermissionDenied) || folder_closed() {
        return EnvironmentError::Prerequisite {
            message: format!("no permission to use the Docker engine at {address}"),
            remedy: "sudo usermod -aG docker $USER, then log in again (or run kscen with sudo)".to_owned(),
        };
    }
    if is_unreachable(error) {
        return EnvironmentError::Prerequisite {
            message: format!("no Docker engine answers at {address}: {}", words(error)),
            remedy: "sudo systemctl start docker (or set DOCKER_HOST to where the engine listens)".to_owned(),
        };
    }
    if let EngineError::JsonDataError { .. } | EngineError::APIVersionParseError {} = error {
        return EnvironmentError::Prerequisite {
            message: format!("what answers at {address} does not speak the Docker Engine API: {}", words(error)),
            remedy: "set DOCKER_HOST to where the engine listens".to_owned(),
        };
    }
    let lost = matches!(
        error,
        EngineError::HyperLegacyError { .. } | EngineError::HyperResponseError { .. } | EngineError::IOError { .. }
    );
    if lost {
        return EnvironmentError::failed(format!(
            "the connection to the Docker engine at {address} broke while it was to {what} (the engine may have restarted): {}",
            words(error)
        ));
    }
    EnvironmentError::failed(format!("the Docker engine could not {what}: {}", words(error)))
}

#[cfg(test)]
mod tests {
    use super::{Engine, parse_time};
    use crate::environment::docker::address::EngineAddress;

    #[tokio::test]
    async fn a_missing_engine_is_named_with_its_remedy() {
        let error =
            Engine::connect(EngineAddress::recorded("unix:///nonexistent/docker.sock")).await.err().expect("none");
        assert!(error.to_string().contains("unix:///nonexistent/docker.sock"), "{error}");
        assert!(error.remedy().is_some_and(|remedy| remedy.contains("start docker")), "{error}");
    }

    #[test]
    fn the_engines_zero_time_means_never() {
        assert_eq!(parse_time("0001-01-01T00:00:00Z"), None);
        assert!(parse_time("2024-05-06T07:08:09.123456789Z").is_some());
    }
}
