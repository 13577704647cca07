//! How long random payloads are.

use rand::RngExt;
use rand::rngs::StdRng;
use rand_distr::{Distribution, LogNormal};
use serde::{Deserialize, Serialize};

/// How long random payloads are, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Sizes {
    /// All alike.
    Fixed(usize),
    /// From the first to the second, each as likely.
    Uniform(usize, usize),
    /// Log-normal, as sizes of messages mostly are: half are at most `median`, 99 % at most `p99`, and none is longer than `most`.
    LogNormal {
        /// Half are at most that long.
        median: usize,
        /// 99 % are at most that long.
        p99: usize,
        /// Longer ones are cut off to this.
        most: usize,
    },
}

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_874;

impl Sizes {
    /// The shortest.
    pub(crate) fn least(&self) -> usize {
        match self {
            Self::Fixed(size) | Self::Uniform(size, _) => *size,
            Self::LogNormal { .. } => 0,
        }
    }

    /// The longest.
    pub(crate) fn most(&self) -> usize {
        match self {
            Self::Fixed(size) | Self::Uniform(_, size) => *size,
            Self::LogNormal { most, .. } => *most,
        }
    }

    /// What makes one size after the other; `None` where the numbers make no distribution.
    pub(super) fn source(&self) -> Option<SizeSource> {
        match *self {
            Self::Fixed(size) => Some(SizeSource::Uniform(size, size)),
            Self::Uniform(least, most) => (least <= most).then_some(SizeSource::Uniform(least, most)),
            Self::LogNormal { median, p99, most } => {
                let (median, p99) = (median as f64, p99 as f64);
                let fits = median >= 1.0 && median < p99 && p99 <= most as f64;
                let law = LogNormal::new(median.ln(), (p99 / median).ln() / Z99).ok()?;
                fits.then_some(SizeSource::LogNormal(law, most))
            }
        }
    }
}

impl From<usize> for Sizes {
    fn from(size: usize) -> Self {
        Self::Fixed(size)
    }
}

/// Makes sizes.
pub(super) enum SizeSource {
    Uniform(usize, usize),
    LogNormal(LogNormal<f64>, usize),
}

impl SizeSource {
    /// The next size, at least `least`.
    pub(super) fn next(&self, rng: &mut StdRng, least: usize) -> usize {
        match self {
            Self::Uniform(from, to) if from == to => *from,
            Self::Uniform(from, to) => rng.random_range(*from..=*to),
            Self::LogNormal(law, most) => (law.sample(rng) as usize).clamp(least.min(*most), *most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn drawn(sizes: Sizes) -> Vec<usize> {
        let (source, mut rng) = (sizes.source().expect("a distribution"), StdRng::seed_from_u64(1));
        let mut drawn: Vec<usize> = (0..20_000).map(|_| source.next(&mut rng, 40)).collect();
        drawn.sort_unstable();
        drawn
    }

    #[test]
    fn sizes_follow_their_law() {
        let uniform = drawn(Sizes::Uniform(100, 200));
        assert_eq!((uniform[0], uniform[19_999]), (100, 200));
        assert!((145..=155).contains(&uniform[10_000]), "{}", uniform[10_000]);
        let skewed = drawn(Sizes::LogNormal { median: 1_000, p99: 20_000, most: 40_000 });
        assert!((950..=1_050).contains(&skewed[10_000]), "{}", skewed[10_000]);
        assert!((17_000..=23_000).contains(&skewed[19_800]), "{}", skewed[19_800]);
        assert!(skewed[0] >= 40 && skewed[19_999] <= 40_000);
        assert_eq!(drawn(Sizes::Fixed(7))[0], 7);
        assert!(Sizes::Uniform(2, 1).source().is_none());
        assert!(Sizes::LogNormal { median: 9, p99: 8, most: 10 }.source().is_none());
    }
}
