//! Circles of files, each of which needs the next: inside one folder they are one noun, across folders nobody can read one of them alone.

use crate::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// The files that need each other, in groups.
fn circles(uses: &[BTreeMap<usize, (usize, String)>]) -> Vec<BTreeSet<usize>> {
    let reached: Vec<BTreeSet<usize>> = (0..uses.len())
        .map(|from| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(file) = open.pop() {
                open.extend(uses[file].keys().filter(|next| seen.insert(**next)));
            }
            seen
        })
        .collect();
    let all = (0..uses.len()).filter(|file| reached[*file].contains(file));
    let groups: BTreeSet<BTreeSet<usize>> = all
        .map(|file| reached[file].iter().copied().filter(|other| reached[*other].contains(&file)).collect())
        .collect();
    groups.into_iter().collect()
}

/// The folders that a file belongs to: the one it lies in, and the one of its own parts.
fn folders(path: &str) -> [&str; 2] {
    [path.rsplit_once('/').map_or("", |(folder, _)| folder), path.trim_end_matches(".rs")]
}

/// The circles that leave a folder, with the lines that make them.
fn outside(source: &Source) -> Vec<String> {
    let uses = source.uses();
    let path = |file: &usize| source.files[*file].path.as_str();
    let leaves = |circle: &BTreeSet<usize>| {
        let first = circle.first().map_or([""; 2], |file| folders(path(file)));
        !first.iter().any(|folder| circle.iter().all(|file| folders(path(file)).contains(folder)))
    };
    let mut found = Vec::new();
    for circle in circles(&uses).iter().filter(|circle| leaves(circle)) {
        let mut lines = String::new();
        for file in circle {
            for (other, (line, name)) in uses[*file].iter().filter(|(other, _)| circle.contains(other)) {
                lines += &format!("\n  src/{}:{line}: {name} of src/{}", path(file), path(other));
            }
        }
        found.push(format!("{} files in a circle:{lines}", circle.len()));
    }
    found
}

#[test]
fn no_circle_of_files_leaves_its_folder() {
    let source = Source::read();
    assert!(source.uses().iter().map(BTreeMap::len).sum::<usize>() > 2_000, "what files use of each other is found");
    let found = outside(source);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let text = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = |b: &str| {
        Source::of(vec![
            text("a/mod.rs", "mod x;\npub use x::X;\n"),
            text("a/x.rs", "use crate::b::B;\npub struct X(B);\n"),
            text("b/mod.rs", "mod y;\npub use y::B;\n"),
            text("b/y.rs", b),
        ])
    };
    assert!(outside(&files("pub struct B;\n")).is_empty());
    assert_eq!(outside(&files("pub struct B(Option<super::super::a::X>);\n")).len(), 1);
    // Files of one folder, and a file with its parts, are one thing.
    let one = Source::of(vec![
        text("a/x.rs", "mod part;\nuse part::P;\npub struct X(P);\n"),
        text("a/x/part.rs", "pub struct P(Box<super::X>);\n"),
        text("a/y.rs", "use super::z::Z;\npub struct Y(Z);\n"),
        text("a/z.rs", "pub struct Z(Box<crate::a::y::Y>);\n"),
    ]);
    assert_eq!((circles(&one.uses()).len(), outside(&one).len()), (2, 0));
}
