//! One check: does what was observed meet what is demanded?

use crate::record::{CheckOutcome, Demand, Observed, Quantity};

/// Decides a check. Nothing to observe fails; missing evidence is unknown; something that had not ended meets no upper bound.
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
        (Demand::Number { min, max, equals, .. }, Observed::AtLeast(Quantity { value, .. })) => {
            max.is_none() && equals.is_none() && min.is_none_or(|min| *value >= min)
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

    fn at_most(max: f64) -> Demand {
        Demand::Number { unit: Unit::Duration, min: None, max: Some(max), equals: None, not: None }
    }

    #[test]
    fn missing_evidence_is_no_pass() {
        let cases = [
            (Observed::Number(Quantity::seconds(2.0)), CheckOutcome::Pass),
            (Observed::Number(Quantity::seconds(3.0)), CheckOutcome::Pass),
            (Observed::Number(Quantity::seconds(3.1)), CheckOutcome::Fail),
            (Observed::AtLeast(Quantity::seconds(1.0)), CheckOutcome::Fail),
            (Observed::Nothing { reason: String::new() }, CheckOutcome::Fail),
            (Observed::Unknown { reason: String::new() }, CheckOutcome::Unknown),
            (Observed::Text("2".to_owned()), CheckOutcome::Fail),
        ];
        for (observed, expected) in cases {
            assert_eq!(decide(&at_most(3.0), &observed), expected, "{observed}");
        }
    }
}
