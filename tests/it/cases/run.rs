//! Runs a case with its own state, temporary and results folders, and a stack of its own: a broker is up in half a second.

use super::index::{Case, Need};
use super::seen::{Run, Seen};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a case needs and this machine lacks.
pub fn missing(case: &Case) -> Option<String> {
    let succeeds = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !succeeds("python3", &["-c", "import confluent_kafka, psycopg"]) {
        return Some("python3 lacks modules: pip install -r tests/cases/tools/requirements.txt".to_owned());
    }
    case.needs.iter().find_map(|need| match need {
        Need::Docker if !succeeds("docker", &["image", "inspect", "kscen/kafka:3.6.1"]) => {
            Some("no Docker engine with the images of stack/build-images.sh".to_owned())
        }
        Need::Root if !nix::unistd::geteuid().is_root() => Some("it mounts a small file system as root".to_owned()),
        Need::Docker | Need::Root => None,
    })
}

/// Runs it to its end, or to its limit.
pub fn run(key: &str, case: &Case) -> Seen {
    let folder = tempfile::Builder::new().prefix("case-").tempdir().expect("a folder");
    for name in ["tmp", "results"] {
        fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    let started = Instant::now();
    let mut child = command(key, case, folder.path()).spawn().expect("the case starts");
    let (exit, endless) = await_end(&mut child, started + Duration::from_secs(case.limit));
    let seconds = started.elapsed().as_secs_f64();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap_or_default();
    let printed = [read("out"), read("err")].concat();
    let mut files = Vec::new();
    results(&folder.path().join("results"), &mut files);
    files.sort();
    let runs = files.iter().filter_map(|file| serde_json::from_slice(&fs::read(file).ok()?).ok()).map(Run).collect();
    if std::env::var_os("CASES_KEEP").is_some() {
        eprintln!("{key} is kept in {}", folder.keep().display());
    }
    Seen { exit, endless, printed: String::from_utf8_lossy(&printed).into_owned(), runs, seconds }
}

/// Words of scenarios and of `cases.yaml` that stand where a rate, a latency or the length of a fault is judged.
const TIMES: [&str; 11] =
    ["_rate", "_time", "latency", "p50", "p99", "unavailab", "recover", "ready_after", "in_force", "lag_", "noise"];

/// Whether a case judges what depends on how fast the machine is.
pub fn judges_time(key: &str, case: &Case) -> bool {
    let scenario = fs::read_to_string(super::index::folder().join(file(key, case))).expect("the scenario");
    let stated = scenario.lines().filter(|line| !line.trim_start().starts_with('#'));
    let timed = |text: &str| TIMES.iter().any(|word| text.contains(word));
    stated.into_iter().any(timed) || case.expect.faults.values().any(|times| times.keys().any(|name| timed(name)))
}

fn file(key: &str, case: &Case) -> String {
    format!("{}.yaml", case.file.as_deref().unwrap_or(key))
}

fn command(key: &str, case: &Case, folder: &Path) -> Command {
    let kscen = env!("CARGO_BIN_EXE_kscen").to_owned();
    let file = file(key, case);
    let results = folder.join("results").to_string_lossy().into_owned();
    let own = ["run", &file, "--env", &case.env, "--report", "none", "--results", &results].map(str::to_owned);
    let mut words = case.wrap.iter().cloned().chain([kscen.clone()]).chain(own).chain(case.args.iter().cloned());
    let output = |name: &str| Stdio::from(File::create(folder.join(name)).expect("a file"));
    let mut command = Command::new(words.next().expect("kscen"));
    command
        .args(words)
        .current_dir(super::index::folder())
        .env("KSCEN", kscen)
        .env("CASE_FOLDER", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("TMPDIR", folder.join("tmp"))
        .env("TERM", "dumb")
        .env("NO_COLOR", "1")
        .env_remove("KSCEN_ENV")
        .stdin(Stdio::null())
        // Files, not pipes: what a case leaves behind may keep a pipe open.
        .stdout(output("out"))
        .stderr(output("err"))
        .process_group(0);
    command
}

/// The exit code, and whether the limit ended it: asked first, then killed.
fn await_end(child: &mut Child, limit: Instant) -> (i32, bool) {
    let group = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let mut asked = None;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return (status.code().unwrap_or(-1), asked.is_some());
        }
        match asked {
            None if Instant::now() > limit => {
                asked = Some(Instant::now());
                let _ = killpg(group, Signal::SIGINT);
            }
            Some(since) if since + Duration::from_secs(60) < Instant::now() => {
                let _ = killpg(group, Signal::SIGKILL);
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(50)); // a process with a time limit; nothing to wait on but the clock
    }
}

/// Every `result.json` below a folder.
fn results(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            results(&path, found);
        } else if path.file_name().is_some_and(|name| name == "result.json") {
            found.push(path);
        }
    }
}
