//! Two small samples: whether they are from the same distribution, and how far their medians are apart.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Resamples of the bootstrap.
const RESAMPLES: usize = 4000;
/// Largest number of splits that the exact test enumerates.
const EXACT: f64 = 200_000.0;

/// The median; none of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0) }
}

/// The two-sided p-value of the Mann–Whitney U test: exact by enumeration for small samples (ties included), else by the
/// normal approximation with the correction for ties.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 1.0;
    }
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let ranks = ranks(&all);
    let (n, m) = (a.len(), b.len());
    let observed: f64 = ranks[..n].iter().sum();
    let expected = n as f64 * (n + m + 1) as f64 / 2.0;
    let distance = (observed - expected).abs();
    if splits(n + m, n) <= EXACT {
        let (mut extreme, mut total) = (0u64, 0u64);
        enumerate(&ranks, n, 0, 0.0, &mut |sum| {
            total += 1;
            // Sums of half ranks are exact; the slack is for nothing but caution.
            extreme += u64::from((sum - expected).abs() >= distance - 1e-9);
        });
        return extreme as f64 / total.max(1) as f64;
    }
    let count = (n + m) as f64;
    let ties: f64 = tie_sizes(&all).into_iter().map(|size| size.powi(3) - size).sum();
    let variance = n as f64 * m as f64 / 12.0 * (count + 1.0 - ties / (count * (count - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    2.0 * upper_tail(((distance - 0.5).max(0.0)) / variance.sqrt())
}

/// The 95 % interval of the difference of medians `b − a`, by resampling both; the seed is fixed, so that a comparison
/// always says the same.
pub fn bootstrap(a: &[f64], b: &[f64]) -> Option<(f64, f64)> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let mut random = StdRng::seed_from_u64(20_240_229);
    let mut draw =
        |from: &[f64]| -> Vec<f64> { (0..from.len()).map(|_| from[random.random_range(0..from.len())]).collect() };
    let mut differences: Vec<f64> =
        (0..RESAMPLES).filter_map(|_| Some(median(&draw(b))? - median(&draw(a))?)).collect();
    differences.sort_by(f64::total_cmp);
    let at = |share: f64| differences.get(((RESAMPLES - 1) as f64 * share).round() as usize).copied();
    Some((at(0.025)?, at(0.975)?))
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    values
        .iter()
        .map(|value| {
            let below = values.iter().filter(|other| *other < value).count() as f64;
            let equal = values.iter().filter(|other| *other == value).count() as f64;
            below + (equal + 1.0) / 2.0
        })
        .collect()
}

fn tie_sizes(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.chunk_by(|a, b| a == b).map(|chunk| chunk.len() as f64).collect()
}

/// How many ways there are to choose `k` of `n`.
fn splits(n: usize, k: usize) -> f64 {
    (1..=k).map(|i| (n - k + i) as f64 / i as f64).product()
}

fn enumerate(ranks: &[f64], left: usize, from: usize, sum: f64, visit: &mut impl FnMut(f64)) {
    if left == 0 {
        return visit(sum);
    }
    for index in from..=ranks.len() - left {
        enumerate(ranks, left - 1, index + 1, sum + ranks[index], visit);
    }
}

/// The share of a normal distribution above `z` standard deviations: Abramowitz and Stegun 26.2.17, error below 7.5e-8.
fn upper_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let polynomial =
        t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * polynomial
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // Five against five without overlap: 2 of 252 splits are as extreme.
        let p = mann_whitney(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!((p - 2.0 / 252.0).abs() < 1e-12, "{p}");
        assert_eq!(mann_whitney(&[1.0; 5], &[1.0; 5]), 1.0);
        assert!((upper_tail(1.959_964) - 0.025).abs() < 1e-6);
        let many: Vec<f64> = (0..40).map(f64::from).collect();
        let shifted: Vec<f64> = many.iter().map(|value| value + 30.0).collect();
        assert!(mann_whitney(&many, &shifted) < 1e-6);
        let (low, high) = bootstrap(&[10.0, 11.0, 9.0, 10.0, 10.0], &[20.0, 21.0, 19.0, 20.0, 20.0]).unwrap();
        assert!(low > 7.0 && high < 13.0, "{low} {high}");
        assert_eq!(median(&[3.0, 1.0, 2.0, 4.0]), Some(2.5));
    }
}
