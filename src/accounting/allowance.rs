//! What stored accounts may ask for while they are read.
//!
//! Sets and places are stored as runs: a few bytes can say "so many, so often", and take any memory and any time. What they ask for is
//! therefore counted before it is made, over all of a file.

use std::cell::Cell;
use std::marker::PhantomData;

/// Bytes of sets in memory: 8 KiB for each 65,536 messages of two thousand million, with gaps everywhere. What has no gaps takes next to
/// nothing.
const MOST_BYTES: u64 = 256 << 20;
/// Places of messages, each of which is gone through: half a day of 100,000 messages a second.
const MOST_PLACES: u64 = 1 << 32;
/// Bytes of rows of database changes, unpacked: four deliveries with as many as are stored.
pub(super) const MOST_ROWS: u64 = 512 << 20;
/// Numbers in one set: four days of 190,000 messages a second from one producer.
pub(super) const MOST_IN_SET: u64 = 1 << 36;

/// What is left of it.
#[derive(Debug, Clone, Copy)]
struct Left {
    bytes: u64,
    places: u64,
    rows: u64,
}

const ALL: Left = Left { bytes: MOST_BYTES, places: MOST_PLACES, rows: MOST_ROWS };

thread_local! {
    /// Readers of single values have no way to hand on what the whole file has taken.
    static LEFT: Cell<Option<Left>> = const { Cell::new(None) };
}

/// While it lives, all that this thread reads counts together. Without one each set counts alone.
pub(super) struct Allowance(PhantomData<*const ()>);

impl Allowance {
    pub(super) fn begin() -> Self {
        LEFT.set(Some(ALL));
        Self(PhantomData)
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        LEFT.set(None);
    }
}

/// Takes bytes of sets.
///
/// # Errors
/// There are not so many left.
pub(super) fn take_bytes(bytes: u64) -> Result<(), String> {
    let why = || format!("its sets of messages take more than {} MiB", MOST_BYTES >> 20);
    take(bytes, |left| &mut left.bytes).ok_or_else(why)
}

/// Takes places of messages.
///
/// # Errors
/// There are not so many left.
pub(super) fn take_places(places: u64) -> Result<(), String> {
    let why = || format!("it names more than {MOST_PLACES} places of messages");
    take(places, |left| &mut left.places).ok_or_else(why)
}

/// Takes bytes of rows.
///
/// # Errors
/// There are not so many left.
pub(super) fn take_rows(bytes: u64) -> Result<(), String> {
    let why = || format!("the rows of its database changes take more than {} MiB", MOST_ROWS >> 20);
    take(bytes, |left| &mut left.rows).ok_or_else(why)
}

fn take(wanted: u64, of: impl Fn(&mut Left) -> &mut u64) -> Option<()> {
    let whole = LEFT.get();
    let mut left = whole.unwrap_or(ALL);
    let field = of(&mut left);
    *field = field.checked_sub(wanted)?;
    LEFT.set(whole.map(|_| left));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_together_counts_together() {
        assert_eq!((take_bytes(MOST_BYTES), take_bytes(MOST_BYTES)), (Ok(()), Ok(())), "each alone");
        let together = Allowance::begin();
        assert_eq!((take_bytes(MOST_BYTES), take_places(MOST_PLACES)), (Ok(()), Ok(())));
        assert!(take_bytes(1).is_err() && take_places(1).is_err());
        assert_eq!((take_rows(MOST_ROWS - 1), take_rows(1)), (Ok(()), Ok(())));
        assert!(take_rows(1).unwrap_err().contains("more than 512 MiB"));
        drop(together);
        assert!(take_bytes(1).is_ok() && take_places(1).is_ok());
        assert!(take_bytes(MOST_BYTES + 1).is_err() && take_places(u64::MAX).is_err());
    }
}
