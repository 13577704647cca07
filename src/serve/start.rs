//! The service from its settings to its end.

use super::archives::Archives;
use super::audit::{Audit, AuditEntry};
use super::clusters::Clusters;
use super::jobs::{Jobs, Runner};
use super::listen::{listen, tls};
use super::metrics::Metrics;
use super::service::{Service, ServiceParts};
use super::state::{ServeState, SetAside};
use super::tokens::Tokens;
use super::verified::VerifiedArchives;
use super::work::WorkContext;
use crate::backup::{Identities, Recipient};
use crate::environment::EnvironmentError;
use crate::ground::input;
use crate::ground::trust::own_folder;
use crate::project::{Project, ServeSettings, state_folder};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_native_tls::TlsAcceptor;

/// The longest file of identities.
const LONGEST: u64 = 1 << 20;
/// How long jobs have to stop in good order at the end. Those that do not are gone on with as after a crash.
const FAREWELL: Duration = Duration::from_secs(20);

/// A service that listens.
pub struct Serving {
    pub(super) service: Service,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    pub(super) runner: Runner,
    /// What was found damaged in the state folder.
    pub damaged: Vec<SetAside>,
    /// Where it listens.
    pub url: String,
    /// How many jobs it goes on with.
    pub resumed: usize,
}

fn wrong(message: impl Into<String>, remedy: impl Into<String>) -> EnvironmentError {
    EnvironmentError::Prerequisite { message: message.into(), remedy: remedy.into() }
}

impl Serving {
    /// Reads everything that is needed, and listens. `folder` is where `kscen.yaml` is looked for.
    ///
    /// # Errors
    /// Something that is set cannot be used, another service has the state folder, or the address is taken: with the remedy.
    pub async fn begin(project: &Project, folder: &Path, settings: ServeSettings) -> Result<Self, EnvironmentError> {
        let at = |path: &Path| project.folder.join(path);
        let (address, tokens, tls) = reach(&settings, &at)?;
        let (recipients, identities) = keys(&settings, &at)?;
        let redactor = project.redactor();
        let state_folder = state_of(&settings, project)?;
        let state = ServeState::open(&state_folder).map_err(|error| match error.is_busy() {
            true => wrong(
                format!("another `kscen serve` uses {}", state_folder.display()),
                "end it, or give this one a folder of its own with `serve: { state: … }` or --state",
            ),
            false => wrong(error.to_string(), "see that the folder can be written"),
        })?;
        let metrics = Metrics::default();
        let audit = Audit::open(&state_folder, redactor.clone(), metrics.clone());
        let audit = audit.map_err(|error| wrong(error.to_string(), "see that the folder can be written"))?;
        let jobs = Jobs::read(state.clone(), settings.queue);
        let (jobs, mut damaged) = jobs.map_err(|error| wrong(error.to_string(), "see that the folder can be read"))?;
        let (verified, more) = VerifiedArchives::read(state.clone());
        damaged.extend(more);
        let clusters = Clusters::new(folder, project, settings.clusters.as_deref());
        let clusters = clusters.map_err(|reason| wrong(reason, "mend `clusters` in `serve:` of kscen.yaml"))?;
        let archives = Archives::new(&place_of(&settings, project), identities, verified);
        let context = WorkContext::new((archives, clusters), recipients, &state_folder, redactor);
        let listener = TcpListener::bind(address).await.map_err(|error| {
            wrong(format!("cannot listen at {address}: {error}"), "choose another address with --listen")
        })?;
        let address = listener.local_addr().unwrap_or(address);
        metrics.set_aside(damaged.len());
        report(&audit, &damaged);
        let runner =
            Runner { jobs: jobs.clone(), context: context.clone(), metrics: metrics.clone(), audit: audit.clone() };
        let resumed = jobs.unfinished();
        let service = Service::new(ServiceParts {
            settings,
            folder: state_folder,
            state,
            jobs,
            context,
            tokens,
            metrics,
            audit,
            ending: tokio::sync::watch::channel(false).0,
        });
        let url = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
        Ok(Self { service, listener, tls, runner, damaged, url, resumed })
    }

    /// Answers requests and does jobs, which run in threads of their own, until it is told to end.
    pub async fn run(self, jobs: &Handle, end: impl Future<Output = ()>) {
        let Self { service, listener, tls, runner, url, .. } = self;
        let audit = service.audit().clone();
        audit.write(&AuditEntry::of_service("begun", &url));
        let running = jobs.spawn(runner.run(service.settings().jobs));
        let router = super::http::router(service.clone());
        let ending = service.clone();
        let listening = listen(listener, tls, router, service);
        let told = async move {
            end.await;
            ending.end();
        };
        tokio::join!(listening, told);
        if tokio::time::timeout(FAREWELL, running).await.is_err() {
            audit.write(&AuditEntry::of_service(
                "ended",
                "some jobs did not stop in time: the next service goes on with them",
            ));
        } else {
            audit.write(&AuditEntry::of_service("ended", "all jobs have stopped"));
        }
    }
}

type Reach = (SocketAddr, Option<Tokens>, Option<TlsAcceptor>);

/// Where it may listen, and to whom: beyond this machine only to those with a token, and only encrypted.
fn reach(settings: &ServeSettings, at: &impl Fn(&Path) -> PathBuf) -> Result<Reach, EnvironmentError> {
    let listen = &settings.listen;
    let address: SocketAddr = listen.parse().map_err(|_| {
        wrong(
            format!("`{listen}` is no address to listen at"),
            "write an IP address and a port, such as `127.0.0.1:8087`",
        )
    })?;
    let local = address.ip().is_loopback();
    if !local && settings.tokens.is_none() {
        return Err(wrong(
            format!(
                "{address} can be reached from elsewhere, and the service has no tokens: everybody could do everything"
            ),
            "listen at 127.0.0.1, or set `tokens` and `tls` in `serve:` of kscen.yaml; `kscen serve --new-token` makes a token",
        ));
    }
    if !local && settings.tls.is_none() {
        return Err(wrong(
            format!("{address} can be reached from elsewhere, and tokens would pass unencrypted"),
            "set `tls: { certificate: …, key: … }` in `serve:` of kscen.yaml, or listen at 127.0.0.1 behind a proxy that has TLS",
        ));
    }
    let tokens = settings.tokens.as_deref().map(|path| Tokens::read(&at(path))).transpose();
    let tokens =
        tokens.map_err(|reason| wrong(reason, "`kscen serve --new-token NAME --scope read` prints a line for it"))?;
    let tls = settings.tls.as_ref().map(|files| tls(&at(&files.certificate), &at(&files.key))).transpose();
    let tls =
        tls.map_err(|reason| wrong(format!("TLS cannot be used: {reason}"), "mend `tls` in `serve:` of kscen.yaml"))?;
    Ok((address, tokens, tls))
}

/// To whom archives are encrypted, and what opens them.
fn keys(
    settings: &ServeSettings,
    at: &impl Fn(&Path) -> PathBuf,
) -> Result<(Vec<Recipient>, Identities), EnvironmentError> {
    let recipients = settings.encrypt_to.iter().map(|text| {
        text.parse::<Recipient>()
            .map_err(|error| wrong(format!("`encrypt_to`: {error}"), "mend it in `serve:` of kscen.yaml"))
    });
    let identities =
        settings.identity.iter().try_fold(Identities::default(), |all, path| -> Result<Identities, EnvironmentError> {
            let path = at(path);
            let failed = |reason: String| {
                wrong(
                    format!("the identity file {} cannot be used: {reason}", path.display()),
                    "mend `identity` in `serve:`",
                )
            };
            let text = input::text(&path, LONGEST).map_err(|error| failed(error.to_string()))?;
            Ok(all.and(&Identities::read(&text).map_err(failed)?))
        });
    Ok((recipients.collect::<Result<_, _>>()?, identities?))
}

/// The folder of its state: the one that is set, or one of the project's own below kscen's.
fn state_of(settings: &ServeSettings, project: &Project) -> Result<PathBuf, EnvironmentError> {
    let folder = match &settings.state {
        Some(folder) => project.folder.join(folder),
        None => {
            let own = state_folder().map_err(EnvironmentError::because)?;
            let place = project.root.clone().unwrap_or_else(|| project.folder.clone());
            let place = std::path::absolute(&place).unwrap_or(place);
            own.join("serve").join(format!("{:08x}", crc32fast::hash(place.as_os_str().as_encoded_bytes())))
        }
    };
    let remedy = "give it another one with `serve: { state: … }` or --state";
    let made = own_folder(&folder);
    made.map_err(|error| wrong(format!("the state folder {} cannot be used: {error}", folder.display()), remedy))
}

/// Where archives lie.
fn place_of(settings: &ServeSettings, project: &Project) -> String {
    match settings.archives.contains("://") {
        true => settings.archives.clone(),
        false => project.folder.join(&settings.archives).display().to_string(),
    }
}

fn report(audit: &Audit, damaged: &[SetAside]) {
    for aside in damaged {
        let detail = format!("{} is damaged: {}; it is in {} now", aside.file, aside.reason, aside.kept);
        audit.write(&AuditEntry::of_service("a damaged file was set aside", &detail));
    }
}
