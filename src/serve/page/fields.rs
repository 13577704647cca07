//! The fields of the forms that start jobs.

use crate::serve::jobs::JobKind;

/// A field as it is declared.
pub(super) struct FormField {
    /// Its name in what is sent.
    pub name: &'static str,
    /// What stands above it.
    pub label: &'static str,
    /// What helps to fill it in; may be empty.
    pub hint: &'static str,
    /// Whether it cannot be left empty.
    pub required: bool,
    /// What can be entered.
    pub input: Input,
}

/// What can be entered into a field.
pub(super) enum Input {
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// Yes or no.
    Check,
    /// One of the clusters.
    Cluster,
    /// One of the archives.
    Archive,
    /// Values with what is shown for them; the first is chosen at first.
    Words(&'static [(&'static str, &'static str)]),
}

/// The cluster that a job is about.
const CLUSTER: FormField =
    FormField { name: "cluster", label: "Cluster", hint: "", required: true, input: Input::Cluster };

/// Topics of a cluster.
const TOPICS: FormField = FormField {
    name: "topics",
    label: "Topics",
    hint: "Names with spaces or commas between them; * stands for any characters.",
    required: true,
    input: Input::Text,
};

/// What a topic is called in the target.
const RENAMED: FormField = FormField {
    name: "as",
    label: "As",
    hint: "The new name, of a single topic.",
    required: false,
    input: Input::Text,
};

/// Which offsets records get.
const OFFSETS: FormField = FormField {
    name: "offsets",
    label: "Offsets",
    hint: "",
    required: false,
    input: Input::Words(&[("translated", "translated: without gaps"), ("exact", "exact: the same as before")]),
};

const BACKUP: &[FormField] = &[
    CLUSTER,
    TOPICS,
    FormField {
        name: "archive",
        label: "Archive",
        hint: "One that is there is continued. Where this is empty, a new one gets a name.",
        required: false,
        input: Input::Text,
    },
    FormField {
        name: "compression",
        label: "Compression",
        hint: "",
        required: false,
        input: Input::Words(&[
            ("zstd", "zstd"),
            ("gzip", "gzip"),
            ("lz4", "lz4"),
            ("snappy", "snappy"),
            ("none", "none"),
        ]),
    },
    FormField {
        name: "max_messages",
        label: "At most so many messages of each topic",
        hint: "All of them where this is empty.",
        required: false,
        input: Input::Number,
    },
    FormField {
        name: "verify",
        label: "Verification afterwards",
        hint: "",
        required: false,
        input: Input::Words(&[
            ("full", "full: every file and batch"),
            ("deep", "deep: every record"),
            ("quick", "quick: names and lengths"),
            ("none", "none"),
        ]),
    },
];
const RESTORE: &[FormField] = &[
    FormField { name: "archive", label: "Archive", hint: "", required: true, input: Input::Archive },
    FormField { name: "cluster", label: "To cluster", hint: "", required: true, input: Input::Cluster },
    FormField {
        name: "topics",
        label: "Topics",
        hint: "Names with spaces or commas between them; all topics of the archive where this is empty.",
        required: false,
        input: Input::Text,
    },
    RENAMED,
    OFFSETS,
    FormField {
        name: "verify",
        label: "Compare the restored topics with the archive afterwards",
        hint: "",
        required: false,
        input: Input::Check,
    },
];
const VERIFY: &[FormField] = &[
    FormField { name: "archive", label: "Archive", hint: "", required: true, input: Input::Archive },
    FormField {
        name: "level",
        label: "How closely",
        hint: "",
        required: false,
        input: Input::Words(&[
            ("full", "full: every file and batch"),
            ("deep", "deep: every record"),
            ("quick", "quick: names and lengths"),
            ("target", "target: restored topics, record by record"),
        ]),
    },
    FormField {
        name: "cluster",
        label: "Cluster of the restored topics",
        hint: "It matters for the level target only.",
        required: false,
        input: Input::Cluster,
    },
];

const MIGRATE: &[FormField] = &[
    FormField { name: "from", label: "From cluster", hint: "", required: true, input: Input::Cluster },
    FormField { name: "to", label: "To cluster", hint: "", required: true, input: Input::Cluster },
    TOPICS,
    RENAMED,
    FormField {
        name: "until",
        label: "Until",
        hint: "",
        required: false,
        input: Input::Words(&[
            ("drained", "drained: everything is there, and nothing comes any more"),
            ("end", "end: what is there now"),
            ("cancelled", "cancelled: it follows until then, and another one ends it"),
        ]),
    },
    OFFSETS,
];
const DRAIN: &[FormField] = &[
    CLUSTER,
    FormField { name: "group", label: "Group", hint: "", required: true, input: Input::Text },
    FormField {
        name: "topic",
        label: "Topic",
        hint: "All topics of the group where this is empty.",
        required: false,
        input: Input::Text,
    },
    FormField {
        name: "within",
        label: "Within",
        hint: "How long the group is waited for, such as 10m; five minutes where this is empty.",
        required: false,
        input: Input::Text,
    },
    FormField {
        name: "into",
        label: "Move the rest into topic",
        hint: "Where this is filled in, what the group has not read is moved there instead. The group may have no members.",
        required: false,
        input: Input::Text,
    },
];

/// The fields of the form for a kind of job.
pub(super) fn fields(kind: JobKind) -> &'static [FormField] {
    match kind {
        JobKind::Backup => BACKUP,
        JobKind::Restore => RESTORE,
        JobKind::Verify => VERIFY,
        JobKind::Migrate => MIGRATE,
        JobKind::Drain => DRAIN,
    }
}
