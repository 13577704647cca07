//! The one thread that forks all children, because a child's parent-death signal is tied to a thread.

use super::preexec::tie_to_parent;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use tokio::sync::oneshot;

/// How to start a child process.
#[derive(Clone, Debug, Default)]
pub(super) struct Launch {
    /// The executable.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Variables added to this process's environment.
    pub(super) env: Vec<(String, String)>,
    /// Variables removed from it.
    pub(super) without_env: Vec<String>,
    /// Working directory.
    pub(super) directory: PathBuf,
    /// Standard output and error are appended here.
    pub(super) log: PathBuf,
    /// User and group to run as, where not this process's.
    pub(super) user: Option<(u32, u32)>,
    /// Whether it works through child processes of its own (PostgreSQL), which are then frozen and killed with it.
    pub(super) has_children: bool,
}

struct Request {
    launch: Launch,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// Starts a child that dies with this process, whatever ends it.
///
/// # Errors
/// The executable or the log file cannot be opened, or the machine is out of processes.
pub(super) async fn spawn(launch: Launch) -> io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let requests = match SPAWNER.get() {
        Some(requests) => requests,
        None => {
            let (sender, receiver) = mpsc::channel::<Request>();
            // The loser of a race drops its sender, which ends its thread before it has forked anything.
            std::thread::Builder::new().name("kscen-spawner".to_owned()).spawn(move || serve(&receiver))?;
            SPAWNER.get_or_init(|| sender)
        }
    };
    let (reply, answer) = oneshot::channel();
    let gone = || io::Error::other("the thread that starts processes has ended");
    requests.send(Request { launch, reply }).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

fn serve(requests: &mpsc::Receiver<Request>) {
    while let Ok(Request { launch, reply }) = requests.recv() {
        if let Err(Ok(mut child)) = reply.send(fork(&launch)) {
            // Nobody waits for it any more: the caller was cancelled.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn fork(launch: &Launch) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(&launch.log)?;
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.args)
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    for name in &launch.without_env {
        command.env_remove(name);
    }
    if let Some((uid, gid)) = launch.user {
        command.uid(uid).gid(gid);
    }
    tie_to_parent(&mut command);
    command.spawn()
}
