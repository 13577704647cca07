//! The page of promises names a test for each, and each of these tests exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The tests of a file, each by its path from the crate's root.
fn tests_of(text: &str, module: &str) -> Vec<String> {
    let (mut found, mut is_test, mut inner) = (Vec::new(), false, "");
    for line in text.lines() {
        let code = line.trim();
        if code.starts_with("#[test]") || code.starts_with("#[tokio::test") {
            is_test = true;
        } else if code.ends_with("mod tests {") {
            inner = "tests::";
        } else if let Some(rest) = code.strip_prefix("fn ").or_else(|| code.strip_prefix("async fn ")) {
            if is_test {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                found.push(format!("{module}::{inner}{name}"));
            }
            is_test = false;
        }
    }
    found
}

fn every_test() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = BTreeSet::new();
    for (folder, before) in [("src", ""), ("tests/it", "it::")] {
        let mut paths = Vec::new();
        files(&root.join(folder), &mut paths);
        for path in paths {
            let inside = path.strip_prefix(root.join(folder)).expect("it lies below").with_extension("");
            let parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let module = parts.join("::");
            let module = format!("{before}{}", module.strip_suffix("::mod").unwrap_or(&module));
            all.extend(tests_of(&std::fs::read_to_string(&path).expect("a source file"), &module));
        }
    }
    all
}

#[test]
fn every_promise_names_tests_that_exist() {
    let page = include_str!("../../docs/promises.md");
    let table = page.split("| promise | tests that fail without it |").nth(1).expect("the table");
    let every = every_test();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("|--")).collect();
    assert!(rows.len() >= 20, "{} promises", rows.len());
    for row in rows {
        let cell = row.split('|').nth(2).expect("a column of tests");
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test is named: {row}");
        for name in names {
            assert!(every.contains(name), "there is no test `{name}`, which docs/promises.md names");
        }
    }
}

/// The names of tests on a page, each in full: `…::name` is of the module that was named before it.
fn names_on(page: &str) -> Vec<String> {
    let (mut module, mut all) = ("", Vec::new());
    for name in page.split('`').skip(1).step_by(2).filter(|name| name.contains("::")) {
        all.push(name.strip_prefix('…').map_or_else(|| name.to_owned(), |rest| format!("{module}{rest}")));
        module = name.rsplit_once("::").map_or(module, |(before, _)| if before == "…" { module } else { before });
    }
    all
}

/// A name that ends in `…` stands for all tests that begin so.
fn exists(every: &BTreeSet<String>, name: &str) -> bool {
    match name.strip_suffix('…') {
        Some(all) => every.iter().any(|test| test.starts_with(all)),
        None => every.contains(name),
    }
}

#[test]
fn the_page_about_backups_names_tests_that_exist() {
    let (names, every) = (names_on(include_str!("../../docs/backup-tests.md")), every_test());
    assert!(names.len() > 30, "{} names", names.len());
    for name in names {
        assert!(exists(&every, &name), "there is no test `{name}`, which docs/backup-tests.md names");
    }
}

/// There `it::` is left out, a module stands for its tests, and those of `cases` are made of a list.
#[test]
fn the_page_about_security_names_tests_that_exist() {
    const CODE: [&str; 2] = ["Step::MAY", "verb::SharedRun::may"];
    let (names, mut every) = (names_on(include_str!("../../docs/security.md")), every_test());
    let cases = include_str!("../../tests/it/cases.rs").split_whitespace().map(|name| format!("it::cases::{name}"));
    every.extend(cases);
    assert!(names.len() > 150, "{} names", names.len());
    for name in names.iter().filter(|name| !CODE.contains(&name.as_str())) {
        let found = [name.clone(), format!("it::{name}"), format!("{name}::…"), format!("it::{name}::…")];
        let held = found.iter().any(|name| exists(&every, name));
        assert!(held, "there is no test `{name}`, which docs/security.md names");
    }
}

#[test]
fn tests_are_found_by_their_path() {
    let text = "fn helper() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn a_b() {}\n    fn no() {}\n    #[tokio::test]\n    async fn c() {}\n}\n";
    assert_eq!(tests_of(text, "x::y"), ["x::y::tests::a_b", "x::y::tests::c"]);
}
