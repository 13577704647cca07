//! `kill -9` of `kscen run` at random instants, and `kscen undo`: the containers are as they were before.
//!
//! Half of the instants are spread over the whole run, the other half lie close to a line of the undo journal: just before
//! and after a fault takes effect, and while it is being undone.

use super::fixture::{Project as Compose, docker, ready};
use crate::program::Project;
use kscen::testing::environment::{Needs, ServiceId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How often; a number in this variable asks for more.
const TIMES: &str = "KSCEN_CRASHES";
/// The seed of the instants, to repeat a failure.
const SEED: &str = "KSCEN_CRASH_SEED";

/// Each fault by itself, then all at once, undone by the end of `steps`.
const SCENARIO: &str = r#"
name: Paused, cut off and stopped
checks: none
steps:
  - network: { service: kafka, fault: cut, for: 300ms }
  - pause: { service: kafka, for: 300ms }
  - kill: { service: postgres, for: 300ms }
  - pause: { service: connect }
  - network: { service: kafka, fault: cut }
  - pause: { service: kafka }
  - stop: { service: postgres }
  - wait: 300ms
"#;
/// Lines of the journal of a whole run: seven faults, each announced and struck out.
const LINES: u32 = 14;
/// How long after a line of the journal the process may live: requests to the engine take up to this long.
const NEAR: Duration = Duration::from_millis(120);
const SERVICES: [&str; 3] = ["kafka", "postgres", "connect"];

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after its start.
    After(Duration),
    /// So long after the journal got its line of this number.
    Line(u32, Duration),
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_heals_what_a_killed_run_left_whenever_it_was_killed() {
    let Some(compose) = Compose::up() else { return };
    let stack = compose.attach(&Needs::kafka().service(ServiceId::Connect).service(ServiceId::Postgres)).await;
    ready(&stack, &["kafka-1", "postgres", "connect"]).await;
    let project = Project::new();
    project.write("kscen.yaml", &compose.project_file());
    project.write("faults.yaml", SCENARIO);

    let healthy = shape(&compose);
    let started = Instant::now();
    project.run(&["run", "--env", "docker", "faults.yaml"]).exits(0);
    let whole = started.elapsed();
    project.run(&["undo", "--env", "docker"]).exits(0).says("nothing to undo");
    assert_eq!(shape(&compose), healthy, "after a run that was not killed");

    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let times = number(TIMES).unwrap_or(5);
    let seed = number(SEED).unwrap_or_else(rand::random);
    let mut random = StdRng::seed_from_u64(seed);
    let mut repaired = 0;
    for time in 0..times {
        let instant = match time % 2 {
            0 => Moment::Line(random.random_range(1..=LINES), random.random_range(Duration::ZERO..NEAR)),
            _ => Moment::After(random.random_range(Duration::ZERO..whole)),
        };
        let case = format!("{SEED}={seed}, crash {time} at {instant:?}");
        let mut victim = start(&project);
        await_instant(instant, &mut victim, &project.path("state/kscen"));
        victim.kill().expect("SIGKILL");
        victim.wait().expect("a child");

        let undo = project.run(&["undo", "--env", "docker"]);
        eprintln!("{case}: {}", undo.err.trim().replace('\n', "; "));
        assert_eq!(undo.code, 0, "{case}: {}", undo.err);
        repaired += u64::from(!undo.err.contains("nothing to undo"));
        assert_eq!(shape(&compose), healthy, "{case}");
        ready(&stack, &["kafka-1", "postgres", "connect"]).await;
        let again = project.run(&["undo", "--env", "docker"]);
        assert!(again.code == 0 && again.err.contains("nothing to undo"), "{case}: a second time: {}", again.err);
    }
    eprintln!("{times} of {times} healthy; {repaired} had something to undo");
    // Every second one dies close to a fault; most of these are in force then.
    assert!(times < 4 || repaired > 0, "{SEED}={seed}: no instant hit a fault");
    // And the next run finds nothing in its way.
    project.run(&["run", "--env", "docker", "faults.yaml"]).exits(0);
    super::leftover::what_pins_the_log_is_dropped(&project, &stack).await;
}

fn start(project: &Project) -> Child {
    let mut command = project.command(&["run", "--env", "docker", "faults.yaml"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("kscen starts")
}

/// Returns at the instant, or when the process has ended before it.
fn await_instant(instant: Moment, victim: &mut Child, state: &Path) {
    match instant {
        Moment::After(life) => std::thread::sleep(life),
        Moment::Line(number, life) => {
            while lines(state) < number && victim.try_wait().expect("a child").is_none() {
                std::thread::sleep(Duration::from_millis(1)); // the file system is not asked to tell
            }
            std::thread::sleep(life);
        }
    }
}

/// Lines of the one undo journal in this folder.
fn lines(state: &Path) -> u32 {
    let files = std::fs::read_dir(state).into_iter().flatten().flatten().map(|entry| entry.path());
    let journal = files.filter(|path| path.extension().is_some_and(|extension| extension == "undo")).last();
    let text = journal.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX)
}

/// What must be as before, by the engine: states, networks and aliases of all containers.
fn shape(compose: &Compose) -> String {
    let mut shape = String::new();
    for service in SERVICES {
        let inspected = docker(&["inspect", &compose.container(service)]);
        let inspected: serde_json::Value = serde_json::from_str(&inspected).expect("the client prints JSON");
        let container = &inspected[0];
        let state = &container["State"];
        let own = container["Id"].as_str().expect("an id").get(..12).expect("an id is longer");
        write!(shape, "{service}: {} paused={}", state["Status"], state["Paused"]).expect("writes to memory");
        for (network, endpoint) in container["NetworkSettings"]["Networks"].as_object().expect("networks") {
            let aliases = endpoint["Aliases"].as_array().into_iter().flatten().filter_map(|alias| alias.as_str());
            // The engine adds the container's own id by itself, or does not.
            let mut aliases: Vec<_> = aliases.filter(|alias| *alias != own).collect();
            aliases.sort_unstable();
            aliases.dedup();
            let connected = endpoint["EndpointID"].as_str().is_some_and(|id| !id.is_empty());
            write!(shape, " {network} as {aliases:?} connected={connected}").expect("writes to memory");
        }
        shape.push('\n');
    }
    shape
}
