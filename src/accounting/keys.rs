//! The keys of messages.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};
use serde::{Deserialize, Serialize};
use std::io::Write;

/// How keys are chosen.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum KeySpec {
    /// The payload's own key where it has one (CDC rows do), none otherwise.
    #[default]
    Payload,
    /// No key: the client spreads messages over partitions.
    None,
    /// Always the same.
    Constant(String),
    /// N keys, one after the other.
    RoundRobin(u64),
    /// N keys, each as likely.
    Uniform(u64),
    /// N keys, the k-th with a probability proportional to 1/k^exponent.
    Zipfian {
        /// How many keys.
        keys: u64,
        /// The exponent; 1 is the classic law.
        exponent: f64,
    },
}

/// Makes the keys of one producer.
#[derive(Debug)]
pub(crate) struct KeySource {
    spec: KeySpec,
    zipf: Option<Zipf<f64>>,
    rng: StdRng,
}

impl KeySource {
    /// `None` where numbers make no distribution, such as zero keys.
    pub(crate) fn new(spec: &KeySpec, seed: u64) -> Option<Self> {
        let zipf = match spec {
            KeySpec::Zipfian { keys, exponent } => Some(Zipf::new(*keys as f64, *exponent).ok()?),
            KeySpec::RoundRobin(0) | KeySpec::Uniform(0) => return None,
            _ => None,
        };
        Some(Self { spec: spec.clone(), zipf, rng: StdRng::seed_from_u64(seed) })
    }

    /// Whether the payload decides.
    pub(crate) fn is_from_payload(&self) -> bool {
        self.spec == KeySpec::Payload
    }

    /// Appends the key of the message with this number in the whole schedule; false when it has none.
    pub(crate) fn append(&mut self, index: u64, out: &mut Vec<u8>) -> bool {
        let number = match &self.spec {
            KeySpec::Payload | KeySpec::None => return false,
            KeySpec::Constant(key) => {
                out.extend_from_slice(key.as_bytes());
                return true;
            }
            KeySpec::RoundRobin(keys) => index % keys,
            KeySpec::Uniform(keys) => self.rng.random_range(0..*keys),
            KeySpec::Zipfian { .. } => self.zipf.as_ref().map_or(0, |zipf| zipf.sample(&mut self.rng) as u64 - 1),
        };
        // Writing to a vector cannot fail.
        let _ = write!(out, "key-{number:08}");
        true
    }
}

/// The keys that one producer has used, as the recipe that made them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyPlan {
    /// How they were chosen.
    pub spec: KeySpec,
    /// The producer's own seed.
    pub seed: u64,
    /// The producer sends messages `share`, `share + shares`, … of the schedule.
    pub share: u64,
    /// How many producers share the schedule.
    pub shares: u64,
}

impl KeyPlan {
    /// Calls `see` with sequence and key of the first `count` messages, in order; false where the payloads decide, so that the
    /// keys are not known here. Messages without a key are left out.
    pub fn each(&self, count: u64, mut see: impl FnMut(u64, &[u8])) -> bool {
        let Some(mut source) = KeySource::new(&self.spec, self.seed) else { return false };
        if source.is_from_payload() {
            return false;
        }
        let mut key = Vec::new();
        for sequence in 0..count {
            key.clear();
            if source.append(sequence.wrapping_mul(self.shares).wrapping_add(self.share), &mut key) {
                see(sequence, &key);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn counts(spec: KeySpec) -> HashMap<Vec<u8>, u64> {
        let mut source = KeySource::new(&spec, 1).unwrap();
        let mut counts = HashMap::new();
        for index in 0..10_000 {
            let mut key = Vec::new();
            source.append(index, &mut key);
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    #[test]
    fn distributions() {
        assert!(counts(KeySpec::RoundRobin(10)).values().all(|count| *count == 1000));
        let uniform = counts(KeySpec::Uniform(10));
        assert!(uniform.len() == 10 && uniform.values().all(|count| (800..1200).contains(count)));
        let zipfian = counts(KeySpec::Zipfian { keys: 1000, exponent: 1.0 });
        let first = zipfian[b"key-00000000".as_slice()] as f64;
        let tenth = zipfian[b"key-00000009".as_slice()] as f64;
        assert!((6.0..15.0).contains(&(first / tenth)), "{first} / {tenth}");
        assert!(KeySource::new(&KeySpec::Uniform(0), 1).is_none());
    }
}
