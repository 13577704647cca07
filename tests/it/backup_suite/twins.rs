//! The scenarios of archives can tell good from bad: of each small thing that a backup, a restore or a move could get wrong there is a twin, sabotaged in that
//! one thing, which fails and names it. Those that move topics between clusters are in `moving_twins.rs`.

use super::altered::{Change, alter};
use super::sabotaged::{AS_ROOT, SERVED, TWINS};
use super::variables;
use crate::patience;
use crate::program::{Project, skipped};
use crate::suites::scenarios;
use crate::twins::Twin;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Where a twin asks for something to be altered; the run's id and what is altered follow.
const SERVER: &str = "http://SERVER/";

/// The folder of a run, wherever its suite lies.
fn folder_of(folder: &Path, run: &str) -> Option<PathBuf> {
    let inside = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let mut inside: Vec<PathBuf> = inside.collect();
    inside.sort();
    match inside.iter().find(|path| path.ends_with(run)) {
        Some(found) => Some(found.clone()),
        None => inside.iter().find_map(|path| folder_of(path, run)),
    }
}

fn change(word: &str) -> Change {
    match word {
        "left-out" => Change::LeftOut,
        "emptied" => Change::Emptied,
        "reordered" => Change::Reordered,
        "shifted" => Change::Shifted,
        "flipped" => Change::Flipped,
        other => panic!("nobody knows how to make `{other}`"),
    }
}

/// Does what a path names: `RUN/CHANGE` alters the run's archive, `RUN/served/CHANGE` that of its service.
fn act(results: &Path, path: &str) {
    let archive = |run: &str, name: &str| {
        folder_of(results, run).unwrap_or_else(|| panic!("there is no run {run}")).join("archives").join(name)
    };
    match path.split('/').collect::<Vec<_>>()[..] {
        [run, "served", word] => alter(&archive(run, "service/archives/kept"), change(word)),
        [run, word] => alter(&archive(run, "kept"), change(word)),
        _ => panic!("nobody knows `{path}`"),
    }
}

/// Alters what it is asked to, below this folder; returns its address. The run waits for the answer.
fn server(results: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            // The request ends with an empty line.
            lines.find(String::is_empty);
            act(&results, request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/'));
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    address
}

/// Runs twins of these, each of which has to fail for what is wrong in it.
fn hold(twins: &[Twin]) {
    let project = Project::fast();
    for folder in ["twins", "data"] {
        std::fs::create_dir(project.path(folder)).expect("a folder");
    }
    std::fs::copy(scenarios().join("data/odd.jsonl"), project.path("data/odd.jsonl")).expect("copied");
    let server = format!("http://{}/", server(project.path("results")));
    for twin in twins {
        project.write(&format!("twins/{}.yaml", twin.name), &twin.text().replace(SERVER, &server));
    }
    let output = patience::output(project.command(&["run", "twins", "--jobs", "2"]).envs(variables()), patience::SUITE);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{text}");
    let records = project.records();
    assert_eq!(records.len(), twins.len(), "{text}");
    // All of them are looked at, so that one run shows what is wrong with each.
    let mut silent = Vec::new();
    for record in &records {
        let file = record["run"]["file"].as_str().expect("a file");
        let twin = twins.iter().find(|twin| file.ends_with(&format!("/{}.yaml", twin.name))).expect("a twin");
        if std::panic::catch_unwind(|| twin.assert_found(record)).is_err() {
            silent.push(twin.name);
        }
    }
    assert!(silent.is_empty(), "not found, or not as it should be: {silent:?}");
}

#[test]
fn sabotaged_twins_of_the_backup_scenarios_fail_and_say_why() {
    if skipped("sabotaged_twins_of_the_backup_scenarios_fail_and_say_why") {
        return;
    }
    hold(&TWINS);
}

#[test]
fn sabotaged_twins_of_the_service_and_of_moved_queues_fail_and_say_why() {
    if skipped("sabotaged_twins_of_the_service_and_of_moved_queues_fail_and_say_why") {
        return;
    }
    hold(&SERVED);
    if nix::unistd::geteuid().is_root() {
        hold(&AS_ROOT);
    }
}

/// A verification that does not look closely enough does not find all kinds of damage, and the scenario says so.
#[test]
fn a_verification_that_looks_at_lengths_alone_fails_the_scenario_of_damaged_archives() {
    if skipped("a_verification_that_looks_at_lengths_alone_fails_the_scenario_of_damaged_archives") {
        return;
    }
    let project = Project::fast();
    let shipped = |name: &str| std::fs::read_to_string(scenarios().join("backup").join(name)).expect("shipped");
    let fragment = shipped("fragments/damaged.yaml");
    assert_eq!(fragment.matches("level: full").count(), 1);
    std::fs::create_dir(project.path("fragments")).expect("a folder");
    project.write("fragments/damaged.yaml", &fragment.replace("level: full", "level: quick"));
    project.write("damaged.yaml", &shipped("corrupted-archive.yaml"));
    project.run(&["run", "damaged.yaml"]).exits(1).says("flip of a segment is found");
}

/// Each scenario of the folder has a twin.
#[test]
fn no_scenario_is_without_a_twin() {
    let files = std::fs::read_dir(scenarios().join("backup")).expect("the scenarios").flatten();
    let names = files.filter_map(|entry| Some(entry.path().file_name()?.to_str()?.strip_suffix(".yaml")?.to_owned()));
    let all = TWINS.iter().chain(&SERVED).chain(&AS_ROOT).chain(crate::moving_twins::TWINS.iter());
    let known: Vec<&str> =
        all.filter_map(|twin| twin.of.strip_prefix("backup/")).chain(["corrupted-archive"]).collect();
    let without: Vec<String> = names.filter(|name| !known.contains(&name.as_str())).collect();
    assert!(without.is_empty(), "no twin: {without:?}");
}
