//! Attacks of `tests/cases` as histories, and what random ones have found.

use super::*;
use Action::*;
use Outcome::*;

fn sends(sender: u8, partition: u8, count: usize) -> Vec<Action> {
    vec![Send { sender, partition, outcome: Acked }; count]
}

fn read(partition: u8, count: u8) -> Action {
    Read { reader: 0, partition, count }
}

/// An attack: the case, what the readers are, what happens, and the columns that tell it.
type Attack = (&'static str, Kind, Vec<Action>, &'static [&'static str]);

fn attacks() -> Vec<Attack> {
    vec![
        (
            "01-deleted-before-read",
            Kind::Union,
            [sends(0, 0, 4), vec![read(0, 1), Delete { partition: 0, share: 7 }], sends(0, 0, 1)].concat(),
            &["lost", "below the start"],
        ),
        (
            "02-segments-gone",
            Kind::Restarts,
            [sends(0, 0, 4), vec![read(0, 2), Truncate { partition: 0, keep: 7 }, read(0, 9)], sends(0, 0, 3)].concat(),
            &["lost", "missing from the log"],
        ),
    ]
}

#[test]
fn attacks_on_messages_are_histories_that_both_judge_alike() {
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/verdicts");
    for (case, kind, history, wanted) in attacks() {
        assert!(cases.join(format!("{case}.yaml")).is_file(), "{case}");
        assert_eq!(disagreement(kind, 0xff, &history), None, "{case}");
        let mut told = BTreeMap::new();
        cover(&judged(kind, 0xff, &history).1, &mut told);
        let silent: Vec<_> = wanted.iter().filter(|column| told[**column] == 0).collect();
        assert!(silent.is_empty(), "{case}: nothing in {silent:?}: {told:?}");
    }
}
