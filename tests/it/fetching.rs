//! `kscen fetch`: the cache is filled ahead.

use crate::program::{Finished, Project, skipped};
use std::path::Path;

#[test]
fn what_a_stack_needs_is_fetched_once() {
    if skipped("what_a_stack_needs_is_fetched_once") {
        return;
    }
    let project = Project::new();
    let arguments = ["fetch", "--kafka", "3.6", "--with", "connect", "--with", "postgres"];
    let first = project.run(&arguments).exits(0);
    let folders: Vec<(&str, &Path)> = first
        .out
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(what, folder)| (what, Path::new(folder)))
        .collect();
    let names: Vec<&str> = folders.iter().filter_map(|(what, _)| what.split(' ').next()).collect();
    assert_eq!(names, ["Kafka", "PostgreSQL", "Debezium"], "{}", first.out);
    assert_eq!(folders[0].0, "Kafka 3.6.1");
    assert!(folders.iter().all(|(_, folder)| folder.is_dir()), "{}", first.out);
    let again = project.run(&arguments).exits(0);
    assert_eq!((again.out.as_str(), again.err.as_str()), (first.out.as_str(), ""));
}

#[test]
fn what_cannot_be_fetched_is_told_with_what_to_do() {
    let project = Project::new();
    let run = |args: &[&str]| {
        let mut command = project.command(args);
        // Nothing is in the cache, and there is no Maven.
        command.env("KSCEN_CACHE", project.path("cache")).env("PATH", project.path("tmp")).env_remove("KAFKA_HOME");
        Finished::new(&command.output().expect("kscen starts"))
    };
    run(&["fetch"]).exits(3).says("Maven is not installed").says("help: ");
    run(&["fetch", "--kafka", "newest"]).exits(3).says("`newest` is not a range of versions");
    run(&["fetch", "--kafka", "1.0"]).exits(3).says("set `kafka` in kscen.yaml");
    run(&["fetch", "--with", "zookeeper"]).exits(2).says("[possible values: connect, postgres]");
    project.write("kscen.yaml", "default: quick\nenvironments:\n  quick: { mock: {} }\n");
    run(&["fetch"]).exits(3).says("kscen fetches nothing for it");
}
