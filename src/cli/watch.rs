//! `kscen run --watch`: runs again whenever a file changes beside the scenarios.

use super::{Exit, Output};
use crate::ground::itself;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};

/// How often files are looked at: quicker than anybody changes windows.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Files that are looked at, at most.
const MOST: usize = 5_000;
/// What scenarios are made of.
const KINDS: [&str; 8] = ["yaml", "yml", "json", "jsonl", "ndjson", "csv", "sql", "txt"];

/// When each file was changed last, and how long it is.
type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

/// Runs the same command without `--watch` again and again, until it is interrupted.
pub(super) fn run(scenarios: &[PathBuf], output: &Output) -> Exit {
    let folders: BTreeSet<PathBuf> = scenarios
        .iter()
        .filter_map(|file| file.parent())
        .map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(again_and_again(&folders, output))) {
        Ok(exit) => exit,
        Err(error) => {
            output.line(&format!("cannot watch: {error}"));
            Exit::Broken
        }
    }
}

async fn again_and_again(folders: &BTreeSet<PathBuf>, output: &Output) -> std::io::Result<Exit> {
    let args: Vec<OsString> = std::env::args_os().skip(1).filter(|arg| arg != "--watch").collect();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    loop {
        let before = look(folders);
        let mut child = tokio::process::Command::from(itself()?).args(&args).spawn()?;
        let ended = loop {
            tokio::select! {
                ended = child.wait() => break ended?,
                // The terminal tells the run as well, which ends in its own good order.
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {
                    let id = child.id().and_then(|id| i32::try_from(id).ok());
                    id.into_iter().for_each(|id| _ = kill(Pid::from_raw(id), Signal::SIGTERM));
                }
            }
        };
        match ended.code() {
            Some(code @ (130 | 143)) => return Ok(Exit::Signal(code.unsigned_abs() as u8)),
            Some(_) => {}
            None => return Ok(Exit::Broken),
        }
        output.line("waiting for a change; Ctrl-C ends");
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = interrupt.recv() => return Ok(Exit::Signal(130)),
                _ = terminate.recv() => return Ok(Exit::Signal(143)),
            }
            if look(folders) != before {
                break;
            }
        }
    }
}

/// The files below these folders, and beside the project, of which scenarios are made.
fn look(folders: &BTreeSet<PathBuf>) -> Seen {
    let mut seen = Seen::new();
    folders.iter().for_each(|folder| collect(folder, &mut seen));
    note(Path::new("kscen.yaml"), &mut seen);
    seen
}

fn collect(folder: &Path, seen: &mut Seen) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if seen.len() >= MOST {
            return;
        }
        let (path, hidden) = (entry.path(), entry.file_name().to_string_lossy().starts_with('.'));
        match entry.file_type() {
            // Results are what a run writes itself.
            Ok(kind) if kind.is_dir() && !hidden && !["results", "target"].iter().any(|own| path.ends_with(own)) => {
                collect(&path, seen);
            }
            Ok(kind)
                if kind.is_file()
                    && !hidden
                    && path.extension().is_some_and(|end| KINDS.iter().any(|kind| end == *kind)) =>
            {
                note(&path, seen);
            }
            _ => {}
        }
    }
}

fn note(path: &Path, seen: &mut Seen) {
    if let Ok(told) = path.metadata() {
        seen.insert(path.to_owned(), (told.modified().ok(), told.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scenarios_are_made_of_is_seen_and_what_a_run_writes_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        let look = || {
            let mut seen = Seen::new();
            collect(folder.path(), &mut seen);
            seen
        };
        write("a.yaml", "1");
        write("fragments/b.yaml", "1");
        let first = look();
        assert_eq!(first.len(), 2);
        write("results/1/result.json", "1");
        write(".a.yaml.swp", "1");
        assert_eq!(look(), first);
        write("fragments/b.yaml", "two");
        assert_ne!(look(), first);
        let second = look();
        write("data/c.csv", "1");
        assert_ne!(look(), second);
    }
}
