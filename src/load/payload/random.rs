//! Random bytes with a set compressibility.

use super::sizes::{SizeSource, Sizes};
use super::source::{Number, PayloadSource, Rendered, rendered};
use super::{IdentityPlace, LoadError};
use crate::accounting::IDENTITY_BYTES;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Random bytes, behind an identity unless it stands elsewhere.
pub(super) struct Random {
    sizes: SizeSource,
    /// Whether all are of one size.
    is_even: bool,
    compressibility: f64,
    place: IdentityPlace,
    rng: StdRng,
}

/// Alternation of random and repeated bytes; short, so that small messages compress as large ones do.
const BLOCK: usize = 32;

impl Random {
    pub(super) fn new(
        sizes: Sizes,
        compressibility: f64,
        seed: u64,
        asked: Option<IdentityPlace>,
    ) -> Result<Self, LoadError> {
        let place = asked.unwrap_or(IdentityPlace::Prefix);
        let refuse = |reason: String| Err(LoadError::Spec(reason));
        if place == IdentityPlace::Field {
            return refuse("`identity: field` needs JSON objects, and random bytes are not JSON".into());
        }
        let size = sizes.least();
        if place == IdentityPlace::Prefix && size < IDENTITY_BYTES && !matches!(sizes, Sizes::LogNormal { .. }) {
            return refuse(format!(
                "a payload of {size} bytes has no room for the identity of {IDENTITY_BYTES} bytes; \
                 make it at least that long"
            ));
        }
        if !(0.0..=1.0).contains(&compressibility) {
            return refuse(format!("a compressibility of {compressibility} is not between 0 and 1"));
        }
        let is_even = matches!(sizes, Sizes::Fixed(_));
        let Some(sizes) = sizes.source() else {
            return refuse(
                "`size` is no distribution: a mean is above zero, and a maximum is not below the minimum".to_owned(),
            );
        };
        Ok(Self { sizes, is_even, compressibility, place, rng: StdRng::seed_from_u64(seed) })
    }

    /// Bytes before the random ones.
    fn room(&self) -> usize {
        if self.place == IdentityPlace::Prefix { IDENTITY_BYTES } else { 0 }
    }
}

impl PayloadSource for Random {
    fn repeats(&self) -> bool {
        // A payload whose identity stands in a header leaves its buffer.
        self.is_even && self.place == IdentityPlace::Prefix
    }

    fn render(&mut self, _: Number, body: &mut Vec<u8>, _: &mut Vec<u8>) -> Rendered {
        let room = self.room();
        body.resize(self.sizes.next(&mut self.rng, room), b'.');
        for block in body[room..].chunks_mut(BLOCK) {
            // Rounding at random keeps the share exact on average.
            let random = block.len() as f64 * (1.0 - self.compressibility) + self.rng.random::<f64>();
            let random = (random as usize).min(block.len());
            self.rng.fill_bytes(&mut block[..random]);
        }
        rendered(body, self.place)
    }
}
