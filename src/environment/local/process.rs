//! One life of a child process, from its start to its end.

use super::procfs::{Stat, is_dying, thread_states};
use super::reaper;
use super::spawner::{Launch, spawn};
use crate::ground::lock;
use crate::ground::marks::{MARK, descendants, marked};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long the kernel may take to end what was killed.
const DYING: Duration = Duration::from_secs(5);
/// How long it is waited for the end of what was killed: longer than that is a disk or a machine that hangs.
const STUCK: Duration = Duration::from_secs(60);

/// How a life ended.
#[derive(Clone, Debug)]
pub(crate) struct ProcessEnded {
    /// Exit code, or 128 + signal.
    pub(crate) code: i32,
    /// The same in words.
    pub(crate) how: String,
    /// CPU time of the whole life, in clock ticks.
    pub(super) ticks: u64,
    /// When it was gone.
    pub(crate) at: Instant,
}

/// How a process ended that was asked to.
pub(crate) struct ProcessEnd {
    pub(crate) ended: ProcessEnded,
    /// What was observed.
    pub(crate) proof: String,
    /// Whether it did not end within its grace period, and was killed.
    pub(crate) forced: bool,
}

impl ProcessEnd {
    /// Whether it was killed, and not by us: by something else, or by the kernel for want of memory.
    pub(super) fn is_foreign(&self) -> bool {
        !self.forced && self.ended.code == 128 + Signal::SIGKILL as i32
    }
}

/// A running child process, or one that has ended. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct ProcessLife {
    pid: i32,
    has_children: bool,
    /// By which what it has started is known that has lost its parent.
    mark: Option<String>,
    ended: watch::Receiver<Option<ProcessEnded>>,
    /// Whether the process id has been given back to the kernel; signals are sent under this lock, so that they
    /// never reach a stranger that got the same id.
    reaped: Arc<Mutex<bool>>,
}

impl ProcessLife {
    /// Starts a process.
    ///
    /// # Errors
    /// It cannot be started at all; a process that starts and fails is a life that ends.
    pub(crate) async fn start(launch: Launch) -> io::Result<Self> {
        let (program, has_children) = (launch.program.clone(), launch.has_children);
        let mark = launch.env.iter().find(|(name, _)| name == MARK).map(|(_, mark)| mark.clone());
        let child = spawn(launch)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot start {}: {error}", program.display())))?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let (sender, ended) = watch::channel(None);
        let reaped = Arc::new(Mutex::new(false));
        let shared = Arc::clone(&reaped);
        std::thread::Builder::new()
            .name(format!("kscen-wait-{pid}"))
            .spawn(move || sender.send_replace(Some(await_end(child, pid, &shared))))?;
        Ok(Self { pid, has_children, mark, ended, reaped })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// How it ended, if it has.
    pub(crate) fn try_ended(&self) -> Option<ProcessEnded> {
        self.ended.borrow().clone()
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) -> ProcessEnded {
        let mut ended = self.ended.clone();
        let lost = || ProcessEnded { code: -1, how: "its end was not observed".into(), ticks: 0, at: Instant::now() };
        // The sender is dropped only after it has sent; the error branch cannot hide an end.
        ended.wait_for(Option::is_some).await.ok().and_then(|end| end.clone()).unwrap_or_else(lost)
    }

    /// How it ended, also where its end is only about to be seen: someone else's SIGKILL is not to be taken for what comes next.
    pub(crate) async fn settled(&self) -> Option<ProcessEnded> {
        match self.try_ended() {
            None if is_dying(self.pid) => self.ended_within(DYING).await,
            known => known,
        }
    }

    /// Waits for the end, at most for `limit`.
    pub(super) async fn ended_within(&self, limit: Duration) -> Option<ProcessEnded> {
        tokio::time::timeout(limit, self.ended()).await.ok()
    }

    /// Sends a signal; `false` where the process is gone.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        let reaped = lock(&self.reaped);
        !*reaped && kill(Pid::from_raw(self.pid), signal).is_ok()
    }

    /// All that descends from it or carries its mark, where it works through other processes.
    pub(super) fn family(&self) -> Vec<i32> {
        if !self.has_children {
            return Vec::new();
        }
        let mut family = descendants(self.pid).0;
        family.extend(self.mark.iter().flat_map(|mark| marked(mark)));
        family.remove(&self.pid);
        family.into_iter().collect()
    }

    /// Whether the kernel holds all threads of the process itself stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.state == 'T')
    }

    /// Whether nothing of what it works through goes on.
    pub(crate) fn is_family_stopped(&self) -> bool {
        let goes_on = |pid: &i32| Stat::of(*pid).is_some_and(|stat| !matches!(stat.state, 'T' | 'Z' | 'X'));
        !self.family().iter().any(goes_on)
    }

    /// Stops all threads (SIGSTOP), those of all that it works through included, and says what the kernel then shows; `Err` is what it
    /// showed instead.
    pub(crate) async fn freeze(&self) -> Result<String, String> {
        self.signal(Signal::SIGSTOP);
        // The kernel has no event for this that leaves the child's exit to others, so its own state is read.
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut at_rest = None;
        loop {
            let family = self.family();
            reaper::guard(&family).map_err(|error| format!("its child processes cannot be watched over: {error}"))?;
            for child in &family {
                let _ = kill(Pid::from_raw(*child), Signal::SIGSTOP); // it may have ended meanwhile
            }
            let all = [self.pid].into_iter().chain(family.iter().copied());
            // A child that has ended, and that its stopped parent cannot wait for, runs no more either.
            let states: Vec<char> = all.flat_map(thread_states).filter(|state| *state != 'Z').collect();
            if let Some(ended) = self.try_ended() {
                return Err(format!("process {} ended: {}", self.pid, ended.how));
            }
            let all_stopped = !states.is_empty() && states.iter().all(|state| *state == 'T');
            // What is stopped starts no other; one that was started just before is seen in the next round.
            if all_stopped && at_rest.as_ref() == Some(&family) {
                let children =
                    if family.is_empty() { String::new() } else { format!(" and {} children", family.len()) };
                let threads = states.len();
                return Ok(format!("process {}{children}: all {threads} threads in state T (stopped)", self.pid));
            }
            at_rest = all_stopped.then_some(family);
            if Instant::now() > deadline {
                let states: String = states.into_iter().collect();
                return Err(format!("process {} is not stopped 5 s after SIGSTOP, threads: {states}", self.pid));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets all threads go on (SIGCONT), like [`ProcessLife::freeze`].
    pub(crate) async fn thaw(&self) -> Result<String, String> {
        self.let_go_on();
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match Stat::of(self.pid) {
                Some(Stat { state, .. }) if state != 'T' && state != 'Z' => {
                    return Ok(format!("process {} is in state {state} (no longer stopped)", self.pid));
                }
                None => return Err(format!("process {} is gone", self.pid)),
                Some(_) if Instant::now() > deadline => {
                    return Err(format!("process {} is still stopped 5 s after SIGCONT", self.pid));
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// Asks the process to end with `signal`, and kills it after `grace`.
    pub(crate) async fn stop(&self, signal: Signal, grace: Duration) -> ProcessEnd {
        let asked = Instant::now();
        self.signal(signal);
        self.let_go_on(); // a stopped process sees the request only when it goes on
        if let Some(ended) = self.ended_within(grace).await {
            let after = ended.at.saturating_duration_since(asked).as_secs_f64();
            let proof = format!("process {} ended {after:.2} s after {signal}: {}", self.pid, ended.how);
            return ProcessEnd { ended, proof, forced: false };
        }
        let ended = self.kill().await;
        let proof = format!("process {} ignored {signal} for {} s and was killed", self.pid, grace.as_secs());
        ProcessEnd { ended, proof, forced: true }
    }

    /// Sends SIGCONT to the process and to what it works through.
    fn let_go_on(&self) {
        let family = self.family();
        self.signal(Signal::SIGCONT);
        for child in &family {
            let _ = kill(Pid::from_raw(*child), Signal::SIGCONT); // it may have ended meanwhile
        }
        reaper::release(&family);
    }

    /// Ends the process at once (SIGKILL) and waits until it is gone, but not for ever: the kernel may be stuck with it, and then
    /// [`ProcessLife::try_ended`] knows of no end.
    pub(crate) async fn kill(&self) -> ProcessEnded {
        self.kill_all();
        let how = || format!("killed, and not gone {} s later", STUCK.as_secs());
        let stuck = || ProcessEnded { code: -1, how: how(), ticks: 0, at: Instant::now() };
        self.ended_within(STUCK).await.unwrap_or_else(stuck)
    }

    /// Sends SIGKILL to the process and to what it works through, without waiting.
    pub(super) fn kill_all(&self) {
        let frozen = self.has_children && self.signal(Signal::SIGSTOP); // no new children from here on
        let family = self.family();
        self.signal(Signal::SIGKILL);
        if frozen {
            for child in &family {
                let _ = kill(Pid::from_raw(*child), Signal::SIGKILL); // it may have ended with its parent
            }
            reaper::release(&family);
        }
    }
}

impl Drop for ProcessLife {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// Waits for the process, reads its last figures while it is a zombie, and only then gives its id back.
fn await_end(mut child: Child, pid: i32, reaped: &Mutex<bool>) -> ProcessEnded {
    while waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::Error::EINTR) {}
    let at = Instant::now();
    let ticks = Stat::of(pid).map_or(0, |stat| stat.ticks + stat.children_ticks);
    let mut reaped = lock(reaped);
    let status = child.wait();
    *reaped = true;
    match status {
        Ok(status) => ProcessEnded { code: exit_code(status), how: in_words(status), ticks, at },
        Err(error) => ProcessEnded { code: -1, how: error.to_string(), ticks, at },
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("ended by {signal}"),
            Err(_) => format!("ended by signal {number}"),
        },
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn start(script: &str, dir: &tempfile::TempDir) -> ProcessLife {
        started(script, dir, Launch::default()).await
    }

    async fn started(script: &str, dir: &tempfile::TempDir, launch: Launch) -> ProcessLife {
        let launch = Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            directory: dir.path().into(),
            log: dir.path().join("log"),
            ..launch
        };
        ProcessLife::start(launch).await.expect("a shell starts")
    }

    #[tokio::test]
    async fn exits_and_signals_are_told_apart() {
        let dir = tempfile::tempdir().expect("a folder");
        let life = start("echo hello; exit 3", &dir).await;
        let ended = life.ended().await;
        assert_eq!((ended.code, ended.how.as_str()), (3, "exit code 3"));
        assert_eq!(std::fs::read_to_string(dir.path().join("log")).expect("a log"), "hello\n");
        let life = start("exec sleep 1000", &dir).await;
        assert_eq!(life.kill().await.code, 137);
        assert!(!life.signal(Signal::SIGTERM), "no signal after the end");
    }

    #[tokio::test]
    async fn a_frozen_process_is_stopped_by_continuing_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let life = start("exec sleep 1000", &dir).await;
        assert!(life.freeze().await.expect("stops").contains("state T"));
        assert!(life.is_stopped());
        assert!(life.thaw().await.is_ok());
        assert!(life.freeze().await.is_ok());
        let ProcessEnd { ended, proof, forced } = life.stop(Signal::SIGTERM, Duration::from_secs(60)).await;
        assert_eq!((ended.code, forced), (143, false), "{proof}");
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_request_is_killed() {
        let dir = tempfile::tempdir().expect("a folder");
        let life = start("trap '' TERM; echo ready; while :; do sleep 1; done", &dir).await;
        while std::fs::read_to_string(dir.path().join("log")).unwrap_or_default().is_empty() {
            tokio::task::yield_now().await;
        }
        let ProcessEnd { ended, proof, forced } = life.stop(Signal::SIGTERM, Duration::from_millis(50)).await;
        assert_eq!((ended.code, forced), (137, true), "{proof}");
    }

    /// The process id that a process writes into its log.
    async fn told(dir: &tempfile::TempDir) -> i32 {
        loop {
            if let Ok(pid) = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default().trim().parse() {
                return pid;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn all_that_descends_from_a_process_is_frozen_with_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let with_children = Launch { has_children: true, ..Launch::default() };
        let life = started("sh -c 'sleep 1000 & echo $!; wait' & wait", &dir, with_children).await;
        let sleeper = told(&dir).await;
        life.freeze().await.expect("stops");
        assert_eq!(Stat::of(sleeper).map(|stat| stat.state), Some('T'), "the grandchild");
        assert!(life.is_stopped() && life.is_family_stopped());
        kill(Pid::from_raw(sleeper), Signal::SIGCONT).expect("ours");
        while Stat::of(sleeper).is_some_and(|stat| stat.state == 'T') {
            tokio::task::yield_now().await;
        }
        assert!(life.is_stopped() && !life.is_family_stopped(), "somebody woke it");
        life.freeze().await.expect("stops again");
        life.thaw().await.expect("goes on");
        assert_ne!(Stat::of(sleeper).map(|stat| stat.state), Some('T'));
        life.kill().await;
        while !is_dying(sleeper) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_carries_the_mark_and_has_lost_its_parent_is_frozen_as_well() {
        let dir = tempfile::tempdir().expect("a folder");
        let mark = format!("frozen-{}", std::process::id());
        let launch = Launch { has_children: true, env: vec![(MARK.to_owned(), mark)], ..Launch::default() };
        let life = started("(setsid sleep 1000 & echo $!) ; exec sleep 1000", &dir, launch).await;
        let orphan = told(&dir).await;
        life.freeze().await.expect("stops");
        assert_eq!(Stat::of(orphan).map(|stat| stat.state), Some('T'));
        life.thaw().await.expect("goes on");
        life.kill().await;
        while !is_dying(orphan) {
            tokio::task::yield_now().await;
        }
    }
}
