//! What kscen did not make it does not remove: topics, groups and their offsets that were there before a run are there after it.

use crate::program::{Project, skipped};

const THEIRS: &str = r#"
name: Theirs
setup:
  - topic: { name: theirs, partitions: 2 }
steps:
  - produce: { topic: theirs, count: 50 }
  - consume: { topic: theirs, group: prod-app, until: { drained: true } }
"#;
const UNHARMED: &str = r#"
name: Unharmed
steps:
  - expect: { group: { name: prod-app, topic: theirs, lag: 0 } }
  - consume: { topic: theirs, until: { count: 50 } }
"#;

#[test]
fn what_kscen_did_not_make_it_does_not_remove() {
    if skipped("what_kscen_did_not_make_it_does_not_remove") {
        return;
    }
    let project = Project::fast();
    let environment = std::fs::read_to_string(project.path("kscen.yaml")).expect("the project");
    let scenario = |name: &str, step: &str| {
        let checks = if step.contains("expect:") { "" } else { "checks: none\n" };
        project.write(&format!("{name}.yaml"), &format!("name: {name}\n{checks}steps:\n  - {step}\n"));
        format!("{name}.yaml")
    };
    project.write("theirs.yaml", THEIRS);
    project.write("unharmed.yaml", UNHARMED);
    project.run(&["up"]).exits(0);
    project.run(&["run", "theirs.yaml", "--keep"]).exits(0);

    let joins = scenario(
        "joins",
        "consume: { topic: theirs, group: prod-app, until: { drained: true } }\n  - expect: { group: { name: prod-app, topic: theirs, lag: 0 } }",
    );
    project.run(&["run", &joins]).exits(0).says("group prod-app was there before this run");
    project.run(&["run", "unharmed.yaml"]).exits(0);

    // What the group skips from now on is in a topic that stays.
    let parks = scenario(
        "parks",
        "produce: { topic: theirs, count: 5 }\n  - drain: { group: prod-app, topic: theirs, into: parked }\n  - expect: { topic: { name: parked, count: 5 } }",
    );
    project.run(&["run", &parks]).exits(0).says("topic parked stays after the run");
    let parked = scenario(
        "parked",
        "expect: { topic: { name: parked, count: 5 }, group: { name: prod-app, topic: theirs, lag: 0 } }",
    );
    project.run(&["run", &parked]).exits(0);
    project.run(&["run", "unharmed.yaml"]).exits(0);

    let late = scenario("late", "{ topic: { name: theirs }, timeout: 1ms }");
    let exists = scenario("exists", "topic: { name: theirs }");
    let replaces = scenario("replaces", "topic: { name: theirs, recreate: true }");
    let deletes = scenario("deletes", "delete: { group: prod-app }");
    assert_ne!(project.run(&["run", &late]).code, 0);
    project.run(&["run", &exists, "--allow-delete"]).exits(3);
    project.run(&["run", &replaces]).exits(3).says("this run did not make topic theirs");
    project.run(&["run", &deletes]).exits(3).says("this run did not make group prod-app");
    project.run(&["run", "unharmed.yaml"]).exits(0);

    // The flag does not replace the grant.
    project.write("kscen.yaml", &format!("{environment}    allow: [produce, topics, groups]\n"));
    for file in [&replaces, &deletes] {
        project.run(&["run", file, "--allow-delete"]).exits(2).says("does not allow `delete`");
        project.run(&["check", file]).exits(2).says("does not allow `delete`");
    }
    project.run(&["run", "unharmed.yaml"]).exits(0);

    // Both together do.
    project.write("kscen.yaml", &environment);
    project.run(&["run", &deletes, "--allow-delete"]).exits(0);
    project.run(&["run", &replaces, "--allow-delete"]).exits(0);
    let left = project.run(&["status"]).exits(0);
    assert!(!left.out.contains("topic theirs"), "it was this run's in the end: {}", left.out);

    // The stack is not used with other settings than it was started with.
    project.write("kscen.yaml", &environment.replace("timeouts: fast", "timeouts: kafka"));
    let own = scenario("own", "topic: \"own-${run.id}\"");
    project.run(&["run", &own]).exits(0).says("other settings than kscen.yaml has now (timeouts)");
    project.write("kscen.yaml", &environment);
    project.run(&["down"]).exits(0);
}
