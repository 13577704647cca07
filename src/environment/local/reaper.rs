//! Sees to it that processes which kscen has stopped do not outlive it.
//!
//! A child dies with kscen, stopped or not. Its own children do not, and one that is stopped cannot notice that its parent
//! is gone. So they are made known, before they are stopped, to a shell that waits beside kscen: when its input ends, whatever
//! ended kscen, it kills them.

use super::procfs::Stat;
use crate::ground::lock;
use crate::ground::program;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Stdio};
use std::sync::Mutex;

/// Keeps the last line of its input, and at the end kills the processes listed there: each with the time of its start, so that a
/// process id that was given to somebody else meanwhile is left alone.
const SCRIPT: &str = r#"
while read -r line; do stopped=$line; done
for entry in $stopped; do
  pid=${entry%%:*}
  read -r stat < "/proc/$pid/stat" || continue
  set -- ${stat##*) }
  [ "${20}" = "${entry#*:}" ] && kill -KILL "$pid"
done
"#;

/// The shell, and the processes it knows of.
struct Reaper {
    input: ChildStdin,
    /// By process id, when it started.
    stopped: BTreeMap<i32, u64>,
}

static REAPER: Mutex<Option<Reaper>> = Mutex::new(None);

/// Processes are about to be stopped that would stay so without kscen.
///
/// # Errors
/// Nobody can be told: they must not be stopped then.
pub(super) fn guard(processes: &[i32]) -> io::Result<()> {
    if processes.is_empty() {
        return Ok(());
    }
    let mut reaper = lock(&REAPER);
    if reaper.is_none() {
        *reaper = Some(Reaper { input: start()?, stopped: BTreeMap::new() });
    }
    let Some(known) = reaper.as_mut() else { return Ok(()) };
    let before = known.stopped.len();
    // One that has ended meanwhile needs no guard.
    known.stopped.extend(processes.iter().filter_map(|pid| Some((*pid, Stat::of(*pid)?.started))));
    let told = if known.stopped.len() > before { known.tell() } else { Ok(()) };
    if told.is_err() {
        *reaper = None; // somebody ended it; the next try starts another
    }
    told
}

/// These processes are stopped no longer.
pub(super) fn release(processes: &[i32]) {
    if let Some(known) = lock(&REAPER).as_mut()
        && processes.iter().filter(|process| known.stopped.remove(process).is_some()).count() > 0
    {
        // Where that fails the shell is gone, and kills nobody.
        let _ = known.tell();
    }
}

fn start() -> io::Result<ChildStdin> {
    let mut child = program("/bin/sh")
        .args(["-c", SCRIPT])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0) // the terminal's Ctrl-C is not meant for it
        .spawn()?;
    child.stdin.take().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
}

impl Reaper {
    fn tell(&mut self) -> io::Result<()> {
        let mut line: String = self.stopped.iter().map(|(pid, started)| format!("{pid}:{started} ")).collect();
        line.push('\n');
        self.input.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::process::Command;

    #[test]
    fn when_its_input_ends_it_kills_whom_it_knows_and_no_stranger_of_the_same_id() {
        let mut sleepers = [(), ()].map(|()| Command::new("sleep").arg("1000").spawn().expect("sleep"));
        let known = sleepers.each_ref().map(|child| {
            let pid = i32::try_from(child.id()).expect("a pid");
            (pid, Stat::of(pid).expect("it lives").started)
        });
        let stopped = BTreeMap::from([known[0], (known[1].0, known[1].1 + 1)]);
        kill(Pid::from_raw(known[0].0), Signal::SIGSTOP).expect("ours");
        let mut reaper = Reaper { input: start().expect("a shell"), stopped };
        reaper.tell().expect("it listens");
        drop(reaper);
        let ended = sleepers[0].wait().expect("ours");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9));
        assert!(sleepers[1].try_wait().expect("ours").is_none(), "another process has this id now");
        sleepers[1].kill().expect("ours");
        sleepers[1].wait().expect("ours");
    }
}
