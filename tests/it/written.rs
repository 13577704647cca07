//! Where kscen writes to what somebody names: only regular files are replaced.

use crate::goldens::{kscen, root};
use crate::hostile::{put, refused};
use std::path::Path;

/// As root a rename would make a regular file of a device.
#[test]
fn only_regular_files_are_replaced() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    std::fs::create_dir(at.join("r")).expect("a folder");
    std::fs::copy(root().join("tests/goldens/record.json"), at.join("r/result.json")).expect("a copy");
    put(at, "treasure", "mine");
    symlink("treasure", at.join("link")).expect("a link");
    put(at, "fine.yaml", "name: x\nchecks: none\nsteps:\n  - wait: 1ms\n");
    for arguments in [
        &["report", "r", "--out", "/dev/full"][..],
        &["report", "r", "--out", "link"],
        &["report", "r", "--format", "markdown", "--out", "link"],
        &["run", "--junit", "link", "fine.yaml"],
    ] {
        let said = refused(at, &format!("{arguments:?}"), arguments);
        assert!(said.contains("cannot write"), "{arguments:?}: {said}");
    }
    let device = std::fs::metadata("/dev/full").expect("every Linux has it");
    assert!(device.file_type().is_char_device());
    assert!(at.join("link").is_symlink() && std::fs::read(at.join("treasure")).expect("there") == b"mine");
    let printed = kscen(at, &["report", "r", "--format", "markdown", "--out", "/dev/stdout"]);
    assert!(printed.code == Some(0) && printed.stdout.starts_with("# "), "{}", printed.stderr);
    assert!(!Path::new("/dev/stdout.svg").exists(), "nothing is put beside a stream");
    assert_eq!(kscen(at, &["report", "r", "--out", "new.html"]).code, Some(0));
    assert!(at.join("new.html").is_file());
}

/// A pipe would be waited for, and a link followed to whatever it leads to.
#[test]
fn the_scenario_of_bench_replaces_only_what_it_wrote_itself() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    put(at, "kscen.yaml", "environments: { far: { remote: {}, kafka: { bootstrap: \"127.0.0.1:9\" } } }\n");
    let bench = ["bench", "--env", "far"];
    // The environment allows nothing, so the scenario is written, and refused.
    let said = refused(at, "new", &bench);
    assert!(at.join("results/bench.yaml").is_file(), "{said}");
    put(at, "treasure", "mine");
    for (what, place) in [("a link", "../treasure"), ("a pipe", "")] {
        let file = at.join("results/bench.yaml");
        std::fs::remove_file(&file).expect("it is there");
        match place {
            "" => nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).expect("a pipe"),
            target => std::os::unix::fs::symlink(target, &file).expect("a link"),
        }
        let said = refused(at, what, &bench);
        assert!(said.contains("cannot be written"), "{what}: {said}");
    }
    assert!(std::fs::read(at.join("treasure")).expect("there") == b"mine");
    std::fs::remove_file(at.join("results/bench.yaml")).expect("it is there");
    put(at, "results/bench.yaml", "name: mine\n");
    refused(at, "changed", &bench);
    assert!(at.join("results/bench-2.yaml").is_file());
    assert_eq!(std::fs::read(at.join("results/bench.yaml")).expect("there"), b"name: mine\n");
}
