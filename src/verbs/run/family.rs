//! A command with all that it starts: its process group, its descendants, and whatever carries its mark.

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The variable by which processes are known that have left the group and lost their parent: every child inherits it.
pub(in crate::verbs) const MARK: &str = "KSCEN_COMMAND";
/// Rounds of killing, in which each may have started others meanwhile.
const ROUNDS: usize = 20;

/// What a command has started. Ends with it where it is dropped before the command has ended.
#[derive(Debug)]
pub(in crate::verbs) struct Family {
    leader: Option<Pid>,
    mark: String,
}

impl Family {
    /// The family of a process that leads its own group and carries the mark.
    pub(in crate::verbs) fn new(leader: Option<u32>, mark: String) -> Self {
        Self { leader: leader.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw), mark }
    }

    /// The command has ended by itself: what it left running was meant to run on.
    pub(super) fn release(mut self) {
        self.leader = None;
    }

    fn end(&self, leader: Pid) {
        for _ in 0..ROUNDS {
            let mut members = related(leader.as_raw());
            members.extend(marked(&self.mark));
            if members.is_empty() {
                return;
            }
            // One that has ended meanwhile needs no signal.
            let _ = killpg(leader, Signal::SIGKILL);
            for member in members {
                let _ = kill(Pid::from_raw(member), Signal::SIGKILL);
            }
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            self.end(leader);
        }
    }
}

/// State, parent and group of a process.
fn stat(pid: i32) -> Option<(char, i32, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(") ")?.1.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A process with its group and its descendants; without those that have ended and only wait to be noticed.
fn related(leader: i32) -> BTreeSet<i32> {
    let all: BTreeMap<i32, _> = processes().filter_map(|pid| Some((pid, stat(pid)?))).collect();
    let mut found = BTreeSet::new();
    let mut open: Vec<i32> = all.iter().filter(|(_, (_, _, group))| *group == leader).map(|(pid, _)| *pid).collect();
    open.push(leader);
    while let Some(pid) = open.pop() {
        if found.insert(pid) {
            open.extend(all.iter().filter(|(_, (_, parent, _))| *parent == pid).map(|(pid, _)| *pid));
        }
    }
    found.retain(|pid| all.get(pid).is_some_and(|(state, ..)| *state != 'Z'));
    found
}

/// The processes whose environment holds the mark, kscen itself aside.
fn marked(mark: &str) -> BTreeSet<i32> {
    let wanted = format!("{MARK}={mark}").into_bytes();
    let own = std::process::id();
    let carries = |pid: i32| {
        // Another user's cannot be read, and was not started by this command.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
    };
    processes().filter(|pid| u32::try_from(*pid) != Ok(own) && carries(*pid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    #[test]
    fn nobody_gets_away() {
        let mark = format!("test-{}", std::process::id());
        // A child of the shell, one in a session of its own, and one whose parent has ended as well; each says that it runs.
        let script = "sleep 1000 & setsid sh -c 'echo ready; sleep 1000' & \
                      setsid sh -c '(sleep 1000 & echo ready) &' & wait";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .env(MARK, &mark)
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        for _ in 0..2 {
            assert_eq!(lines.next().expect("a line").expect("it is read"), "ready");
        }
        let family = Family::new(Some(child.id()), mark.clone());
        assert!(marked(&mark).len() >= 5, "{:?}", marked(&mark));
        drop(family);
        child.wait().expect("ours");
        // The pipe ends when the last of them is gone.
        assert!(lines.next().is_none());
        assert_eq!(marked(&mark), BTreeSet::new());
    }
}
