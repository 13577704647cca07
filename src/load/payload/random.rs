//! Random bytes with a set compressibility.

use super::{Carrier, LoadError, Number, PayloadSource, Rendered};
use crate::accounting::IDENTITY_BYTES;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Random bytes behind an identity.
pub(super) struct Random {
    size: usize,
    compressibility: f64,
    rng: StdRng,
}

/// Alternation of random and repeated bytes; short, so that small messages compress as large ones do.
const BLOCK: usize = 32;

impl Random {
    pub(super) fn new(size: usize, compressibility: f64, seed: u64) -> Result<Self, LoadError> {
        if size < IDENTITY_BYTES {
            return Err(LoadError::Spec(format!(
                "a payload of {size} bytes has no room for the identity of {IDENTITY_BYTES} bytes; \
                 make it at least that long"
            )));
        }
        if !(0.0..=1.0).contains(&compressibility) {
            return Err(LoadError::Spec(format!("a compressibility of {compressibility} is not between 0 and 1")));
        }
        Ok(Self { size, compressibility, rng: StdRng::seed_from_u64(seed) })
    }
}

impl PayloadSource for Random {
    fn repeats(&self) -> bool {
        true
    }

    fn render(&mut self, _: Number, body: &mut Vec<u8>, _: &mut Vec<u8>) -> Rendered {
        body.resize(self.size, b'.');
        for block in body[IDENTITY_BYTES..].chunks_mut(BLOCK) {
            // Rounding at random keeps the share exact on average.
            let random = block.len() as f64 * (1.0 - self.compressibility) + self.rng.random::<f64>();
            let random = (random as usize).min(block.len());
            self.rng.fill_bytes(&mut block[..random]);
        }
        let body_crc = crc32fast::hash(&body[IDENTITY_BYTES..]);
        Rendered { carrier: Carrier::Prefix, body_crc, tombstone: false }
    }
}
