//! Every delivery scenario can tell good from bad: a twin of it, sabotaged by a small edit, fails and names what went
//! wrong. That the shipped text itself passes is shown by the suites.

use crate::program::{Project, skipped};
use crate::suites::scenarios;
use serde_json::Value;
use std::collections::BTreeSet;

/// A shipped scenario with something wrong in it.
pub(crate) struct Twin {
    /// What is wrong.
    pub(crate) name: &'static str,
    /// The shipped scenario.
    pub(crate) of: &'static str,
    /// Texts of the file, and what stands there instead.
    pub(crate) edits: &'static [(&'static str, &'static str)],
    /// The checks that fail, and no others.
    pub(crate) fails: &'static [&'static str],
    /// What a printed sample, or a reason of the verdict, says.
    pub(crate) sample: &'static str,
}

/// The same scenario in less time.
const QUICK: (&str, &str) = ("rate: 100/s,", "rate: 400/s, size: 100B,");
/// A check that cannot become true is not waited for so long.
const IMPATIENT: (&str, &str) = ("within: 30s", "within: 5s");

const TWINS: [Twin; 6] = [
    Twin {
        // What a paused broker has not read from its sockets is gone with it, and nobody waited for an answer.
        name: "unacknowledged",
        of: "broker-restart",
        edits: &[
            ("rate: 100/s\n", "rate: 400/s\n      size: 100B\n"),
            ("idempotent: [false, true]", "idempotent: [false]"),
            ("acks: all", "acks: 0"),
            (
                "  - id: outage\n    restart: { service: kafka }",
                "  - pause: { service: kafka }\n  - wait: 500ms\n  - id: outage\n    kill: { service: kafka }\n  \
                 - start: { service: kafka }",
            ),
        ],
        // Without acknowledgements there is none that could show the recovery.
        fails: &["delivery.lost", "outage recovery_time"],
        sample: "lost: producer 0, sequence",
    },
    Twin {
        // A reader without committed position begins at the end again: what came meanwhile is never read.
        name: "reader-that-skips",
        of: "consumer-restart",
        edits: &[QUICK, IMPATIENT, ("commit: after", "commit: none, from: end"), ("for: 3s", "for: 1s")],
        fails: &["delivery.lost", "group restart-${run.id} committed"],
        sample: "in the log, but never read",
    },
    Twin {
        // Retention, as it were, overtakes a reader that is away.
        name: "records-deleted-below-the-reader",
        of: "consumer-broker-restart",
        edits: &[
            QUICK,
            (
                "  - join: load",
                "  - stop: { step: reader }\n  - join: load\n  - delete: { records: { topic: \"${topic}\" } }\n  \
                 - start: { step: reader }",
            ),
            ("within: 60s", "within: 10s"),
        ],
        fails: &["delivery.lost", "group survivor-${run.id} committed"],
        sample: "below the start of the log",
    },
    Twin {
        // A producer that gives up while the broker is frozen, although it would come back.
        name: "impatient-producer",
        of: "network-partition",
        edits: &[("acks: all }", "acks: all, size: 100B, config: { delivery.timeout.ms: 6000 } }")],
        fails: &["load failed", "load unknown"],
        sample: "",
    },
    Twin {
        // The second group shares the partitions of the first instead of reading everything.
        name: "second-group-skips",
        of: "consumer-groups",
        edits: &[
            QUICK,
            IMPATIENT,
            (
                "group: \"second-${run.id}\", members: 2 }",
                "group: \"second-${run.id}\", members: 2, commit: none, from: end }",
            ),
            (
                "  - join: load",
                "  - wait: { step: second, count: 100 }\n  - stop: { step: second, for: 500ms }\n  - join: load",
            ),
        ],
        fails: &["delivery.lost", "group second-${run.id} lag"],
        sample: "in the log, but never read",
    },
    Twin {
        // A reader that reads from the beginning again.
        name: "reader-that-repeats",
        of: "transactions",
        edits: &[
            ("commit: after", "commit: none"),
            ("rate: 200/s", "rate: 400/s, size: 100B"),
            ("for: 2s", "for: 500ms"),
        ],
        fails: &["delivery.redelivered"],
        sample: "redelivered: producer 0, sequence",
    },
];

impl Twin {
    pub(crate) fn text(&self) -> String {
        let path = scenarios().join(format!("{}.yaml", self.of));
        let mut text = std::fs::read_to_string(path).expect("a shipped scenario");
        for (shipped, sabotaged) in self.edits {
            assert_eq!(text.matches(shipped).count(), 1, "{}: `{shipped}` stands once in {}", self.name, self.of);
            text = text.replace(shipped, sabotaged);
        }
        text
    }

    pub(crate) fn assert_found(&self, record: &Value) {
        let id = record["run"]["id"].as_str().expect("an id");
        let checks = record["checks"].as_array().expect("checks");
        let failed: BTreeSet<&str> = checks
            .iter()
            .filter(|check| check["outcome"] != "pass")
            .map(|check| check["subject"].as_str().expect("a subject"))
            .collect();
        let fails: Vec<String> = self.fails.iter().map(|subject| subject.replace("${run.id}", id)).collect();
        let shown = serde_json::to_string_pretty(checks).expect("JSON");
        assert_eq!(failed, fails.iter().map(String::as_str).collect(), "{}: {shown}", self.name);
        let samples = checks.iter().filter_map(|check| check["samples"].as_array()).flatten();
        let mut said = samples.chain(record["verdict"]["reasons"].as_array().into_iter().flatten());
        let found = said.any(|text| text.as_str().is_some_and(|text| text.contains(self.sample)));
        assert!(self.sample.is_empty() || found, "{}: {shown} {}", self.name, record["verdict"]);
        assert_eq!(record["verdict"]["outcome"], "fail", "{}: {}", self.name, record["verdict"]);
        assert_eq!(record["failure"], Value::Null, "{}", self.name);
    }
}

#[test]
fn sabotaged_twins_of_the_delivery_scenarios_fail_and_say_why() {
    if skipped("sabotaged_twins_of_the_delivery_scenarios_fail_and_say_why") {
        return;
    }
    assert_all_found(&Project::fast(), &TWINS);
}

/// Runs all twins, each of which has to fail for what is wrong in it.
pub(crate) fn assert_all_found(project: &Project, twins: &[Twin]) {
    std::fs::create_dir(project.path("twins")).expect("a folder");
    for twin in twins {
        project.write(&format!("twins/{}.yaml", twin.name), &twin.text());
    }
    let finished = project.run(&["run", "twins"]);
    let text = format!("{}{}", finished.out, finished.err);
    finished.exits(1);
    let records = project.records();
    assert_eq!(records.len(), twins.len(), "{text}");
    for record in &records {
        let file = record["run"]["file"].as_str().expect("a file");
        let twin = twins.iter().find(|twin| file.ends_with(&format!("/{}.yaml", twin.name))).expect("a twin");
        twin.assert_found(record);
    }
}
