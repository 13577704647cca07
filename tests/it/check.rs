//! What is refused before anything starts: one file and its exact message for each kind of mistake.

use crate::goldens::{Printed, compare, files, kscen, root};
use std::collections::BTreeSet;
use std::path::Path;

/// Codes without a golden file, and why.
const WITHOUT: &[(&str, &str)] = &[
    (
        "foreign-project",
        "depends on who owns the files; the unit test of the room `ground` and the test with another user cover it",
    ),
    ("file-exists", "of `kscen new`, which its own test covers"),
    ("file-not-writable", "of `kscen new`, which its own test covers"),
    ("file-not-readable", "depends on the user who runs the test: root reads everything"),
    ("file-too-large", "the file would be as large as the limit; the test of hostile documents makes it"),
];

/// Runs the command that the file states (`# $ kscen …`), or `kscen check FILE`, in the file's folder.
fn refused(file: &Path) -> Printed {
    let bytes = std::fs::read(file).expect("a file of the project");
    let text = String::from_utf8_lossy(&bytes);
    let name = file.file_name().and_then(|name| name.to_str()).expect("a plain name");
    let stated = text.lines().take_while(|line| line.starts_with('#')).find_map(|line| line.strip_prefix("# $ kscen "));
    let arguments: Vec<&str> = stated.map_or_else(|| vec!["check", name], |stated| stated.split(' ').collect());
    kscen(file.parent().expect("it is in a folder"), &arguments)
}

/// The codes in printed problems: `error[unknown-verb]: …`.
fn codes(printed: &str) -> BTreeSet<String> {
    printed
        .lines()
        .filter_map(|line| line.strip_prefix("error[")?.split_once(']'))
        .map(|(code, _)| code.to_owned())
        .collect()
}

#[test]
fn each_mistake_has_its_message() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in files("scenarios/invalid", "yaml") {
        let is_golden =
            !file.ends_with("kscen.yaml") && !file.parent().is_some_and(|folder| folder.ends_with("fragments"));
        if !is_golden {
            continue;
        }
        seen += 1;
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a plain name");
        let first = std::fs::read(&file).expect("a file of the project");
        if !first.starts_with(b"# ") {
            wrong.push(format!("{name}: the file starts with a comment that says what is wrong"));
        }
        let printed = refused(&file);
        if printed.code != Some(2) || !printed.stdout.is_empty() {
            wrong.push(format!("{name}: exit {:?}, stdout {:?}", printed.code, printed.stdout));
        }
        if codes(&printed.stderr) != BTreeSet::from([name.to_owned()]) {
            wrong.push(format!("{name}: the codes are {:?}\n{}", codes(&printed.stderr), printed.stderr));
        }
        wrong.extend(compare(&file.with_extension("err"), &printed.stderr));
    }
    assert!(seen >= 40, "{seen} files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The codes that the source gives to problems, with the file of each.
fn in_source() -> Vec<(String, std::path::PathBuf)> {
    let mut found = Vec::new();
    for file in files("src", "rs") {
        let text = std::fs::read_to_string(&file).expect("a file of the project");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for piece in flat.split("Problem::new(").skip(1) {
            if let Some(code) = piece.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                found.push((code.to_owned(), file.strip_prefix(root()).unwrap_or(&file).to_owned()));
            }
        }
    }
    found
}

/// The codes that the source gives to what a step, an environment or a run fails with.
fn of_steps() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let literal = |piece: &str| {
        let code = piece.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())?;
        code.chars().all(|c| c.is_ascii_lowercase() || c == '-').then(|| code.to_owned())
    };
    for file in files("src", "rs") {
        let text = std::fs::read_to_string(&file).expect("a file of the project");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let of_tests = file.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
        if of_tests || file.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        for marker in ["StepError::broken(", "StepError::check(", "failure(", " code: "] {
            found.extend(flat.split(marker).skip(1).filter_map(literal));
        }
        // `StepError::new(ErrorKind::NoEffect, "no-effect", …)`, and the same as a pair.
        let kinds = flat.split("ErrorKind::").skip(1);
        found.extend(
            kinds.filter_map(|piece| literal(piece.trim_start_matches(char::is_alphanumeric).strip_prefix(',')?)),
        );
    }
    found
}

/// The codes that a golden file shows.
fn shown() -> BTreeSet<String> {
    files("scenarios/invalid", "err").iter().filter_map(|file| file.file_stem()?.to_str().map(str::to_owned)).collect()
}

#[test]
fn each_code_has_a_golden_file() {
    let goldens = shown();
    let without: BTreeSet<&str> = WITHOUT.iter().map(|(code, _)| *code).collect();
    // What is wrong with where reports go, or with their templates, is no mistake in a scenario.
    let of_reports = |file: &Path| {
        file.starts_with("src/report") || file.ends_with("cli/report.rs") || file.ends_with("cli/reports.rs")
    };
    let missing: Vec<String> = in_source()
        .iter()
        .filter(|(code, file)| !of_reports(file) && !goldens.contains(code) && !without.contains(code.as_str()))
        .map(|(code, file)| format!("{code} ({})", file.display()))
        .collect();
    assert!(missing.is_empty(), "no file in scenarios/invalid/ shows {}", missing.join(", "));
    let both: Vec<_> = goldens.iter().filter(|code| without.contains(code.as_str())).collect();
    assert!(both.is_empty(), "{both:?} have a golden file after all");
}

/// Codes of what a run finds, which stand in no literal problem of the source.
const OF_RUNS: [&str; 5] = ["check-failed", "check-unknown", "result-unwritten", "run-failed", "step-failed"];

/// The page of diagnostics explains every code and no other, in order; its examples are the golden files.
#[test]
fn each_code_is_explained() {
    let page = root().join("docs/diagnostics.md");
    let kept = std::fs::read_to_string(&page).expect("the page");
    let goldens = shown();
    let mut parts = kept.split("\n## `");
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut explained = BTreeSet::new();
    for part in parts {
        let (code, rest) = part.split_once("`\n").expect("a heading is a code");
        assert!(explained.last().is_none_or(|last: &String| last.as_str() < code), "{code} is not in its place");
        assert!(rest.contains("\n**Mend it.** "), "{code}: how to mend it is not said");
        explained.insert(code.to_owned());
        text.push_str(&format!("\n## `{code}`\n"));
        if !goldens.contains(code) {
            text.push_str(rest);
            continue;
        }
        let prose = rest.split("\n```").next().unwrap_or_default().trim();
        let golden = files("scenarios/invalid", "err").into_iter().find(|file| file.file_stem() == Some(code.as_ref()));
        let golden = golden.expect("a golden file");
        let file = |extension: &str| {
            let bytes = std::fs::read(golden.with_extension(extension)).expect("a golden file");
            visible(String::from_utf8_lossy(&bytes).trim_end())
        };
        text.push_str(&format!("\n{prose}\n\n```yaml\n{}\n```\n\n```text\n{}\n```\n", file("yaml"), file("err")));
    }
    let mut all: BTreeSet<String> = in_source().into_iter().map(|(code, _)| code).collect();
    all.extend(goldens);
    all.extend(OF_RUNS.map(str::to_owned));
    let of_steps = of_steps();
    for code in
        ["no-effect", "not-in-force", "unbalanced-account", "cannot-on-mock", "mock-cannot-judge", "service-died"]
    {
        assert!(of_steps.contains(code), "{code} is found in the source");
    }
    all.extend(of_steps);
    assert_eq!(explained, all, "docs/diagnostics.md explains each code and no other");
    assert_eq!(compare(&page, &text), None);
}

/// A text in which characters that cannot be seen are written out.
fn visible(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\n' => "\n".to_owned(),
            '\t' => "\t".to_owned(),
            '\u{2028}' => "\\u{2028}".to_owned(),
            character if character.is_control() => character.escape_default().to_string(),
            character => character.to_string(),
        })
        .collect()
}

#[test]
fn a_code_is_explained_in_the_terminal() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let all = kscen(folder.path(), &["explain"]);
    assert!(all.code == Some(0) && all.stdout.lines().any(|line| line == "unknown-verb"), "{}", all.stdout);
    for written in ["missing-unit", "[missing-unit]", "error[missing-unit]:"] {
        let one = kscen(folder.path(), &["explain", written]);
        assert!(one.code == Some(0) && one.stdout.contains("Mend it."), "{written}: {}", one.stdout);
    }
    let typo = kscen(folder.path(), &["explain", "mising-unit"]);
    assert!(typo.code == Some(2) && typo.stderr.contains("did you mean `missing-unit`?"), "{}", typo.stderr);
}

/// One file, ten mistakes, from syntax-like ones to steps that do not fit each other: all of them are told at once.
#[test]
fn ten_mistakes_are_ten_problems_and_nothing_is_reached() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    // The only address of the project is the test's own; whoever connects is seen.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("it is bound");
    let project = format!(
        "default: watched\nenvironments:\n  watched:\n    remote: {{}}\n    allow: [produce, topics]\n    kafka: {{ bootstrap: \"{address}\" }}\n"
    );
    std::fs::write(folder.path().join("kscen.yaml"), project).expect("a file");
    let fixture = root().join("tests/it/fixtures/ten-mistakes.yaml");
    std::fs::copy(&fixture, folder.path().join("ten-mistakes.yaml")).expect("a copy");

    let printed = kscen(folder.path(), &["check", "ten-mistakes.yaml"]);
    assert_eq!(printed.code, Some(2));
    assert_eq!(printed.stderr.matches("\nerror[").count() + 1, 10, "{}", printed.stderr);
    assert_eq!(printed.stderr.matches("--> ten-mistakes.yaml:").count(), 10, "{}", printed.stderr);
    assert!(codes(&printed.stderr).len() >= 9, "{:?}", codes(&printed.stderr));
    assert_eq!(compare(&fixture.with_extension("err"), &printed.stderr), None);
    // As data, for editors and for other programs.
    let printed = kscen(folder.path(), &["check", "--format", "json", "ten-mistakes.yaml"]);
    let problems: Vec<serde_json::Value> =
        printed.stdout.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect();
    assert_eq!((printed.code, problems.len()), (Some(2), 10));
    assert!(problems.iter().all(|problem| problem["line"].is_u64() && problem["code"].is_string()), "{problems:?}");
    let nobody = listener.accept().expect_err("nobody connects");
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

/// Files that were written to hurt: refused, with a place, in little memory.
#[test]
fn hostile_documents_are_refused() {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    let mut random = StdRng::seed_from_u64(3);
    let mut laughs = String::from("name: x\nvars:\n  a0: &a0 [ha, ha]\n");
    for level in 1..40 {
        laughs.push_str(&format!("  a{level}: &a{level} [*a{0}, *a{0}, *a{0}]\n", level - 1));
    }
    let deep_block: String = (0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth))).take(700).collect();
    let printable: Vec<u8> = (0..300_000).map(|_| random.random_range(b' '..=b'~')).collect();
    let bytes: Vec<u8> = (0..300_000).map(|_| random.random_range(0..=255_u8)).collect();
    let scalar = format!("name: \"{}\"\nsteps:\n  - wait: 5s\n", "x".repeat(10_000_000));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("laughs", laughs.into_bytes()),
        ("brackets", format!("name: {}\n", "[".repeat(10_000)).into_bytes()),
        ("braces", format!("name: {}\n", "{a: ".repeat(10_000)).into_bytes()),
        ("indentation", deep_block.into_bytes()),
        ("dashes", format!("name: x\nsteps:\n  {}wait: 5s\n", "- ".repeat(10_000)).into_bytes()),
        ("scalar", scalar.into_bytes()),
        ("printable", printable),
        ("bytes", bytes),
        ("quotes", "\"".repeat(300_000).into_bytes()),
        ("questions", "? ".repeat(100_000).into_bytes()),
        ("anchors", "&a ".repeat(100_000).into_bytes()),
        ("references", format!("name: x\nsteps:\n  - wait: \"{}\"\n", "${".repeat(50_000)).into_bytes()),
        ("keys", (0..60_000).map(|n| format!("k{n}: 1\n")).collect::<String>().into_bytes()),
        ("nothing", vec![0; 300_000]),
    ];
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, content) in cases {
        let file = format!("{name}.yaml");
        std::fs::write(folder.path().join(&file), content).expect("a file");
        // 512 MiB of address space, code and libraries included: what needs more is ended by the system.
        let limited = format!("ulimit -v 524288; exec \"$0\" check {file}");
        let output = std::process::Command::new("sh")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_kscen")])
            .current_dir(folder.path())
            .output()
            .expect("a shell");
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {printed}");
        let located = printed.contains(&format!("--> {file}:")) || printed.contains("error[file-too-large]");
        assert!(
            located && printed.len() < 100_000,
            "{name}: {} bytes, {}",
            printed.len(),
            &printed[..printed.len().min(500)]
        );
    }
}

/// What cannot run in every pass of the tests, since it takes minutes and old versions, is at least valid, and named in the list that
/// `scripts/museum` goes by.
#[test]
fn every_scenario_of_the_museum_is_an_exhibit() {
    let checked = kscen(root(), &["check", "scenarios/museum"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let list = std::fs::read(root().join("scenarios/museum/exhibits.json")).expect("the list");
    let list: Vec<serde_json::Value> = serde_json::from_slice(&list).expect("a list");
    let named: BTreeSet<&str> = list.iter().filter_map(|exhibit| exhibit["scenario"].as_str()).collect();
    let found = files("scenarios/museum", "yaml");
    let found: BTreeSet<&str> = found.iter().filter_map(|file| file.file_stem()?.to_str()).collect();
    assert_eq!(named, found);
}
