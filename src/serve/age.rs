//! How long ago something was, by clocks that may have been wrong.

/// By so many ms clocks of machines may be apart.
const GRACE: i64 = 60_000;

/// How many seconds before `now` that moment was, both in ms since the epoch; nothing where it is still to come.
pub fn age(moment: i64, now: i64) -> Option<u64> {
    let is_past = moment <= now.saturating_add(GRACE);
    is_past.then(|| u64::try_from(now.saturating_sub(moment) / 1000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_to_come_has_no_age() {
        assert_eq!((age(2_000, 5_000), age(9_000, 5_000), age(5_000 + GRACE, 5_000)), (Some(3), Some(0), Some(0)));
        assert_eq!(age(5_001 + GRACE, 5_000), None);
    }
}
