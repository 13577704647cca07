//! The mark by which the processes of a command are known: a variable that every child inherits. And what descends from a process.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The variable.
pub(crate) const MARK: &str = "KSCEN_COMMAND";
/// Rounds of killing, in which each may have started others meanwhile.
const ROUNDS: usize = 1_000;

/// Ends whatever carries the mark of a command that has ended. Answers how many there were.
pub(crate) fn end_marked(mark: &str) -> usize {
    let mut ended = BTreeSet::new();
    for _ in 0..ROUNDS {
        let found = marked(mark).into_iter().filter(|pid| !is_dying(*pid));
        let killed: Vec<i32> = found.filter(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok()).collect();
        if killed.is_empty() {
            break;
        }
        ended.extend(killed);
    }
    ended.len()
}

/// The processes whose environment holds the mark, kscen itself aside.
pub(crate) fn marked(mark: &str) -> BTreeSet<i32> {
    let wanted = format!("{MARK}={mark}").into_bytes();
    let own = std::process::id();
    let carries = |pid: i32| {
        // Another user's cannot be read, and was not started by this command.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
    };
    processes().filter(|pid| u32::try_from(*pid) != Ok(own) && carries(*pid)).collect()
}

/// Whether a process has ended and only waits to be noticed, or is about to: it starts no other any more.
pub(crate) fn is_dying(pid: i32) -> bool {
    const SIGKILL: u64 = 1 << 8;
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let field = |key: &str| status.lines().find_map(|line| Some(line.strip_prefix(key)?.trim()));
    let waiting = |key: &str| field(key).and_then(|set| u64::from_str_radix(set, 16).ok()).unwrap_or(0);
    field("State:").is_some_and(|state| state.starts_with(['Z', 'X']))
        || (waiting("SigPnd:") | waiting("ShdPnd:")) & SIGKILL != 0
}

/// The ids of all processes.
pub(crate) fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Parent of a process.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// What descends from a process, and whether that is sure: one whose parent has ended while this looked may belong to anybody.
pub(crate) fn descendants(leader: i32) -> (BTreeSet<i32>, bool) {
    let parents: BTreeMap<i32, i32> = processes().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let sure = parents.values().all(|parent| *parent == 0 || parents.contains_key(parent));
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, parent) in &parents {
        children.entry(*parent).or_default().push(*pid);
    }
    let mut found = BTreeSet::new();
    let mut open = vec![leader];
    while let Some(pid) = open.pop() {
        open.extend(children.get(&pid).into_iter().flatten().filter(|child| found.insert(**child)));
    }
    (found, sure)
}
