//! The rooms of the source and their order: each may use what stands above it in this list, and nothing below.

use crate::goldens::{files, root};
use crate::source::{Source, below_src, is_test, productive};

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
    "migration",
    "environment",
    "scenario",
    "record",
    "judge",
    "load",
    "worker",
    "faults",
    "verb",
    "delivery",
    "validate",
    "report",
    "compare",
    "plan",
    "project",
    "expose",
    "serve",
    "execute",
    "verbs",
    "reference",
    "schemas",
    "selfcheck",
    "cli",
    "testing",
    "main",
];

/// The room of a file below `src`.
fn room(path: &str) -> &str {
    path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn level(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

fn is_below(used: &str, own: Option<usize>) -> bool {
    level(used).is_some_and(|used| Some(used) <= own)
}

/// What looks up: the file, the line, and the room above. What is no room is handed on by `lib.rs`, from nobody knows where.
fn upward(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for file in &source.files {
        let room = room(&file.path);
        if room == "lib" {
            // It names every room, and may not give the crate another name.
            found.extend(
                file.hidden.iter().map(|(line, form)| format!("src/lib.rs:{line}: `{form}` hides what is used")),
            );
            continue;
        }
        let own = level(room);
        assert!(own.is_some(), "src/{room} is not in the order of the rooms, in tests/it/layers.rs");
        for (line, form) in &file.hidden {
            found.push(format!("src/{}:{line}: `{form}` hides what `{room}` uses", file.path));
        }
        for name in &file.names {
            let at = format!("src/{}:{}: `{room}` uses", file.path, name.line);
            match name.path.first() {
                // By a star or another name for the crate, everything can be reached.
                None => found.push(format!("{at} the whole crate")),
                Some(used) if !is_below(used, own) => found.push(format!("{at} `{used}`, which stands above it")),
                Some(_) => {}
            }
        }
    }
    found
}

#[test]
fn every_room_uses_only_what_is_below_it() {
    let wrong = upward(Source::read());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_line_that_looks_up_is_found() {
    let text = "use crate::text::Problem;\n/// See [`crate::cli`].\nuse crate::{execute::execute, record::Event};\nfn f() {\n    super::super::cli::g()\n}\n\
        #[cfg(test)]\nmod tests {\n    use crate::cli::Exit;\n}\nuse crate::Exit;\n";
    let lines = |path: &str| {
        let found = upward(&Source::of(vec![(path.to_owned(), text.to_owned())]));
        found.iter().filter_map(|line| Some(line.split_once(": `")?.1.replace('`', ""))).collect::<Vec<_>>()
    };
    let above = |room: &str, used: &[&str]| {
        used.iter().map(|used| format!("{room} uses {used}, which stands above it")).collect::<Vec<_>>()
    };
    assert_eq!(lines("judge/x.rs"), above("judge", &["execute", "Exit", "cli"]));
    assert_eq!(lines("text/x.rs"), above("text", &["execute", "record", "Exit", "cli"]));
    assert_eq!(lines("cli/x.rs"), above("cli", &["Exit"]));
}

#[test]
fn a_line_that_hides_where_it_looks_is_found() {
    for line in [
        "use crate::*;",
        "use super::*;",
        "use crate as house;",
        "extern crate self as house;",
        "use self::super::super::cli::Exit;",
        "#[serde(serialize_with = \"crate::report::f\")]",
        "#[schemars(with = \"Option<crate::cli::Exit>\")]",
        "include!(\"../cli/exit.rs\");",
        "m! { crate :: cli :: f() }",
        "m! { crate::  cli::f() }",
        "#[path = \"../cli/exit.rs\"]\nmod exit;",
        "macro_rules! m { ($room:ident) => { crate::$room::f() } }",
    ] {
        let file = if line.starts_with("use super") { "text.rs" } else { "text/x.rs" };
        assert_eq!(upward(&Source::of(vec![(file.to_owned(), format!("{line}\n"))])).len(), 1, "{line}");
    }
    for line in ["extern crate self as house;", "#[macro_use]\nmod text;"] {
        assert_eq!(upward(&Source::of(vec![("lib.rs".to_owned(), format!("{line}\n"))])).len(), 1, "{line}");
    }
}

/// What [`is_test`] leaves out is compiled for tests alone.
#[test]
fn files_of_tests_are_declared_as_such() {
    let sources = files("src", "rs");
    let undeclared: Vec<String> = sources
        .iter()
        .map(|file| below_src(file))
        .filter(|path| is_test(path))
        .filter_map(|path| {
            let name = path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
            let (folder, name) = name.rsplit_once('/').unwrap_or(("", name));
            let above = [format!("{folder}/mod.rs"), format!("{folder}.rs"), "lib.rs".to_owned()];
            let parent = above.iter().find(|file| root().join("src").join(file).is_file())?;
            let text = std::fs::read_to_string(root().join("src").join(parent)).expect("a source file");
            let declared = |line: &str| line.trim_end().ends_with(&format!("mod {name};"));
            (!is_test(parent) && productive(&text).lines().any(declared)).then_some(path)
        })
        .collect();
    assert!(undeclared.is_empty(), "without `#[cfg(test)]`: {undeclared:?}");
}

/// Longer files want a cut along the domain.
const MOST_LINES: usize = 400;

#[test]
fn no_source_file_is_too_long() {
    let long: Vec<String> = ["src", "tests", "benches", "fuzz"]
        .into_iter()
        .flat_map(|folder| files(folder, "rs"))
        .filter(|file| !file.components().any(|part| part.as_os_str() == "target"))
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

    let shows = |name: &str| {
        let (room, shown) = name.split_once("::").unwrap_or_default();
        let text = std::fs::read_to_string(root().join("src").join(room).join("mod.rs")).unwrap_or_default();
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == shown)
    };
    let unknown: Vec<&&str> =
        in_ticks.iter().filter(|name| name.contains("::") && !name.starts_with("kscen::") && !shows(name)).collect();
    assert!(unknown.is_empty(), "docs/architecture.md names what no room shows: {unknown:?}");

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
