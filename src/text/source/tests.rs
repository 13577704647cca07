//! What is read, where it stands, and what every kind of broken file is told.

use std::path::Path;

use serde_json::json;

use super::{Located, MAX_BYTES, MAX_VALUES, parse, read};
use crate::text::{Problem, render};

fn good(text: &str) -> Located {
    parse(Path::new("a.yaml"), text.to_owned())
        .unwrap_or_else(|problems| panic!("{text}\n{}", render(&problems, false)))
}

fn bad(text: &str) -> Vec<Problem> {
    match parse(Path::new("a.yaml"), text.to_owned()) {
        Ok(read) => panic!("{text}\nwas read as {}", read.value),
        Err(problems) => problems,
    }
}

fn codes(text: &str) -> Vec<String> {
    bad(text)
        .iter()
        .map(|problem| {
            let (line, column) = problem.at.as_ref().map_or((0, 0), |place| place.line_col());
            format!("{} {line}:{column}", problem.code)
        })
        .collect()
}

#[test]
fn values_follow_the_core_schema() {
    let text = "
text: [yes, no, on, off, y, n, 1_000, 12:30, 2024-01-01, 10s, '5', \"true\", < 3, 1.2.3, 0b1x, -x, 0x, 1e, .]
number: [0, -5, +5, 0o10, 0x1F, 1e3, 1.5, -0.5e-3, .5, 18446744073709551615, -9223372036854775808]
other: [null, ~, true, False, '', \"a\\tb\\u00e9\"]
block: |
  one
   two
folded: >-
  one
  two
anchor: &a { x: 1 }
alias: *a
";
    assert_eq!(
        good(text).value,
        json!({
            "text": ["yes", "no", "on", "off", "y", "n", "1_000", "12:30", "2024-01-01", "10s", "5", "true", "< 3", "1.2.3", "0b1x", "-x", "0x", "1e", "."],
            "number": [0, -5, 5, 8, 31, 1e3, 1.5, -0.5e-3, 0.5, u64::MAX, i64::MIN],
            "other": [null, null, true, false, "", "a\tb\u{e9}"],
            "block": "one\n two\n",
            "folded": "one two",
            "anchor": { "x": 1 },
            "alias": { "x": 1 },
        })
    );
}

#[test]
fn every_value_has_its_place() {
    let text = "\u{feff}nämé: Ünïcode ✓\r\nsteps: # list\n  - id: load\n    produce: { topic: \"a/b\", \"x/y~z\": [1, 22] }\n  - wait: 5s\n\nshared: &s\n  deep: { v: 1 }\nuse: *s\nnothing:\nend: |\n  text\n\n\n";
    let located = good(text);
    let at = |pointer: &str| {
        let place = located.place(pointer);
        let (line, column) = place.line_col();
        (line, column, place.source.slice(place.span).to_owned())
    };
    assert_eq!(at("/nämé"), (1, 7, "Ünïcode ✓".into()));
    assert_eq!(at("/steps/0/id"), (3, 9, "load".into()));
    assert_eq!(at("/steps/0/produce/x~1y~0z/1"), (4, 43, "22".into()));
    assert_eq!(at("/steps/0/produce"), (4, 14, "{ topic: \"a/b\", \"x/y~z\": [1, 22] }".into()));
    assert_eq!(at("/steps/1"), (5, 5, "wait: 5s".into()));
    assert_eq!(at("/use"), (9, 6, "*s".into()));
    assert_eq!(at("/use/deep/v"), (8, 14, "1".into()));
    assert_eq!(at("/nothing"), (10, 1, "nothing".into()));
    assert_eq!(at("/end"), (12, 3, "text".into()));
    // What does not exist is looked for in what encloses it.
    assert_eq!(at("/steps/1/wait/step"), (5, 5, "wait".into()));
    assert_eq!(at("/steps/7/id"), (2, 1, "steps".into()));
    assert_eq!(at("/nowhere").0, 1);
    let key = located.key_place("/steps/0/produce/topic");
    assert_eq!(key.source.slice(key.span), "topic");
    let element = located.key_place("/steps/1");
    assert_eq!(element.source.slice(element.span), "wait: 5s");
    let part = located.place_within("/steps/0/produce", "\"a/b\"");
    assert_eq!(part.line_col(), (4, 23));
    assert!(located.span("/steps/7").is_none());
    assert!(located.key_span("/steps/1").is_none());
    assert!(located.span("steps").is_none());
}

#[test]
fn all_problems_of_form_are_reported() {
    let text = "\
name: x
vars: { a: 1, a: 2 }
steps:
  - expect: { count: != 5, lost: !!str 0 }
    1: one
    <<: { a: b }
  - { wait: 1s, wait: 2s }
name: again
";
    assert_eq!(
        codes(text),
        [
            "duplicate-key 2:15",
            "unknown-tag 4:22",
            "unknown-tag 4:34",
            "key-not-text 5:5",
            "merge-key 6:5",
            "duplicate-key 7:17",
            "duplicate-key 8:1",
        ]
    );
}

#[test]
fn all_unquoted_references_are_reported() {
    let text = "a: [${x}, é-${y}-z]\nb: { c: ${x}, c: \"${x}\", d: ${z\n}\n";
    assert_eq!(
        codes(text),
        [
            "unquoted-reference 1:5",
            "unquoted-reference 1:11",
            "unquoted-reference 2:9",
            "duplicate-key 2:15",
            "yaml-syntax 2:30",
        ]
    );
}

#[test]
fn every_broken_form_has_its_code_and_place() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("", "empty-file 1:1"),
        ("# only a comment\n\n", "empty-file 1:1"),
        ("---\n...\n", "empty-file 1:1"),
        ("null", "empty-file 1:1"),
        ("a: 1\n---\nb: 2\n", "several-documents 2:1"),
        ("a:\n\tb: 1\n", "tab-indentation 2:1"),
        ("a:\n  b: 1\n\tc: 1\n", "tab-indentation 3:1"),
        ("a: { topic: ${t} }\n", "unquoted-reference 1:13"),
        ("a: [x, orders-${run.id}-x]\n", "unquoted-reference 1:8"),
        ("a: {\n  b: ${t}\n}\n", "unquoted-reference 2:6"),
        ("a: *\n", "yaml-syntax 1:4"),
        ("a: *nothing\n", "yaml-syntax 1:4"),
        ("a: > 5\n", "yaml-syntax 1:4"),
        ("a: @x\n", "yaml-syntax 1:4"),
        ("a: \"x\n", "yaml-syntax 1:4"),
        ("a: [1, 2\nb: 1\n", "yaml-syntax 2:2"),
        ("a: b: c\n", "yaml-syntax 1:5"),
        ("a: 1\n b: 2\n", "yaml-syntax 2:3"),
        ("a: \"\\q\"\n", "yaml-syntax 1:4"),
        ("a: &x [*x]\n", "recursive-alias 1:8"),
        ("? {a: 1}\n: 2\n", "key-not-text 1:3"),
        ("? [a]\n: 2\n", "key-not-text 1:3"),
        ("a: &x b\n*x : 2\n", "key-not-text 2:1"),
        (": 2\n", "key-not-text 1:1"),
        ("true: 2\n", "key-not-text 1:1"),
        ("a: .inf\n", "number-not-finite 1:4"),
        ("a: [.nan]\n", "number-not-finite 1:5"),
        ("a: 1e999\n", "number-not-finite 1:4"),
        ("a: 18446744073709551616\n", "number-too-large 1:4"),
        ("a: 012\n", "ambiguous-value 1:4"),
        ("a: 0b11\n", "ambiguous-value 1:4"),
        ("a: !x\n", "unknown-tag 1:4"),
        ("a: ! 5\n", "unknown-tag 1:4"),
        ("a: ! # really! \n  5\n", "unknown-tag 1:4"),
        ("!t\na: 1\n", "unknown-tag 1:1"),
        ("a: \u{7}\n", "control-character 1:4"),
    ] {
        let told = codes(text);
        if told != [expected] {
            wrong.push(format!("{text:?}: {told:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_documents_end_early() {
    let laughs = (1..20).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        let last = n - 1;
        format!("{text}a{n}: &a{n} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n")
    });
    assert_eq!(bad(&laughs)[0].code, "too-many-values");
    for deep in [
        "[".repeat(10_000),
        "{a: ".repeat(10_000),
        "- ".repeat(10_000),
        "? ".repeat(10_000),
        (0..900).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
        "a: &a [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\nb: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n".to_owned(),
    ] {
        assert_eq!(bad(&deep)[0].code, "too-deep", "{}", &deep[..20]);
    }
    let long = format!("[{}]", "1,".repeat(MAX_VALUES + 1));
    assert_eq!(bad(&long)[0].code, "too-many-values");
    assert_eq!(bad(&"x".repeat(MAX_BYTES + 1))[0].code, "file-too-large");
    let repeated = bad(&"a: 1\n".repeat(10_000));
    assert_eq!(repeated.len(), 100);
    assert_eq!(repeated[99].notes.last().map(String::as_str), Some("and 9899 more problems in this file"));
}

#[test]
fn what_the_author_reads() {
    let text = "\
steps:
  - expect: { count: != 5 }
    retry: 012
    retry: 3
";
    assert_eq!(
        render(&bad(text), false),
        "\
error[unknown-tag]: `!=` is a YAML tag, and scenarios have none
 --> a.yaml:2:22
  |
2 |   - expect: { count: != 5 }
  |                      ^^ everything from `!` to the next space is a tag
  |
  = help: for a check write `{ not: … }`; for a text write \"!= 5\"

error[duplicate-key]: the key `retry` is given twice in the same mapping
 --> a.yaml:4:5
  |
4 |     retry: 3
  |     ^^^^^
  |
  = note: it was first given in line 3, column 5
  = help: keep one of them; several actions of a kind are several list items
"
    );
    assert_eq!(
        render(&bad("vars: { topic: x }\nsetup: [ { topic: a-${topic} } ]\n"), false),
        "\
error[unquoted-reference]: a `${…}` inside `{ }` or `[ ]` needs quotes
 --> a.yaml:2:19
  |
2 | setup: [ { topic: a-${topic} } ]
  |                   ^^^^^^^^^^ YAML takes this `{` for the start of a mapping
  |
  = help: write \"a-${topic}\"
"
    );
}

#[test]
fn files_that_cannot_be_read_come_with_a_remedy() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("broker-restart.yaml"), "name: x\n").expect("written");
    std::fs::write(path("latin.yaml"), b"name: caf\xe9\n").expect("written");
    std::fs::write(path("wide.yaml"), b"\xff\xfen\0a\0").expect("written");
    std::fs::write(path("huge.yaml"), vec![b'#'; MAX_BYTES + 10]).expect("written");
    let problem = |name: &str| match read(&path(name)) {
        Ok(_) => panic!("{name} was read"),
        Err(mut problems) => problems.remove(0),
    };
    assert_eq!(read(&path("broker-restart.yaml")).expect("good").value, json!({"name": "x"}));

    let typo = problem("broker-restrat.yaml");
    assert_eq!(typo.code, "no-such-file");
    assert!(typo.help.is_some_and(|help| help.ends_with("broker-restart.yaml?")));
    let other = problem("something.yaml");
    assert!(other.help.is_some_and(|help| help.contains("holds broker-restart.yaml, huge.yaml")));
    assert_eq!(problem("no/such.yaml").code, "no-such-file");
    assert_eq!(problem("").code, "is-a-folder");
    let huge = problem("huge.yaml");
    assert_eq!(huge.code, "file-too-large");
    assert!(huge.at.is_some_and(|place| place.span.start == MAX_BYTES));
    let latin = problem("latin.yaml");
    assert_eq!(latin.code, "not-utf8");
    assert_eq!(latin.at.map(|place| place.line_col()), Some((1, 10)));
    assert!(problem("wide.yaml").help.is_some_and(|help| help.contains("UTF-16")));
}

/// What YAML gives a meaning to, and what looks like it.
const PIECES: [&str; 37] = [
    "\t",
    " ",
    "\n",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "!",
    "!!str ",
    "&a ",
    "*a",
    "*p",
    "? ",
    "<<: ",
    "|",
    ">",
    "'",
    "\"",
    "\\",
    "#",
    "%",
    "@",
    "---\n",
    "...",
    "${",
    "$",
    "\u{1F980}",
    "\u{85}",
    "\u{2028}",
    "\r",
    "0o7",
    "1e5",
    "~",
    "a: ",
];

/// Whatever is done to a file, it is read or refused with places that lie within it.
#[test]
fn mutilated_files_never_panic() {
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    let original = "name: R\u{e9}start\nvars: { topic: \"o-${run.id}\", n: 1000 }\nmatrix: { i: [false, true] }\nsteps:\n  - id: load\n    background: true\n    produce: &p\n      topic: '${topic}'\n      rate: 100/s # slow\n  - wait: { step: load, count: 500 }\n  - expect:\n      sql: |\n        select 1\n        from x\n      again: *p\n";
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..3_000 {
        let mut text: Vec<char> = original.chars().collect();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..text.len());
            if random.random_bool(0.3) {
                let end = (at + random.random_range(1..20)).min(text.len());
                text.drain(at..end);
                text.push('\n');
            } else {
                let piece = PIECES[random.random_range(0..PIECES.len())];
                text.splice(at..at, piece.chars());
            }
        }
        let text: String = text.into_iter().collect();
        match parse(Path::new("a.yaml"), text.clone()) {
            Ok(located) => {
                for pointer in ["", "/steps/1/wait/count", "/vars/topic", "/steps/0/produce/rate"] {
                    let span = located.place(pointer).span;
                    assert!(located.source.text.get(span.start..span.end).is_some(), "{text}");
                }
            }
            Err(problems) => {
                assert!(!problems.is_empty());
                let shown = render(&problems, false);
                assert_eq!(shown.matches("--> a.yaml:").count(), problems.len(), "{text}\n{shown}");
            }
        }
    }
}
