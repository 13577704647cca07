//! A stack that a supervisor owns, as an [`Environment`].

use super::config::LocalConfig;
use super::offer::{WantedStack, offered};
use super::supervisor::StackPlace;
use super::version;
use super::wire::{StackAnswer, StackCall, StackDescription, SupervisorReport, WireEffect};
use crate::environment::{
    Action, Effect, Endpoints, Environment, EnvironmentError, EnvironmentInfo, EnvironmentResult, Grip, Healed,
    LogLine, LogQuery, Needs, NetworkFault, Offer, ServiceInfo, ServiceState, Site, Usage,
};
use crate::ground::{self, private};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// A running stack that outlives this process. Shutting it down as an environment only lets go of it; see
/// [`Attached::down`].
pub struct Attached {
    socket: PathBuf,
    description: StackDescription,
}

impl Attached {
    /// The running stack of that environment of that project, if there is one.
    ///
    /// # Errors
    /// A stack that another version of kscen keeps is in its place, or something that is no supervisor answers.
    pub async fn find(site: &Site) -> EnvironmentResult<Option<Self>> {
        Self::among(&StackPlace::folder()?, site).await
    }

    async fn among(stacks: &Path, site: &Site) -> EnvironmentResult<Option<Self>> {
        let (earlier, name) = (StackPlace::earlier_name(site), StackPlace::name(site));
        if earlier != name {
            // One of this version that is there belongs to no project.
            Self::at(StackPlace::within(stacks, &earlier).socket).await?;
        }
        Self::at(StackPlace::within(stacks, &name).socket).await
    }

    async fn at(socket: PathBuf) -> EnvironmentResult<Option<Self>> {
        let gone = [
            io::ErrorKind::NotFound,
            io::ErrorKind::ConnectionRefused,
            // It is ending just now.
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::UnexpectedEof,
        ];
        let answer = match exchange(&socket, &StackCall::Describe).await {
            Err(error) if gone.contains(&error.kind()) => return Ok(None),
            answer => answer.map_err(|error| unreachable(&socket, error))??,
        };
        match StackDescription::deserialize(&answer) {
            Ok(description) => Ok(Some(Self { socket, description })),
            Err(error) => Err(of_another_version(&socket, &answer, &error)),
        }
    }

    /// Starts a supervisor with a stack in the background and waits until the stack is ready.
    ///
    /// `program` with `args` must run [`super::supervise`] with the name from [`Attached::name`] on its standard input and output.
    ///
    /// # Errors
    /// Those of [`super::LocalStack::start`]; a stack of that name is running already.
    pub async fn start(
        site: &Site,
        config: &LocalConfig,
        needs: &Needs,
        program: &Path,
        args: &[OsString],
        progress: &(dyn Fn(String) + Sync),
    ) -> EnvironmentResult<Self> {
        let place = StackPlace::within(&StackPlace::folder()?, &StackPlace::name(site));
        let failed = |error: io::Error| EnvironmentError::caused("could not start the supervisor", error);
        let wanted = WantedStack::new(version::resolve(config, needs)?, config, site.root.clone(), needs);
        let mut command = ground::program(program);
        command.args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(private::create(&place.log).map_err(failed)?);
        let mut supervisor = tokio::process::Command::from(command).spawn().map_err(failed)?;
        let line = serde_json::to_string(&wanted).map_err(|error| failed(error.into()))?;
        if let Some(mut stdin) = supervisor.stdin.take() {
            stdin.write_all(format!("{line}\n").as_bytes()).await.map_err(failed)?;
        }
        let Some(stdout) = supervisor.stdout.take() else { return Err(failed(io::ErrorKind::BrokenPipe.into())) };
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(failed)? {
            match serde_json::from_str(&line) {
                Ok(SupervisorReport::Progress(line)) => progress(line),
                Ok(SupervisorReport::Failed(error)) => return Err(error),
                Ok(SupervisorReport::Ready) => {
                    return Self::find(site).await?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()));
                }
                Err(_) => {} // something else wrote to its standard output
            }
        }
        let words = std::fs::read_to_string(&place.log).unwrap_or_default();
        Err(EnvironmentError::failed(format!("the supervisor ended before the stack was ready: {}", words.trim())))
    }

    /// Why this stack does not suit a scenario of that environment; `None` where it does.
    pub fn unmet(&self, config: &LocalConfig, site: &Site, needs: &Needs) -> Option<String> {
        let StackDescription { info, services, wanted, .. } = &self.description;
        wanted.unmet((info, services), (config, site.root.as_ref()), needs)
    }

    /// The name that a stack of that environment of that project has among those of this user.
    pub fn name(site: &Site) -> String {
        StackPlace::name(site)
    }

    /// Process id of the supervisor.
    pub fn supervisor(&self) -> u32 {
        self.description.supervisor
    }

    /// Ends the stack and its supervisor.
    ///
    /// # Errors
    /// The supervisor does not answer, or could not remove everything.
    pub async fn down(&self) -> EnvironmentResult<()> {
        self.call(StackCall::Shutdown).await
    }

    async fn call<T: DeserializeOwned>(&self, request: StackCall) -> EnvironmentResult<T> {
        call(&self.socket, request).await
    }

    async fn effect(&self, request: StackCall) -> EnvironmentResult<Effect> {
        let requested = Instant::now();
        Ok(self.call::<WireEffect>(request).await?.since(requested))
    }
}

impl Environment for Attached {
    fn info(&self) -> EnvironmentInfo {
        self.description.info.clone()
    }

    fn endpoints(&self) -> Endpoints {
        self.description.endpoints.clone()
    }

    fn services(&self) -> Vec<ServiceInfo> {
        self.description.services.clone()
    }

    fn offer<'a>(&'a self, _: &'a Needs) -> BoxFuture<'a, Offer> {
        let StackDescription { info, services, wanted, endpoints, .. } = &self.description;
        let Needs { log_dir, archive_dir, .. } = wanted.needs();
        async move { offered(info, services, endpoints, (log_dir, archive_dir)) }.boxed()
    }

    fn act<'a>(&'a self, service: &'a str, action: Action) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        self.effect(StackCall::Act(service.to_owned(), action)).boxed()
    }

    fn disturb<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Effect>> {
        self.effect(StackCall::Disturb(fault.clone())).boxed()
    }

    fn heal<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Healed>> {
        async move { Ok(Healed { effect: self.effect(StackCall::Heal(fault.clone())).await?, changed: true }) }.boxed()
    }

    fn disturbed<'a>(&'a self, fault: &'a NetworkFault) -> BoxFuture<'a, EnvironmentResult<Grip>> {
        self.call(StackCall::Disturbed(fault.clone())).boxed()
    }

    fn wait_ready<'a>(&'a self, service: &'a str, timeout: Duration) -> BoxFuture<'a, EnvironmentResult<()>> {
        let limit = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.call(StackCall::WaitReady(service.to_owned(), limit)).boxed()
    }

    fn state<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<ServiceState>> {
        self.call(StackCall::State(service.to_owned())).boxed()
    }

    fn usage<'a>(&'a self, service: &'a str) -> BoxFuture<'a, EnvironmentResult<Option<Usage>>> {
        self.call(StackCall::Usage(service.to_owned())).boxed()
    }

    fn logs<'a>(&'a self, service: &'a str, query: LogQuery) -> BoxFuture<'a, EnvironmentResult<Vec<LogLine>>> {
        self.call(StackCall::Logs(service.to_owned(), query.into())).boxed()
    }

    /// Lets go of the stack, which goes on.
    fn shutdown<'a>(&'a self) -> BoxFuture<'a, EnvironmentResult<()>> {
        async { Ok(()) }.boxed()
    }
}

async fn call<T: DeserializeOwned>(socket: &Path, request: StackCall) -> EnvironmentResult<T> {
    let value = exchange(socket, &request).await.map_err(|error| unreachable(socket, error))??;
    serde_json::from_value(value).map_err(|error| unreachable(socket, error.into()))
}

async fn exchange(socket: &Path, request: &StackCall) -> io::Result<StackAnswer> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended without an answer"));
    }
    Ok(serde_json::from_str(&answer)?)
}

fn unreachable(socket: &Path, error: io::Error) -> EnvironmentError {
    EnvironmentError::caused(format!("the supervisor at {} cannot be used", socket.display()), error)
}

/// The error for a stack that another version of kscen keeps: what is in force on it cannot be undone from here. Every version has told
/// its process by the same name.
fn of_another_version(socket: &Path, answer: &Value, error: &serde_json::Error) -> EnvironmentError {
    let supervisor = answer.get("supervisor").and_then(Value::as_u64);
    let process = supervisor.map(|pid| format!("supervisor {pid}, ")).unwrap_or_default();
    let by_hand = supervisor.map(|pid| format!("; without it, `kill {pid}` ends the stack and what is in force on it"));
    let socket = socket.display();
    EnvironmentError::Prerequisite {
        message: format!(
            "another version of kscen keeps a stack ({process}{socket}) that this one cannot use: {error}"
        ),
        remedy: format!("run `kscen undo` and `kscen down` with that version{}", by_hand.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, Write};
    use std::os::unix::net::UnixListener;

    /// What kscen 0.1.0 said of a stack before it knew projects.
    const EARLIER: &str = r#"{"Ok":{"info":{"name":"local","kind":"local","kafka_version":"3.9.2","brokers":1,"facts":{}},"endpoints":{"bootstrap":"127.0.0.1:61040","client_config":{},"connect":null,"postgres":null,"postgres_from_connect":null,"kafka_ui":null},"services":[{"name":"kafka-1","node_id":1,"controllable":true}],"wanted":{"config":{"brokers":1,"kafka":"3.9.2","timeouts":"kafka","jvm":"c1","config":{},"keep_data":false},"brokers":1,"controllers":null,"broker_config":{},"services":[],"log_dir":null,"capabilities":[]},"supervisor":1448}}"#;

    /// Answers each call at that socket with that line.
    fn answering(socket: &Path, line: String) {
        let listener = UnixListener::bind(socket).expect("a socket");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().filter_map(Result::ok) {
                let mut call = String::new();
                let _ = io::BufReader::new(&stream).read_line(&mut call);
                let _ = writeln!(stream, "{line}");
            }
        });
    }

    #[tokio::test]
    async fn a_stack_that_another_version_keeps_is_refused_with_what_to_do() {
        let stacks = tempfile::tempdir().expect("a folder");
        let plain = Site { name: "local".to_owned(), ..Site::default() };
        let of_project = Site { root: Some("/shop".into()), ..plain.clone() };
        for site in [&plain, &of_project] {
            assert!(Attached::among(stacks.path(), site).await.expect("nothing is there").is_none());
        }
        let socket = stacks.path().join("local.sock");
        answering(&socket, EARLIER.to_owned());
        for site in [&plain, &of_project] {
            let Err(error) = Attached::among(stacks.path(), site).await else { panic!("it is not of this version") };
            let shown = error.to_string().replace(&socket.display().to_string(), "SOCKET");
            assert_eq!(
                shown,
                "another version of kscen keeps a stack (supervisor 1448, SOCKET) that this one cannot use: missing field `stated`"
            );
            assert_eq!(
                error.remedy(),
                Some(
                    "run `kscen undo` and `kscen down` with that version; without it, `kill 1448` ends the stack and what is in force on it"
                )
            );
        }
        // Another name is another environment.
        let other = Site { name: "other".to_owned(), ..of_project.clone() };
        assert!(Attached::among(stacks.path(), &other).await.expect("nothing is there").is_none());
        // A stack of this version in that place is that of a folder without a project.
        std::fs::remove_file(&socket).expect("it is there");
        let mut known: Value = serde_json::from_str(EARLIER).expect("JSON");
        let wanted = &mut known["Ok"]["wanted"];
        (wanted["stated"], wanted["root"]) = (wanted["config"].clone(), Value::Null);
        answering(&socket, known.to_string());
        assert!(Attached::among(stacks.path(), &plain).await.expect("it is of this version").is_some());
        assert!(Attached::among(stacks.path(), &of_project).await.expect("it is another's").is_none());
    }
}
