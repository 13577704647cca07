//! A process of its own that keeps a stack running between runs: `kscen up`, `down`, `status`.

use super::cache::cache_dir;
use super::offer::Wanted;
use super::stack::LocalStack;
use super::wire::{Answer, Call, Description, Report, WireEffect};
use crate::environment::{Environment, EnvironmentError, EnvironmentResult};
use serde::Serialize;
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as Claim};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Where a supervised stack of a given name lives.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its socket.
    pub(super) socket: PathBuf,
    /// What the supervisor itself writes to standard error.
    pub(super) log: PathBuf,
    run_dir: PathBuf,
}

impl Place {
    /// The place of the stack called `name`, such as the environment's name in `kscen.yaml`.
    ///
    /// # Errors
    /// There is no cache folder.
    pub(super) fn of(name: &str) -> EnvironmentResult<Self> {
        let safe: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect();
        let dir = cache_dir()?.join("stacks");
        fs::create_dir_all(&dir)
            .map_err(|error| EnvironmentError::failed(format!("cannot create {}: {error}", dir.display())))?;
        Ok(Self {
            socket: dir.join(format!("{safe}.sock")),
            log: dir.join(format!("{safe}.log")),
            run_dir: dir.join(safe),
        })
    }
}

/// The body of the supervisor process: reads one line that says which stack is wanted from `input`, starts it, reports
/// to `output`, and serves it until it is told to end or gets SIGTERM.
///
/// This is what the hidden subcommand runs that [`super::Attached::start`] starts. `output` is closed once the stack
/// is ready or has failed.
///
/// # Errors
/// The stack does not start, or does not end in order.
pub async fn supervise(name: &str, input: impl io::Read, output: impl Write + Send) -> EnvironmentResult<()> {
    // Away from the terminal: its Ctrl-C and its end are not meant for the stack. Fails where that is so already.
    let _ = nix::unistd::setsid();
    let output = Mutex::new(output);
    let report = |report: &Report| {
        if let Ok(line) = serde_json::to_string(report) {
            let mut output = super::process::lock(&output);
            let _ = writeln!(output, "{line}").and_then(|()| output.flush()); // the starter may have left
        }
    };
    let prepared = prepare(name, input, &|line| report(&Report::Progress(line))).await;
    let (stack, listener, wanted, place, _claim) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            report(&Report::Failed(error.clone()));
            return Err(error);
        }
    };
    report(&Report::Ready);
    drop(output);
    serve(Arc::new(stack), wanted, &listener, &place).await
}

async fn prepare(
    name: &str,
    input: impl io::Read,
    progress: &(dyn Fn(String) + Sync),
) -> EnvironmentResult<(LocalStack, UnixListener, Wanted, Place, Claim)> {
    let failed = |what: &str, error: io::Error| EnvironmentError::failed(format!("{what}: {error}"));
    let mut line = String::new();
    io::BufReader::new(input).read_line(&mut line).map_err(|error| failed("cannot read what is wanted", error))?;
    let wanted: Wanted =
        serde_json::from_str(&line).map_err(|error| failed("cannot read what is wanted", error.into()))?;
    let place = Place::of(name)?;
    let claim = exclusive(&place.socket).await.map_err(|error| failed("cannot claim the stack", error))?;
    let claim = claim.ok_or_else(|| EnvironmentError::failed(format!("the stack `{name}` is running already")))?;
    // What a supervisor left that was killed; the claim says that it is gone, and its children went with it.
    for leftover in [fs::remove_file(&place.socket), fs::remove_dir_all(&place.run_dir)] {
        match leftover {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("cannot remove what an earlier stack left", error));
            }
            _ => {}
        }
    }
    let stack = LocalStack::start(&wanted.config, &wanted.needs(), &place.run_dir, progress).await?;
    let listener = UnixListener::bind(&place.socket)
        .map_err(|error| failed(&format!("cannot listen on {}", place.socket.display()), error))?;
    Ok((stack, listener, wanted, place, claim))
}

/// A claim that only one living process can have; `None` where another one has it, and goes on to have it for a second.
/// As with ports it is an abstract socket, which needs no file and cannot be left behind.
async fn exclusive(socket: &Path) -> io::Result<Option<Claim>> {
    let name = SocketAddr::from_abstract_name(socket.as_os_str().as_encoded_bytes())?;
    for _ in 0..50 {
        match Claim::bind_addr(&name) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            claim => return claim.map(Some),
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // it may be ending just now
    }
    Ok(None)
}

async fn serve(
    stack: Arc<LocalStack>,
    wanted: Wanted,
    listener: &UnixListener,
    place: &Place,
) -> EnvironmentResult<()> {
    let terminate = |kind| signal(kind).map_err(|error| EnvironmentError::failed(error.to_string()));
    let (mut term, mut int) = (terminate(SignalKind::terminate())?, terminate(SignalKind::interrupt())?);
    let end = Arc::new(Notify::new());
    let wanted = Arc::new(wanted);
    let outcome = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (stack, wanted, end) = (Arc::clone(&stack), Arc::clone(&wanted), Arc::clone(&end));
                    tokio::spawn(async move {
                        let _ = answer(stream, &stack, &wanted, &end).await; // the asker may have left
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            () = end.notified() => break Ok(()),
            _ = term.recv() => break stack.shutdown().await,
            _ = int.recv() => break stack.shutdown().await,
        }
    };
    for file in [&place.socket, &place.log] {
        let _ = fs::remove_file(file); // a stale socket is recognized anyway
    }
    outcome
}

async fn answer(mut stream: UnixStream, stack: &LocalStack, wanted: &Wanted, end: &Notify) -> io::Result<()> {
    let mut line = String::new();
    let (reader, mut writer) = stream.split();
    BufReader::new(reader).read_line(&mut line).await?;
    let call: Call = serde_json::from_str(&line)?;
    let last = matches!(call, Call::Shutdown);
    let answer = perform(call, stack, wanted).await;
    let mut line = serde_json::to_string(&answer)?;
    line.push('\n');
    let written = writer.write_all(line.as_bytes()).await;
    if last {
        end.notify_one();
    }
    written
}

async fn perform(call: Call, stack: &LocalStack, wanted: &Wanted) -> Answer {
    match call {
        Call::Describe => value(Description {
            info: stack.info(),
            endpoints: stack.endpoints(),
            services: stack.services(),
            wanted: wanted.clone(),
            supervisor: std::process::id(),
        }),
        Call::Act(service, action) => value(WireEffect::from(stack.act(&service, action).await?)),
        Call::Disturb(fault) => value(WireEffect::from(stack.disturb(&fault).await?)),
        Call::Heal(fault) => value(WireEffect::from(stack.heal(&fault).await?)),
        Call::WaitReady(service, limit) => value(stack.wait_ready(&service, Duration::from_millis(limit)).await?),
        Call::State(service) => value(stack.state(&service).await?),
        Call::Usage(service) => value(stack.usage(&service).await?),
        Call::Logs(service, lines) => value(stack.logs(&service, lines.into()).await?),
        Call::Shutdown => value(stack.shutdown().await?),
    }
}

fn value(of: impl Serialize) -> Answer {
    serde_json::to_value(of).map_err(|error| EnvironmentError::failed(error.to_string()))
}
