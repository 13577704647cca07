//! No byte that kscen writes holds a secret: results, reports, events, logs, the terminal, `plan` and `check`.

use crate::program::Project;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What every encoding changes somewhere.
const SECRET: &str = "tok/en\"ü +42-hunter";
/// A credential of `kscen.yaml`.
const PASSWORD: &str = "pass-of-the-database";
/// Parts of both, plain and encoded, that stand nowhere else.
const TRACES: [&str; 18] = [
    "tok/en",
    "tok%2Fen",
    "tok\\/en",
    "2-hunter",
    "2%2Dhunter",
    "dG9rL2Vu",
    "746f6b2f",
    "pass-of-the-database",
    "of%2Dthe%2D",
    "pass-of-the-other",
    "74 6f 6b",
    "6e 74 65 72",
    "164 157 153",
    "t   o   k",
    "e   r  \\n",
    "6f74 2f6b",
    "ZEc5ckwy",
    "116,111",
];

/// The secret, or what is made of it, in every text field that this environment can run.
const SCENARIO: &str = r#"
name: 'All of tok/en"ü +42-hunter'
description: 'Holds tok/en"ü +42-hunter'
tags: ['tok/en"ü +42-hunter']
secrets: [TOKEN]
vars: { TOKEN: 'tok/en"ü +42-hunter', other: "x${secrets.TOKEN}y" }
matrix: { cell: ['tok/en"ü +42-hunter'] }
steps:
  - run: { command: [sh, -c, 'echo "$A"; echo "$0" >&2; exit 1', "${secrets.TOKEN}"], env: { A: "${other}" }, contains: "${TOKEN}" }
    on_failure: continue
  - run: { command: [sh, -c, "echo $A; echo $A | base64; echo $A | od -An -tx1 | tr -d ' '; echo $A | fold -w5"], env: { A: "${secrets.TOKEN}" } }
    on_failure: continue
  - run: { command: [sh, -c, 'echo "$A" | od -tx1; echo "$A" | od -An -b; echo "$A" | od -c; echo "$A" | od -x'], env: { A: "${secrets.TOKEN}" } }
  - run: { command: [sh, -c, 'echo "$A" | base64 | base64; echo "$A" | od -An -v -tu1 | tr -s " " ","'], env: { A: "${secrets.TOKEN}" } }
  - run: { command: [sh, -c, 'echo "$A" | od -tx1 >&2; exit 1'], env: { A: "${secrets.TOKEN}" } }
    on_failure: continue
  - run: { command: [sh, -c, 'head -c 3990 /dev/zero | tr "\0" x; echo "$A"'], env: { A: "${secrets.TOKEN}" } }
  - run: { command: [echo, nothing], contains: "${secrets.TOKEN}" }
    on_failure: continue
  - run: ["/nowhere/${secrets.TOKEN}"]
    on_failure: continue
  - http: { method: POST, url: "http://ADDRESS/?a=tok%2Fen%22%C3%BC%20%2B42-hunter", headers: { X-Token: "x" }, body: { token: "${secrets.TOKEN}" }, contains: "${secrets.TOKEN}-" }
    on_failure: continue
  - http: { method: POST, url: "http://u:tok%2Fen%22%C3%BC%20%2B42-hunter@127.0.0.1:1/", body: "${secrets.TOKEN}" }
    on_failure: continue
  - produce: { topic: t, count: 5, key: { constant: "${secrets.TOKEN}" }, headers: { h: "${secrets.TOKEN}" }, size: 100B, config: { "client.id": "${secrets.TOKEN}" } }
    on_failure: continue
  - wait: 1ms
    if: vars.TOKEN == "tok/en\"ü +42-hunter"
  - wait: 1ms
    if: vars.TOKEN + 1 == "tok/en\"ü +42-hunter"
    on_failure: continue
"#;

/// Names and tags that hold credentials of `kscen.yaml`, and a step that the other environment does not grant.
const NAMED: &str = r#"
name: 'Named pass-of-the-database and pass-of-the-other'
tags: [pass-of-the-database, x-pass-of-the-other]
secrets: [TOKEN]
vars: { TOKEN: 'tok/en"ü +42-hunter' }
steps:
  - run: [echo, 'tok/en"ü +42-hunter', pass-of-the-other]
"#;

/// What cannot run here is told in problems, with the lines that they are about.
const REFUSED: &str = r#"
name: 'Refused tok/en"ü +42-hunter'
secrets: [TOKEN]
vars: { TOKEN: 'tok/en"ü +42-hunter' }
steps:
  - produce: { topic: t, rate: "${TOKEN}", for: 5s }
  - wait: 'tok/en"ü +42-hunter'
  - run: [echo, 'tok/en"ü +42-hunter', "${nothing}"]
"#;

/// Answers every request with the token.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 4096]);
            let body = serde_json::json!({ "you sent": SECRET, "as a list": [&SECRET[..7], &SECRET[7..]] }).to_string();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    address
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

fn holds_none(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for trace in TRACES {
        if let Some(at) = text.find(trace) {
            let from = (0..=at.saturating_sub(120)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            panic!("{what} holds `{trace}`: …{}…", text[from..].chars().take(300).collect::<String>());
        }
    }
}

/// A command gets what it is given, and nothing that is for kscen.
#[test]
fn commands_are_not_handed_what_is_for_kscen_alone() {
    let project = Project::new();
    project.write("kscen.yaml", "default: quiet\nenvironments:\n  quiet: { mock: { topics: [t] } }\n");
    let scenario = r#"
name: Alone
secrets: [TOKEN]
vars: { x: 2 }
steps:
  - run: { command: [sh, -c, 'test -n "$PATH" && test -n "$KSCEN_RUN_ID" && ! env | grep -E "^KSCEN_(SECRET|VAR|ENV)"'], status: 0 }
  - run: { command: [sh, -c, 'test "$A" = for-kscen'], env: { A: "${secrets.TOKEN}" }, status: 0 }
"#;
    project.write("alone.yaml", scenario);
    let mut command = project.command(&["run", "alone.yaml"]);
    command.env("KSCEN_SECRET_TOKEN", "for-kscen").env("KSCEN_VAR_x", "1").env("KSCEN_ENV", "quiet");
    let output = command.output().expect("kscen runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn no_byte_that_is_written_holds_a_secret() {
    let project = Project::new();
    let environment =
        format!("{{ mock: {{ topics: [t] }}, postgres: {{ url: 'postgres://app:{PASSWORD}@127.0.0.1:1/app' }} }}");
    let other = "{ remote: {}, allow: [], kafka: { bootstrap: 'b:1', config: { sasl.password: pass-of-the-other } } }";
    project.write("kscen.yaml", &format!("default: quiet\nenvironments:\n  quiet: {environment}\n  other: {other}\n"));
    project.write("named.yaml", NAMED);
    project.write("all.yaml", &SCENARIO.replace("ADDRESS", &echo()));
    project.write("refused.yaml", REFUSED);
    let inputs = ["kscen.yaml", "all.yaml", "refused.yaml", "named.yaml"].map(|name| project.path(name));
    let run = |args: &[&str]| {
        // Whatever others may read by default: results are their owner's alone.
        let mut command = Command::new("sh");
        let kscen = project.command(args);
        command.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(kscen.get_program()).args(args);
        command.current_dir(kscen.get_current_dir().expect("a folder"));
        command.envs(kscen.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command.env("KSCEN_SECRET_TOKEN", SECRET).env_remove("KSCEN_ENV");
        let output = command.output().expect("kscen runs");
        holds_none(&format!("standard output of {args:?}"), &output.stdout);
        holds_none(&format!("standard error of {args:?}"), &output.stderr);
        output
    };
    let output = run(&["run", "all.yaml", "--format", "json", "--junit", "junit.xml", "--results", "results"]);
    let events = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(events.contains("\"event\":\"run-ended\"") && events.contains("***"), "{output:?}");
    assert!(events.contains("you sent"), "the answer was read: {events}");
    assert!(events.contains("\"acked\":5"), "the messages were sent: {events}");
    for args in [
        &["run", "refused.yaml", "all.yaml"][..],
        &["plan", "all.yaml"],
        &["plan", "refused.yaml"],
        &["check", "refused.yaml"],
        &["list", "all.yaml", "refused.yaml", "named.yaml"],
        &["check", "named.yaml"],
        &["plan", "named.yaml"],
        &["check", "--env", "other", "named.yaml"],
        &["check", "--env", "other", "named.yaml", "--format", "json"],
        &["plan", "--env", "other", "named.yaml"],
        &["run", "--env", "other", "named.yaml"],
        &["check", "refused.yaml", "--format", "json"],
        &["report", "results", "--format", "markdown", "--out", "-"],
        &["report", "results", "--format", "junit", "--out", "-"],
        &["compare", "results", "results", "--all"],
    ] {
        run(args);
    }
    let mut found = Vec::new();
    files(&project.path(""), &mut found);
    let written: Vec<_> = found.into_iter().filter(|file| !inputs.contains(file)).collect();
    let names: Vec<String> =
        written.iter().map(|file| file.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect();
    for name in ["result.json", "events.ndjson", "report.html", "report.md", "junit.xml"] {
        assert!(names.iter().any(|known| known == name), "{name} is one of {names:?}");
    }
    for file in written {
        holds_none(&file.display().to_string(), &fs::read(&file).expect("reads"));
        let mode = fs::metadata(&file).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
}

/// Secrets that are changed before they are shown, or are written in another way than they are meant; with what lies in scratch folders.
const AWKWARD: &str = r#"
name: Awkward
secrets: [SPREAD, ENDED, DOLLAR, QUOTED, FOLDED, NUMBER]
vars:
  QUOTED: 'it''s-hunter'
  FOLDED: "folded
    hunter"
  NUMBER: 0x1A2B3C4D
steps:
  - background: true
    program: { command: [sh, -c, 'echo "$0"; sleep 3600', "${secrets.SPREAD}"] }
  - run: { command: [sh, -c, 'stat -c %a "$TMPDIR"/kscen-* | sort -u'], contains: "700" }
    id: folders
  - run: { command: [sh, -c, 'stat -c %a "$TMPDIR"/kscen-*/output'], contains: "600" }
  - run: [echo, "${secrets.SPREAD}", "${secrets.DOLLAR}", "${QUOTED}", "${FOLDED}"]
  - run: [echo, "many   spaces", "${secrets.SPREAD}"]
  - run: { command: [sh, -c, 'printf %s "$(printf %s "$A")" | base64'], env: { A: "${secrets.ENDED}" } }
"#;

/// Lines with secrets are shown beside problems.
const SHOWN: &str = r#"
name: Shown
secrets: [QUOTED, FOLDED, NUMBER]
vars:
  QUOTED: 'it''s-hunter${nothing}'
  FOLDED: "folded
    hunter ${nothing}"
  NUMBER: 0x1A2B3C4D
steps:
  - wait: "${NUMBER}"
"#;

#[test]
fn no_form_of_a_secret_is_shown() {
    let project = Project::new();
    project.write("kscen.yaml", "default: quiet\nenvironments:\n  quiet: { mock: { topics: [t] } }\n");
    project.write("awkward.yaml", AWKWARD);
    project.write("shown.yaml", SHOWN);
    let inputs = ["awkward.yaml", "shown.yaml"].map(|name| project.path(name));
    let traces = ["hunter", "it''s", "folded", "1A2B3C4D", "439041101", "dol${lar", "Y29udGVudC1o"];
    let holds_none = |what: &str, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let found: Vec<_> = traces.iter().filter(|trace| text.contains(**trace)).collect();
        assert!(found.is_empty(), "{what} holds {found:?}:\n{text}");
    };
    for (args, code) in [
        (&["run", "awkward.yaml", "--format", "json"][..], 0),
        (&["plan", "awkward.yaml"], 0),
        (&["check", "shown.yaml"], 2),
        (&["plan", "shown.yaml"], 2),
    ] {
        // Scratch folders and what lies in them are their owner's alone.
        let kscen = project.command(args);
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(kscen.get_program()).args(args);
        command.current_dir(kscen.get_current_dir().expect("a folder"));
        command.envs(kscen.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command.env("KSCEN_SECRET_SPREAD", "first-hunter\nsecond-hunter").env("KSCEN_SECRET_ENDED", "content-hunter\n");
        let output = command.env("KSCEN_SECRET_DOLLAR", "dol${lar-hunter").output().expect("kscen runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        holds_none(&format!("standard output of {args:?}"), &output.stdout);
        holds_none(&format!("standard error of {args:?}"), &output.stderr);
    }
    let mut found = Vec::new();
    files(&project.path(""), &mut found);
    for file in found.into_iter().filter(|file| !inputs.contains(file)) {
        holds_none(&file.display().to_string(), &fs::read(&file).expect("reads"));
    }
    let record = project.record();
    let folders = record["steps"].as_array().into_iter().flatten().find(|step| step["id"] == "folders");
    assert_eq!(folders.map(|step| &step["details"]["stdout"]), Some(&serde_json::json!("700\n")));
}
