//! What a reader found of the messages that it held against a schema.

use super::measure::observe;
use super::recovery::tests::step;
use crate::record::{ConsumeReport, Observed, Quantity, StepRecord};

fn reader(delivered: u64, read_all: Option<bool>, violations: Option<u64>) -> StepRecord {
    let report = ConsumeReport { delivered, read_all, ..ConsumeReport::default() };
    let mut reader = StepRecord { consumed: Some(Box::new(report)), ..step("reader", "consume", 0, 60) };
    let found = violations.map(|count| ("schema_violations".to_owned(), Quantity::count(count)));
    reader.metrics.extend(found);
    reader
}

fn violations(reader: &StepRecord) -> Observed {
    let record = serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
    observe(&record, reader, "schema_violations", None, None)
}

#[test]
fn no_violation_is_known_of_what_was_not_read() {
    assert!(matches!(violations(&reader(0, Some(true), Some(0))), Observed::Nothing { .. }), "none was read");
    assert!(matches!(violations(&reader(5, Some(true), None)), Observed::Nothing { .. }), "none was held against it");
    for count in [0, 2] {
        let found = Quantity::count(count);
        let open = violations(&reader(5, Some(false), Some(count)));
        assert!(matches!(open, Observed::AtLeast { quantity, .. } if quantity == found), "more may break it");
        assert!(matches!(violations(&reader(5, Some(true), Some(count))), Observed::Number(all) if all == found));
    }
}

#[test]
fn older_results_tell_by_their_drain_whether_all_was_read() {
    let mut old = reader(5, None, Some(0));
    assert!(matches!(violations(&old), Observed::AtLeast { .. }));
    old.consumed.as_mut().unwrap().drained = Some(true);
    assert!(matches!(violations(&old), Observed::Number(_)));
    old.consumed.as_mut().unwrap().drained = None;
    old.consumed.as_mut().unwrap().until_reached = Some(true);
    assert!(matches!(violations(&old), Observed::Number(_)), "it was asked for so many");
}
