//! `kscen run --watch`: runs again whenever a file changes that the scenarios are made of.

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

/// What is watched.
pub(super) struct Watched {
    /// The scenarios: beside them everything of their kind is looked at.
    pub scenarios: Vec<PathBuf>,
    /// What else they read, wherever it lies.
    pub also: Vec<PathBuf>,
    /// Where runs write: files and folders.
    pub own: Vec<PathBuf>,
}

/// Runs the same command without `--watch` again and again, until it is interrupted.
pub(super) fn run(watched: &Watched, output: &Output) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(again_and_again(watched, output))) {
        Ok(exit) => exit,
        Err(error) => {
            output.line(&format!("cannot watch: {error}"));
            Exit::Broken
        }
    }
}

async fn again_and_again(watched: &Watched, output: &Output) -> std::io::Result<Exit> {
    let args: Vec<OsString> = std::env::args_os().skip(1).filter(|arg| arg != "--watch").collect();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut writes = Writes::default();
    loop {
        let before = watched.look();
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
        let after = watched.look();
        output.line("waiting for a change; Ctrl-C ends");
        if writes.somebody_changed(&before, &after, watched) {
            continue;
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = interrupt.recv() => return Ok(Exit::Signal(130)),
                _ = terminate.recv() => return Ok(Exit::Signal(143)),
            }
            if watched.look() != after {
                break;
            }
        }
    }
}

/// What runs write beside scenarios. Who wrote while a run went on, nobody can see: what came new is taken for the run's, and so is what
/// was changed during two runs in a row.
#[derive(Default)]
struct Writes {
    own: BTreeSet<PathBuf>,
    last: BTreeSet<PathBuf>,
}

impl Writes {
    /// Whether somebody else than the run changed something between the two looks.
    fn somebody_changed(&mut self, before: &Seen, after: &Seen, watched: &Watched) -> bool {
        let new = after.keys().filter(|path| !before.contains_key(*path));
        self.own.extend(new.cloned());
        let changed: BTreeSet<PathBuf> = before
            .iter()
            .filter(|(path, told)| after.get(*path) != Some(*told))
            .map(|(path, _)| path.clone())
            .collect();
        // A scenario is its author's.
        let again = changed.intersection(&self.last).filter(|path| !watched.scenarios.contains(*path));
        let again: Vec<PathBuf> = again.cloned().collect();
        self.own.extend(again);
        let others = changed.iter().any(|path| !self.own.contains(path));
        self.last = changed;
        others
    }
}

impl Watched {
    /// The files of which scenarios are made: below their folders, beside the project, and wherever they were read.
    fn look(&self) -> Seen {
        let mut seen = Seen::new();
        let own: Vec<PathBuf> = self.own.iter().filter_map(|path| path.canonicalize().ok()).collect();
        for folder in self.scenarios.iter().filter_map(|file| file.parent()).collect::<BTreeSet<_>>() {
            collect(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }, &own, &mut seen);
        }
        self.scenarios.iter().chain(&self.also).for_each(|file| note(file, &mut seen));
        // The project's file may come to be in this folder.
        note(Path::new("kscen.yaml"), &mut seen);
        seen
    }
}

fn collect(folder: &Path, own: &[PathBuf], seen: &mut Seen) {
    let is_own = |path: &Path| path.canonicalize().is_ok_and(|path| own.contains(&path));
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if seen.len() >= MOST {
            return;
        }
        let path = entry.path();
        let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        match entry.file_type() {
            // Results are what a run writes itself.
            Ok(kind)
                if kind.is_dir()
                    && !hidden
                    && !["results", "target"].iter().any(|own| path.ends_with(own))
                    && !is_own(&path) =>
            {
                collect(&path, own, seen);
            }
            Ok(kind)
                if kind.is_file()
                    && !hidden
                    && path.extension().is_some_and(|end| KINDS.iter().any(|kind| end == *kind))
                    && !is_own(&path) =>
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
        let watched = Watched {
            scenarios: vec![folder.path().join("a.yaml")],
            also: vec![folder.path().join("../beside-of-it.yaml")],
            own: vec![folder.path().join("out"), folder.path().join("junit.txt")],
        };
        let look = || watched.look();
        write("a.yaml", "1");
        write("fragments/b.yaml", "1");
        let first = look();
        assert_eq!(first.keys().filter(|path| path.starts_with(folder.path())).count(), 2);
        write("results/1/result.json", "1");
        write("out/1/result.json", "1");
        write("junit.txt", "1");
        write(".a.yaml.swp", "1");
        assert_eq!(look(), first);
        write("fragments/b.yaml", "two");
        assert_ne!(look(), first);
        let second = look();
        write("data/c.csv", "1");
        assert_ne!(look(), second);
    }
    #[test]
    fn what_a_run_writes_beside_its_scenario_starts_no_other_run() {
        let watched = Watched { scenarios: vec![PathBuf::from("a.yaml")], also: Vec::new(), own: Vec::new() };
        let seen = |files: &[(&str, u64)]| -> Seen {
            files.iter().map(|(name, length)| (PathBuf::from(name), (None, *length))).collect()
        };
        let mut writes = Writes::default();
        let first = seen(&[("a.yaml", 1), ("old.json", 1)]);
        let second = seen(&[("a.yaml", 1), ("old.json", 2), ("archive/manifest.json", 1)]);
        // What was there before may have been changed by its author; what came is the run's.
        assert!(writes.somebody_changed(&first, &second, &watched));
        let third = seen(&[("a.yaml", 1), ("old.json", 3), ("archive/manifest.json", 2)]);
        assert!(!writes.somebody_changed(&second, &third, &watched), "twice in a row is the run");
        for length in 2..5 {
            let fourth = seen(&[("a.yaml", length), ("old.json", length), ("archive/manifest.json", length)]);
            assert!(writes.somebody_changed(&third, &fourth, &watched), "the scenario itself is its author's");
        }
        assert!(!writes.somebody_changed(&third, &third, &watched));
    }
}
