//! What checks about a delivery are called.

use crate::accounting::Class;
use crate::accounting::changes::Tally;
use crate::record::CheckRecord;
use crate::scenario::Guarantee;

const STATED: &str = "delivery.";
const GUARANTEES: [Guarantee; 3] = [Guarantee::AtLeastOnce, Guarantee::AtMostOnce, Guarantee::ExactlyOnce];

/// A check that an `expect` states of a class or a figure.
pub fn stated(figure: &str) -> String {
    format!("{STATED}{figure}")
}

/// A check that follows from the scenario's guarantee.
pub fn implied(guarantee: Guarantee, from: &[String], to: &[String], class: Class) -> String {
    format!("{}{} to {}: {class}", promised(guarantee), from.join(", "), to.join(", "))
}

fn promised(guarantee: Guarantee) -> String {
    format!("{guarantee} from ")
}

/// Whether a check was decided by a settled delivery. Where a delivery cannot be settled, its guarantee is one check without a class.
pub fn is_of_delivery(check: &CheckRecord) -> bool {
    let classes = || Class::ALL.into_iter().map(Class::name);
    if let Some(figure) = check.subject.strip_prefix(STATED) {
        return classes().chain(Tally::ALL.into_iter().map(Tally::name)).any(|known| known == figure);
    }
    let by_guarantee = GUARANTEES.into_iter().any(|guarantee| check.subject.starts_with(&promised(guarantee)));
    let class = check.subject.rsplit_once(": ").map(|(_, class)| class);
    check.step.is_empty() && by_guarantee && classes().any(|known| Some(known) == class)
}
