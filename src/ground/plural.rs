//! Numbers with the word for what they count.

use std::fmt::Display;

/// `1 check`, `3 checks`.
pub(crate) fn plural<N: Display + From<u8> + PartialEq>(count: N, one: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {one}{plural}")
}

#[cfg(test)]
mod tests {
    use super::plural;

    #[test]
    fn one_is_one() {
        assert_eq!([0, 1, 2].map(|count| plural(count, "run")), ["0 runs", "1 run", "2 runs"]);
    }
}
