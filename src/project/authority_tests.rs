//! What is not granted is refused at its line, wherever the step stands and whichever verb it has.

use super::{Project, authorize, permit};
use crate::environment::Grant::{self, *};
use crate::plan::{PlanOptions, plans};
use crate::text::Problem;
use crate::verbs::{LANGUAGE, REGISTRY};
use std::collections::BTreeSet;
use tempfile::TempDir;

/// The body of an environment that somebody else owns, with all addresses.
const REMOTE: &str = "remote: {}, kafka: { bootstrap: \"127.0.0.1:9\" }, connect: { url: \"http://127.0.0.1:9\" }, postgres: { url: \"postgres://127.0.0.1:9/d\" }";

fn project(environment: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    std::fs::write(folder.path().join("kscen.yaml"), format!("environments: {{ e: {{ {environment} }} }}\n"))
        .expect("it can be written");
    folder
}

/// What is refused of a scenario, by lines.
fn refused(environment: &str, scenario: &str) -> Vec<Problem> {
    let folder = project(environment);
    let file = folder.path().join("scenario.yaml");
    std::fs::write(&file, format!("name: x\n{scenario}\n")).expect("it can be written");
    let plans = plans(&file, &LANGUAGE, &PlanOptions::default());
    let plan =
        plans.unwrap_or_else(|problems| panic!("{scenario}: {}", crate::text::render(&problems, false))).remove(0);
    let project = Project::load(folder.path(), Some("e")).expect("a project");
    let problems = authorize(&plan, &project).err().unwrap_or_default();
    assert!(problems.iter().all(|problem| problem.code == "not-allowed"), "{problems:?}");
    if !problems.is_empty() {
        assert!(permit(&plan, &project).is_err(), "what `check` refuses is not run: {scenario}");
    }
    problems
}

fn grants(environment: &str, scenario: &str) -> BTreeSet<String> {
    let name = |problem: Problem| problem.message.split('`').nth(3).unwrap_or_default().to_owned();
    refused(environment, scenario).into_iter().map(name).collect()
}

/// For each verb that changes something, steps that together need everything that it may.
const NEEDED: &[(&str, &str, &[Grant])] = &[
    ("topic", "topic: t", &[Topics]),
    ("topic", "topic: { name: t, recreate: true }", &[Topics, Delete]),
    ("delete", "delete: { topic: t }", &[Topics, Delete]),
    ("delete", "delete: { records: { topic: t } }", &[Topics, Delete]),
    ("delete", "delete: { group: g }", &[Groups, Delete]),
    ("delete", "delete: { connector: c }", &[Connectors, Delete]),
    ("produce", "produce: { topic: t, rate: 1/s, for: 1s }", &[Produce]),
    ("search", "search: { produce: { topic: t }, from: 1/s, to: 2/s }", &[Produce]),
    ("consume", "consume: { topic: t, group: g, until: { drained: true } }", &[Groups]),
    ("consume", "consume: { topic: t, until: { drained: true } }", &[]),
    ("sql", "sql: DROP TABLE t", &[Sql]),
    ("connector", "connector: { name: c, config: { a: b } }", &[Connectors]),
    ("connector", "connector: { name: c, debezium: { tables: [t] } }", &[Connectors, Topics]),
    (
        "connector",
        "connector: { name: c, debezium: { tables: [t] }, config: { heartbeat.action.query: DELETE FROM t } }",
        &[Connectors, Topics, Sql],
    ),
    (
        "connector",
        "connector: { name: c, debezium: { tables: [t] }, config: { config: { database.initial.statements: DROP TABLE t } } }",
        &[Connectors, Topics, Sql],
    ),
    (
        "connector",
        "connector: { name: c, debezium: { tables: [t] }, config: { signal.data.collection: public.signal } }",
        &[Connectors, Topics, Sql],
    ),
    (
        "connector",
        "connector: { name: c, debezium: { tables: [t] }, config: { snapshot.select.statement.overrides.public.t: SELECT f() } }",
        &[Connectors, Topics, Sql],
    ),
    (
        "connector",
        "connector: { name: c, debezium: { tables: [t] }, config: { connector.class: x.Y } }",
        &[Connectors, Topics, Sql],
    ),
    (
        "connector",
        "connector: { name: c, debezium: { tables: [t] }, config: { slot.name: s, heartbeat.interval.ms: 500 } }",
        &[Connectors, Topics],
    ),
    ("connector", "connector: { name: c, sink: { topics: [t], table: copy } }", &[Connectors, Sql]),
    ("pause", "pause: { service: kafka, for: 1s }", &[Faults]),
    ("pause", "pause: { connector: c }", &[Faults]),
    ("resume", "resume: kafka", &[Faults]),
    ("stop", "stop: { connector: c }", &[Faults]),
    ("start", "start: kafka", &[Faults]),
    ("restart", "restart: { connector: c }", &[Faults]),
    ("kill", "kill: kafka", &[Faults]),
    ("wipe", "wipe: kafka", &[Faults]),
    ("network", "network: { service: kafka, fault: cut, for: 1s }", &[Faults]),
    ("backup", "backup: { topics: [t], to: a }", &[Backup]),
    ("restore", "restore: { from: a, topic: t }", &[Restore]),
    ("restore", "restore: { from: a, topic: t, groups: [g] }", &[Restore, Groups]),
    ("restore", "restore: { from: a, topic: t, acls: true }", &[Restore, Acls]),
    ("reassign", "reassign: { topic: t, to: [1] }", &[Topics, Faults]),
    ("migrate", "migrate: { topics: [t], to: local }", &[Backup]),
    ("migrate", "migrate: { topics: [t], from: local }", &[Restore, Groups, Acls]),
    ("migrate", "migrate: { topics: [t], from: local, groups: none }", &[Restore, Acls]),
    ("migrate", "migrate: { topics: [t], from: local, groups: none, acls: false }", &[Restore]),
    ("drain", "drain: { group: g }", &[]),
    ("drain", "drain: { topic: q, group: g, into: p }", &[Backup, Restore, Groups]),
    ("http", "http: { url: \"http://127.0.0.1:9/connectors/c\", method: DELETE }", &[Http]),
    ("http", "http: \"http://127.0.0.1:9/\"", &[]),
    ("run", "run: [\"true\"]", &[Run]),
    ("program", "background: true, program: { command: [x] }", &[Run]),
];

#[test]
fn every_verb_that_changes_something_is_refused_where_nothing_is_granted() {
    for (_, step, needed) in NEEDED {
        let needed: BTreeSet<String> = needed.iter().map(Grant::to_string).collect();
        let scenario = format!("steps: [{{ {step} }}]");
        assert_eq!(grants(&format!("{REMOTE}, allow: []"), &scenario), needed, "{step}");
        assert_eq!(grants(REMOTE, &scenario), needed, "{step}: `remote` grants nothing by itself");
        let words: Vec<&str> = Grant::ALL.iter().map(|grant| grant.word()).collect();
        assert!(refused(&format!("{REMOTE}, allow: [{}]", words.join(", ")), &scenario).is_empty(), "{step}");
        for kind in ["local: {}", "docker: { project: p }"] {
            let kind = kind.to_owned() + &REMOTE["remote: {}".len()..];
            assert!(refused(&kind, &scenario).is_empty(), "{kind} grants {step}");
            assert_eq!(grants(&format!("{kind}, allow: []"), &scenario), needed, "{kind} may be narrowed for {step}");
        }
    }
}

#[test]
fn every_verb_of_the_registry_declares_what_it_may_change() {
    let page = include_str!("../../docs/security.md").split("grants that it may need").nth(1).unwrap_or_default();
    for entry in REGISTRY {
        let shown =
            NEEDED.iter().filter(|(verb, ..)| *verb == entry.verb).flat_map(|(_, _, grants)| grants.iter().copied());
        let (shown, may): (BTreeSet<Grant>, BTreeSet<Grant>) = (shown.collect(), entry.may.iter().copied().collect());
        assert_eq!(shown, may, "the steps above do not show all that `{}` may change, and no more", entry.verb);
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", entry.verb)));
        let row = row.unwrap_or_else(|| panic!("docs/security.md has no row for `{}`", entry.verb));
        let cell = row.split('|').nth(2).unwrap_or_default();
        for grant in Grant::ALL {
            let told = cell.contains(&format!("`{grant}`"));
            assert_eq!(told, may.contains(&grant), "docs/security.md on `{grant}` for `{}`", entry.verb);
        }
    }
}

#[test]
fn what_is_not_granted_is_refused_at_its_line_wherever_it_stands() {
    let places = [
        ("setup:\n  - run: [\"true\"]\nsteps: [{ wait: 1s }]", 3),
        ("steps:\n  - run: [\"true\"]", 3),
        ("steps: [{ wait: 1s }]\nfinally:\n  - run: [\"true\"]", 4),
        ("steps:\n  - parallel:\n      - - wait: 1s\n      - - run: [\"true\"]", 5),
        ("steps:\n  - for_each: [1, 2]\n    run: [\"true\"]", 4),
        ("steps:\n  - if: failed\n    run: [\"true\"]", 4),
        (
            "steps:\n  - parallel:\n      - - parallel:\n            - - run: [\"true\"]\n            - - wait: 1s\n      - - wait: 1s",
            5,
        ),
    ];
    for (scenario, line) in places {
        let problems = refused(&format!("{REMOTE}, allow: [produce]"), scenario);
        assert!(!problems.is_empty(), "{scenario}");
        for problem in problems {
            let place = problem.at.as_ref().expect("it is at fault");
            assert_eq!((place.line_col().0, problem.message.contains("`run`")), (line, true), "{scenario}\n{problem}");
        }
    }
}

#[test]
fn a_fragment_is_refused_in_its_own_file() {
    let folder = project(&format!("{REMOTE}, allow: []"));
    std::fs::write(folder.path().join("part.yaml"), "steps:\n  - run: [\"true\"]\n").expect("it can be written");
    let file = folder.path().join("scenario.yaml");
    std::fs::write(&file, "name: x\nsteps:\n  - include: part.yaml\n").expect("it can be written");
    let plan = plans(&file, &LANGUAGE, &PlanOptions::default());
    let plan = plan.unwrap_or_else(|problems| panic!("{}", crate::text::render(&problems, false))).remove(0);
    let project = Project::load(folder.path(), Some("e")).expect("a project");
    let problems = permit(&plan, &project).expect_err("it is refused");
    assert_eq!(problems.len(), 1);
    let place = problems[0].at.as_ref().expect("it is at fault");
    assert!(place.source.name.ends_with("part.yaml") && place.line_col().0 == 2, "{place}");
}

#[test]
fn what_a_step_does_in_another_environment_is_held_against_the_grants_there() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let environments = format!("environments: {{ e: {{ local: {{}} }}, dr: {{ {REMOTE}, allow: [restore] }} }}\n");
    std::fs::write(folder.path().join("kscen.yaml"), environments).expect("it can be written");
    let refused = |step: &str| -> Vec<(&str, String)> {
        let file = folder.path().join("scenario.yaml");
        std::fs::write(&file, format!("name: x\nsteps:\n  - {step}\n")).expect("it can be written");
        let plan = plans(&file, &LANGUAGE, &PlanOptions::default());
        let plan = plan.unwrap_or_else(|problems| panic!("{}", crate::text::render(&problems, false))).remove(0);
        let project = Project::load(folder.path(), Some("e")).expect("a project");
        let problems = authorize(&plan, &project).err().unwrap_or_default();
        assert!(problems.iter().all(|problem| problem.at.as_ref().is_some_and(|at| at.line_col().0 == 3)));
        problems.into_iter().map(|problem| (problem.code, problem.message)).collect()
    };
    let denied = |grant: &str| vec![("not-allowed", format!("`dr` does not allow `{grant}`"))];
    assert_eq!(refused("migrate: { topics: [t], to: dr, groups: none, acls: false }"), []);
    assert_eq!(refused("migrate: { topics: [t], to: dr, acls: false }"), denied("groups"));
    assert_eq!(refused("migrate: { topics: [t], to: dr, groups: none }"), denied("acls"));
    assert_eq!(refused("migrate: { topics: [t], from: dr }"), denied("backup"));
    let absent = vec![("unknown-environment", "there is no environment `nowhere`".to_owned())];
    assert_eq!(refused("migrate: { topics: [t], to: nowhere }"), absent);
    let own = vec![("bad-value", "`e` is the environment of the run itself".to_owned())];
    assert_eq!(refused("migrate: { topics: [t], to: e }"), own);
}

#[test]
fn what_the_scenario_makes_itself_it_may_delete_without_that_grant() {
    let all = "steps:\n  - topic: t\n  - consume: { topic: t, group: g, until: { drained: true } }\n  \
               - connector: { name: c, config: { a: b } }\n  - delete: { topic: t }\n  - delete: { group: g }\n  \
               - delete: { connector: c }\n  - delete: { records: { topic: t } }\n  - reassign: { topic: t, to: [1] }";
    assert!(refused(&format!("{REMOTE}, allow: [topics, groups, connectors]"), all).is_empty());
}

/// A topic is made by more steps than `topic`.
#[test]
fn what_other_steps_make_is_the_scenarios_too() {
    let then = |topic: &str| format!("  - delete: {{ topic: {topic} }}\n  - reassign: {{ topic: {topic}, to: [1] }}");
    let allow = format!("{REMOTE}, allow: [topics, groups, connectors, backup, restore, acls]");
    for (step, topic) in [
        ("restore: { from: a, topic: t, as: r }", "r"),
        ("restore: { from: a, topic: t }", "t"),
        ("migrate: { topics: [t, u], from: local }", "u"),
        ("migrate: { topics: [t], as: r, from: local }", "r"),
        ("drain: { topic: q, group: g, into: p }", "p"),
        ("connector: { name: c, debezium: { tables: [t] } }", "c.public.t"),
        ("connector: { name: c, debezium: { tables: [s.t], prefix: p } }", "p.s.t"),
        ("connector: { name: c, debezium: { tables: [t] }, config: { topic.prefix: x } }", "x.public.t"),
    ] {
        assert_eq!(grants(&allow, &format!("steps:\n  - {step}\n{}", then(topic))), BTreeSet::new(), "{step}");
    }
    let theirs = BTreeSet::from(["delete".to_owned(), "faults".to_owned()]);
    for (step, topic) in [
        ("restore: { from: a, topic: t, append: true }", "t"),
        ("restore: { from: a, topic: t, as: r }", "t"),
        ("migrate: { topics: [\"t*\"], from: local }", "t1"),
        ("migrate: { topics: [t], to: local }", "t"),
        ("drain: { topic: q, group: g, into: p }", "q"),
        ("connector: { name: c, config: { topic.prefix: x } }", "x.public.t"),
    ] {
        assert_eq!(grants(&allow, &format!("steps:\n  - {step}\n{}", then(topic))), theirs, "{step}");
    }
}

#[test]
fn a_step_cannot_log_in_elsewhere() {
    let secured =
        "remote: {}, allow: [produce, groups], kafka: { bootstrap: \"127.0.0.1:9\", config: { sasl.username: u } }";
    for (verb, rest) in [("produce", "count: 1"), ("consume", "until: { drained: true }")] {
        for property in [
            "bootstrap.servers: \"10.0.0.1:9\"",
            "security.protocol: PLAINTEXT",
            "sasl.password: x",
            "ssl.ca.location: /x",
        ] {
            let folder = project(secured);
            let file = folder.path().join("scenario.yaml");
            let scenario = format!(
                "name: x\nsteps:\n  - {verb}:\n      topic: t\n      {rest}\n      config:\n        {property}\n"
            );
            std::fs::write(&file, scenario).expect("it can be written");
            // Where the clients connect is refused in every environment, before one is known.
            let (problems, code) = match plans(&file, &LANGUAGE, &PlanOptions::default()) {
                Err(problems) => (problems, "client-property"),
                Ok(mut plan) => {
                    let project = Project::load(folder.path(), Some("e")).expect("a project");
                    (permit(&plan.remove(0), &project).expect_err("it is refused"), "environment-property")
                }
            };
            let at: Vec<_> = problems
                .iter()
                .map(|problem| (problem.code, problem.at.as_ref().map(|place| place.line_col().0)))
                .collect();
            assert_eq!(at, [(code, Some(7))], "{verb} {property}");
            // So is a file that is not there.
            let is_refused_anywhere = property.starts_with("bootstrap") || property.starts_with("ssl.ca.location");
            assert_eq!(code == "client-property", is_refused_anywhere);
        }
    }
}
