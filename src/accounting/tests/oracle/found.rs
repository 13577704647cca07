//! What random histories have found.

use super::*;
use Action::*;
use Outcome::*;

/// Both opinions agree; the columns that are not empty.
fn told(kind: Kind, drains: u8, history: &[Action]) -> BTreeMap<&'static str, u64> {
    assert_eq!(disagreement(kind, drains, history), None);
    let mut told = BTreeMap::new();
    cover(&judged(kind, drains, history).1, &mut told);
    told.retain(|_, count| *count > 0);
    told
}

fn sends(sender: u8, count: usize) -> Vec<Action> {
    vec![Send { sender, partition: 0, outcome: Acked }; count]
}

fn read(count: u8) -> Action {
    Read { reader: 0, partition: 0, count }
}

/// A log is cut off, its reader is sent back, is given what it knew, and the log grows to where the reader had been: what is ahead
/// of the reader is unread.
#[test]
fn who_is_sent_back_has_not_read_what_replaces_the_end() {
    let cut = Truncate { partition: 0, keep: 7 };
    let history = [sends(0, 7), vec![read(9)], sends(0, 1), vec![cut, read(2)], sends(1, 2)].concat();
    let columns = told(Kind::Restarts, 0, &history);
    assert!(columns.contains_key("unread") && !columns.contains_key("lost"), "{columns:?}");
    let columns = told(Kind::Restarts, 0xff, &history);
    assert!(columns.contains_key("lost") && !columns.contains_key("unread"), "one was cut off unread: {columns:?}");
}

/// Who has read again all that is left stands at the end of it: what was cut off before it was read is lost.
#[test]
fn who_has_read_again_what_is_left_is_at_the_end() {
    let cut = Truncate { partition: 0, keep: 7 };
    let history = [sends(0, 8), vec![read(6), cut, read(5)]].concat();
    let columns = told(Kind::Restarts, 0, &history);
    assert!(columns.contains_key("lost") && !columns.contains_key("not at the end"), "{columns:?}");
}

/// Behind the last message stands a marker, and the client had been further on before it was sent back.
#[test]
fn who_is_sent_back_comes_to_an_end_behind_a_marker() {
    let both = vec![Transaction { sender: 0, partition: 0, count: 2, close: Close::Commit }; 2];
    let cut = Truncate { partition: 0, keep: 8 };
    let history = [both, vec![read(9), cut, read(9)]].concat();
    let columns = told(Kind::Restarts, 0, &history);
    assert!(columns.contains_key("read once") || columns.contains_key("duplicated"), "{columns:?}");
    assert!(!columns.contains_key("unread") && !columns.contains_key("not at the end"), "{columns:?}");
}

/// A client's position jumps below the start of its log after it had read all of it: it has to come to the end again.
#[test]
fn a_client_that_goes_back_is_not_at_the_end() {
    let jump = Jump { reader: 0, partition: 0, to: 0 };
    let history = [sends(0, 4), vec![read(9), jump, Delete { partition: 0, share: 4 }, read(1)]].concat();
    assert!(told(Kind::Expiring, 0, &history).contains_key("not at the end"));
    assert!(!told(Kind::Expiring, 0xff, &history).contains_key("not at the end"));
}
