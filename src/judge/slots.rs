//! Figures of a connector's replication slot, from looks about once a second.

use super::measure::nothing;
use crate::record::{Evidence, Observed, Quantity, Record, SlotRecord, SlotSample, StepRecord, Unit};
use std::ops::Range;

/// A figure of the slots of the connector that a step made, over the whole run or within spans of it; `None` where it is none, or the
/// step made no connector.
pub(super) fn observe(
    record: &Record,
    step: &StepRecord,
    name: &str,
    spans: Option<&[Range<f64>]>,
) -> Option<Observed> {
    let connector = step.captures.as_ref()?;
    if !["slot_lag", "slot_lag_time", "slot_retained", "slot_idle_time"].contains(&name) {
        return None;
    }
    let whole = f64::NEG_INFINITY..f64::INFINITY;
    let spans = spans.unwrap_or(std::slice::from_ref(&whole));
    let slots: Vec<&SlotRecord> = record.slots.iter().filter(|slot| slot.connector == *connector).collect();
    let looks = || slots.iter().flat_map(|slot| &slot.samples).filter(|sample| within(spans, sample.at));
    if looks().next().is_none() {
        return Some(nothing("the connector's slot was not looked at in that time"));
    }
    let mut evidence = Evidence::closed();
    let touched = |unseen: &[f64; 2]| spans.iter().any(|span| unseen[0] < span.end && unseen[1] > span.start);
    for [from, to] in slots.iter().flat_map(|slot| &slot.unseen).filter(|unseen| touched(unseen)) {
        evidence
            .lacks(format!("the slot was not looked at from {from:.1} s to {to:.1} s: the database did not answer"));
    }
    let bytes = |of: fn(&SlotSample) -> Option<u64>| {
        // A u64 of bytes is far below what an f64 holds exactly.
        let most = looks().filter_map(of).max()?;
        Some(Quantity::new(most as f64, Unit::Bytes))
    };
    let most = match name {
        "slot_lag" => bytes(|sample| sample.lag),
        "slot_retained" => bytes(|sample| sample.retained),
        "slot_lag_time" => {
            if looks().any(|sample| sample.lag_time.is_none() && sample.lag.is_some()) {
                evidence.lacks("what the database had committed was not known at every look");
            }
            looks().filter_map(|sample| sample.lag_time).reduce(f64::max).map(Quantity::seconds)
        }
        _ => Some(Quantity::seconds(slots.iter().map(|slot| idle(slot, spans)).sum())),
    };
    Some(match most {
        Some(most) => evidence.rising(most),
        None => evidence
            .settled(Observed::unknown("the slot told nothing of it: PostgreSQL has invalidated it, or never used it")),
    })
}

fn within(spans: &[Range<f64>], at: f64) -> bool {
    spans.iter().any(|span| span.contains(&at))
}

/// Seconds within spans in which nobody read the slot: from a look that found it so until the next one.
fn idle(slot: &SlotRecord, spans: &[Range<f64>]) -> f64 {
    let idle = slot.samples.windows(2).filter(|pair| !pair[0].active).map(|pair| pair[0].at..pair[1].at);
    let seen = idle.filter(|span| !slot.unseen.iter().any(|unseen| unseen[0] == span.start));
    seen.flat_map(|idle| spans.iter().map(move |span| (span.end.min(idle.end) - span.start.max(idle.start)).max(0.0)))
        .sum()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one span is what is meant")]
mod tests {
    use super::*;
    use crate::judge::decide;
    use crate::record::{CheckOutcome, Demand};

    fn sample(at: f64, active: bool, lag: u64, lag_time: Option<f64>) -> SlotSample {
        let status = "reserved".to_owned();
        SlotSample { at, active, status, lag: Some(lag), retained: Some(2 * lag), lag_time }
    }

    fn record(samples: Vec<SlotSample>, unseen: Vec<[f64; 2]>) -> (Record, StepRecord) {
        let mut record: Record =
            serde_json::from_str(include_str!("../../tests/goldens/record.json")).expect("a stored record");
        let mut step = record.steps[0].clone();
        step.captures = Some("orders".to_owned());
        record.slots =
            vec![SlotRecord { connector: "orders".to_owned(), slot: "kscen_orders".to_owned(), samples, unseen }];
        (record, step)
    }

    fn seen() -> Vec<SlotSample> {
        vec![
            sample(1.0, true, 10, Some(0.0)),
            sample(2.0, false, 500, Some(0.4)),
            sample(3.0, false, 900, Some(1.4)),
            sample(4.0, true, 20, Some(0.0)),
        ]
    }

    #[test]
    fn the_largest_lag_is_that_of_its_time() {
        let (record, step) = record(seen(), Vec::new());
        let figure = |name: &str, spans: Option<&[Range<f64>]>| match observe(&record, &step, name, spans) {
            Some(Observed::Number(quantity)) => quantity.value,
            other => panic!("{other:?}"),
        };
        assert_eq!((figure("slot_lag", None), figure("slot_retained", None)), (900.0, 1800.0));
        assert_eq!((figure("slot_lag_time", None), figure("slot_idle_time", None)), (1.4, 2.0));
        assert_eq!(figure("slot_lag", Some(&[0.0..2.5])), 500.0);
        assert_eq!(figure("slot_idle_time", Some(&[2.5..3.5])), 1.0);
        assert!(matches!(observe(&record, &step, "slot_lag", Some(&[7.0..9.0])), Some(Observed::Nothing { .. })));
        assert!(observe(&record, &step, "duration", None).is_none());
    }

    #[test]
    fn a_bound_passes_only_where_every_look_could_tell() {
        let most = Demand::Number { unit: Unit::Duration, min: None, max: Some(2.0), equals: None, not: None };
        let outcome = |samples: Vec<SlotSample>, unseen: Vec<[f64; 2]>| {
            let (record, step) = record(samples, unseen);
            decide(&most, &observe(&record, &step, "slot_lag_time", None).expect("a figure"))
        };
        assert_eq!(outcome(seen(), Vec::new()), CheckOutcome::Pass);
        assert_eq!(outcome(seen(), vec![[2.0, 3.0]]), CheckOutcome::Unknown);
        let mut blind = seen();
        blind[1].lag_time = None;
        assert_eq!(outcome(blind, Vec::new()), CheckOutcome::Unknown);
        let mut late = seen();
        late[2].lag_time = Some(2.5);
        assert_eq!(outcome(late, vec![[1.0, 2.0]]), CheckOutcome::Fail);
    }
}
