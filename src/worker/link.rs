//! Ways to a worker: what stands behind a pair of streams.

use crate::environment::kubernetes::JobTrace;
use crate::environment::{EnvironmentResult, Recipe};
use crate::ground::{itself, program, tie_to_parent};
use crate::record::WorkerRecord;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a process that was told to end may take.
const END: Duration = Duration::from_secs(5);
/// Between two looks whether it has ended.
const GLANCE: Duration = Duration::from_millis(10);

/// The two ends of a stream to a worker, and who holds it.
pub struct LinkEnds {
    /// What the worker says.
    pub read: Box<dyn Read + Send>,
    /// What it hears.
    pub write: Box<dyn Write + Send>,
    /// Who holds it.
    pub holder: Box<dyn LinkHolder>,
}

/// Holds what a stream leads to.
pub trait LinkHolder: Send {
    /// Ends it at once, if it has not ended yet.
    fn end_now(&mut self);
    /// Waits a while for its end; how that was, if it is known.
    fn ended(&mut self) -> Option<String>;
    /// Removes what all workers shared, once they have ended.
    fn tidy(&mut self) {}
}

/// What a link makes in the world.
pub struct LinkMakes {
    /// In words.
    pub what: String,
    /// What removes it where this process is killed.
    pub recipe: EnvironmentResult<Recipe>,
    /// Whether something of it may be there.
    pub trace: Arc<JobTrace>,
}

/// A way to a worker.
pub trait WorkerLink: Send {
    /// Where it leads.
    fn place(&self) -> String;
    /// What opening it makes in the world: to be written down before.
    fn makes(&self) -> Option<LinkMakes> {
        None
    }

    /// Opens it. Called by a thread that lives as long as the worker has to.
    ///
    /// # Errors
    /// Nothing can be started there.
    fn open(&self) -> io::Result<LinkEnds>;
}

/// To a child of this process. It ends with the thread that opened it, and when its stream ends.
#[derive(Debug, Default)]
pub struct LocalLink;

impl WorkerLink for LocalLink {
    fn place(&self) -> String {
        WorkerRecord::HERE.to_owned()
    }

    fn open(&self) -> io::Result<LinkEnds> {
        let mut command = itself()?;
        command.arg("worker");
        tie_to_parent(&mut command);
        ends(command)
    }
}

/// To a host by `ssh HOST kscen worker`. Who asks for a password or a host key there gets none: it has to work without.
#[derive(Debug)]
pub struct SshLink {
    host: String,
}

impl SshLink {
    /// To this host, as `ssh` knows it.
    pub fn to(host: impl Into<String>) -> Self {
        Self { host: host.into() }
    }
}

impl WorkerLink for SshLink {
    fn place(&self) -> String {
        self.host.clone()
    }

    fn open(&self) -> io::Result<LinkEnds> {
        let mut command = program("ssh");
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3", "--"]);
        command.args([self.host.as_str(), "kscen", "worker"]).process_group(0);
        ends(command)
    }
}

/// Starts a program whose standard streams are those to a worker.
fn ends(mut command: Command) -> io::Result<LinkEnds> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let missing = || io::Error::other("it has no standard streams");
    let (read, write) = (child.stdout.take().ok_or_else(missing)?, child.stdin.take().ok_or_else(missing)?);
    Ok(LinkEnds { read: Box::new(read), write: Box::new(write), holder: Box::new(ChildHolder(child)) })
}

struct ChildHolder(Child);

impl LinkHolder for ChildHolder {
    fn end_now(&mut self) {
        // Its number is not given to another before it was waited for.
        if matches!(self.0.try_wait(), Ok(None))
            && let Ok(pid) = i32::try_from(self.0.id())
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    fn ended(&mut self) -> Option<String> {
        let deadline = Instant::now() + END;
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Some(how(status)),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(GLANCE),
                _ => return None,
            }
        }
    }
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("it was killed by signal {signal}"),
        (None, Some(code)) => format!("it ended with exit code {code}"),
        (None, None) => "it ended".to_owned(),
    }
}
