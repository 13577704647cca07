//! A command with all that it starts.
//!
//! While the command lives it adopts every process that descends from it and loses its parent, so that all of them stand below it,
//! whatever session, group or variables they have given themselves. It is ended last: until then none gets away. What still carries
//! its mark, and what is in its group, is ended as well, for the case that the command itself was quicker.

use crate::ground::marks::{descendants, is_dying, marked};
use crate::ground::scratch::Scratch;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;

/// Rounds of killing, in which each may have started others meanwhile.
const ROUNDS: usize = 1_000;
/// Rounds in which nobody was found any more: one alone may have looked where somebody was a moment later.
const QUIET: usize = 2;

/// What a command has started. Ends with it where it is dropped before the command has ended.
#[derive(Debug)]
pub(super) struct Family {
    leader: Option<Pid>,
    mark: String,
    /// Holds the mark, as long as the command is kscen's to end: where kscen is killed, the next one ends what carries it.
    _kept: Option<Scratch>,
}

impl Family {
    /// The family of a process that leads its own group, adopts orphans and carries the mark.
    pub(super) fn new(leader: Option<u32>, mark: String, kept: Option<Scratch>) -> Self {
        let leader = leader.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        Self { leader, mark, _kept: kept }
    }

    /// The command has ended by itself: what it left running was meant to run on.
    pub(super) fn release(mut self) {
        self.leader = None;
    }

    /// Ends the command and what it has started. Answers which processes this user may not end.
    pub(super) fn end(mut self) -> Vec<String> {
        self.leader.take().map(|leader| self.end_all(leader)).unwrap_or_default()
    }

    fn end_all(&self, leader: Pid) -> Vec<String> {
        // It starts nothing more, and does not end before the others. One that has ended meanwhile needs no signal.
        let _ = kill(leader, Signal::SIGSTOP);
        let (mut left, mut quiet) = (BTreeSet::new(), 0);
        for _ in 0..ROUNDS {
            let (mut found, sure) = descendants(leader.as_raw());
            found.extend(marked(&self.mark));
            found.retain(|pid| *pid != leader.as_raw() && !is_dying(*pid));
            let ended = found.iter().filter(|pid| kill(Pid::from_raw(**pid), Signal::SIGKILL).is_ok()).count();
            quiet = if ended == 0 && sure { quiet + 1 } else { 0 };
            left = found;
            if quiet == QUIET {
                break;
            }
        }
        let _ = killpg(leader, Signal::SIGKILL);
        let _ = kill(leader, Signal::SIGKILL);
        left.into_iter().map(named).collect()
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            self.end_all(leader);
        }
    }
}

/// A process by its id and its name.
fn named(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("process {pid} ({})", name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::adopt_orphans;
    use crate::ground::marks::MARK;
    use std::io::{BufRead, BufReader, Lines};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, ChildStdout, Command, Stdio};

    /// A shell that leads a family, and what its processes write.
    fn started(script: &str, mark: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env(MARK, mark).process_group(0).stdout(Stdio::piped());
        adopt_orphans(&mut command);
        let mut child = command.spawn().expect("a shell");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        (child, lines)
    }

    #[test]
    fn nobody_gets_away() {
        let mark = format!("test-{}", std::process::id());
        // A child of the shell, one in a session of its own, and one whose parent has ended as well, each with and without the mark,
        // and one that goes on starting others; each says that it runs.
        let script = "sleep 1000 & \
                      setsid sh -c 'echo ready; sleep 1000' & \
                      setsid sh -c '(sleep 1000 & echo ready) &' & \
                      env -i \"$(command -v setsid)\" sh -c 'echo ready; sleep 1000' & \
                      env -i \"$(command -v setsid)\" sh -c '(sleep 1000 & echo ready) &' & \
                      env -i sh -c 'echo ready; while :; do (sleep 1000 &) ; sleep 0.01; done' & \
                      wait";
        let (mut child, mut lines) = started(script, &mark);
        for _ in 0..5 {
            assert_eq!(lines.next().expect("a line").expect("it is read"), "ready");
        }
        let leader = i32::try_from(child.id()).expect("a pid");
        // The orphan without a mark stands below the shell.
        let family = Family::new(Some(child.id()), mark.clone(), None);
        // Some say that they run a moment before they have started their child.
        let soon = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while descendants(leader).0.len() < 8 {
            assert!(std::time::Instant::now() < soon, "{:?}", descendants(leader));
            std::thread::yield_now();
        }
        assert_eq!(family.end(), Vec::<String>::new());
        child.wait().expect("ours");
        // The pipe ends when the last of them is gone.
        assert!(lines.next().is_none());
        assert_eq!((marked(&mark), descendants(leader).0), (BTreeSet::new(), BTreeSet::new()));
    }

    #[test]
    fn what_carries_the_mark_ends_also_where_the_command_was_quicker() {
        let mark = format!("left-{}", std::process::id());
        let (mut child, mut lines) = started("setsid sh -c 'echo ready; sleep 1000' & exit 0", &mark);
        assert_eq!(lines.next().expect("a line").expect("it is read"), "ready");
        let family = Family::new(Some(child.id()), mark.clone(), None);
        // It has ended, and nobody has noticed yet.
        while !is_dying(i32::try_from(child.id()).expect("a pid")) {
            std::thread::yield_now();
        }
        drop(family);
        assert!(lines.next().is_none());
        child.wait().expect("ours");
    }

    #[test]
    fn what_was_released_runs_on() {
        let (mut child, mut lines) = started("sleep 1000 & echo $!", "released");
        let sleeper: i32 = lines.next().expect("a line").expect("it is read").parse().expect("a pid");
        child.wait().expect("ours");
        Family::new(Some(child.id()), "released".to_owned(), None).release();
        assert!(!is_dying(sleeper));
        kill(Pid::from_raw(sleeper), Signal::SIGKILL).expect("ours");
        assert!(lines.next().is_none());
    }
}
