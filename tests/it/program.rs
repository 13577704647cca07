//! The program as its users start it, in a project folder of its own.

use crate::{patience, turns};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(180);

/// Whether tests on a real Kafka are switched off, which is said loudly. Where they are not, a test's turn begins.
pub fn skipped(test: &str) -> bool {
    let skip = std::env::var_os("KSCEN_SKIP_KAFKA").is_some_and(|value| value == "1");
    if skip {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: KSCEN_SKIP_KAFKA=1, nothing was checked on a real Kafka");
    } else {
        turns::beside();
    }
    skip
}

/// A project folder with one local environment of its own name, its state and its temporary files below it.
pub struct Project {
    folder: tempfile::TempDir,
    /// The environment's name, unique on this machine.
    pub name: String,
}

impl Project {
    /// Brokers with Kafka's default timeouts.
    pub fn new() -> Self {
        Self::with("brokers: 1")
    }

    /// Brokers that notice faults sooner than Kafka's defaults let them.
    pub fn fast() -> Self {
        Self::with("timeouts: fast")
    }

    pub fn with(local: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name = format!("test-{}", folder.path().file_name().expect("a name").to_string_lossy().replace('.', ""));
        let project = Self { folder, name };
        project.write(
            "kscen.yaml",
            &format!("default: {0}\nenvironments:\n  {0}:\n    local: {{ {local} }}\n", project.name),
        );
        fs::create_dir(project.path("tmp")).expect("a folder");
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        path.parent().map(fs::create_dir_all).transpose().expect("a folder");
        fs::write(path, text).expect("writes");
    }

    /// kscen with arguments, as a command.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kscen"));
        self.surround(&mut command).args(args);
        command
    }

    /// A shell command in which `$0` is kscen.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        self.surround(&mut command).args(["-c", script, env!("CARGO_BIN_EXE_kscen")]);
        command
    }

    fn surround<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("TMPDIR", self.path("tmp"))
            .env("TERM", "dumb")
            .env_remove("KSCEN_ENV")
            .stdin(Stdio::null())
    }

    /// Runs kscen to its end.
    pub fn run(&self, args: &[&str]) -> Finished {
        Finished::new(&patience::output(&mut self.command(args), patience::RUN))
    }

    /// Starts kscen in a session of its own on a pseudo-terminal.
    pub fn on_terminal(&self, args: &[&str]) -> Terminal {
        let pty = openpty(None, None).expect("a pseudo-terminal");
        // Each execs, so that the process is kscen itself and Ctrl-C is the terminal's. Whoever runs the tests may ignore SIGHUP.
        let mut command = Command::new("setsid");
        self.surround(&mut command)
            .args(["--ctty", "env", "--default-signal=HUP", env!("CARGO_BIN_EXE_kscen")])
            .args(args);
        let side = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("a file descriptor"));
        let child = command.stdin(side(&pty.slave)).stdout(side(&pty.slave)).stderr(side(&pty.slave));
        let child = child.spawn().expect("setsid starts");
        drop(command);
        drop(pty.slave);
        let keyboard = File::from(pty.master);
        let mut screen = keyboard.try_clone().expect("a file descriptor");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The terminal reports an error once the last process has closed it.
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                if sender.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keyboard, lines, shown: String::new() }
    }

    /// The records of all runs so far, those of suites included, in the order of their folders.
    pub fn records(&self) -> Vec<Value> {
        // What kscen has written, kscen reads.
        let mut unusable = kscen::testing::report::load(&[self.path("results")]).unusable;
        unusable.retain(|file| file.path.ends_with("result.json"));
        assert!(unusable.is_empty(), "{unusable:?}");
        let inside = |folder: PathBuf| -> Vec<PathBuf> {
            let mut inside: Vec<_> =
                fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            inside.sort();
            inside
        };
        inside(self.path("results"))
            .into_iter()
            .flat_map(|folder| if folder.join("result.json").exists() { vec![folder] } else { inside(folder) })
            .filter_map(|folder| fs::read(folder.join("result.json")).ok())
            .map(|bytes| serde_json::from_slice(&bytes).expect("a whole record"))
            .collect()
    }

    /// The record of the only run.
    pub fn record(&self) -> Value {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "one run");
        records.remove(0)
    }

    /// Processes that work in this project's folder, other than zombies.
    pub fn processes(&self) -> Vec<String> {
        let place = self.folder.path().to_string_lossy().into_owned();
        let processes = fs::read_dir("/proc").expect("/proc").flatten();
        processes
            .filter_map(|entry| {
                let line = fs::read(entry.path().join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                // PostgreSQL's own processes do not show on their line where they work.
                let works = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
                (line.contains(&place) || works.starts_with(self.folder.path()))
                    .then(|| format!("{}: {line}", entry.file_name().to_string_lossy()))
            })
            .collect()
    }

    /// Waits until no process of this project is left.
    pub fn await_no_processes(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.processes().is_empty() {
            assert!(Instant::now() < deadline, "left behind: {:#?}", self.processes());
            std::thread::sleep(Duration::from_millis(20)); // the kernel tells nobody
        }
    }

    /// Folders for temporary data that exist now.
    pub fn scratch(&self) -> Vec<PathBuf> {
        fs::read_dir(self.path("tmp")).expect("a folder").flatten().map(|entry| entry.path()).collect()
    }
}

impl Drop for Project {
    /// A test that failed half-way leaves no stack running.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.command(&["down"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

impl AsRef<Path> for Project {
    fn as_ref(&self) -> &Path {
        self.folder.path()
    }
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Finished {
    pub fn new(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    /// Whether the run of this scenario ended so, by the lines of a suite.
    pub fn ended(&self, verdict: &str, file: &str) -> bool {
        let is_of_it = |line: &str| line.starts_with(verdict) && line.contains(&format!("{file}.yaml"));
        self.out.lines().chain(self.err.lines()).any(is_of_it)
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text) || self.out.contains(text), "no `{text}` in\n{}\n{}", self.out, self.err);
        self
    }
}

/// kscen on a pseudo-terminal.
pub struct Terminal {
    child: Child,
    keyboard: File,
    lines: Receiver<String>,
    pub shown: String,
}

impl Terminal {
    /// Waits until the text is shown.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + LONG;
        while !self.shown.contains(text) {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(more) => self.shown.push_str(&more),
                Err(RecvTimeoutError::Timeout) => panic!("`{text}` was not shown in time:\n{}", self.shown),
                Err(RecvTimeoutError::Disconnected) => panic!("`{text}` was never shown:\n{}", self.shown),
            }
        }
        self
    }

    /// Types Ctrl-C.
    pub fn ctrl_c(&mut self) -> &mut Self {
        self.keyboard.write_all(b"\x03").expect("types");
        self
    }

    /// Sends a signal to kscen alone.
    pub fn signal(&mut self, signal: Signal) -> &mut Self {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("the process is there");
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the events of a run, as they are on disk, contain the text in the latest run's folder.
    #[track_caller]
    pub fn await_event(&mut self, project: &Project, text: &str) -> &mut Self {
        let deadline = Instant::now() + LONG;
        loop {
            // Another run may have a newer folder: the run's own id is in its first line.
            let id = self.shown.split_once(" run ").and_then(|(_, rest)| rest.split_whitespace().next());
            let file = id.map(|id| project.path("results").join(id).join("events.ndjson"));
            let events = file.and_then(|file| fs::read_to_string(file).ok());
            if events.is_some_and(|events| events.contains(text)) {
                return self;
            }
            assert!(Instant::now() < deadline, "no event with {text}:\n{}", self.shown);
            std::thread::sleep(Duration::from_millis(20)); // the file system is not asked to tell
        }
    }

    /// Waits for the end; everything that was shown, and how it ended.
    #[track_caller]
    pub fn end(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + LONG;
        while Instant::now() < deadline {
            match self.lines.recv_timeout(Duration::from_millis(50)) {
                Ok(more) => self.shown.push_str(&more),
                Err(_) => {
                    if let Some(status) = self.child.try_wait().expect("a child") {
                        self.lines.try_iter().for_each(|more| self.shown.push_str(&more));
                        return (status, self.shown);
                    }
                }
            }
        }
        let _ = self.child.kill();
        panic!("it did not end:\n{}", self.shown);
    }
}
