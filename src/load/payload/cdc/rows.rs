//! Which rows exist, and in which version.

use rand::{Rng, RngExt};

/// Rows that can be changed. Older ones go on existing but are not touched any more.
const POOL: usize = 65_536;

/// The rows of one producer: ids share + 1, share + 1 + shares, …
pub(super) struct Rows {
    share: u64,
    shares: u64,
    inserted: u64,
    pool: Vec<(u64, u32)>,
}

impl Rows {
    pub(super) fn new(share: u64, shares: u64) -> Self {
        Self { share, shares, inserted: 0, pool: Vec::new() }
    }

    /// A new row in version 0; returns its id.
    pub(super) fn insert(&mut self) -> u64 {
        let id = self.inserted * self.shares + self.share + 1;
        if self.pool.len() < POOL {
            self.pool.push((id, 0));
        } else {
            // The place of the row that has been in the pool for longest.
            self.pool[(self.inserted % POOL as u64) as usize] = (id, 0);
        }
        self.inserted += 1;
        id
    }

    /// The place of some row, if there is any.
    pub(super) fn pick(&self, rng: &mut impl Rng) -> Option<usize> {
        (!self.pool.is_empty()).then(|| rng.random_range(0..self.pool.len()))
    }

    /// Changes a row; returns its id and new version.
    pub(super) fn update(&mut self, place: usize) -> (u64, u32) {
        self.pool[place].1 += 1;
        self.pool[place]
    }

    /// Deletes a row; returns its id and last version.
    pub(super) fn delete(&mut self, place: usize) -> (u64, u32) {
        self.pool.swap_remove(place)
    }
}
