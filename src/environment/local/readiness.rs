//! Waiting until a service is ready, by asking it.

use super::procfs::listens_on;
use super::service::LocalService;
use crate::environment::{EnvironmentError, EnvironmentResult};
use crate::ground::causes;
use crate::moment::poll;
use crate::wire::{WireError, probe};
use std::ops::ControlFlow::{Break, Continue};
use std::time::{Duration, Instant};

/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(10);
/// For one answer.
const PATIENCE: Duration = Duration::from_millis(1000);

/// What a service has to answer to be ready.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// A broker: its metadata show this cluster, and itself among the brokers that are not fenced.
    Broker {
        /// The port it binds, not a proxy's.
        port: u16,
        /// Its node id.
        id: i32,
        /// The cluster's id.
        cluster: String,
    },
    /// A controller: it answers on its own port.
    Controller {
        /// The port it binds.
        port: u16,
    },
    /// A Connect worker: its REST interface lists the connectors, which it does once the herder has joined its group.
    Connect {
        /// The port it binds.
        port: u16,
        /// One for all the times it is asked: making one reads every certificate that the system trusts.
        http: reqwest::Client,
    },
    /// PostgreSQL: it accepts a connection.
    Postgres {
        /// The port it binds.
        port: u16,
        /// The superuser's password.
        password: String,
    },
}

/// Why an answer is not the right one.
pub(super) enum NotYet {
    /// Ask again.
    Later(String),
    /// It will never be right.
    Never(String),
}

impl Question {
    /// The question to a Connect worker at this port.
    ///
    /// # Errors
    /// [`EnvironmentError`] where no HTTP client can be made.
    pub(super) fn connect(port: u16) -> EnvironmentResult<Self> {
        let http =
            reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(EnvironmentError::because)?;
        Ok(Self::Connect { port, http })
    }

    /// Asks once.
    async fn ask(&self, pid: i32) -> Result<(), NotYet> {
        let later = |error: WireError| NotYet::Later(error.in_full());
        let stranger = |port: &u16| NotYet::Never(format!("another process answers on its port {port}"));
        match self {
            Self::Broker { port, id, cluster } => {
                let view = match probe::view(*port, PATIENCE).await {
                    Err(WireError::Malformed { .. }) => return Err(stranger(port)),
                    answer => answer.map_err(later)?,
                };
                if view.cluster.as_deref() != Some(cluster) {
                    return Err(stranger(port));
                }
                if view.brokers.contains(id) {
                    return Ok(());
                }
                Err(NotYet::Later(format!("it is fenced; unfenced are {:?}", view.brokers)))
            }
            Self::Controller { port } => {
                probe::answers(*port, PATIENCE).await.map_err(later)?;
                if listens_on(pid, *port) { Ok(()) } else { Err(stranger(port)) }
            }
            Self::Connect { port, http } => {
                let request = http.get(format!("http://127.0.0.1:{port}/connectors")).send();
                let status = request.await.map_err(|error| NotYet::Later(causes(&error)))?.status();
                match status.as_u16() {
                    _ if !listens_on(pid, *port) => Err(stranger(port)),
                    200 => Ok(()),
                    _ => Err(NotYet::Later(format!("its REST interface answers {status}"))),
                }
            }
            Self::Postgres { port, password } => {
                let config = format!(
                    "host=127.0.0.1 port={port} user=postgres password={password} dbname=postgres connect_timeout=1"
                );
                let connect = tokio::time::timeout(PATIENCE, tokio_postgres::connect(&config, tokio_postgres::NoTls));
                let answer = connect.await.map_err(|_| NotYet::Later("no answer within 1 s".to_owned()))?;
                drop(answer.map_err(|error| NotYet::Later(causes(&error)))?);
                if listens_on(pid, *port) { Ok(()) } else { Err(stranger(port)) }
            }
        }
    }
}

/// Waits until `service` answers its question rightly.
///
/// # Errors
/// [`EnvironmentError::Died`] as soon as it ends by itself, [`EnvironmentError::NotReady`] as soon as it was ended, or
/// after `timeout`.
pub(super) async fn wait_ready(
    service: &LocalService,
    question: &Question,
    timeout: Duration,
) -> EnvironmentResult<()> {
    let deadline = Instant::now() + timeout;
    let mut reason = "it has not been asked yet".to_owned();
    loop {
        let life = service.life().ok_or_else(|| service.not_ready("it was never started".to_owned()))?;
        // An action elsewhere may replace this life; then the next round asks the new one.
        let attempt = async {
            let answer = question.ask(life.pid()).await;
            if answer.is_err() {
                tokio::time::sleep(INTERVAL).await;
            }
            answer
        };
        tokio::select! {
            biased;
            ended = life.ended() => {
                if service.life().is_some_and(|now| now.pid() == life.pid()) {
                    return Err(service.over(&ended));
                }
            }
            answer = attempt => match answer {
                Ok(()) => return Ok(()),
                Err(NotYet::Never(why)) => return Err(EnvironmentError::failed(format!("{}: {why}", service.name()))),
                Err(NotYet::Later(why)) => reason = why,
            },
            () = tokio::time::sleep_until(deadline.into()) => {}
        }
        if Instant::now() >= deadline {
            let frozen = if life.is_stopped() { " (it is paused)" } else { "" };
            return Err(service.not_ready(format!("{reason}{frozen} after {:.1} s", timeout.as_secs_f64())));
        }
    }
}

/// Waits until the other brokers, as far as they answer, see broker `id` unfenced. Its own view may be old just after
/// it was paused.
///
/// # Errors
/// [`EnvironmentError::NotReady`] after `timeout`.
pub(super) async fn seen_by(
    service: &LocalService,
    id: i32,
    others: &[u16],
    timeout: Duration,
) -> EnvironmentResult<()> {
    let deadline = Instant::now() + timeout;
    for port in others {
        let unfenced = poll(INTERVAL, deadline.saturating_duration_since(Instant::now()), || async {
            let sees_it = probe::view(*port, PATIENCE).await.map_or(true, |view| view.brokers.contains(&id));
            Ok::<_, EnvironmentError>(if sees_it { Break(()) } else { Continue(()) })
        });
        if unfenced.await?.is_continue() {
            return Err(service.not_ready("the other brokers see it fenced".to_owned()));
        }
    }
    Ok(())
}

/// Makes the cluster create its topic of committed offsets now, so that the first group does not wait for it.
///
/// # Errors
/// [`EnvironmentError::NotReady`] after `timeout`.
pub(super) async fn warm_up_groups(service: &LocalService, port: u16, timeout: Duration) -> EnvironmentResult<()> {
    let answered = poll(INTERVAL, timeout, || async {
        let answer = probe::coordinator(port, "kscen-warm-up", PATIENCE).await;
        Ok::<_, EnvironmentError>(answer.map_or_else(|error| Continue(error.in_full()), |_| Break(())))
    });
    match answered.await? {
        Break(()) => Ok(()),
        Continue(reason) => Err(service.not_ready(reason)),
    }
}
