//! The shipped suites, run by the binary as a user runs them.

use crate::docker::fixture::Project;
use crate::{patience, turns};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The binary in a working directory of its own, where results, the project file and the state are.
pub(crate) struct Kscen {
    folder: tempfile::TempDir,
}

impl Kscen {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn run(&self, arguments: &[&str], variables: &[(&str, String)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kscen"));
        command
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.folder.path().join("state"))
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (*name, value)));
        patience::output(&mut command, patience::SUITE)
    }
}

/// The shipped scenarios.
pub(crate) fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

pub(crate) fn assert_passes(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.starts_with("PASS")), "{text}");
}

#[test]
fn the_delivery_suite_passes_on_local_processes() {
    turns::most();
    let kscen = Kscen::new();
    let scenarios = scenarios();
    let output = kscen.run(&["run", &scenarios.to_string_lossy(), "--tag", "delivery", "--strict"], &[]);
    assert_passes(&output);
}

/// The delivery scenarios of one broker: the same files as on local processes, unmodified.
const ON_CONTAINERS: [&str; 11] = [
    "broker-restart",
    "consumer-restart",
    "consumer-broker-restart",
    "consumer-crash",
    "consumer-groups",
    "network-partition",
    "transactions",
    "debezium-recovery",
    "debezium-broker-restart",
    "debezium-worker-crash",
    "envelope",
];

#[test]
fn the_delivery_scenarios_of_one_broker_pass_on_containers() {
    let Some(project) = Project::up() else { return };
    let kscen = Kscen::new();
    std::fs::write(kscen.folder().join("kscen.yaml"), project.project_file()).expect("writes");
    let files = ON_CONTAINERS.map(|name| scenarios().join(format!("{name}.yaml")).to_string_lossy().into_owned());
    let mut arguments = vec!["run", "--env", "docker"];
    arguments.extend(files.iter().map(String::as_str));
    let output = kscen.run(&arguments, &[]);
    assert_passes(&output);
}
