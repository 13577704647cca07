//! What was written to hurt: files without end, values that grow without end, texts that command the terminal.

use crate::goldens::{files, kscen, root};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs kscen with 512 MiB of address space, code and libraries included, and a time in which nothing here should still run: what
/// hangs is ended, and seen by its exit code.
pub(crate) fn limited(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("timeout")
        .args(["120", "sh", "-c", "ulimit -v 524288; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kscen")])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("a shell")
}

/// What `kscen check` says of a scenario that it refuses.
pub(crate) fn refused(folder: &Path, name: &str, arguments: &[&str]) -> String {
    let printed = limited(folder, arguments);
    let said = String::from_utf8_lossy(&printed.stderr).into_owned();
    let shown: String = said.chars().take(500).collect();
    assert_eq!(printed.status.code(), Some(2), "{name}: {:?}\n{shown}", printed.status);
    assert!(said.len() < 100_000, "{name}: {} bytes", said.len());
    said
}

pub(crate) fn put(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file");
}

/// Variables that refer to each other, each several times: of a few hundred bytes becomes more than a machine has.
#[test]
fn what_grows_without_end_is_refused() {
    use std::fmt::Write as _;
    let folder = tempfile::tempdir().expect("a scratch folder");
    let step = "steps:\n  - wait: 1s\n";
    let mut texts = String::from("name: x\nvars:\n  a0: haha\n");
    let mut lists = String::from("name: x\nvars:\n  a0: [ha, ha]\n");
    let mut nested = String::from("name: x\nvars:\n  a0: [ha]\n");
    for level in 1..30 {
        let before = level - 1;
        let _ = writeln!(texts, "  a{level}: ${{a{before}}}${{a{before}}}");
        let _ = writeln!(lists, "  a{level}: [\"${{a{before}}}\", \"${{a{before}}}\"]");
    }
    (1..5_000).for_each(|level| writeln!(nested, "  a{level}: [\"${{a{}}}\"]", level - 1).expect("a text"));
    let ring: String = (0..5_000).map(|number| format!("  v{number}: ${{v{}}}\n", (number + 1) % 5_000)).collect();
    let chain: String = (0..5_000).map(|number| format!("  v{number}: ${{v{}}}\n", number + 1)).collect();
    let brackets = format!("{}1{}", "(".repeat(10_500), ")".repeat(10_500));
    let long = "x".repeat(100_000);
    let cases = [
        ("texts", format!("{texts}{step}"), "takes more than 1024 KiB"),
        ("lists", format!("{lists}{step}"), "takes more than 1024 KiB"),
        ("nested", format!("{nested}{step}"), "nests deeper than 64 levels"),
        ("ring", format!("name: x\nvars:\n{ring}{step}"), "refers to itself"),
        ("unknown", format!("name: x\nvars:\n{chain}{step}"), "there is no variable `v5000`"),
        ("brackets", format!("name: x\nsteps:\n  - wait: 1s\n    if: \"{brackets}\"\n"), "the longest has 1000"),
        (
            "members",
            format!("name: x\nsteps:\n  - wait: 1s\n    if: vars{}\n", ".a".repeat(10_000)),
            "the longest has 1000",
        ),
        (
            "items",
            format!(
                "name: x\nvars: {{ a: {long} }}\nsteps:\n  - wait: 1s\n    name: ${{a}}\n    for_each: [{}]\n",
                "1,".repeat(2_000)
            ),
            "takes more than 32 MiB",
        ),
        (
            "cells",
            format!(
                "name: x\nmatrix: {{ m: [{0}], n: [{0}] }}\nvars: {{ a: {long}, b: \"${{a}}${{a}}${{a}}\" }}\n{step}",
                "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
            ),
            "takes more than 32 MiB",
        ),
    ];
    assert!(cases[0].1.len() < 1_000, "{} bytes", cases[0].1.len());
    for (name, text, expected) in cases {
        put(folder.path(), "hostile.yaml", &text);
        for command in ["check", "plan"] {
            let said = refused(folder.path(), name, &[command, "hostile.yaml"]);
            assert!(said.contains(expected), "{name}: {}", said.chars().take(2_000).collect::<String>());
        }
    }
}

/// A variable of the environment may be any bytes; who does not need it is not bothered by it.
#[test]
fn variables_that_are_not_text_are_told() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().expect("a scratch folder");
    put(folder.path(), "none.yaml", "name: x\nsteps:\n  - wait: 1s\n");
    put(
        folder.path(),
        "uses.yaml",
        "name: x\nvars: { a: \"${env.STRANGE:-none}\" }\nsteps:\n  - wait: 1s\n    name: \"${a}\"\n",
    );
    put(folder.path(), "takes.yaml", "name: x\nvars: { a: b }\nsteps:\n  - wait: 1s\n    name: \"${a}\"\n");
    let strange = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    for (file, name, code, words) in [
        ("none.yaml", "STRANGE", 0, ""),
        ("uses.yaml", "STRANGE", 2, "`STRANGE` is not UTF-8 text"),
        ("takes.yaml", "KSCEN_VAR_a", 2, "KSCEN_VAR_a is not UTF-8 text"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kscen"));
        command.args(["plan", file]).current_dir(folder.path()).env_remove("KSCEN_ENV").env(name, strange);
        let printed = command.output().expect("kscen starts");
        let said = String::from_utf8_lossy(&printed.stderr).into_owned();
        assert_eq!(printed.status.code(), Some(code), "{file}: {said}");
        assert!(said.contains(words), "{file}: {said}");
    }
}

fn pipe(folder: &Path, name: &str) {
    nix::unistd::mkfifo(&folder.join(name), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
}

/// A pipe would wait for whoever writes into it, and a device never ends: neither is opened, wherever a file is named.
#[test]
fn only_files_are_read_where_files_are_named() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    for name in ["pipe", "pipe.yaml", "pipe.json", "pipe.sql", "result.json"] {
        pipe(at, name);
    }
    std::os::unix::fs::symlink("/dev/zero", at.join("zero.sql")).expect("a link");
    let step = |step: &str| format!("name: x\nsteps:\n  - {step}\n");
    for (name, text, expected) in [
        ("include", step("include: pipe.yaml"), "is a pipe"),
        ("include of zero", step("include: /dev/zero"), "outside the project"),
        ("sql", step("sql: { file: pipe.sql }"), "it is a pipe"),
        ("certificate", step("produce: { topic: t, count: 1, config: { ssl.ca.location: pipe } }"), "it is a pipe"),
        ("key", step("produce: { topic: t, count: 1, config: { ssl.key.location: /etc/passwd } }"), "outside the project"),
        ("sql of zero", step("sql: { file: /dev/zero }"), "outside the project"),
        ("sql through a link", step("sql: { file: zero.sql }"), "outside the project"),
        ("sql outside", step("sql: { file: ../../../etc/passwd }"), "outside the project"),
        ("payload", step("produce: { topic: t, rate: 1/s, for: 1s, payload: { file: pipe } }"), "it is a pipe"),
        (
            "payload outside",
            step("produce: { topic: t, rate: 1/s, for: 1s, payload: { file: /etc/passwd } }"),
            "outside the project",
        ),
        ("schema", step("consume: { topic: t, schema: pipe.json, until: { idle: 1s } }"), "it is a pipe"),
        (
            "schema outside",
            step("consume: { topic: t, schema: /etc/passwd, until: { idle: 1s } }"),
            "outside the project",
        ),
        (
            "baseline",
            "name: x\ncompare: { baseline: result.json, metrics: { load.ack_rate: default } }\nsteps:\n  - id: load\n    \
             produce: { topic: t, rate: 1/s, for: 1s }\n"
                .to_owned(),
            "a pipe",
        ),
        (
            "baseline outside",
            "name: x\ncompare: { baseline: /etc, metrics: { load.ack_rate: default } }\nsteps:\n  - id: load\n    \
             produce: { topic: t, rate: 1/s, for: 1s }\n"
                .to_owned(),
            "outside the project",
        ),
    ] {
        put(at, "hostile.yaml", &text);
        let said = refused(at, name, &["check", "hostile.yaml"]);
        assert!(said.contains(expected), "{name}: {said}");
    }
    // Who may leave the project still opens files only.
    for open in ["sql: { file: zero.sql }", "produce: { topic: t, count: 1, config: { ssl.ca.location: /dev/zero } }"] {
        put(at, "hostile.yaml", &step(open));
        assert!(refused(at, "allowed", &["check", "--allow-outside", "hostile.yaml"]).contains("it is a device"));
    }
}

#[test]
fn only_files_are_read_that_the_command_line_names() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    for name in ["pipe", "pipe.yaml", "result.json", "suite.json"] {
        pipe(at, name);
    }
    std::fs::create_dir(at.join("templates")).expect("a folder");
    pipe(at, "templates/run.md.hbs");
    put(at, "good.yaml", "name: x\nsteps:\n  - wait: 1s\n");
    for (arguments, code, expected) in [
        (&["check", "pipe"][..], 2, "is a pipe"),
        (&["check", "/dev/zero"], 2, "is a device"),
        (&["plan", "pipe.yaml"], 2, "is a pipe"),
        (&["list", "pipe.yaml"], 2, "is a pipe"),
        (&["run", "pipe.yaml"], 2, "is a pipe"),
        (&["check", "--vars-file", "pipe.yaml", "good.yaml"], 2, "is a pipe"),
        (&["check", "--vars-file", "/dev/zero", "good.yaml"], 2, "is a device"),
        (&["report", "result.json"], 5, "it is a pipe"),
        (&["report", "."], 5, "it is a pipe"),
        (&["compare", "result.json", "result.json"], 5, "it is a pipe"),
        (&["judge", "result.json"], 3, "it is a pipe"),
        (&["report", "--templates", "templates", "."], 2, "it is a pipe"),
    ] {
        let printed = limited(at, arguments);
        let said = String::from_utf8_lossy(&printed.stderr);
        assert!(
            printed.status.code() == Some(code) && said.contains(expected),
            "{arguments:?}: {:?}\n{said}",
            printed.status
        );
    }
}

/// Commands the terminal, hides, and turns the reading direction around.
const HARM: &str = "\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\u{ad}\u{e0041}\rPASS";

/// Every text of a value replaced by one that holds the harm.
fn poisoned(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(format!("{text}{HARM}")),
        Value::Array(items) => items.iter().map(poisoned).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), poisoned(item))).collect(),
        other => other.clone(),
    }
}

/// A value as YAML, which JSON is; the harm as escapes, without which it would be refused at once.
fn written(value: &Value) -> String {
    // YAML writes a character beyond the first 65,536 as one, JSON as two.
    ::kscen::testing::text::harmless_json(&value.to_string()).replace("\\udb40\\udc41", "\\U000e0041")
}

/// Whether a byte that reached the terminal is harm. kscen's own colours end in `m`.
fn harmless(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut rest: &str = &text;
    while let Some(at) = rest.find(['\u{1b}', '\u{9b}', '\u{202e}', '\u{200b}', '\u{ad}', '\u{e0041}', '\r']) {
        let own = rest[at..].strip_prefix("\u{1b}[").and_then(|sequence| sequence.split_once('m'));
        let painted = own.is_some_and(|(numbers, _)| {
            numbers.len() <= 8 && numbers.chars().all(|digit| digit.is_ascii_digit() || digit == ';')
        });
        let around: String = rest[at..].chars().take(60).collect();
        assert!(painted, "{what}: {around:?}");
        rest = &rest[at + 1..];
    }
}

/// Texts of scenarios, of results and of errors go through one door.
#[test]
fn no_text_commands_the_terminal() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    let mut tried = 0;
    let mut tell = |what: &str, arguments: &[&str]| {
        for color in ["always", "never"] {
            let printed = limited(at, &[&["--color", color], arguments].concat());
            assert!(printed.status.code().is_some_and(|code| code < 10), "{what}: {:?}", printed.status);
            harmless(what, &printed.stdout);
            harmless(what, &printed.stderr);
            tried += usize::from(!printed.stderr.is_empty() || !printed.stdout.is_empty());
        }
    };
    // Every scenario that is shipped, with the harm in every text: as YAML, which JSON is.
    let mut documents = 0;
    for file in files("scenarios", "yaml").into_iter().chain(files("tests/it/fixtures", "yaml")) {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let Ok(value) = serde_yaml(&text) else { continue };
        documents += 1;
        if documents % 4 != 0 {
            continue;
        }
        put(at, "x.yaml", &written(&poisoned(&value)));
        for command in ["check", "plan", "list"] {
            tell(&format!("{command} {}", file.display()), &[command, "x.yaml"]);
        }
        tell("as data", &["check", "--format", "json", "x.yaml"]);
    }
    // One that can be planned: names, titles, tags and values.
    let fine = json!({
        "name": format!("n{HARM}\nPASS 1 check"), "description": HARM, "tags": ["t"],
        "vars": { "a": HARM },
        "steps": [
            { "run": ["echo", HARM, "${a}"], "name": format!("title{HARM}\n  PASS") },
            { "run": ["echo", "${a}\nPASS"] },
            { "for_each": [HARM], "run": ["echo", "${item}"], "if": format!("environment == '{HARM}'") },
        ],
    });
    put(at, "fine.yaml", &written(&fine));
    let planned = limited(at, &["plan", "fine.yaml"]);
    assert_eq!(planned.status.code(), Some(0), "{}", String::from_utf8_lossy(&planned.stderr));
    let lines = String::from_utf8_lossy(&planned.stdout).into_owned();
    assert!(!lines.lines().any(|line| line.trim_start().starts_with("PASS")), "{lines}");
    tell("plan", &["plan", "fine.yaml"]);
    tell("list", &["list", "fine.yaml"]);
    tell("a name", &["check", &format!("{HARM}.yaml")]);
    tell("a variable", &["check", "--var", &format!("{HARM}={HARM}"), "fine.yaml"]);
    tell("an environment", &["plan", "--env", HARM, "fine.yaml"]);
    tell("a verb", &["steps", HARM]);
    // Results that somebody else has written.
    let golden = std::fs::read_to_string(root().join("tests/goldens/record.json")).expect("a record");
    let golden: Value = serde_json::from_str(&golden).expect("JSON");
    std::fs::create_dir(at.join("r")).expect("a folder");
    for pointer in
        ["/run", "/steps", "/verdict", "/faults", "/warnings", "/leftovers", "/services", "/environment", "/checks"]
    {
        let mut record = golden.clone();
        let Some(part) = record.pointer_mut(pointer) else { continue };
        *part = poisoned(part);
        put(at, "r/result.json", &record.to_string());
        for arguments in [&["report", "r", "--out", "-"][..], &["report", "r"], &["compare", "r", "r"], &["judge", "r"]]
        {
            tell(pointer, arguments);
        }
    }
    assert!(tried > 60, "{tried}");
}

/// A YAML text as JSON, by kscen's own reader.
fn serde_yaml(text: &str) -> Result<Value, ()> {
    ::kscen::testing::text::parse(Path::new("x.yaml"), text.to_owned()).map(|located| located.value).map_err(drop)
}

/// What cannot be written is an error, whoever it was meant for.
#[test]
fn what_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    put(folder.path(), "fine.yaml", "name: x\nsteps:\n  - wait: 1s\n");
    std::fs::create_dir(folder.path().join("r")).expect("a folder");
    std::fs::copy(root().join("tests/goldens/record.json"), folder.path().join("r/result.json")).expect("a copy");
    for arguments in [
        &["plan", "fine.yaml"][..],
        &["list", "fine.yaml"],
        &["steps"],
        &["schema", "scenario"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
        &["compare", "--format", "json", "r", "r"],
        &["report", "r", "--out", "-"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("every Linux has it");
        let mut command = Command::new(env!("CARGO_BIN_EXE_kscen"));
        command.args(arguments).current_dir(folder.path()).stdin(Stdio::null()).stderr(Stdio::null());
        let full = command.stdout(full).status().expect("it starts");
        assert_eq!(full.code(), Some(3), "{arguments:?} into a full disk");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let closed = command.stdout(writer).status().expect("it starts");
        assert_eq!(closed.code(), Some(3), "{arguments:?} into a closed pipe");
    }
    assert_eq!(kscen(folder.path(), &["plan", "fine.yaml"]).code, Some(0));
}

/// What clap says of an argument goes through the same door.
#[test]
fn no_argument_commands_the_terminal() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for arguments in [
        &[HARM][..],
        &["run", &format!("--{HARM}")],
        &["run", "--repeat", HARM],
        &["check", "--format", HARM],
        &["--color", HARM, "list"],
        &["list", &format!("--color={HARM}")],
        &["completions", HARM],
        &["run", "--help"],
        &["--help"],
        &["--version"],
    ] {
        let printed = limited(folder.path(), arguments);
        assert!(matches!(printed.status.code(), Some(0 | 2)), "{arguments:?}: {:?}", printed.status);
        harmless(&format!("{arguments:?}"), &printed.stdout);
        harmless(&format!("{arguments:?}"), &printed.stderr);
        assert!(!printed.stdout.is_empty() || !printed.stderr.is_empty(), "{arguments:?}");
    }
}
