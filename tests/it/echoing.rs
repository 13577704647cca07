//! A broker that repeats in its answer what it was sent: it refuses a login and names the password. Nothing that kscen prints or writes
//! has it.

use crate::program::Project;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// The passwords of `kscen.yaml`, and what they have in common in every form.
const BROKER: &str = "hunter-of/the \"broker\"";
const CONNECT: &str = "hunter-of-connect";
const DATABASE: &str = "hunter-of-the-database";
const TRACES: [&str; 5] = ["hunter-of", "hunter%2Dof", "aHVudGVy", "68756e746572", "unter-o"];

fn serve(answer: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let answer = std::sync::Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), answer) = (stream, answer.clone()) else { continue };
            // Where the other side has gone, the conversation is over.
            std::thread::spawn(move || drop(answer(&mut stream)));
        }
    });
    address
}

fn frame(stream: &mut TcpStream, counted: i32) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::try_from(i32::from_be_bytes(length) - counted).unwrap_or(0)];
    stream.read_exact(&mut bytes).map(|()| bytes)
}

/// What it can: the versions of the requests with which a login begins, and of a few others.
const OFFERED: [(i16, i16, i16); 8] =
    [(0, 3, 9), (1, 4, 11), (2, 1, 5), (3, 0, 9), (17, 0, 1), (18, 0, 3), (36, 0, 1), (60, 0, 0)];

/// A broker that lets nobody in.
fn broker(stream: &mut TcpStream) -> std::io::Result<()> {
    loop {
        let asked = frame(stream, 0)?;
        let short = |at: usize| i16::from_be_bytes([asked[at], asked[at + 1]]);
        let (api, version) = (short(0), short(2));
        let mut body = asked[4..8].to_vec();
        let offered = OFFERED
            .iter()
            .map(|(api, least, most)| [api.to_be_bytes(), least.to_be_bytes(), most.to_be_bytes()].concat());
        match (api, version) {
            (18, 3..) => {
                body.extend([0, 0, u8::try_from(OFFERED.len() + 1).expect("few")]);
                body.extend(offered.flat_map(|api| [api, vec![0]].concat()));
                body.extend([0; 5]);
            }
            (18, _) => {
                body.extend([0, 0, 0, 0, 0, u8::try_from(OFFERED.len()).expect("few")]);
                body.extend(offered.flatten());
                body.extend(if version > 0 { &[0; 4][..] } else { &[] });
            }
            (17, _) => body.extend(b"\0\0\0\0\0\x01\0\x05PLAIN"),
            (36, _) => {
                let user = usize::try_from(short(8).max(0)).expect("a length");
                let token = String::from_utf8_lossy(&asked[10 + user + 4..]).replace('\0', " ");
                let words = format!("nobody knows {token}");
                body.extend([0, 58]);
                body.extend(u16::try_from(words.len()).expect("short").to_be_bytes());
                body.extend(words.bytes().chain([0; 4]));
                body.extend(if version > 0 { &[0; 8][..] } else { &[] });
            }
            _ => return Ok(()),
        }
        let length = u32::try_from(body.len()).expect("short").to_be_bytes();
        stream.write_all(&[&length[..], &body].concat())?;
    }
}

const LOAD: &str = "name: Load\nchecks: none\nsteps:\n  - produce: { topic: t, count: 1 }\n    timeout: 5s\n";

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        match entry.path().is_dir() {
            true => files(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

fn holds_none(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for trace in TRACES {
        let line = text.lines().find(|line| line.contains(trace));
        assert_eq!(line, None, "{what} holds `{trace}`");
    }
}

#[test]
fn what_a_server_repeats_of_a_password_is_nowhere() {
    let project = Project::new();
    let kafka = serve(broker);
    let both = format!(
        "    connect: {{ url: 'http://anna:{CONNECT}@127.0.0.1:1' }}\n    postgres: {{ url: 'postgres://app:{DATABASE}@127.0.0.1:1/app' }}\n"
    );
    let login = format!(
        "security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, sasl.username: anna, sasl.password: '{BROKER}'"
    );
    let settings = format!(
        "environments:\n  theirs:\n    remote: {{}}\n    allow: [produce, topics, groups, backup]\n    \
         kafka: {{ bootstrap: '{kafka}', config: {{ {login} }} }}\n{both}"
    );
    project.write("kscen.yaml", &settings);
    project.write("load.yaml", LOAD);
    let run = |args: &[&str], words: &str| {
        let output = project.command(args).output().expect("kscen starts");
        holds_none(&format!("standard output of {args:?}"), &output.stdout);
        holds_none(&format!("standard error of {args:?}"), &output.stderr);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(words), "{args:?} reaches the server: {said}");
        assert!(output.status.code().is_some_and(|code| code < 10), "{args:?}: {:?}\n{said}", output.status);
    };
    run(&["status", "--env", "theirs"], "nobody knows");
    run(&["backup", "t", "--to", "archive", "--env", "theirs"], "nobody knows");
    run(&["run", "load.yaml", "--env", "theirs", "--format", "json"], "nobody knows");
    let mut found = Vec::new();
    files(&project.path(""), &mut found);
    for file in found.iter().filter(|file| **file != project.path("kscen.yaml")) {
        holds_none(&file.display().to_string(), &fs::read(file).expect("reads"));
    }
    assert!(found.iter().any(|file| file.ends_with("events.ndjson")), "{found:?}");

    // A mistake in the project file is shown with its line.
    for (from, to) in [
        ("  theirs:", "  theirs: ["),
        ("postgres: { url:", "postgres: { urll: x, url:"),
        ("mechanism: PLAIN", "mechanism: ${nope}"),
    ] {
        project.write("kscen.yaml", &settings.replace(from, to));
        run(&["check", "load.yaml", "--env", "theirs"], "kscen.yaml");
        run(&["status", "--env", "theirs"], "kscen.yaml");
    }
}
