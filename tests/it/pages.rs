//! The pages that say how to add something are followed word for word: what they say compiles and runs.

use crate::goldens::root;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// One thing that a page says to do.
#[derive(Debug, PartialEq)]
enum Edit {
    /// A new file with this text.
    New(String),
    /// This text after a line.
    After(String, String),
}

/// What a page says to do, in order: file and edit.
fn edits(page: &str) -> Vec<(String, Edit)> {
    let mut edits = Vec::new();
    let mut place: Option<(String, Option<String>)> = None;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let mut words = line.split('`').skip(1).step_by(2).map(str::to_owned);
        if line.contains("A new file, `") {
            place = words.next().map(|file| (file, None));
        } else if line.contains("In `") && line.contains("after ``") {
            let anchor = line.split("``").nth(1).map(str::to_owned);
            place = words.next().map(|file| (file, anchor));
        } else if line.contains("In `") && line.contains("after `") {
            place = words.next().zip(words.next()).map(|(file, anchor)| (file, Some(anchor)));
        } else if line.trim().strip_prefix("```").is_some_and(|language| !language.is_empty())
            && let Some((file, anchor)) = place.take()
        {
            let indent = line.len() - line.trim_start().len();
            let mut text = String::new();
            for line in lines.by_ref().take_while(|line| line.trim() != "```") {
                writeln!(text, "{}", line.get(indent..).unwrap_or_default()).expect("a text takes lines");
            }
            edits.push((file, anchor.map_or(Edit::New(text.clone()), |anchor| Edit::After(anchor, text))));
        }
    }
    edits
}

/// Does what a page says to a copy of the project.
fn follow(page: &str, copy: &Path) {
    let text = std::fs::read_to_string(root().join("docs").join(page)).expect("the page");
    let edits = edits(&text);
    assert!(edits.len() > 2, "{page} says what to do");
    for (file, edit) in edits {
        let path = copy.join(&file);
        let text = match edit {
            Edit::New(text) => {
                assert!(!path.exists(), "{page}: {file} is there already");
                text
            }
            Edit::After(anchor, added) => {
                let text = std::fs::read_to_string(&path).expect("a file that the page names");
                let line = text.lines().find(|line| line.trim() == anchor);
                let line = line.unwrap_or_else(|| panic!("{page}: {file} has no line `{anchor}`"));
                text.replacen(&format!("{line}\n"), &format!("{line}\n{added}"), 1)
            }
        };
        std::fs::write(path, text).expect("it can be written");
    }
}

#[test]
fn a_page_is_read_as_it_is_meant() {
    let page = "1. A new file, `a.rs`:\n\n   ```rust\n   fn a() {\n       1\n   }\n   ```\n2. In `b.rs`, after `mod x;`:\n\n   ```rust\n   mod a;\n   ```\n\n```rust\nno edit\n```\n";
    assert_eq!(
        edits(page),
        [
            ("a.rs".to_owned(), Edit::New("fn a() {\n    1\n}\n".to_owned())),
            ("b.rs".to_owned(), Edit::After("mod x;".to_owned(), "mod a;\n".to_owned())),
        ]
    );
}

/// Every file that a page changes has the line that it names, and every table that has all verbs has the new one: found without
/// compiling anything.
#[test]
fn the_pages_can_be_followed() {
    for page in ["adding-a-verb.md", "adding-an-environment.md"] {
        let copy = copy_of_the_project();
        follow(page, copy.path());
        let text = |file: &str| std::fs::read_to_string(copy.path().join(file)).expect("a file of the project");
        let is_about_verbs = page == "adding-a-verb.md";
        for (table, line) in [
            ("docs/acls.md", "| `stutter` |"),
            ("docs/security.md", "| `stutter` |"),
            ("src/project/authority_tests.rs", "(\"stutter\", "),
            ("src/verbs/mod.rs", "entry::<stutter::Stutter>()"),
        ] {
            let lines = text(table).lines().filter(|found| found.trim().starts_with(line)).count();
            assert_eq!(lines, usize::from(is_about_verbs), "{page}: {table}");
        }
        let explained = text("docs/diagnostics.md").contains("\n## `cannot-on-process`\n");
        assert_eq!(explained, !is_about_verbs, "every code has a section");
        assert_eq!(
            copy.path().join("scenarios/stutter.yaml").is_file(),
            is_about_verbs,
            "every verb is used by a scenario"
        );
    }
}

/// Both pages, with one compilation: the program gets the verb and the kind of environment, and they work together.
#[test]
#[ignore = "compiles the program a second time, about two minutes; CI runs it with --ignored"]
fn what_the_pages_say_compiles_and_runs() {
    let copy = copy_of_the_project();
    follow("adding-a-verb.md", copy.path());
    follow("adding-an-environment.md", copy.path());
    let extended = Extended::build(&copy);

    // The reference follows from the type.
    let (code, page) = extended.run(&["steps", "stutter"]);
    assert_eq!(code, Some(0));
    for part in ["Freezes a service", "each", "stutter: { service: kafka"] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    let frozen = Frozen::start();
    extended.write(
        "kscen.yaml",
        &format!(
            "default: mine\nenvironments:\n  mine:\n    process: {{ pid: {} }}\n    kafka: {{ bootstrap: \"127.0.0.1:1\" }}\n    allow: [faults]\n",
            frozen.0.id()
        ),
    );
    // The verb works on the new environment, is measured, and leaves nothing behind.
    extended.write(
        "stutter.yaml",
        "name: Stutter\nsteps:\n  - { id: s, stutter: { service: kafka-1, times: 3, each: 50ms } }\n  - expect: { step: { id: s, stutters: 3 } }\n",
    );
    assert_eq!(extended.run(&["check", "stutter.yaml"]), (Some(0), "ok 1 scenario\n".to_owned()));
    let (code, shown) = extended.run(&["run", "stutter.yaml"]);
    assert_eq!(code, Some(0), "{shown}");
    assert_ne!(frozen.state(), 'T');
    // What the environment cannot do is refused at the line that needs it.
    extended.write("wrong.yaml", "name: Wrong\nsteps:\n  - kill: kafka-1\n  - stuter: { service: kafka-1 }\n");
    let (code, shown) = extended.run(&["check", "wrong.yaml"]);
    assert!(code == Some(2) && shown.contains("did you mean `stutter`?"), "{shown}");
    extended.write("wrong.yaml", "name: Wrong\nsteps:\n  - kill: kafka-1\n");
    let (code, shown) = extended.run(&["run", "wrong.yaml"]);
    assert!(code == Some(2) && shown.contains("kscen can only pause kafka-1"), "{shown}");
    // A need of which the environment tells nothing is no need that is met.
    extended.write("needy.yaml", "name: Needy\nchecks: none\nneeds: { kafka: \">=3\" }\nsteps:\n  - wait: 1ms\n");
    let (code, shown) = extended.run(&["run", "needy.yaml"]);
    assert!(code == Some(3) && shown.contains("the version is unknown"), "{shown}");
    // A run that is killed in the middle of it is repaired from its recipe.
    extended.write("long.yaml", "name: Long\nsteps:\n  - stutter: { service: kafka-1, times: 1, each: 1h }\n");
    let mut killed = extended.command(&["run", "long.yaml"]).spawn().expect("it starts");
    frozen.until('T');
    killed.kill().expect("it can be killed");
    killed.wait().expect("it ends");
    assert_eq!(frozen.state(), 'T');
    let (code, shown) = extended.run(&["undo"]);
    assert_eq!(code, Some(0), "{shown}");
    assert_ne!(frozen.state(), 'T', "{shown}");
}

/// A copy of everything that the program is built from.
fn copy_of_the_project() -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a scratch folder");
    for part in ["src", "benches", "docs", "stack", "scenarios", "schemas", "reports", "Cargo.toml", "Cargo.lock"] {
        copy_all(&root().join(part), &copy.path().join(part));
    }
    copy
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder of the project").filter_map(Result::ok) {
            copy_all(&entry.path(), &to.join(entry.file_name()));
        }
    } else if from.is_file() {
        std::fs::copy(from, to).expect("a copy");
    }
}

/// The program with what the pages add, in a folder of its own.
struct Extended {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Extended {
    fn build(copy: &tempfile::TempDir) -> Self {
        // A name of its own, so that the program under test is not replaced by this one.
        let manifest = copy.path().join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).expect("a manifest");
        let text = text.replacen("name = \"kscen\"", "name = \"kscen-extended\"", 1);
        std::fs::write(&manifest, format!("{text}\n[lib]\nname = \"kscen\"\n")).expect("it can be written");
        let lock = copy.path().join("Cargo.lock");
        let text = std::fs::read_to_string(&lock).expect("a lock file");
        std::fs::write(&lock, text.replace("name = \"kscen\"", "name = \"kscen-extended\""))
            .expect("it can be written");
        let target = Path::new(env!("CARGO_BIN_EXE_kscen")).parent().and_then(Path::parent).expect("target/debug");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--offline", "--bin", "kscen-extended", "--manifest-path"])
            .arg(&manifest)
            .arg("--target-dir")
            .arg(target)
            .output()
            .expect("cargo starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let folder = tempfile::tempdir().expect("a scratch folder");
        Self { program: target.join("debug/kscen-extended"), folder }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("it can be written");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.folder.path()).args(arguments).env("XDG_STATE_HOME", self.folder.path().join("state"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Exit code, and everything that was written.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.command(arguments);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

/// A process that stands for somebody's broker.
struct Frozen(Child);

impl Frozen {
    fn start() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().expect("sleep is there"))
    }

    fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("it runs");
        stat.rsplit(") ").next().and_then(|fields| fields.chars().next()).expect("it has a state")
    }

    fn until(&self, state: char) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.state() != state {
            assert!(Instant::now() < deadline, "it is in state {}", self.state());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Whatever the test did to it: SIGKILL also ends what is stopped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
