//! Files as large as they may be, with as many mistakes as they can hold, and files that are something else than what is wanted.

use crate::hostile::{limited, put, refused};

/// As many mistakes, and as many steps, as a file can hold: of each file so many problems are told, and the others counted.
#[test]
fn of_thousands_of_problems_some_are_told() {
    use std::fmt::Write as _;
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    put(at, "kscen.yaml", "default: r\nenvironments:\n  r: { remote: {}, kafka: { bootstrap: \"127.0.0.1:1\" } }\n");
    let lines = |line: &dyn Fn(usize) -> String, count: usize| -> String {
        (0..count).fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "{}", line(number));
            text
        })
    };
    let steps = |line: &str, count: usize| format!("name: x\nsteps:\n{}", lines(&|_| line.to_owned(), count));
    let ids = |step: &str| {
        let many = lines(&|number| format!("  - {{ id: i{number}, wait: 1s }}"), 2_000);
        format!("name: x\nsteps:\n{many}{}", lines(&|_| step.to_owned(), 2_000))
    };
    for (name, text, expected) in [
        ("keys", format!("name: x\n{}steps:\n  - wait: 1s\n", lines(&|number| format!("k{number}: 1"), 9_000)), 9_000),
        ("verbs", steps("  - wiat: 1s", 9_000), 9_000),
        ("without a key", steps("  - topic: { partitions: 1 }", 4_000), 4_000),
        ("misspelt keys", steps("  - topic: { nmae: t }", 4_000), 4_000),
        ("not indented", steps("  - { topic: , name: t, partitions: 1 }", 4_000), 4_000),
        ("grants", steps("  - run: [echo, \"1\"]", 4_000), 4_000),
        ("ids", ids("  - wait: { step: nobody, count: 5 }"), 200),
        ("names", ids("  - { wait: 1s, if: steps.nobody.acked > 1 }"), 200),
        ("values", steps("  - topic: { name: t, partitions: -1 }", 4_000), 4_000),
        ("references", steps("  - run: [echo, \"${nobody}\"]", 4_000), 200),
    ] {
        put(at, "many.yaml", &text);
        let said = refused(at, name, &["check", "many.yaml"]);
        let shown = said.lines().filter(|line| line.starts_with("error[")).count();
        assert_eq!(shown, 200, "{name}: {}", said.chars().take(1_000).collect::<String>());
        assert!(said.ends_with(&format!("\n{expected} problems\n")), "{name}: {}", &said[said.len() - 200..]);
        let more = format!("and {} more problems in this file", expected - 200);
        assert_eq!(said.contains(&more), expected > 200, "{name}: {}", &said[said.len() - 300..]);
        let printed = limited(at, &["check", "--format", "json", "many.yaml"]);
        let told = String::from_utf8_lossy(&printed.stdout).into_owned();
        assert_eq!((printed.status.code(), told.lines().count()), (Some(2), 200), "{name}");
        assert_eq!(told.contains(&more), expected > 200, "{name}");
    }
}

/// What is planned once for each item, cell or include takes no longer the more of them there are.
#[test]
fn the_largest_scenarios_are_planned() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let at = folder.path();
    put(at, "fragment.yaml", "vars: { n: 0 }\nsteps:\n  - wait: 1s\n  - wait: 1s\n");
    let items = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let each = |count: usize, step: &str| format!("name: x\nsteps:\n  - for_each: [{}]\n    {step}\n", items(count));
    let branch = "{ wait: 1s }";
    for (name, text) in [
        ("parallel", each(4_900, "parallel: [[{ wait: 1s }]]")),
        ("parallel in parallel", each(3_000, "parallel: [[{ parallel: [[{ wait: 1s }]] }]]")),
        ("wide", format!("name: x\nsteps:\n  - parallel: [[{}]]\n", vec![branch; 5_000].join(", "))),
        ("include", each(3_000, "include: fragment.yaml")),
        ("include with a value", each(3_000, "include: { file: fragment.yaml, vars: { n: \"${item}\" } }")),
        (
            "matrix",
            format!(
                "name: x\nmatrix: {{ a: [{0}], b: [{0}] }}\nsteps:\n  - for_each: [{1}]\n    wait: 1s\n",
                items(16),
                items(70)
            ),
        ),
        (
            "names",
            format!(
                "name: x\nvars: {{ {} }}\nsteps:\n  - for_each: [{}]\n    wait: 1s\n    if: vars.v1 == 1\n",
                (0..5_000).map(|number| format!("v{number}: 1")).collect::<Vec<_>>().join(", "),
                items(4_900)
            ),
        ),
        (
            "topics",
            format!(
                "name: x\nsteps:\n  - for_each: [{0}]\n    topic: \"t${{item}}\"\n  - for_each: [{0}]\n    delete: {{ topic: \
                 \"t${{item}}\" }}\n",
                items(2_500)
            ),
        ),
    ] {
        put(at, "large.yaml", &text);
        for command in ["check", "plan"] {
            let printed = limited(at, &[command, "large.yaml"]);
            let said: String = String::from_utf8_lossy(&printed.stderr).chars().take(1_000).collect();
            assert_eq!(printed.status.code(), Some(0), "{name}: {:?}\n{said}", printed.status);
        }
    }
    // What each cell has for itself is counted.
    let long = "x".repeat(200_000);
    put(
        at,
        "large.yaml",
        &format!("name: x\nmatrix: {{ long: [{long}], a: [{0}], b: [{0}] }}\nsteps:\n  - wait: 1s\n", items(16)),
    );
    assert!(refused(at, "long cells", &["check", "large.yaml"]).contains("take more than 8 MiB together"));
}

/// Whoever writes a scenario need not be allowed to read what it names: nothing of a file that is no scenario is repeated.
#[test]
fn nothing_is_shown_of_files_that_are_no_scenarios() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let outside = tempfile::tempdir().expect("another folder");
    let at = folder.path();
    let secrets = [
        "PASSWORD=hunter2-quartz\n",
        "PASSWORD: hunter2-quartz\nPASSWORD: hunter2-quartz\n",
        "export A=\"hunter2-quartz\" : x: y\n",
        "hunter2-quartz: [\n",
        "- hunter2-quartz\n",
        "!hunter2-quartz x\n",
        "a: &hunter2-quartz [*hunter2-quartz]\nhunter2-quartz: 1\nhunter2-quartz: 2\n",
        "\u{1b}hunter2-quartz\n",
        "key: 0123hunter2-quartz\nother: 08\nx: \"hunter2-quartz\n",
        "steps hunter2-quartz\n",
        "environments:\n  a: { remote: {}, kafkaa: hunter2-quartz }\n",
    ];
    put(at, "good.yaml", "name: x\nvars: { v: 1 }\nsteps:\n  - wait: 1s\n");
    let linked = tempfile::tempdir().expect("a folder with a link");
    std::os::unix::fs::symlink(outside.path().join("x.yaml"), linked.path().join("link.yaml")).expect("a link");
    for content in secrets {
        for name in [".env", "secrets.yaml", "app.properties", "id_rsa", "compose.yml"] {
            put(at, name, content);
            put(at, "names.yaml", &format!("name: x\nsteps:\n  - include: {name}\n"));
            let all = [
                &["check", "names.yaml"][..],
                &["plan", "names.yaml"],
                &["check", "--format", "json", "names.yaml"],
                &["check", "--vars-file", name, "good.yaml"],
            ];
            let named = [&["check", name][..], &["list", name], &["plan", name]];
            // Who names a file on the command line sees it where it can be a scenario by its name.
            let named = named.into_iter().filter(|_| !name.ends_with("ml"));
            for arguments in all.into_iter().chain(named) {
                let printed = limited(at, arguments);
                let said = String::from_utf8_lossy(&[printed.stdout, printed.stderr].concat()).into_owned();
                assert!(!said.contains("hunter2"), "{arguments:?} of {content:?}: {said}");
                assert!(
                    said.contains(name) || printed.status.code() == Some(0),
                    "{arguments:?} of {content:?}: {said}"
                );
            }
        }
        // A link out of the project, where a folder of scenarios is looked through.
        std::fs::write(outside.path().join("x.yaml"), content).expect("a file");
        for arguments in [&["check", "."][..], &["list", "."], &["check", "link.yaml"]] {
            let printed = limited(linked.path(), arguments);
            let said = String::from_utf8_lossy(&[printed.stdout, printed.stderr].concat()).into_owned();
            assert!(said.contains("link.yaml") && !said.contains("hunter2"), "{arguments:?} of {content:?}: {said}");
        }
    }
    // The project's own file is no scenario either.
    put(
        at,
        "kscen.yaml",
        "environments:\n  a: { remote: {}, postgres: { url: \"hunter2-quartz\" }, hunter2-quartz: x }\n",
    );
    for arguments in [&["check", "kscen.yaml"][..], &["list", "kscen.yaml"]] {
        let printed =
            limited(outside.path(), &[&arguments[..1], &[at.join("kscen.yaml").to_str().expect("a path")]].concat());
        let said = String::from_utf8_lossy(&[printed.stdout, printed.stderr].concat()).into_owned();
        assert!(!said.contains("hunter2"), "{arguments:?}: {said}");
    }
}
