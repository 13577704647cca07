use super::*;
use std::collections::BTreeSet;

#[test]
fn names_are_unique_and_documented() {
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len());
    assert!(METRICS.iter().all(|metric| !metric.doc.is_empty()));
}
