//! A process of its own that keeps a stack running between runs: `kscen up`, `down`, `status`.

use super::cache::cache_dir;
use super::offer::WantedStack;
use super::stack::LocalStack;
use super::wire::{StackAnswer, StackCall, StackDescription, SupervisorReport, WireEffect};
use crate::environment::{Environment, EnvironmentError, EnvironmentResult, Site};
use crate::ground::private;
use crate::ground::trust::own_folder;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Held locked as long as a supervisor lives.
type Claim = Flock<std::fs::File>;

/// Where a supervised stack of a given name lives.
#[derive(Clone, Debug)]
pub(super) struct StackPlace {
    /// Its socket.
    pub(super) socket: PathBuf,
    /// What the supervisor itself writes to standard error.
    pub(super) log: PathBuf,
    run_dir: PathBuf,
}

impl StackPlace {
    /// The folder of all stacks.
    ///
    /// # Errors
    /// There is no cache folder, or the one for stacks is somebody else's.
    pub(super) fn folder() -> EnvironmentResult<PathBuf> {
        let dir = cache_dir()?.join("stacks");
        // Whoever can speak to the supervisor can do everything to the stack.
        own_folder(&dir).map_err(|error| EnvironmentError::caused(format!("cannot use {}", dir.display()), error))
    }

    /// A name for files: that of the environment, with a mark of the project where there is one.
    pub(super) fn name(site: &Site) -> String {
        match &site.root {
            Some(root) => {
                let mark = crc32fast::hash(root.as_os_str().as_encoded_bytes());
                format!("{}-{mark:08x}", Self::earlier_name(site))
            }
            None => Self::earlier_name(site),
        }
    }

    /// The name in versions that kept one stack for all environments of a name.
    pub(super) fn earlier_name(site: &Site) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
        site.name.chars().map(plain).collect()
    }

    /// The place of the stack of that name.
    pub(super) fn within(dir: &Path, name: &str) -> Self {
        Self { socket: dir.join(format!("{name}.sock")), log: dir.join(format!("{name}.log")), run_dir: dir.join(name) }
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
    let report = |report: &SupervisorReport| {
        if let Ok(line) = serde_json::to_string(report) {
            let mut output = crate::ground::lock(&output);
            let _ = writeln!(output, "{line}").and_then(|()| output.flush()); // the starter may have left
        }
    };
    let prepared = prepare(name, input, &|line| report(&SupervisorReport::Progress(line))).await;
    let (stack, listener, wanted, place, _claim) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            report(&SupervisorReport::Failed(error.clone()));
            return Err(error);
        }
    };
    report(&SupervisorReport::Ready);
    drop(output);
    serve(Arc::new(stack), wanted, &listener, &place).await
}

async fn prepare(
    name: &str,
    input: impl io::Read,
    progress: &(dyn Fn(String) + Sync),
) -> EnvironmentResult<(LocalStack, UnixListener, WantedStack, StackPlace, Claim)> {
    let failed = |what: &str, error: io::Error| EnvironmentError::caused(what, error);
    let mut line = String::new();
    io::BufReader::new(input)
        .read_line(&mut line)
        .map_err(|error| failed("cannot read the description of the stack to start", error))?;
    let wanted: WantedStack = serde_json::from_str(&line)
        .map_err(|error| failed("cannot read the description of the stack to start", error.into()))?;
    let place = StackPlace::within(&StackPlace::folder()?, name);
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

/// A claim that only one living process can have; `None` where another one has it, and goes on to have it for a second. It is a locked
/// file in a folder that others cannot enter: an abstract socket, which needs none, could be taken by anybody.
async fn exclusive(socket: &Path) -> io::Result<Option<Claim>> {
    let path = socket.with_extension("lock");
    for _ in 0..50 {
        let file = private::options().create(true).truncate(false).write(true).open(&path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(claim) => return Ok(Some(claim)),
            Err((_, Errno::EWOULDBLOCK)) => {}
            Err((_, errno)) => return Err(errno.into()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // it may be ending just now
    }
    Ok(None)
}

async fn serve(
    stack: Arc<LocalStack>,
    wanted: WantedStack,
    listener: &UnixListener,
    place: &StackPlace,
) -> EnvironmentResult<()> {
    let terminate = |kind| signal(kind).map_err(EnvironmentError::because);
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

async fn answer(mut stream: UnixStream, stack: &LocalStack, wanted: &WantedStack, end: &Notify) -> io::Result<()> {
    let mut line = String::new();
    let (reader, mut writer) = stream.split();
    BufReader::new(reader).read_line(&mut line).await?;
    let call: StackCall = serde_json::from_str(&line)?;
    let last = matches!(call, StackCall::Shutdown);
    let answer = perform(call, stack, wanted).await;
    let mut line = serde_json::to_string(&answer)?;
    line.push('\n');
    let written = writer.write_all(line.as_bytes()).await;
    if last {
        end.notify_one();
    }
    written
}

async fn perform(call: StackCall, stack: &LocalStack, wanted: &WantedStack) -> StackAnswer {
    match call {
        StackCall::Describe => value(StackDescription {
            info: stack.info(),
            endpoints: stack.endpoints(),
            services: stack.services(),
            wanted: wanted.clone(),
            supervisor: std::process::id(),
        }),
        StackCall::Act(service, action) => value(WireEffect::from(stack.act(&service, action).await?)),
        StackCall::Disturb(fault) => value(WireEffect::from(stack.disturb(&fault).await?)),
        StackCall::Heal(fault) => value(WireEffect::from(stack.heal(&fault).await?.effect)),
        StackCall::Disturbed(fault) => value(stack.disturbed(&fault).await?),
        StackCall::WaitReady(service, limit) => value(stack.wait_ready(&service, Duration::from_millis(limit)).await?),
        StackCall::State(service) => value(stack.state(&service).await?),
        StackCall::Usage(service) => value(stack.usage(&service).await?),
        StackCall::Logs(service, lines) => value(stack.logs(&service, lines.into()).await?),
        StackCall::Shutdown => value(stack.shutdown().await?),
    }
}

fn value(of: impl Serialize) -> StackAnswer {
    serde_json::to_value(of).map_err(EnvironmentError::because)
}
