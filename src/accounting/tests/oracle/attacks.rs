//! Attacks of `tests/cases/verdicts` as histories; the table in `docs/oracle.md` says which, and why others cannot be one.

use super::*;
use Action::*;
use Outcome::*;

fn sends(sender: u8, partition: u8, count: usize) -> Vec<Action> {
    vec![Send { sender, partition, outcome: Acked }; count]
}

fn read(partition: u8, count: u8) -> Action {
    Read { reader: partition, partition, count }
}

fn copy(record: u8, partition: u8) -> Action {
    Copy { record, partition, intact: true }
}

/// An attack: what it is in, what happens, and what the account has to say of it.
struct Attack {
    case: &'static str,
    kind: Kind,
    /// Partitions that are read to their end when all is over.
    drains: u8,
    history: Vec<Action>,
    /// Columns that are not empty.
    told: &'static [&'static str],
    /// Columns that are.
    silent: &'static [&'static str],
}

impl Attack {
    fn new<const N: usize>(case: &'static str, kind: Kind, history: [Vec<Action>; N]) -> Self {
        Self { case, kind, drains: 0xff, history: history.concat(), told: &[], silent: &[] }
    }

    fn told(self, told: &'static [&'static str]) -> Self {
        Self { told, ..self }
    }

    fn silent(self, silent: &'static [&'static str]) -> Self {
        Self { silent, ..self }
    }

    /// The reader ends before it has come to the end.
    fn broken_off(self) -> Self {
        Self { drains: 0, ..self }
    }
}

/// Logs that are shortened, replaced, compacted.
fn on_logs() -> Vec<Attack> {
    let cut = Truncate { partition: 0, keep: 7 };
    let recreate = vec![Recreate { partition: 0 }];
    let delete = |share| vec![Delete { partition: 0, share }];
    vec![
        Attack::new(
            "01-deleted-before-read",
            Kind::Union,
            [sends(0, 0, 4), vec![read(0, 1)], delete(7), sends(0, 0, 1)],
        )
        .told(&["lost", "below the start"])
        .silent(&["skipped", "duplicated"]),
        Attack::new("02-segments-gone", Kind::Union, [sends(0, 0, 8), delete(4)])
            .told(&["lost", "below the start", "read once"])
            .silent(&["unread", "skipped"]),
        Attack::new(
            "06-topic-recreated",
            Kind::Restarts,
            [sends(0, 0, 4), vec![read(0, 9)], recreate.clone(), sends(1, 0, 3)],
        )
        .told(&["restarts", "read once"])
        .silent(&["lost", "unread", "redelivered", "duplicated"]),
        Attack::new(
            "14-log-truncated",
            Kind::Restarts,
            [sends(0, 0, 8), vec![read(0, 9), cut], sends(1, 0, 2), vec![read(0, 9)]],
        )
        .told(&["restarts", "read once"])
        .silent(&["lost", "unread"]),
        Attack::new(
            "43-deleted-while-away",
            Kind::Union,
            [sends(0, 0, 3), vec![read(0, 2)], sends(0, 1, 2), delete(8), sends(0, 0, 2)],
        )
        .told(&["lost", "below the start"])
        .silent(&["unread", "missing from the log"]),
        // The reader that saw it all, and one that comes after the loss.
        Attack::new(
            "45-unclean-election",
            Kind::Restarts,
            [sends(0, 0, 8), vec![read(0, 9), cut, read(0, 9)], sends(0, 0, 1)],
        )
        .told(&["restarts"])
        .silent(&["lost", "unread"]),
        Attack::new("45-unclean-election", Kind::Restarts, [sends(0, 0, 8), vec![cut], sends(0, 0, 1)])
            .told(&["lost", "missing from the log"])
            .silent(&["unread"]),
        Attack::new("48-compacted", Kind::Compacted, [sends(0, 0, 6), vec![Compact { partition: 0 }]])
            .told(&["superseded", "read once"])
            .silent(&["lost", "unread"]),
        Attack::new("48-compacted", Kind::Compacted, [sends(0, 0, 6), delete(4)])
            .told(&["lost", "below the start", "read once"])
            .silent(&["superseded", "unread"]),
        Attack::new(
            "54-millions-deleted",
            Kind::Union,
            [sends(0, 0, 1), vec![read(0, 1)], sends(0, 0, 5), sends(1, 1, 3), delete(7)],
        )
        .told(&["lost", "below the start"])
        .silent(&["missing from the log", "in the log", "unplaced"]),
        Attack::new(
            "56-wiped",
            Kind::Restarts,
            [sends(0, 0, 3), vec![read(0, 3)], sends(1, 0, 2), recreate, sends(0, 0, 2)],
        )
        .told(&["lost", "missing from the log", "restarts", "read once"])
        .silent(&["unread", "redelivered"]),
    ]
}

/// What writers do.
fn on_senders() -> Vec<Attack> {
    let transaction = |close| vec![Transaction { sender: 0, partition: 0, count: 2, close }];
    let outcome = |outcome| vec![Send { sender: 1, partition: 0, outcome }];
    vec![
        Attack::new("03-at-most-once-reads-nothing", Kind::Union, [sends(0, 0, 4), vec![copy(1, 0), read(0, 2)]])
            .broken_off()
            .told(&["unread", "not at the end"])
            .silent(&["lost", "duplicated"]),
        Attack::new("03b-at-most-once-reads-nothing", Kind::Union, [sends(0, 0, 4), vec![copy(1, 0), read(0, 4)]])
            .broken_off()
            .told(&["read once", "not at the end"])
            .silent(&["lost", "unread", "duplicated"]),
        Attack::new(
            "10-hanging-transaction",
            Kind::Union,
            [sends(0, 0, 2), vec![Hang { partition: 0 }], sends(0, 0, 3)],
        )
        .told(&["unread", "read once"])
        .silent(&["lost"]),
        Attack::new(
            "11-fenced",
            Kind::Union,
            [transaction(Close::Commit), transaction(Close::Abort), transaction(Close::Silence)],
        )
        .told(&["read once", "in doubt"])
        .silent(&["lost", "unread", "aborted", "phantom"]),
        Attack::new(
            "12-retries-duplicate",
            Kind::Union,
            [sends(0, 0, 3), vec![copy(0, 0), copy(2, 0)], sends(0, 0, 1)],
        )
        .told(&["duplicated", "copies"])
        .silent(&["lost", "corrupted", "phantom"]),
        Attack::new(
            "22-until-count-of-different",
            Kind::Union,
            [sends(0, 0, 3), vec![copy(0, 0), Stranger { partition: 0, torn: false }, copy(1, 0)]],
        )
        .told(&["duplicated", "foreign", "read once"])
        .silent(&["lost", "corrupted"]),
        Attack::new(
            "57-unknown-outcomes",
            Kind::Union,
            [sends(0, 0, 2), outcome(UnknownButWritten), outcome(Unknown), outcome(Failed), sends(0, 0, 1)],
        )
        .told(&["in doubt", "read once"])
        .silent(&["lost", "phantom", "corrupted", "unread"]),
        Attack::new(
            "68-millions-in-three-copies",
            Kind::Group,
            [sends(0, 0, 3), vec![copy(0, 0), copy(0, 0), copy(1, 1)]],
        )
        .told(&["duplicated", "copies"])
        .silent(&["lost", "corrupted", "phantom", "redelivered"]),
        Attack::new("72-guarantee-elsewhere", Kind::Uncommitted, [sends(0, 0, 3), vec![copy(1, 0)]])
            .told(&["duplicated", "copies"])
            .silent(&["lost"]),
    ]
}

/// What readers and their groups do.
fn on_readers() -> Vec<Attack> {
    let to = |to, back| vec![Move { partition: 0, to, back }];
    let reset = |to| vec![Reset { partition: 0, to }];
    let begun = || [sends(0, 0, 8), vec![read(0, 4)]].concat();
    vec![
        Attack::new(
            "07-partitions-added",
            Kind::Union,
            [sends(0, 0, 2), vec![read(0, 1), AddPartition], sends(0, 2, 3)],
        )
        .told(&["read once"])
        .silent(&["lost", "unread", "skipped"]),
        Attack::new(
            "07-partitions-added",
            Kind::Group,
            [sends(0, 0, 2), vec![read(0, 1), AddPartition], sends(0, 2, 3)],
        )
        .told(&["read once"])
        .silent(&["lost", "unread", "skipped"]),
        // To the end, to the start, to 3.
        Attack::new("09-offsets-reset", Kind::Group, [begun(), reset(8), sends(0, 0, 1)])
            .told(&["lost", "in the log"])
            .silent(&["unread", "redelivered"]),
        Attack::new("09-offsets-reset", Kind::Group, [begun(), reset(0)])
            .told(&["redelivered"])
            .silent(&["lost", "unread"]),
        Attack::new("09-offsets-reset", Kind::Group, [begun(), reset(3)])
            .told(&["redelivered"])
            .silent(&["lost", "unread"]),
        Attack::new("44-two-members-two-steps", Kind::Group, [begun(), to(1, 0), sends(1, 1, 3)])
            .told(&["read once"])
            .silent(&["lost", "unread", "redelivered"]),
        Attack::new("44b-two-members-two-steps", Kind::Group, [begun(), to(1, 2), sends(0, 0, 2), to(0, 0)])
            .told(&["redelivered"])
            .silent(&["lost", "unread"]),
        Attack::new("44c-two-members-two-steps", Kind::Group, [sends(0, 0, 4), vec![read(0, 9)], to(1, 7)])
            .told(&["redelivered", "duplicated"])
            .silent(&["lost", "unread"]),
        Attack::new("47-killed-member-at-the-end", Kind::Group, [begun(), to(2, 3)])
            .told(&["redelivered"])
            .silent(&["lost", "unread"]),
        Attack::new("53-reader-at-the-end", Kind::Elsewhere, [sends(0, 0, 4)])
            .told(&["excused"])
            .silent(&["read once", "lost"]),
    ]
}

#[test]
fn attacks_on_messages_are_histories_that_both_judge_alike() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/oracle.md")).unwrap();
    for attack in [on_logs(), on_senders(), on_readers()].into_iter().flatten() {
        let Attack { case, kind, drains, history, told, silent } = attack;
        assert!(
            page.contains(&format!("| `{case}` | history")),
            "docs/oracle.md does not say that {case} is a history"
        );
        assert_eq!(disagreement(kind, drains, &history), None, "{case}");
        let mut said = BTreeMap::new();
        cover(&judged(kind, drains, &history).1, &mut said);
        let is_empty = |column: &&str| said[*column] == 0;
        assert!(!told.iter().any(&is_empty), "{case}: nothing in some of {told:?}: {said:?}");
        assert!(silent.iter().all(is_empty), "{case}: something in {silent:?}: {said:?}");
    }
    // Each case has its line, and none is left out.
    for case in std::fs::read_dir(root.join("tests/cases/verdicts")).unwrap() {
        let case = case.unwrap().path();
        let name = case.file_stem().unwrap().to_string_lossy();
        assert!(page.contains(&format!("`{name}`")), "docs/oracle.md does not say whether {name} is a history");
    }
}
