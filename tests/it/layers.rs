//! The rooms of the source and their order: each may use what stands above it in this list, and nothing below.

use crate::goldens::{files, root};
use std::path::Path;

/// From the bottom of the house to its top. `docs/architecture.md` explains each.
const ROOMS: &[&str] = &[
    "ground",
    "text",
    "moment",
    "kafka",
    "wire",
    "connect",
    "database",
    "debezium",
    "accounting",
    "backup",
    "environment",
    "scenario",
    "record",
    "judge",
    "load",
    "faults",
    "verb",
    "delivery",
    "validate",
    "report",
    "compare",
    "plan",
    "project",
    "execute",
    "verbs",
    "reference",
    "schemas",
    "selfcheck",
    "api",
    "worker",
    "cli",
    "testing",
    "main",
];

/// The room of a file below `src`.
fn room(path: &Path) -> String {
    let first =
        path.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    first.trim_end_matches(".rs").to_owned()
}

fn level(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

/// The rooms that a source text uses, with the numbers of the lines.
fn uses(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // Links in documentation point wherever they help.
        let code = line.split("//").next().unwrap_or_default();
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if code[..at].ends_with('$') || name.is_empty() {
                continue;
            }
            found.push((number + 1, name));
        }
    }
    found
}

/// What looks up in a text of that room: line and the room above.
fn upward(room: &str, text: &str) -> Vec<(usize, String)> {
    let own = level(room);
    uses(text).into_iter().filter(|(_, used)| level(used) > own).collect()
}

#[test]
fn every_room_uses_only_what_is_below_it() {
    let source = root().join("src");
    let mut wrong = Vec::new();
    for file in files("src", "rs") {
        let path = file.strip_prefix(&source).expect("it lies below src");
        let room = room(path);
        if room == "lib" {
            continue;
        }
        assert!(level(&room).is_some(), "src/{room} is not in the order of the rooms, in tests/it/layers.rs");
        // Tests may use the whole house.
        let is_test = |part: &str| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs");
        if path.components().any(|part| part.as_os_str().to_str().is_some_and(is_test)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a source file");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (line, used) in upward(&room, text) {
            wrong.push(format!("src/{}:{line}: `{room}` uses `{used}`, which stands above it", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_line_that_looks_up_is_found() {
    let text =
        "use crate::text::Problem;\n/// See [`crate::cli`].\nuse crate::execute::execute;\nuse crate::record::Event;\n";
    assert_eq!(upward("judge", text), [(3, "execute".to_owned())]);
    assert_eq!(upward("text", text), [(3, "execute".to_owned()), (4, "record".to_owned())]);
    assert_eq!(upward("cli", text), []);
}

/// Longer files want a cut along the domain.
const MOST_LINES: usize = 400;

#[test]
fn no_source_file_is_too_long() {
    let long: Vec<String> = files("src", "rs")
        .into_iter()
        .filter_map(|file| {
            let lines = std::fs::read_to_string(&file).expect("a source file").lines().count();
            (lines > MOST_LINES).then(|| format!("{}: {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines: {}", long.join(", "));
}

/// The page is drawn from the code: rooms in their order, and files that exist.
#[test]
fn the_page_about_the_architecture_is_true() {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).expect("the page");
    let in_ticks: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let missing: Vec<&&str> = in_ticks
        .iter()
        .filter(|name| name.ends_with(".rs") && name.contains('/') && !name.starts_with("tests/"))
        .filter(|name| !root().join("src").join(name).is_file())
        .collect();
    assert!(missing.is_empty(), "docs/architecture.md names files that do not exist: {missing:?}");

    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let named: Vec<&str> =
        rows.filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let built = |room: &&&str| {
        let source = root().join("src");
        **room != "main" && (source.join(room).is_dir() || source.join(format!("{room}.rs")).is_file())
    };
    let rooms: Vec<&str> = ROOMS.iter().filter(built).copied().collect();
    assert_eq!(named, rooms, "docs/architecture.md lists the rooms in their order");
}
