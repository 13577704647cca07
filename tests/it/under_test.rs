//! The program that is tested: started, killed, started again, and what it wrote held against what it was given.

use crate::goldens::root;
use crate::program::{Project, skipped};

/// The shipped scenario and its stream job, with the command changed.
fn project(job: &str) -> Project {
    let project = Project::fast();
    let scenario = std::fs::read_to_string(root().join("scenarios/program-crash.yaml")).expect("the scenario");
    let shipped = "[python3, scenarios/programs/copy.py, \"${input}\", \"${output}\"]";
    assert!(scenario.contains(shipped), "the scenario names its job");
    let program = root().join("scenarios/programs/copy.py").to_string_lossy().into_owned();
    let command = job.replace("COPY", &format!("python3, {program}, \"${{input}}\", \"${{output}}\""));
    project.write("crash.yaml", &scenario.replace(shipped, &command));
    project
}

/// Whether Python has the client that the job is written with; where it has not, that is said loudly, and in CI it is a failure.
fn has_client(test: &str) -> bool {
    let asked = std::process::Command::new("python3").args(["-c", "import confluent_kafka"]).output();
    let has = asked.is_ok_and(|output| output.status.success());
    let remedy = "pip install -r tests/cases/tools/requirements.txt";
    assert!(has || std::env::var_os("CI").is_none(), "python3 lacks confluent_kafka: {remedy}");
    if !has {
        eprintln!("SKIPPED {test}: python3 lacks confluent_kafka: {remedy}");
    }
    has
}

#[test]
fn a_stream_job_that_is_killed_is_held_to_what_it_was_given() {
    let name = "a_stream_job_that_is_killed_is_held_to_what_it_was_given";
    if skipped(name) || !has_client(name) {
        return;
    }
    let careful = project("[COPY]");
    careful.run(&["run", "crash.yaml"]).exits(0);
    let record = careful.record();
    let job = record["steps"].as_array().expect("steps").iter().find(|step| step["id"] == "job").expect("the job");
    let lives = job["details"]["lives"].as_array().expect("its lives");
    assert_eq!(lives.len(), 2, "{lives:?}");
    assert!(lives[0]["end"].as_str().is_some_and(|end| end.contains("SIGKILL")), "{lives:?}");
    assert!(lives[1]["ready"].is_number() && lives[1]["end"] == "exit code 0", "{lives:?}");
    careful.await_no_processes();

    // One that commits what it has not written loses what it held.
    let careless = project("[COPY, --careless]");
    careless.run(&["run", "crash.yaml"]).exits(1).says("lost");
    careless.await_no_processes();
}

/// What is no stream job: a shell that says it is ready and ends, or never says so.
#[test]
fn a_program_that_ends_or_never_becomes_ready_is_a_failure() {
    if skipped("a_program_that_ends_or_never_becomes_ready_is_a_failure") {
        return;
    }
    let project = Project::fast();
    let scenario = |program: &str| {
        format!(
            "name: Program\nchecks: none\nneeds: {{ brokers: 1 }}\nsteps:\n  - {{ id: app, background: true, program: {program} }}\n  - wait: {{ step: app, line: never }}\n"
        )
    };
    let ends = scenario("{ command: [sh, -c, 'echo up; exec >&-; sleep 0.2; exit 7'], ready: up }");
    project.write("ends.yaml", &ends);
    project.run(&["run", "ends.yaml"]).exits(1).says("it ended by itself: exit code 7");
    // Its children are gone with it, and so is one that has left its session.
    let silent = scenario("{ command: [sh, -c, 'setsid sleep 4242 & sleep 4242'], ready: up, ready_within: 1s }");
    project.write("silent.yaml", &silent);
    project.run(&["run", "silent.yaml"]).exits(1).says("no line of its output contains `up` after 1 s");
    project.await_no_processes();
    let processes = std::fs::read_dir("/proc").expect("the processes").flatten();
    let commands = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    assert_eq!(
        commands.filter(|command| command.starts_with(b"sleep\x004242")).count(),
        0,
        "its children are gone with it"
    );
}
