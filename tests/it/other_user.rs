//! kscen beside another user of the machine: what that user plants is neither followed nor waited for, and what kscen writes cannot be
//! read. Only root can be two users, so this is skipped, loudly, for everybody else; CI runs it as root.

use crate::program::{Finished, Project};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

/// `nobody`, by the number that it has everywhere.
const OTHER: u32 = 65534;

/// Whether this process can be another user, which is said loudly where it cannot.
fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "{test}: CI runs as root");
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: only root can be two users");
    }
    root
}

/// A command as the other user.
fn other(program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).uid(OTHER).gid(OTHER).current_dir("/");
    command.output().expect("the program starts")
}

/// A project whose folders others may enter, so that only the modes of what kscen makes protect it.
fn open_project(environment: &str) -> Project {
    let project = Project::new();
    let folder = project.path("");
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("ours");
    // As /tmp: everybody may put something there.
    fs::set_permissions(project.path("tmp"), Permissions::from_mode(0o1777)).expect("ours");
    project.write("kscen.yaml", &format!("default: e\nenvironments: {{ e: {{ {environment} }} }}\n"));
    project.write("s.yaml", "name: S\nsteps:\n  - produce: { topic: t, count: 5 }\n  - run: [echo, words]\n");
    project
}

const MOCK: &str = "mock: { topics: [t] }";

fn give(path: &Path) {
    chown(path, Some(OTHER), Some(OTHER)).expect("root gives files away");
}

#[test]
fn what_another_user_plants_is_neither_waited_for_nor_followed() {
    if !is_root("what_another_user_plants_is_neither_waited_for_nor_followed") {
        return;
    }
    let project = open_project(MOCK);
    let tmp = project.path("tmp");
    let at = |name: &str| tmp.join(name).display().to_string();
    // A pipe as the lock of a folder, a link to a folder of ours, and a folder that looks abandoned.
    let treasure = project.path("treasure");
    fs::create_dir(&treasure).expect("a folder");
    fs::write(treasure.join("owner.lock"), "").expect("a file");
    for script in [
        format!("mkdir {0} && mkfifo {0}/owner.lock", at("kscen-pipe")),
        format!("ln -s {} {}", treasure.display(), at("kscen-link")),
        format!("mkdir {0} && ln -s {1}/owner.lock {0}/owner.lock", at("kscen-inner"), treasure.display()),
    ] {
        let planted = other("/bin/sh", &["-c", &script]);
        assert!(planted.status.success(), "{planted:?}");
    }
    project.run(&["run", "s.yaml"]).exits(0);
    assert!(treasure.join("owner.lock").is_file(), "nothing was followed");
    assert!(tmp.join("kscen-pipe").is_dir() && tmp.join("kscen-inner").is_dir(), "nothing of others was removed");

    // What is found in the state folder is undone: one that somebody else has made is not used.
    let planted = other("/bin/sh", &["-c", &format!("mkdir {0} && chmod 777 {0}", at("kscen"))]);
    assert!(planted.status.success(), "{planted:?}");
    let output = project.command(&["undo"]).env("XDG_STATE_HOME", &tmp).output().expect("kscen starts");
    Finished::new(&output).exits(3).says("is not a folder of this user");
    assert_eq!(fs::read_dir(tmp.join("kscen")).expect("a folder").count(), 0, "nothing was put there");
}

#[test]
fn a_project_file_above_and_jars_of_another_user_are_not_taken() {
    if !is_root("a_project_file_above_and_jars_of_another_user_are_not_taken") {
        return;
    }
    let project = open_project(MOCK);
    let below = project.path("below");
    fs::create_dir(&below).expect("a folder");
    fs::copy(project.path("s.yaml"), below.join("s.yaml")).expect("a copy");
    let run = |args: &[&str]| {
        let output = project.command(args).current_dir(&below).output().expect("kscen starts");
        Finished::new(&output)
    };
    run(&["check", "s.yaml"]).exits(0);
    let file = project.path("kscen.yaml");
    fs::set_permissions(&file, Permissions::from_mode(0o646)).expect("ours");
    for command in ["check", "plan", "run"] {
        run(&[command, "s.yaml"]).exits(2).says("kscen.yaml can be written by other users");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("ours");
    give(&file);
    for command in ["check", "plan", "run"] {
        run(&[command, "s.yaml"]).exits(2).says("kscen.yaml belongs to another user");
    }
    chown(&file, Some(0), Some(0)).expect("root takes files back");
    run(&["check", "s.yaml"]).exits(0);

    let home = project.path("kafka");
    fs::create_dir_all(home.join("libs")).expect("a folder");
    fs::write(home.join("libs/kafka_2.13-3.6.1.jar"), "planted").expect("a file");
    project.write("kscen.yaml", "default: e\nenvironments: { e: { local: { kafka_home: kafka } } }\n");
    for path in [home.join("libs/kafka_2.13-3.6.1.jar"), home.join("libs")] {
        give(&path);
        project.run(&["run", "s.yaml"]).exits(3).says("is not run").says("belongs to another user");
    }
}

#[test]
fn another_user_reads_nothing_and_speaks_to_nobody() {
    if !is_root("another_user_reads_nothing_and_speaks_to_nobody") {
        return;
    }
    let project = open_project(MOCK);
    project.run(&["run", "s.yaml"]).exits(0);
    let place = project.path("").display().to_string();
    for folder in ["results", "state"] {
        assert!(project.path(folder).is_dir(), "{folder} was written");
        let script = format!("find {place}/{folder} -readable -print 2>/dev/null; true");
        let seen = other("/bin/sh", &["-c", &script]);
        assert_eq!(String::from_utf8_lossy(&seen.stdout), "", "of {folder}");
    }

    // Somebody else listens where the supervisor of a kept stack would: nobody says a word to it.
    let cache = project.path("cache");
    let stacks = cache.join("stacks");
    fs::create_dir_all(&stacks).expect("a folder");
    let local = open_project("local: {}");
    let command = |args: &[&str]| {
        let output = local.command(args).env("KSCEN_CACHE", &cache).output().expect("kscen starts");
        Finished::new(&output)
    };
    command(&["status"]).exits(3).says("no stack is running");
    let mode = fs::metadata(&stacks).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "the folder of sockets is closed");
    fs::remove_dir_all(&stacks).expect("ours");
    fs::create_dir(&stacks).expect("a folder");
    let listener = UnixListener::bind(stacks.join("e.sock")).expect("a socket");
    listener.set_nonblocking(true).expect("a socket");
    give(&stacks);
    for args in [&["status"][..], &["down"], &["up"], &["run", "s.yaml"]] {
        command(args).exits(3).says("not a folder of this user");
    }
    fs::remove_dir_all(&stacks).expect("ours");
    let elsewhere = project.path("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    symlink(&elsewhere, &stacks).expect("a link");
    command(&["status"]).exits(3).says("not a folder of this user");
    let mut words = Vec::new();
    let nobody = listener.accept().and_then(|(mut stream, _)| stream.read_to_end(&mut words));
    assert_eq!(nobody.expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);

    give(&cache);
    command(&["status"]).exits(3).says("the cache is not used");
}
