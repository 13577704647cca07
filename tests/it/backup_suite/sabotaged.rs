//! What is wrong in the twins, and what each has to find.

use crate::twins::Twin;

/// Asks the server to alter the run's archive, before the text that it stands for.
macro_rules! altered {
    ($change:literal, $text:literal) => {
        concat!("  - http: \"http://SERVER/${run.id}/", $change, "\"\n", $text)
    };
}

/// One byte of the archive is another one, before the text that it stands for.
macro_rules! flipped {
    ($archive:literal, $text:literal) => {
        concat!("  - corrupt: { archive: ", $archive, ", file: segment, how: flip }\n", $text)
    };
}

/// The topic is restored after it was deleted.
macro_rules! delete {
    () => {
        "  - delete: { topic: \"${topic}\" }\n"
    };
}

/// Kafka as it is started for measurements takes long, and twins measure nothing.
const UNMEASURED: (&str, &str) =
    ("needs: { jvm: kafka } # measured as people run it: G1, 1 GiB of heap, the optimizing compiler\n", "");

pub(super) const TWINS: [Twin; 18] = [
    Twin {
        name: "byte-flipped",
        of: "backup/single-partition",
        edits: &[(
            "  - name: the archive is what it was\n",
            flipped!("kept", "  - name: the archive is what it was\n"),
        )],
        fails: &[],
        sample: ".log is damaged at byte",
    },
    Twin {
        name: "record-left-out",
        of: "backup/single-partition",
        edits: &[(delete!(), altered!("left-out", "  - delete: { topic: \"${topic}\" }\n"))],
        fails: &["delivery.lost"],
        sample: "lost: producer 0, sequence",
    },
    Twin {
        name: "tombstone-turned-empty",
        of: "backup/single-partition",
        edits: &[(delete!(), altered!("emptied", "  - delete: { topic: \"${topic}\" }\n"))],
        fails: &["reader: messages that break `tombstone or size > 0`"],
        sample: "",
    },
    Twin {
        name: "headers-reordered",
        of: "backup/single-partition",
        edits: &[(
            "  - name: the restored topic is the same, record for record\n",
            altered!("reordered", "  - name: the restored topic is the same, record for record\n"),
        )],
        // Nothing is read any more.
        fails: &["at-least-once: deliveries that were judged"],
        sample: "headers",
    },
    Twin {
        name: "group-shifted",
        of: "backup/disaster-recovery",
        edits: &[
            ("transactional: { per: \"${per}\", abort: 10% }", "transactional: { per: \"${per}\" }"),
            // A check that cannot become true is not waited for so long.
            ("within: 5m", "within: 5s"),
            ("  - id: disaster\n", altered!("shifted", "  - id: disaster\n")),
        ],
        fails: &["delivery.lost"],
        sample: "lost: producer 0, sequence",
    },
    Twin {
        name: "several-record-left-out",
        of: "backup/several-partitions",
        edits: &[(
            "  - restore: { from: kept, topic: \"${topic}\", as: \"${topic}-exact\"",
            altered!("left-out", "  - restore: { from: kept, topic: \"${topic}\", as: \"${topic}-exact\""),
        )],
        fails: &["topic several-${run.id}-moved count"],
        sample: "",
    },
    Twin {
        name: "codecs-record-left-out",
        of: "backup/codecs",
        edits: &[
            ("codec: [gzip, snappy, lz4, zstd]", "codec: [lz4]"),
            (
                "  - name: both are in it, and it is smaller\n",
                altered!("left-out", "  - name: both are in it, and it is smaller\n"),
            ),
        ],
        fails: &["archive kept gaps"],
        sample: "",
    },
    Twin {
        name: "compared-byte-flipped",
        of: "backup/codec-comparison",
        edits: &[
            ("messages: 50000", "messages: 5000"),
            (
                "  - name: every archive is sound to its last record\n",
                flipped!("gzip", "  - name: every archive is sound to its last record\n"),
            ),
        ],
        fails: &["archive gzip is sound"],
        sample: "",
    },
    Twin {
        name: "partly-empty-record-deleted",
        of: "backup/empty-topic",
        edits: &[(
            "  - name: and empty where they were\n",
            "  - delete: { records: { topic: \"${partly}-back\", before: 1 } }\n  - name: and empty where they were\n",
        )],
        fails: &["topic partly-${run.id}-back count"],
        sample: "",
    },
    Twin {
        name: "large-record-deleted",
        of: "backup/large-messages",
        edits: &[(
            "  - id: reader\n",
            "  - delete: { records: { topic: \"${topic}\", partition: 0, before: 1 } }\n  - id: reader\n",
        )],
        fails: &["delivery.lost", "topic large-${run.id} count"],
        sample: "",
    },
    Twin {
        name: "odd-headers-reordered",
        of: "backup/odd-messages",
        edits: &[(
            "  - name: the restored topic is the same, record for record\n",
            altered!("reordered", "  - name: the restored topic is the same, record for record\n"),
        )],
        fails: &["at-least-once: deliveries that were judged"],
        sample: "headers",
    },
    Twin {
        name: "busy-record-left-out",
        of: "backup/busy-topic",
        edits: &[
            UNMEASURED,
            ("length: 30s", "length: 3s"),
            ("- { rate: 10200/s, for: 5s, warmup: true }", "- { rate: 500/s, for: 1s, warmup: true }"),
            ("- { rate: 10200/s, for: \"${length}\" }", "- { rate: 500/s, for: \"${length}\" }"),
            ("ack_rate: { min: 10000/s }, failed: 0", "failed: 0"),
            ("within: 30s", "within: 2s"),
            (
                "  - name: the load did not suffer, and nothing is missing\n",
                altered!("left-out", "  - name: the load did not suffer, and nothing is missing\n"),
            ),
        ],
        fails: &["archive kept records", "archive kept gaps"],
        sample: "",
    },
    Twin {
        name: "generation-ignored",
        of: "backup/long-running",
        edits: &[("length: 20s", "length: 10s"), ("generations: 4", "generations: 2"), ("generation: 2, ", "")],
        fails: &["older records"],
        sample: "",
    },
    Twin {
        name: "million-record-left-out",
        of: "backup/million",
        edits: &[
            UNMEASURED,
            ("messages: 1M", "messages: 5000"),
            ("duration: { max: 5m }, data_rate: { min: 100MB } }", "duration: { max: 5m } }"),
            ("duration: { max: 5m }, data_rate: { min: 150MB } }", "duration: { max: 5m } }"),
            ("  - id: back\n", altered!("left-out", "  - id: back\n")),
        ],
        fails: &["archive kept records", "archive kept gaps", "back records"],
        sample: "",
    },
    Twin {
        name: "resources-byte-flipped",
        of: "backup/resources",
        edits: &[
            UNMEASURED,
            ("messages: 200000", "messages: 2000"),
            ("data_rate: { min: 100MB }, ", ""),
            (
                "  - name: within their means, and all of it\n",
                flipped!("kept", "  - name: within their means, and all of it\n"),
            ),
        ],
        fails: &["archive kept is sound"],
        sample: "",
    },
    Twin {
        name: "sized-record-more",
        of: "backup/sizes",
        edits: &[
            ("count: 100000", "count: 5000"),
            ("{ id: many, acked: 100000 }", "{ id: many, acked: 5000 }"),
            ("records: 100000", "records: 5000"),
            (
                "  - name: as many as there were, and each in its time\n",
                "  - produce: { topic: \"${small}-back\", count: 1 }\n  - name: as many as there were, and each in its time\n",
            ),
        ],
        fails: &["topic small-${run.id}-back count"],
        sample: "",
    },
    Twin {
        name: "denied-byte-flipped",
        of: "backup/access-denied",
        edits: &[(
            "  # A group that may not be seen.\n",
            flipped!("kept", "  - expect:\n      archive: { name: kept, sound: true, level: deep }\n"),
        )],
        fails: &["archive kept is sound"],
        sample: "",
    },
    Twin {
        name: "cut-byte-flipped",
        of: "backup/connection-lost",
        edits: &[(delete!(), altered!("flipped", "  - delete: { topic: \"${topic}\" }\n"))],
        fails: &["delivery.corrupted"],
        sample: "",
    },
];

/// Twins of the service's own scenarios, and of a queue whose rest is moved.
pub(super) const SERVED: [Twin; 7] = [
    Twin {
        name: "parked-record-left-out",
        of: "backup/drain",
        edits: &[(delete!(), altered!("left-out", "  - delete: { topic: \"${topic}\" }\n"))],
        fails: &["delivery.lost"],
        sample: "lost: producer",
    },
    Twin {
        name: "parked-byte-flipped",
        of: "backup/drain",
        edits: &[(delete!(), altered!("flipped", "  - delete: { topic: \"${topic}\" }\n"))],
        fails: &["delivery.corrupted"],
        sample: "",
    },
    Twin {
        name: "parked-tombstone-turned-empty",
        of: "backup/drain",
        edits: &[(delete!(), altered!("emptied", "  - delete: { topic: \"${topic}\" }\n"))],
        fails: &["parked: messages that break `tombstone or size > 0`"],
        sample: "",
    },
    Twin {
        name: "parked-headers-reordered",
        of: "backup/drain",
        edits: &[(
            "  - name: it is there as it was moved\n",
            altered!("reordered", "  - name: it is there as it was moved\n"),
        )],
        fails: &[],
        sample: "headers",
    },
    Twin {
        name: "served-record-left-out",
        of: "backup/service-killed",
        edits: &[(delete!(), altered!("served/left-out", "  - delete: { topic: \"${topic}\" }\n"))],
        // What was restored is what the archive has: only what was written before says that one is missing.
        fails: &["exactly-once: deliveries that were judged"],
        sample: "/result/verified/topics/0/records",
    },
    Twin {
        name: "away-record-left-out",
        of: "backup/service-broker-away",
        edits: &[(
            "  - name: an archive is verified without a cluster\n",
            altered!("served/left-out", "  - name: an archive is verified without a cluster\n"),
        )],
        fails: &[],
        sample: "/progress/records",
    },
    Twin {
        name: "api-stands-still",
        of: "backup/api-reliability",
        edits: &[
            ("requests: \"10000\"", "requests: \"3000\""),
            ("    timeout: 2m\n    run:", "    background: true\n    timeout: 2m\n    run:"),
            (
                "  - name: the backup was not disturbed\n",
                "  - wait: 1s\n  - pause: { step: service, for: 2s }\n  - join: requests\n  - name: the backup was not disturbed\n",
            ),
        ],
        fails: &[],
        sample: "",
    },
];

/// Twins of scenarios that mount a small file system.
pub(super) const AS_ROOT: [Twin; 2] = [
    Twin {
        name: "full-record-added",
        of: "backup/store-full",
        edits: &[(
            "  - name: the restored topic is the same, record for record\n",
            "  - produce: { topic: \"${topic}-back\", count: 1 }\n  - name: the restored topic is the same, record for record\n",
        )],
        fails: &[],
        sample: "",
    },
    Twin {
        name: "full-without-room",
        of: "backup/service-store-full",
        // Room is promised and not made.
        edits: &[("rm \\\"$KSCEN_ARCHIVE_DIR/filler\\\" \\\"$KSCEN_ARCHIVE_DIR/filler-2\\\"", "true")],
        fails: &[],
        sample: "503",
    },
];
