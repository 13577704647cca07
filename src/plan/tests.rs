//! Plans of small scenarios, written to a scratch folder: what becomes of references, loops, fragments, conditions and layers of variables.

use super::{Children, Plan, PlanOptions, PlannedStep, plans, schedule};
use crate::text::Problem;
use crate::verbs::LANGUAGE;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// A scenario with fragments beside it, in a folder of its own.
struct Draft {
    folder: tempfile::TempDir,
    options: PlanOptions,
}

impl Draft {
    fn new(scenario: &str) -> Self {
        let draft = Self { folder: tempfile::tempdir().expect("a scratch folder"), options: PlanOptions::default() };
        draft.file("scenario.yaml", scenario)
    }

    /// A scenario of these steps.
    fn steps(steps: &str) -> Self {
        Self::new(&format!("name: Draft\nsteps:\n{steps}"))
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
        self
    }

    /// Adds a layer of variables, weaker than those before.
    fn vars(mut self, vars: Value) -> Self {
        self.options.vars.push(vars.as_object().cloned().unwrap_or_default());
        self
    }

    fn result(&self) -> Result<Vec<Plan>, Vec<Problem>> {
        plans(&self.folder.path().join("scenario.yaml"), &LANGUAGE, &self.options)
    }

    fn plans(&self) -> Vec<Plan> {
        self.result().unwrap_or_else(|problems| panic!("{}", crate::text::render(&problems, false)))
    }

    fn plan(&self) -> Plan {
        self.plans().pop().expect("there is one")
    }

    /// Codes with their lines, in order.
    fn problems(&self) -> Vec<(&'static str, usize)> {
        let problems = self.result().err().unwrap_or_default();
        problems.iter().map(|problem| (problem.code, problem.at.as_ref().map_or(0, |at| at.line_col().0))).collect()
    }
}

fn walk(plan: &Plan) -> Vec<&PlannedStep> {
    let mut steps = Vec::new();
    plan.walk(&mut |step| steps.push(step));
    steps
}

fn ids(plan: &Plan) -> Vec<&str> {
    walk(plan).into_iter().map(|step| step.id.as_str()).collect()
}

fn titles(plan: &Plan) -> Vec<&str> {
    walk(plan).into_iter().map(|step| step.title.as_str()).collect()
}

#[test]
fn variables_come_from_the_strongest_layer() {
    let draft = Draft::new(
        "name: x\nvars: { a: 1, b: 1, c: 1, d: 1, all: \"${a}${b}${c}${d}\" }\nsteps:\n  - topic: \"t${all}\"\n",
    );
    assert_eq!(titles(&draft.plan()), ["create topic t1111 with 1 partition"]);
    // --var, --vars-file, KSCEN_VAR_*, environments.X.vars
    let draft = draft
        .vars(json!({ "a": 2 }))
        .vars(json!({ "a": 3, "b": 3 }))
        .vars(json!({ "a": 4, "b": 4, "c": 4 }))
        .vars(json!({ "a": 5, "b": 5, "c": 5, "d": 5, "of_another_scenario": 5 }));
    assert_eq!(titles(&draft.plan()), ["create topic t2345 with 1 partition"]);
    let draft = Draft::new("name: x\nvars: { messages: 1 }\nsteps:\n  - wait: 1s\n").vars(json!({ "mesages": 2 }));
    assert_eq!(draft.problems(), [("unknown-variable", 2)]);
}

#[test]
fn a_lone_reference_keeps_its_type() {
    let draft = Draft::new(
        "name: x\nvars: { n: 5, on: false, list: [a, b] }\nsteps:\n  - produce: { topic: t, count: \"${n}\", idempotent: \"${on}\" }\n  \
         - topic: \"t-${item}-${index}\"\n    for_each: \"${list}\"\n",
    );
    let plan = draft.plan();
    assert_eq!(titles(&plan)[1..], ["create topic t-a-0 with 1 partition", "create topic t-b-1 with 1 partition"]);
    assert_eq!(plan.steps[0].facts.total, Some(5));
    // A list is no part of a text, and a text is no count.
    let wrong = Draft::new(
        "name: x\nvars: { list: [a], word: many }\nsteps:\n  - topic: \"t-${list}\"\n  - produce: { topic: t, count: \"${word}\" }\n",
    );
    assert_eq!(wrong.problems(), [("bad-reference", 4), ("bad-value", 5)]);
}

#[test]
fn loops_give_each_turn_an_id_and_modifiers_of_its_own() {
    let draft = Draft::steps(
        "  - id: pause\n    name: \"turn ${index}\"\n    for_each: [1s, 2s]\n    timeout: \"${item}\"\n    wait: \"${item}\"\n",
    );
    let plan = draft.plan();
    assert_eq!(ids(&plan), ["pause[0]", "pause[1]"]);
    assert_eq!(titles(&plan), ["turn 0", "turn 1"]);
    assert_eq!(plan.steps[1].timeout, Duration::from_secs(2));
    assert_eq!(Draft::steps("  - wait: \"${item}\"\n").problems(), [("unknown-variable", 3)]);
    // A step that would never run passes for what it says.
    let nothing = "name: x\nvars: { list: [] }\nsteps:\n  - wait: 1s\n    for_each: \"${list}\"\n";
    assert_eq!(Draft::new(nothing).problems(), [("empty-list", 5)]);
}

#[test]
fn a_matrix_gives_a_plan_for_each_cell() {
    let draft = Draft::new(
        "name: x\nmatrix: { acks: [1, all], size: [1KiB, 1MB] }\nsteps:\n  - produce: { topic: t, count: 5, acks: \"${matrix.acks}\", size: \"${matrix.size}\" }\n",
    );
    let plans = draft.plans();
    let cells: Vec<String> = plans.iter().map(Plan::title).collect();
    assert_eq!(
        cells,
        ["x [acks=1,size=1KiB]", "x [acks=1,size=1MB]", "x [acks=all,size=1KiB]", "x [acks=all,size=1MB]"]
    );
    // Each has a folder and topics of its own, also of as many as a command plans within a second.
    let many = (0..16).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let many = format!("name: x\nchecks: none\nmatrix: {{ a: [{many}], b: [{many}] }}\nsteps:\n  - wait: 1ms\n");
    let draft = Draft::new(&many);
    let ids: BTreeSet<String> = (0..2).flat_map(|_| draft.plans()).map(|plan| plan.bindings.run_id.clone()).collect();
    assert_eq!(ids.len(), 512);
    // What is wrong in every cell is told once.
    let wrong = Draft::new("name: x\nmatrix: { n: [1, 2, 3] }\nsteps:\n  - join: nobody\n");
    assert_eq!(wrong.problems(), [("unknown-step", 4)]);
    // What is wrong in one cell is told all the same.
    let wrong = Draft::new(
        "name: x\nmatrix: { acks: [all, 1] }\nsteps:\n  - produce: { topic: t, count: 5, idempotent: true, acks: \"${matrix.acks}\" }\n",
    );
    assert_eq!(wrong.problems(), [("contradiction", 4)]);
}

#[test]
fn what_checks_is_refused_where_nothing_is_checked() {
    let draft = Draft::new(
        "name: x\nchecks: none\nguarantee: at-least-once\nsteps:\n  - topic: t\n  - expect: { topic: { name: t, count: 0 } }\n  \
         - produce: { topic: t, count: 5, thresholds: { acked: 5 } }\n",
    );
    assert_eq!(draft.problems(), [("contradiction", 3), ("contradiction", 6), ("contradiction", 7)]);
    let fine = Draft::new("name: x\nchecks: none\nsteps:\n  - topic: t\n");
    assert_eq!(fine.problems(), []);
}

#[test]
fn fragments_have_ids_and_variables_of_their_own() {
    let draft = Draft::new(
        "name: x\nvars: { topic: outer }\nsteps:\n  - id: one\n    include: { file: parts/load.yaml, vars: { topic: \"${topic}-1\" } }\n  \
         - id: two\n    include: { file: parts/load.yaml, vars: { topic: b, count: 7 } }\n  \
         - join: two.inner.load\n",
    )
    .file(
        "parts/load.yaml",
        "vars: { topic: , count: 5, name: \"${topic}-x\" }\nsteps:\n  - id: inner\n    include: { file: ../deep.yaml, vars: { topic: \"${name}\", n: \"${count}\" } }\n  - join: inner.load\n",
    )
    .file("deep.yaml", "vars: { topic: , n: }\nsteps:\n  - id: load\n    background: true\n    produce: { topic: \"${topic}\", count: \"${n}\" }\n  - join: load\n");
    let plan = draft.plan();
    let loads: Vec<(&str, &str)> = walk(&plan)
        .into_iter()
        .filter(|step| step.entry.verb == "produce")
        .map(|step| (step.id.as_str(), step.facts.topic.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(loads, [("one.inner.load", "outer-1-x"), ("two.inner.load", "b-x")]);
    assert!(matches!(&plan.steps[0].children, Children::Sequence(steps) if steps.len() == 2));
}

#[test]
fn fragments_see_nothing_that_is_not_passed() {
    let draft = Draft::new(
        "name: x\nvars: { topic: t }\nsteps:\n  - include: { file: part.yaml, vars: { topc: t } }\n",
    )
    .file("part.yaml", "vars: { topic: , other: 5 }\nsteps:\n  - topic: \"${topic}\"\n  - topic: \"${hidden}\"\n");
    let mut codes: Vec<&str> = draft.problems().into_iter().map(|(code, _)| code).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["missing-variable", "unknown-variable", "unknown-variable"]);
    // A fragment knows only its own steps.
    let draft = Draft::new("name: x\nsteps:\n  - id: load\n    background: true\n    produce: { topic: t, count: 5 }\n  - include: part.yaml\n")
        .file("part.yaml", "steps:\n  - join: load\n");
    assert_eq!(draft.problems(), [("unknown-step", 2)]);
}

#[test]
fn includes_stay_in_the_project_unless_permitted() {
    let mut draft = Draft::new("name: x\nsteps:\n  - wait: 1s\n")
        .file("project/scenario.yaml", "name: x\nsteps:\n  - include: ../part.yaml\n")
        .file("part.yaml", "steps:\n  - wait: 1s\n");
    let file = draft.folder.path().join("project/scenario.yaml");
    let codes = |options: &PlanOptions| plans(&file, &LANGUAGE, options).err().map(|problems| problems[0].code);
    assert_eq!(codes(&draft.options), Some("include-outside"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../part.yaml", draft.folder.path().join("project/link.yaml")).expect("a link");
        std::fs::write(draft.folder.path().join("project/other.yaml"), "name: x\nsteps:\n  - include: link.yaml\n")
            .expect("a file");
        let problems =
            plans(&draft.folder.path().join("project/other.yaml"), &LANGUAGE, &draft.options).err().unwrap_or_default();
        assert_eq!(problems[0].code, "include-outside");
    }
    draft.options.allow_outside = true;
    assert_eq!(codes(&draft.options), None);
}

#[test]
fn branches_are_planned_beside_each_other() {
    let plan =
        Draft::steps("  - parallel:\n      - - wait: 2s\n        - wait: 3s\n      - - wait: 4s\n  - wait: 1s\n")
            .plan();
    assert!(matches!(&plan.steps[0].children, Children::Branches(branches) if branches.len() == 2));
    assert_eq!(schedule::length(&plan), Duration::from_secs(6));
    // The limit of a step contains those of its branches.
    assert!(plan.steps[0].timeout >= Duration::from_secs(5 + 120));
}

#[test]
fn a_plan_is_as_long_as_its_schedules() {
    let load = "  - id: load\n    background: true\n    produce: { topic: t, rate: 100/s, count: 1000 }\n";
    let length = |rest: &str| schedule::length(&Draft::steps(&format!("{load}{rest}")).plan());
    assert_eq!(length("  - wait: 3s\n"), Duration::from_secs(10));
    assert_eq!(length("  - wait: 3s\n  - join: load\n  - wait: 2s\n"), Duration::from_secs(12));
    assert_eq!(length("  - wait: 15s\n"), Duration::from_secs(15));
    // How long something may take is no part of it; how long it is held is.
    let patient = "  - join: load\n  - connector: { name: c, debezium: { tables: [t] } }\n  \
                   - expect: { topic: { name: t, count: 1000 }, within: 60s, hold: 5s }\n";
    assert_eq!(length(patient), Duration::from_secs(15));
}

#[test]
fn conditions_are_checked_where_they_stand() {
    let steps = "  - id: load\n    produce: { topic: t, count: 5 }\n  - wait: 1s\n    if: steps.load.acked > 1\n  - wait: 1s\n    if: steps.laod.acked > 1\n  - wait: 1s\n    if: vars.x\n";
    assert_eq!(Draft::steps(steps).problems(), [("bad-condition", 8), ("bad-condition", 10)]);
}

#[test]
fn secrets_have_to_be_set_where_they_are_needed() {
    let mut draft =
        Draft::new("name: x\nsecrets: [KSCEN_TEST_UNSET]\nsteps:\n  - run: [echo, \"${secrets.KSCEN_TEST_UNSET}\"]\n");
    draft.plan();
    draft.options.need_secrets = true;
    assert_eq!(draft.problems(), [("unknown-secret", 4)]);
    let mut draft = Draft::new(
        "name: x\nsecrets: [KSCEN_TEST_UNSET]\nsteps:\n  - run: [echo, \"${secrets.KSCEN_TEST_UNSET:-nobody}\"]\n",
    );
    draft.options.need_secrets = true;
    assert_eq!(titles(&draft.plan()), ["run echo nobody"]);
}

#[test]
fn one_mistake_is_one_problem() {
    // A step that cannot be decoded exists all the same.
    let broken = "  - id: load\n    background: true\n    prodcue: { topic: t, count: 5 }\n  - join: load\n";
    assert_eq!(Draft::steps(broken).problems(), [("unknown-verb", 5)]);
    let broken = "  - id: load\n    backgroud: true\n    produce: { topic: t, count: 5 }\n  - join: load\n";
    assert_eq!(Draft::steps(broken).problems(), [("unknown-verb", 4)]);
    let broken = "  - id: load\n    background: true\n    timeout: 5\n    produce: { topic: t, count: 5 }\n  - wait: { step: load, count: 3 }\n";
    assert_eq!(Draft::steps(broken).problems(), [("missing-unit", 5)]);
    let broken =
        "  - id: load\n    background: true\n    produce: { topic: t, count: 5 }\n    wait: 5s\n  - join: load\n";
    assert_eq!(Draft::steps(broken).problems(), [("two-verbs", 6)]);
    // A variable that is wrong is wrong once, however often it is used.
    let broken = "name: x\nvars: { a: \"${b}\", b: \"${a}\", c: \"${a}-x\" }\nsteps:\n  - topic: \"${a}\"\n  - topic: \"${c}\"\n";
    assert_eq!(Draft::new(broken).problems(), [("variable-cycle", 2)]);
    // A misspelt key is not also missing.
    assert_eq!(Draft::steps("  - produce: { topc: t, count: 5 }\n").problems(), [("unknown-key", 3)]);
    assert_eq!(Draft::steps("  - produce:\n    topic: t\n    count: 5\n").problems(), [("not-indented", 3)]);
}

#[test]
fn growth_is_bounded() {
    let items: Vec<usize> = (0..3000).collect();
    let draft = Draft::steps("  - include: part.yaml\n    for_each: \"${list}\"\n");
    let draft = draft.file("scenario.yaml", &format!("name: x\nvars: {{ list: {items:?} }}\nsteps:\n  - include: {{ file: part.yaml, vars: {{ list: \"${{list}}\" }} }}\n    for_each: \"${{list}}\"\n"));
    let draft = draft.file("part.yaml", "vars: { list: }\nsteps:\n  - wait: 1ms\n    for_each: \"${list}\"\n");
    assert_eq!(draft.problems(), [("too-many-steps", 3)]);
    // A fragment that includes another one twice, which includes another one twice …
    let mut draft = Draft::steps("  - include: f0.yaml\n");
    for level in 0..14 {
        let next = level + 1;
        draft = draft.file(
            &format!("f{level}.yaml"),
            &format!("steps:\n  - include: f{next}.yaml\n  - include: f{next}.yaml\n"),
        );
    }
    let draft = draft.file("f14.yaml", "steps:\n  - wait: 1s\n");
    assert!(draft.problems().iter().all(|(code, _)| *code == "too-many-steps"), "{:?}", draft.problems());
    // Many cells of many steps.
    let cells: Vec<usize> = (0..200).collect();
    let list: Vec<usize> = (0..1000).collect();
    let draft =
        Draft::new(&format!("name: x\nmatrix: {{ n: {cells:?} }}\nsteps:\n  - wait: 1ms\n    for_each: {list:?}\n"));
    assert_eq!(draft.problems(), [("too-many-steps", 2)]);
}

#[test]
fn line_ends_and_byte_order_marks_change_nothing() {
    for text in ["name: x\r\nsteps:\r\n  - wait: 5s\r\n", "\u{feff}name: x\nsteps:\n  - wait: 5s\n"] {
        assert_eq!(titles(&Draft::new(text).plan()), ["wait 5s"]);
    }
    assert_eq!(Draft::new("name: x\r\nsteps:\r\n  - wiat: 5s\r\n").problems(), [("unknown-verb", 3)]);
}

#[test]
fn options_hold_whole_values() {
    let mut draft =
        Draft::new("name: x\nvars: { list: [z] }\nsteps:\n  - topic: \"${item}\"\n    for_each: \"${list}\"\n");
    assert_eq!(ids(&draft.plan()).len(), 1);
    draft.options.vars = vec![Map::from_iter([("list".to_owned(), json!(["a", "b"]))])];
    assert_eq!(ids(&draft.plan()).len(), 2);
}

#[test]
fn a_baseline_is_read_before_anything_runs() {
    let stored = include_str!("../../tests/goldens/record.json");
    let scenario = |compare: &str| {
        Draft::new(&format!(
            "name: Draft\nvars: {{ where: stored }}\nmatrix: {{ idempotent: [false] }}\ncompare:\n{compare}\nsteps:\n  - id: load\n    produce: \
             {{ topic: t, count: 5 }}\n"
        ))
        .file("stored/one.json", &stored.replace("scenarios/broker-restart.yaml", "elsewhere/scenario.yaml"))
        .file("both/one.json", &stored.replace("scenarios/broker-restart.yaml", "elsewhere/scenario.yaml"))
        .file("both/two.json", &stored.replace("scenarios/broker-restart.yaml", "scenario.yaml"))
        .file("other/one.json", stored)
        .file("other/two.json", "{")
    };
    let good = scenario(
        "  baseline: ${where}\n  metrics: { load.acked: default, load.response_latency.p50: { absolute: 5ms } }",
    );
    let gate = good.plan().gate.expect("a gate");
    assert_eq!((gate.runs, gate.metrics.len()), (1, 2));
    assert_eq!(gate.metrics[0].before, [1000.0]);
    let both = scenario("  baseline: both\n  metrics: { load.acked: default }").plan().gate.expect("a gate");
    assert_eq!(both.runs, 1, "of two scenarios of one file name it is this one");
    assert_eq!((gate.metrics[1].margin.share, gate.metrics[1].margin.absolute), (0.0, 0.005));

    for (compare, expected) in [
        ("  baseline: nowhere\n  metrics: { load.acked: 5% }", vec![("no-baseline", 5)]),
        ("  baseline: other\n  metrics: { load.acked: 5% }", vec![("no-baseline", 5)]),
        ("  baseline: stored\n  metrics: { lod.acked: 5% }", vec![("unknown-step", 6)]),
        ("  baseline: stored\n  metrics: { load: 5% }", vec![("unknown-metric", 6)]),
        ("  baseline: stored\n  metrics: { load.sent: 5% }", vec![("no-direction", 6)]),
        ("  baseline: stored\n  metrics: { load.acked: { absolute: 5ms } }", vec![("bad-value", 6)]),
        ("  baseline: \"${kafka.bootstrap}\"\n  metrics: { load.acked: 5% }", vec![("bad-value", 4)]),
    ] {
        assert_eq!(scenario(compare).problems(), expected, "{compare}");
    }
    let mut first = scenario("  baseline: nowhere\n  metrics: { load.acked: 5% }");
    first.options.no_compare = true;
    assert!(first.plan().gate.is_none());
}

/// The values of an axis stand in names and titles.
#[test]
fn a_secret_is_no_axis() {
    let draft = Draft::new("name: x\nsecrets: [TOKEN]\nmatrix:\n  TOKEN: [hunter]\nsteps:\n  - wait: 1s\n");
    assert_eq!(draft.problems(), [("secret-as-axis", 4)]);
    let shown = crate::text::render(&draft.result().err().expect("refused"), false);
    assert!(!shown.contains("hunter"), "{shown}");
}
