//! Same, different, or undecided.

use super::margin::Margin;
use super::statistics::{bootstrap, mann_whitney, median};
use crate::ground::plural;
use serde::Serialize;

/// Repeats on both sides from which statistics decide.
pub const REPEATS: usize = 5;
/// p-values below it are evidence of a difference.
const SIGNIFICANCE: f64 = 0.05;

/// What follows from two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The difference is within the margin.
    Same,
    /// The difference is beyond the margin.
    Different,
    /// The samples are too few or too noisy to tell. Not "consistent".
    Undecided,
}

/// Decides, and says by what evidence.
///
/// From five repeats on both sides: *same* where the whole 95 % interval of the difference lies within the margin, *different*
/// where the medians lie further apart than the margin and Mann–Whitney's p is below 0.05, else *undecided*.
/// With fewer: *same* where every value of one side is within the margin of every value of the other, *different*
/// where there is no margin, or where the closest values lie more than three margins apart, else *undecided*.
pub fn decide(a: &[f64], b: &[f64], margin: Margin) -> (Decision, String) {
    let (Some(before), Some(after)) = (median(a), median(b)) else {
        return (Decision::Undecided, "measured on one side only".to_owned());
    };
    let allowed = margin.around(before);
    if a.len() >= REPEATS && b.len() >= REPEATS {
        let p = mann_whitney(a, b);
        let interval = bootstrap(a, b);
        let within = interval.is_some_and(|(low, high)| low >= -allowed && high <= allowed);
        let evidence = match interval {
            Some((low, high)) => {
                let share = |value: f64| if before == 0.0 { value } else { 100.0 * value / before };
                let unit = if before == 0.0 { "" } else { "%" };
                format!("p = {p:.3}, 95% interval {:+.1}{unit} to {:+.1}{unit}", share(low), share(high))
            }
            None => format!("p = {p:.3}"),
        };
        let decision = if within {
            Decision::Same
        } else if (after - before).abs() > allowed && p < SIGNIFICANCE {
            Decision::Different
        } else {
            Decision::Undecided
        };
        return (decision, evidence);
    }
    let pairs = || a.iter().flat_map(|a| b.iter().map(move |b| (a - b).abs()));
    let furthest = pairs().fold(0.0, f64::max);
    let closest = pairs().fold(f64::INFINITY, f64::min);
    let decision = if furthest <= allowed {
        Decision::Same
    } else if closest > 3.0 * allowed {
        Decision::Different
    } else {
        Decision::Undecided
    };
    (decision, format!("{} against {}: margins only", plural(a.len(), "former run"), plural(b.len(), "latter run")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_not_consistency() {
        let tenth = Margin { share: 0.1, absolute: 0.0 };
        let decided = |a: &[f64], b: &[f64]| decide(a, b, tenth).0;
        assert_eq!(decided(&[100.0], &[105.0]), Decision::Same);
        assert_eq!(decided(&[100.0], &[125.0]), Decision::Undecided);
        assert_eq!(decided(&[100.0], &[140.0]), Decision::Different);
        assert_eq!(decided(&[100.0, 101.0, 99.0, 100.0, 102.0], &[101.0, 100.0, 99.0, 103.0, 101.0]), Decision::Same);
        assert_eq!(
            decided(&[100.0, 101.0, 99.0, 100.0, 102.0], &[121.0, 120.0, 129.0, 123.0, 121.0]),
            Decision::Different
        );
        assert_eq!(
            decided(&[100.0, 60.0, 140.0, 80.0, 120.0], &[110.0, 70.0, 150.0, 95.0, 125.0]),
            Decision::Undecided
        );
        let none = Margin { share: 0.0, absolute: 0.0 };
        assert_eq!(decide(&[0.0], &[1.0], none).0, Decision::Different);
        assert_eq!(decide(&[0.0], &[0.0], none).0, Decision::Same);
        let few = decide(&[1.0, 1.0, 1.0], &[1.0], tenth).1;
        assert_eq!(few, "3 former runs against 1 latter run: margins only");
    }
}
