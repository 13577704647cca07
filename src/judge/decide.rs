//! One check: whether what was observed meets what is demanded.

use crate::record::{CheckOutcome, Demand, Observed, Quantity};

/// Decides a check. Nothing to observe fails and missing evidence is unknown. What can still grow breaks an upper bound for
/// good, and meets a lower one for good; whether it will stay below an upper bound is unknown.
pub fn decide(demand: &Demand, observed: &Observed) -> CheckOutcome {
    let holds = match (demand, observed) {
        (_, Observed::Unknown { .. }) => return CheckOutcome::Unknown,
        (_, Observed::Nothing { .. }) => false,
        (Demand::Number { min, max, equals, not, .. }, Observed::Number(Quantity { value, .. })) => {
            min.is_none_or(|min| *value >= min)
                && max.is_none_or(|max| *value <= max)
                && equals.is_none_or(|equals| *value == equals)
                && not.is_none_or(|not| *value != not)
        }
        (Demand::Number { min, max, equals, not, .. }, Observed::AtLeast { quantity: Quantity { value, .. }, .. }) => {
            let broken = max.is_some_and(|max| *value > max) || equals.is_some_and(|equals| *value > equals);
            let held = max.is_none()
                && equals.is_none()
                && min.is_none_or(|min| *value >= min)
                && not.is_none_or(|not| *value > not);
            return match (broken, held) {
                (true, _) => CheckOutcome::Fail,
                (false, true) => CheckOutcome::Pass,
                (false, false) => CheckOutcome::Unknown,
            };
        }
        (Demand::Text(wanted), Observed::Text(text)) => wanted == text,
        (Demand::NotText(unwanted), Observed::Text(text)) => unwanted != text,
        (Demand::Flag(wanted), Observed::Flag(flag)) => wanted == flag,
        (Demand::Json(wanted), Observed::Json(value)) => wanted == value,
        _ => false,
    };
    if holds { CheckOutcome::Pass } else { CheckOutcome::Fail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Unit;

    fn number(min: Option<f64>, max: Option<f64>, equals: Option<f64>, not: Option<f64>) -> Demand {
        Demand::Number { unit: Unit::Count, min, max, equals, not }
    }

    #[test]
    fn a_bound_holds_only_where_nothing_can_break_it() {
        use CheckOutcome::{Fail, Pass, Unknown};
        let closed = |value| Observed::Number(Quantity::new(value, Unit::Count));
        let open = |value| Observed::AtLeast { quantity: Quantity::new(value, Unit::Count), missing: Vec::new() };
        let [max, min, equals, not, both] = [
            number(None, Some(3.0), None, None),
            number(Some(3.0), None, None, None),
            number(None, None, Some(3.0), None),
            number(None, None, None, Some(3.0)),
            number(Some(1.0), Some(3.0), None, None),
        ];
        let cases = [
            // Demand, seen: 2, 3, 4 with closed evidence, then the same with open evidence.
            (&max, [Pass, Pass, Fail], [Unknown, Unknown, Fail]),
            (&min, [Fail, Pass, Pass], [Unknown, Pass, Pass]),
            (&equals, [Fail, Pass, Fail], [Unknown, Unknown, Fail]),
            (&not, [Pass, Fail, Pass], [Unknown, Unknown, Pass]),
            (&both, [Pass, Pass, Fail], [Unknown, Unknown, Fail]),
        ];
        for (demand, when_closed, when_open) in cases {
            let decided = |of: &dyn Fn(f64) -> Observed| [2.0, 3.0, 4.0].map(|value| decide(demand, &of(value)));
            assert_eq!(decided(&closed), when_closed, "{demand}");
            assert_eq!(decided(&open), when_open, "{demand}, open");
        }
    }

    #[test]
    fn nothing_passes_nothing() {
        for demand in [
            number(None, Some(3.0), None, None),
            number(Some(0.0), None, None, None),
            number(None, None, Some(0.0), None),
            number(None, None, None, Some(7.0)),
            Demand::Flag(false),
            Demand::NotText("Dead".to_owned()),
        ] {
            assert_eq!(decide(&demand, &Observed::nothing("")), CheckOutcome::Fail, "{demand}");
            assert_eq!(decide(&demand, &Observed::unknown("")), CheckOutcome::Unknown, "{demand}");
        }
        assert_eq!(decide(&number(None, Some(3.0), None, None), &Observed::Text("2".into())), CheckOutcome::Fail);
    }
}
