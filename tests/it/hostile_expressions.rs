//! Expressions that would exhaust the stack, the memory or the time of whoever checks a scenario.

use crate::hostile::{limited, put, refused};

/// The expressions that are short enough, as deep as that lets them be.
#[test]
fn the_deepest_expressions_are_read() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, text) in [
        ("not", "not ".repeat(240) + "failed"),
        ("minus", "-".repeat(990) + "1"),
        ("brackets", format!("{}1{}", "(".repeat(490), ")".repeat(490))),
        ("lists", format!("{}1{}", "[".repeat(490), "]".repeat(490))),
        ("sums", "1".to_owned() + &"+1".repeat(490)),
        ("powers", "1".to_owned() + &"**1".repeat(320)),
        ("members", "matrix".to_owned() + &".a".repeat(490)),
        ("calls", "failed".to_owned() + &"()".repeat(490)),
        ("choices", "1 if 1 else ".repeat(80) + "1"),
    ] {
        put(folder.path(), "deep.yaml", &format!("name: x\nsteps:\n  - wait: 1s\n    if: \"{text}\"\n"));
        let printed = limited(folder.path(), &["check", "deep.yaml"]);
        assert!(matches!(printed.status.code(), Some(0 | 2)), "{name}: {:?}", printed.status);
    }
}

/// Constants are computed while an expression is compiled: each of these would take gigabytes, or never end.
#[test]
fn nothing_is_repeated_before_a_scenario_runs() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for text in [
        "'x' * 100000 * 100000",
        "[[1] * 100000000] * 100000000 == [[1] * 100000000] * 100000000",
        "(1,) * 100000000 == 1",
        "'x' * 100000000 ~ 'x' * 100000000 ~ 'x' * 100000000 ~ 'x' * 100000000 ~ 'x' * 100000000 ~ 'x' * 100000000",
    ] {
        let condition = format!("name: x\nsteps:\n  - wait: 1s\n    if: \"{text}\"\n");
        let each =
            format!("name: x\nsteps:\n  - consume: {{ topic: t, each: \"{text}\", until: {{ drained: true }} }}\n");
        for scenario in [condition, each] {
            put(folder.path(), "repeats.yaml", &scenario);
            for command in ["check", "plan"] {
                let said = refused(folder.path(), text, &[command, "repeats.yaml"]);
                assert!(said.contains("repeats a text or a list"), "{scenario}: {said}");
            }
        }
    }
}
