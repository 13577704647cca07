//! The scenarios that move topics and queues pass, and their sabotaged twins fail.

use crate::program::{Project, skipped};
use crate::suites::scenarios;
use crate::twins::{Twin, assert_all_found};

/// Before this step, the group reads on, as if its offset had been shifted. One batch is the least that a member reads.
macro_rules! shifted_before {
    ($step:literal) => {
        concat!(
            "  - consume: { topic: \"${topic}\", group: \"${group}\", isolation: read_committed, commit: after, until: { count: 1 } }\n",
            $step
        )
    };
}

pub(crate) const TWINS: [Twin; 4] = [
    Twin {
        name: "migrated-group-shifted",
        of: "backup/migration",
        edits: &[("  - id: after\n", shifted_before!("  - id: after\n"))],
        fails: &["after read"],
        sample: "",
    },
    Twin {
        name: "migrated-records-left-out",
        of: "backup/migration",
        edits: &[(
            "  - id: after\n",
            "  - delete: { records: { topic: \"${topic}\", partition: 0, before: 450 } }\n  - id: after\n",
        )],
        fails: &["delivery.lost", "after read"],
        sample: "not in the log any more",
    },
    Twin {
        name: "moved-group-shifted",
        of: "backup/drain",
        edits: &[("  - id: moved\n", shifted_before!("  - id: moved\n"))],
        // Nothing is left to be moved, and so nothing to be read where it was to go.
        fails: &[
            "moved moved",
            "topic queue-${run.id}-parked count",
            "parked: messages that break `tombstone or size > 0`",
            "parked: messages that break `headers.source == 'late' and headers.number is defined`",
        ],
        sample: "",
    },
    Twin {
        name: "moved-record-left-out",
        of: "backup/drain",
        edits: &[(
            "  - name: the worker has read",
            "  - delete: { records: { topic: \"${topic}-parked\", partition: 0, before: 1 } }\n  - name: the worker has read",
        )],
        fails: &["delivery.lost", "topic queue-${run.id}-parked count"],
        sample: "",
    },
];

/// A project with the two environments that the scenarios need.
fn project() -> Project {
    let project = Project::fast();
    let environments = ["timeouts: fast", "kafka: 4.3.1, timeouts: fast"];
    let names = [project.name.as_str(), "kafka-4"];
    let lines = names.iter().zip(environments).map(|(name, local)| format!("  {name}:\n    local: {{ {local} }}\n"));
    let text = format!("default: {}\nenvironments:\n{}", project.name, lines.collect::<String>());
    project.write("kscen.yaml", &text);
    project
}

#[test]
fn what_moves_topics_and_queues_passes_and_its_sabotaged_twins_say_why_they_fail() {
    if skipped("what_moves_topics_and_queues_passes_and_its_sabotaged_twins_say_why_they_fail") {
        return;
    }
    let shipped = scenarios().join("backup");
    for name in ["migration", "drain"] {
        let file = shipped.join(format!("{name}.yaml"));
        project().run(&["run", &file.to_string_lossy()]).exits(0);
    }
    let twins = project();
    assert_all_found(&twins, &TWINS);
    twins.await_no_processes();
}
