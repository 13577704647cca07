//! The one thread that forks all children, because a child's parent-death signal is tied to a thread.

use super::mounts::Mounts;
use crate::ground::{bare, program, tie_to_parent};
use nix::sched::{CloneFlags, unshare};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{OnceLock, mpsc};
use tokio::sync::oneshot;

/// How to start a child process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Launch {
    /// The executable.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Variables added to this process's environment.
    pub(crate) env: Vec<(String, String)>,
    /// Variables removed from it.
    pub(crate) without_env: Vec<String>,
    /// Working directory.
    pub(crate) directory: PathBuf,
    /// Standard output and error are appended here.
    pub(crate) log: PathBuf,
    /// User and group to run as, where not this process's.
    pub(crate) user: Option<(u32, u32)>,
    /// Whether it works through child processes of its own (PostgreSQL), which are then frozen and killed with it.
    pub(crate) has_children: bool,
}

enum Request {
    Fork(Launch, oneshot::Sender<io::Result<Child>>),
    Limit(PathBuf, u64, oneshot::Sender<io::Result<PathBuf>>),
    Release(PathBuf, oneshot::Sender<io::Result<()>>),
}

/// Starts a child that dies with this process, whatever ends it.
///
/// # Errors
/// The executable or the log file cannot be opened, or the machine is out of processes.
pub(super) async fn spawn(launch: Launch) -> io::Result<Child> {
    ask(|reply| Request::Fork(launch, reply)).await
}

/// Puts a file system of `bytes` on a folder, for children started from then on. The path returned shows its content
/// to this process. See [`Mounts`].
///
/// # Errors
/// The right to mount is missing.
pub(super) async fn limit_folder(folder: PathBuf, bytes: u64) -> io::Result<PathBuf> {
    ask(|reply| Request::Limit(folder, bytes, reply)).await
}

/// Takes such a file system away.
///
/// # Errors
/// There is none.
pub(super) async fn release_folder(folder: PathBuf) -> io::Result<()> {
    ask(|reply| Request::Release(folder, reply)).await
}

async fn ask<T>(request: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Request) -> io::Result<T> {
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
    requests.send(request(reply)).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

fn serve(requests: &mpsc::Receiver<Request>) {
    // PostgreSQL's System V shared memory outlives a killed server, unless it is in a namespace that ends with us.
    // Only root may do this; nothing else here depends on it.
    let _ = unshare(CloneFlags::CLONE_NEWIPC);
    let mut mounts = Mounts::default();
    while let Ok(request) = requests.recv() {
        match request {
            Request::Fork(launch, reply) => {
                if let Err(Ok(mut child)) = reply.send(fork(&launch)) {
                    // Nobody waits for it any more: the caller was cancelled.
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
            Request::Limit(folder, bytes, reply) => drop(reply.send(mounts.limit(&folder, bytes))),
            Request::Release(folder, reply) => drop(reply.send(mounts.release(&folder))),
        }
    }
}

fn fork(launch: &Launch) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(&launch.log)?;
    let mut command = program(&launch.program);
    if launch.user.is_some() {
        bare(&mut command);
    }
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
