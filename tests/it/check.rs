//! What is refused before anything starts: one file and its exact message for each kind of mistake.

use crate::goldens::{Printed, compare, files, kscen, root};
use std::collections::BTreeSet;
use std::path::Path;

/// Codes without a golden file, and why.
const WITHOUT: &[(&str, &str)] = &[
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
        let is_golden = !file.ends_with("kscen.yaml") && !file.parent().is_some_and(|folder| folder.ends_with("fragments"));
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

#[test]
fn each_code_has_a_golden_file() {
    let goldens: BTreeSet<String> = files("scenarios/invalid", "err")
        .iter()
        .filter_map(|file| file.file_stem()?.to_str().map(str::to_owned))
        .collect();
    let without: BTreeSet<&str> = WITHOUT.iter().map(|(code, _)| *code).collect();
    let mut missing = Vec::new();
    for file in files("src", "rs") {
        let text = std::fs::read_to_string(&file).expect("a file of the project");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for piece in flat.split("Problem::new(").skip(1) {
            let Some(code) = piece.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else { continue };
            if !goldens.contains(code) && !without.contains(code) {
                missing.push(format!("{code} ({})", file.strip_prefix(root()).unwrap_or(&file).display()));
            }
        }
    }
    assert!(missing.is_empty(), "no file in scenarios/invalid/ shows {}", missing.join(", "));
    let both: Vec<_> = goldens.iter().filter(|code| without.contains(code.as_str())).collect();
    assert!(both.is_empty(), "{both:?} have a golden file after all");
}
