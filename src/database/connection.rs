//! Connections to PostgreSQL.

use super::{DatabaseError, DatabaseResult};
use crate::ground::{Cause, innermost, input};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};

/// How far the server's certificate is checked, with libpq's meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// `require`: encrypted, nobody checked.
    Encrypted,
    /// `verify-ca`: a known authority, whatever host.
    Authority,
    /// `verify-full`: a known authority and this host.
    Host,
}

/// Settings of sessions that read for kscen itself: the forms in which the connector's own session has values, and no end before the answer.
const READING: &str = "SET datestyle = 'ISO, MDY'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; \
                       SET extra_float_digits = 3; SET statement_timeout = 0";

/// A database that can be connected to, from a `postgres://` URL.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: Option<native_tls::TlsConnector>,
    /// Its sessions read for kscen itself.
    reads: bool,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// A connection. Ends when dropped.
#[derive(Debug)]
pub struct Session {
    pub(super) client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Database {
    /// Takes a `postgres://user:password@host:port/database?sslmode=…` URL. `sslmode` means what it means to libpq: `disable`
    /// (also when absent), `prefer`, `require`, `verify-ca`, `verify-full`; `sslrootcert` names a PEM file of authorities.
    ///
    /// # Errors
    /// [`DatabaseError::Address`].
    pub fn from_url(url: &str) -> DatabaseResult<Self> {
        let address = |message: String| DatabaseError::Address { message };
        let (plain, query) = url.split_once('?').unwrap_or((url, ""));
        let mut trust = None;
        let mut mode = SslMode::Disable;
        let mut authorities = None;
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => {
                    (mode, trust) = match value {
                        "disable" => (SslMode::Disable, None),
                        "allow" | "prefer" => (SslMode::Prefer, Some(Trust::Encrypted)),
                        "require" => (SslMode::Require, Some(Trust::Encrypted)),
                        "verify-ca" => (SslMode::Require, Some(Trust::Authority)),
                        "verify-full" => (SslMode::Require, Some(Trust::Host)),
                        other => {
                            return Err(address(format!(
                                "sslmode `{other}` is not one of disable, prefer, require, verify-ca, verify-full"
                            )));
                        }
                    };
                }
                Some(("sslrootcert", path)) => authorities = Some(path.to_owned()),
                _ => others.push(pair),
            }
        }
        let rest = if others.is_empty() { plain.to_owned() } else { format!("{plain}?{}", others.join("&")) };
        let mut config: Config = rest
            .parse()
            .map_err(|error| address(format!("the database's address is not understood: {}", innermost(&error))))?;
        if config.get_hosts().is_empty() {
            return Err(address(
                "the database's address names no host; write postgres://user@host:5432/database".into(),
            ));
        }
        config.ssl_mode(mode).connect_timeout(Duration::from_secs(5));
        if config.get_application_name().is_none() {
            config.application_name("kscen");
        }
        let tls = trust.map(|trust| connector(trust, authorities.as_deref())).transpose()?;
        Ok(Self { config, tls, reads: false })
    }

    /// Host and port of the first server, without user or password.
    pub fn address(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => String::new(),
        };
        format!("{host}:{}", self.config.get_ports().first().copied().unwrap_or(5432))
    }

    /// Name of the host of the first server.
    pub fn host(&self) -> String {
        self.address().rsplit_once(':').map_or_else(String::new, |(host, _)| host.to_owned())
    }

    /// Port of the first server.
    pub fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(5432)
    }

    /// The user.
    pub fn user(&self) -> &str {
        self.config.get_user().unwrap_or("postgres")
    }

    /// The password, where the URL has one.
    pub fn password(&self) -> Option<String> {
        self.config.get_password().map(|password| String::from_utf8_lossy(password).into_owned())
    }

    /// Name of the database; PostgreSQL's default is the user's name.
    pub fn name(&self) -> &str {
        self.config.get_dbname().unwrap_or_else(|| self.user())
    }

    /// Another database of the same server.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }

    /// The same for sessions that read for kscen itself: whatever role and database have set, values come in the forms in which they are
    /// compared, and a long read is not broken off. What a scenario runs has the settings of its role and database.
    #[must_use]
    pub fn reading(&self) -> Self {
        Self { reads: true, ..self.clone() }
    }

    /// Connects once.
    ///
    /// # Errors
    /// [`DatabaseError::Unreachable`].
    pub async fn connect(&self) -> DatabaseResult<Session> {
        let unreachable = |error: tokio_postgres::Error| DatabaseError::Unreachable {
            address: self.address(),
            cause: Cause::new(error),
            waited: Duration::ZERO,
        };
        let session = match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(unreachable)?;
                // The connection's error reaches the caller through the client's next call.
                Session { client, driver: tokio::spawn(async { drop(connection.await) }) }
            }
            Some(tls) => {
                let tls = postgres_native_tls::MakeTlsConnector::new(tls.clone());
                let (client, connection) = self.config.connect(tls).await.map_err(unreachable)?;
                Session { client, driver: tokio::spawn(async { drop(connection.await) }) }
            }
        };
        if self.reads {
            session.client.batch_execute(READING).await.map_err(unreachable)?;
        }
        Ok(session)
    }

    /// Connects, again and again until `timeout`. What time cannot mend (wrong password, no such database) fails at once.
    ///
    /// # Errors
    /// [`DatabaseError::Unreachable`] with the last reason.
    pub async fn connect_within(&self, timeout: Duration) -> DatabaseResult<Session> {
        let started = Instant::now();
        loop {
            let cause = match self.connect().await {
                Ok(session) => return Ok(session),
                Err(DatabaseError::Unreachable { cause, .. }) => cause,
                Err(error) => return Err(error),
            };
            let hopeless = ["password authentication failed", "does not exist", "no pg_hba.conf entry", "certificate"];
            let waited = started.elapsed();
            if waited >= timeout || hopeless.iter().any(|reason| cause.to_string().contains(reason)) {
                return Err(DatabaseError::Unreachable { address: self.address(), cause, waited });
            }
            tokio::time::sleep(Duration::from_millis(50).min(timeout.saturating_sub(waited))).await;
        }
    }
}

/// The longest file of certificates that is read.
const CERTIFICATES: u64 = 16 << 20;

fn connector(trust: Trust, authorities: Option<&str>) -> DatabaseResult<native_tls::TlsConnector> {
    let address = |message: String| DatabaseError::Address { message };
    let mut builder = native_tls::TlsConnector::builder();
    builder.danger_accept_invalid_certs(trust == Trust::Encrypted);
    builder.danger_accept_invalid_hostnames(trust != Trust::Host);
    if let Some(path) = authorities {
        let pem = input::read(Path::new(path), CERTIFICATES);
        let pem = pem.map_err(|error| address(format!("sslrootcert `{path}` is not readable: {error}")))?;
        let certificate = native_tls::Certificate::from_pem(&pem)
            .map_err(|error| address(format!("sslrootcert `{path}` is not a PEM certificate: {error}")))?;
        builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| address(format!("TLS is not available: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_url_are_found() {
        let database = Database::from_url("postgres://app:s3cret@db.example:6543/shop?sslmode=verify-full").unwrap();
        assert_eq!((database.address().as_str(), database.user(), database.name()), ("db.example:6543", "app", "shop"));
        assert_eq!(database.password().as_deref(), Some("s3cret"));
        assert!(database.tls.is_some());
        let other = database.named("copy");
        assert_eq!(
            (other.name(), other.address(), other.password()),
            ("copy", database.address(), database.password())
        );
        assert!(!format!("{database:?}").contains("s3cret"));
        assert!(Database::from_url("postgres://u@h/d").unwrap().tls.is_none());
    }

    /// Values in the log are compared as text.
    #[test]
    fn sessions_that_read_for_kscen_say_how_values_are_written() {
        let database = Database::from_url("postgres://u@h/d").unwrap();
        assert!(!database.reads, "what a scenario runs has the settings of its role");
        let reading = database.reading();
        assert!(reading.reads && reading.named("other").reads && reading.reading().reads);
        for setting in ["datestyle", "intervalstyle", "bytea_output", "extra_float_digits", "statement_timeout"] {
            assert!(READING.contains(&format!("SET {setting} = ")), "{setting}");
        }
    }

    #[test]
    fn wrong_urls_say_what_is_wrong() {
        let error = Database::from_url("postgres://u@h/d?sslmode=maybe").unwrap_err().to_string();
        assert!(error.contains("`maybe`"), "{error}");
        assert!(Database::from_url("postgres:///d").unwrap_err().to_string().contains("names no host"));
    }

    #[tokio::test]
    async fn nobody_listening_is_named_with_the_address() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let database = Database::from_url(&format!("postgres://u@127.0.0.1:{}/d", free.port())).unwrap();
        let error = database.connect_within(Duration::ZERO).await.unwrap_err().to_string();
        assert!(error.contains(&free.to_string()) && error.contains("refused"), "{error}");
    }
}
