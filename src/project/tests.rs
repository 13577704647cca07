//! What each kind of environment permits, held against plans of small scenarios.

use super::{Project, permit};
use crate::plan::{PlanOptions, plans};
use crate::verbs::LANGUAGE;
use tempfile::TempDir;

const PROJECT: &str = "\
environments:
  containers: { docker: { project: shop }, kafka: { bootstrap: \"127.0.0.1:9\" } }
  theirs: { remote: {}, kafka: { bootstrap: \"127.0.0.1:9\" }, allow: [produce] }
  pretend: { mock: {} }
  none: {}
  two: { local: {}, mock: {} }
  lost: { remote: {} }
  pods: { kubernetes: { namespace: n, services: { kafka: app=kafka } }, kafka: { bootstrap: \"127.0.0.1:9\" }, allow: [faults] }
  strimzi: { kubernetes: { namespace: n, strimzi: shop } }
  unlabelled: { kubernetes: { namespace: n }, kafka: { bootstrap: \"127.0.0.1:9\" }, allow: [faults] }
  unaddressed: { kubernetes: { namespace: n, services: { kafka: app=kafka } } }
";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    std::fs::write(folder.path().join("kscen.yaml"), PROJECT).expect("it can be written");
    folder
}

/// The codes of what is refused on each kind: local, containers, remote, mock.
fn refused(scenario: &str) -> [Vec<&'static str>; 4] {
    refused_on(["local", "containers", "theirs", "pretend"], scenario)
}

/// The codes of what is refused on these environments.
fn refused_on<const N: usize>(environments: [&str; N], scenario: &str) -> [Vec<&'static str>; N] {
    let folder = folder();
    let file = folder.path().join("scenario.yaml");
    std::fs::write(&file, format!("name: x\n{scenario}\n")).expect("it can be written");
    let plans = plans(&file, &LANGUAGE, &PlanOptions::default());
    let plan = plans.unwrap_or_else(|problems| panic!("{}", crate::text::render(&problems, false))).remove(0);
    environments.map(|environment| {
        let project = Project::load(folder.path(), Some(environment)).expect("a project");
        let problems = permit(&plan, &project).err().unwrap_or_default();
        problems.iter().map(|problem| problem.code).collect()
    })
}

/// The code of the first problem of an environment.
fn problem(environment: &str) -> &'static str {
    let problems = Project::load(folder().path(), Some(environment)).expect_err("it is wrong");
    problems[0].code
}

#[test]
fn what_one_kind_cannot_do_is_refused_on_it_and_permitted_on_others() {
    let cases: [(&str, [&[&str]; 4]); 12] = [
        ("steps: [{ pause: kafka }]", [&[], &[], &["cannot-on-remote"], &["cannot-on-mock"]]),
        ("steps: [{ wipe: kafka }]", [&[], &[], &["cannot-on-remote"], &["cannot-on-mock"]]),
        ("steps: [{ logs: kafka }]", [&[], &[], &["cannot-on-remote"], &["cannot-on-mock"]]),
        ("steps: [{ topic: { name: t } }]", [&[], &[], &["not-allowed"], &["cannot-on-mock"]]),
        ("steps: [{ produce: { topic: t, rate: 1/s, for: 1s } }]", [&[], &[], &[], &[]]),
        (
            "steps: [{ network: { service: kafka, fault: cut, for: 1s } }]",
            [&[], &[], &["cannot-on-remote"], &["cannot-on-mock"]],
        ),
        (
            "steps: [{ network: { service: kafka, fault: delay, by: 1s, for: 1s } }]",
            [&[], &["cannot-shape-network"], &["cannot-on-remote"], &["cannot-on-mock"]],
        ),
        (
            "needs: { services: [kafka-ui] }\nsteps: [{ wait: 1s }]",
            [&["missing-service"], &["missing-service"], &["missing-service"], &["missing-service"]],
        ),
        (
            "needs: { services: [connect] }\nsteps: [{ wait: 1s }]",
            [&[], &["missing-service"], &["missing-service"], &["missing-service"]],
        ),
        (
            "needs: { log_dir: 1GiB }\nsteps: [{ wait: 1s }]",
            [&[], &["cannot-limit-disk"], &["cannot-limit-disk"], &["cannot-limit-disk"]],
        ),
        (
            "needs: { archive_dir: 1GiB }\nsteps: [{ wait: 1s }]",
            [&[], &["cannot-limit-disk"], &["cannot-limit-disk"], &["cannot-limit-disk"]],
        ),
        ("guarantee: at-least-once\nsteps: [{ wait: 1s }]", [&[], &[], &[], &["mock-cannot-judge"]]),
    ];
    for (scenario, expected) in cases {
        assert_eq!(refused(scenario).each_ref().map(Vec::as_slice), expected, "{scenario}");
    }
}

#[test]
fn pods_are_disturbed_by_signals_and_deletions_and_by_nothing_else() {
    let cases: [(&str, [&[&str]; 3]); 5] = [
        ("pause: kafka", [&[], &["not-allowed"], &["missing-key"]]),
        ("kill: kafka", [&[], &["not-allowed"], &["missing-key"]]),
        ("logs: kafka", [&[], &[], &["missing-key"]]),
        ("wipe: kafka", [&["cannot-on-kubernetes"]; 3]),
        ("network: { service: kafka, fault: cut, for: 1s }", [&["cannot-on-kubernetes"]; 3]),
    ];
    for (step, expected) in cases {
        let refused = refused_on(["pods", "strimzi", "unlabelled"], &format!("steps: [{{ {step} }}]"));
        for (refused, expected) in refused.iter().zip(expected) {
            assert!(expected.iter().all(|code| refused.contains(code)), "{step}: {refused:?}");
            assert_eq!(refused.is_empty(), expected.is_empty(), "{step}: {refused:?}");
        }
    }
}

#[test]
fn a_proxy_stands_only_before_brokers_and_controllers() {
    let [local, ..] = refused("steps: [{ network: { service: postgres, fault: cut, for: 1s } }]");
    assert_eq!(local, ["cannot-reach-network"]);
}

#[test]
fn more_brokers_than_a_machine_is_good_for_are_refused() {
    let [local, containers, ..] = refused("needs: { brokers: 4 }\nsteps: [{ wait: 1s }]");
    assert_eq!((local.as_slice(), containers.as_slice()), (&["too-many-brokers"][..], &[][..]));
}

#[test]
fn an_environment_is_of_exactly_one_kind_with_its_address() {
    for (environment, code) in [
        ("none", "environment-kind"),
        ("two", "environment-kind"),
        ("lost", "missing-key"),
        ("unaddressed", "missing-key"),
        ("nowhere", "unknown-environment"),
    ] {
        assert_eq!(problem(environment), code, "{environment}");
    }
}

#[test]
fn containers_have_one_lock_whatever_folder_they_are_used_from() {
    let [one, other] = [folder(), folder()];
    std::fs::write(
        other.path().join("kscen.yaml"),
        "environments: { elsewhere: { docker: { project: shop }, kafka: { bootstrap: \"127.0.0.1:9\" } }, theirs: { remote: {}, kafka: { bootstrap: \"127.0.0.1:9\" } } }\n",
    )
    .expect("it can be written");
    let identity = |folder: &TempDir, environment: &str| {
        let project = Project::load(folder.path(), Some(environment)).expect("a project");
        project.kind.identity(&project.site())
    };
    assert_eq!(identity(&one, "containers"), identity(&other, "elsewhere"));
    for environment in ["local", "theirs"] {
        assert_ne!(identity(&one, environment), identity(&other, environment), "{environment} belongs to its project");
        assert_eq!(identity(&one, environment), identity(&one, environment));
    }
}

#[test]
fn a_key_in_the_wrong_place_is_told_where_it_belongs() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let text = "environments:\n  far:\n    remote: { allow: [produce] }\n    kafka: { bootstrap: \"127.0.0.1:9\" }\n";
    std::fs::write(folder.path().join("kscen.yaml"), text).expect("it can be written");
    let problems = Project::load(folder.path(), Some("far")).expect_err("`remote` has no keys");
    let told = crate::text::render(&problems, false);
    assert!(told.contains("`remote` has no key `allow`") && told.contains("write `allow` beside `remote`"), "{told}");
}
